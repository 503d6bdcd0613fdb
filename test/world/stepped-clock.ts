// A clock that goes on only while a test waits, by so many milliseconds a turn. Sockets are real, and a turn is a real
// millisecond at least, in which answers come in; the time that the code sees is not, so that hours pass in no time.
import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '../../shared/clock.ts'

type Timer = { atMs: number; run: () => void }

export class SteppedClock implements Clock {
  nowMs = 0
  #timers: Timer[] = []
  #startUs: number

  constructor(startUs = Date.UTC(2026, 0, 1) * 1000) {
    this.#startUs = startUs
  }

  monoMs = (): number => this.nowMs
  wallUs = (): number => this.#startUs + this.nowMs * 1000

  after = (delayMs: number, run: () => void): (() => void) => {
    const timer = { atMs: this.nowMs + delayMs, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  /** Lets timers fire, in order. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms
    for (;;) {
      const [due] = this.#timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)
      if (due === undefined) break
      this.#timers = this.#timers.filter(other => other !== due)
      this.nowMs = Math.max(this.nowMs, due.atMs)
      due.run()
    }
    this.nowMs = endMs
  }

  /** Goes on until something is so. @throws Error when it is not after `limitMs` of this clock's time */
  async until(isSo: () => boolean, what: string, limitMs = 120_000, stepMs = 20): Promise<void> {
    const endMs = this.nowMs + limitMs
    while (!isSo()) {
      if (this.nowMs >= endMs) throw new Error(`not within ${limitMs} ms: ${what}`)
      await pause(1)
      this.advance(stepMs)
    }
  }

  /** Goes on for a while, so that what is not to happen had its time. */
  async pass(ms: number, stepMs = 20): Promise<void> {
    const endMs = this.nowMs + ms
    await this.until(() => this.nowMs >= endMs, 'the end of a while', ms + stepMs, stepMs)
  }
}
