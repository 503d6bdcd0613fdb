// A clock that stands still until it is told to go on.
import type { Clock } from '../../shared/clock.ts'

type Timer = { atMs: number; run: () => void }

export class VirtualClock implements Clock {
  readonly epochMs: number
  #nowMs = 0
  #timers = new Set<Timer>()

  /** `epochMs`: the wall's time at the start. */
  constructor(epochMs = Date.UTC(2026, 0, 1)) {
    this.epochMs = epochMs
  }

  readonly monoMs = (): number => this.#nowMs
  readonly wallMs = (): number => this.epochMs + this.#nowMs
  readonly wallUs = (): number => this.wallMs() * 1000
  readonly after = (delayMs: number, run: () => void): (() => void) => {
    const timer = { atMs: this.#nowMs + delayMs, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Runs every timer that is due by then, in order, those too that are set on the way. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#timers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.run()
    }
    this.#nowMs = untilMs
  }

  /** As for a machine that slept: the time has passed, and each timer that was due by then runs once. */
  jump(ms: number): void {
    this.#nowMs += ms
    this.advance(0)
  }

  #next(untilMs: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers)
      if (timer.atMs <= untilMs && (first === undefined || timer.atMs < first.atMs)) first = timer
    return first
  }
}
