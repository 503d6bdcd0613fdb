// A machine with its clocks, and a process on it that can be stopped and killed: what comes in while it is stopped waits.
import type { Clock } from '../../shared/clock.ts'
import type { TimeSource } from './flink-timers.ts'
import type { Chance, Job, SimTime } from './sim-time.ts'

/** The wall's time at the start. */
export const EPOCH_MS = Date.UTC(2026, 0, 1)

/** The monotonic clock has a rate of its own; the wall's is right but for a step now and then. */
export class Machine {
  readonly time: SimTime
  wallOffsetMs: number
  #rate: number
  #sinceMs = 0
  #monoMs: number

  constructor(time: SimTime, options: { rate: number; monoMs: number; wallOffsetMs: number }) {
    this.time = time
    this.#rate = options.rate
    this.#monoMs = options.monoMs
    this.wallOffsetMs = options.wallOffsetMs
  }

  get rate(): number {
    return this.#rate
  }
  setRate(rate: number): void {
    this.#monoMs = this.monoMs()
    this.#sinceMs = this.time.nowMs
    this.#rate = rate
  }

  readonly monoMs = (): number => this.#monoMs + (this.time.nowMs - this.#sinceMs) * this.#rate
  readonly wallMs = (): number => EPOCH_MS + this.time.nowMs + this.wallOffsetMs
  readonly wallUs = (): number => Math.floor(this.wallMs() * 1000)
}

export class SimProcess implements Clock, TimeSource {
  readonly name: string
  readonly machine: Machine
  readonly monoMs: () => number
  readonly wallMs: () => number
  readonly wallUs: () => number
  readonly #chance: Chance
  readonly #onRan: () => void
  #alive = true
  #paused = false
  /** Since when it is as it is. */
  #sinceMs: number
  #timersDue: (() => void)[] = []
  #messages: (() => void)[] = []
  #onKill: (() => void)[] = []

  constructor(name: string, machine: Machine, chance: Chance, onRan: () => void) {
    this.name = name
    this.machine = machine
    this.monoMs = machine.monoMs
    this.wallMs = machine.wallMs
    this.wallUs = machine.wallUs
    this.#chance = chance
    this.#onRan = onRan
    this.#sinceMs = machine.time.nowMs
  }

  get alive(): boolean {
    return this.#alive
  }
  get paused(): boolean {
    return this.#paused
  }
  /** For how long it has been running, or stopped, without a break. */
  get steadyMs(): number {
    return this.machine.time.nowMs - this.#sinceMs
  }

  readonly after = (delayMs: number, run: () => void): (() => void) => {
    // Timers are late by up to a millisecond, and now and then by more.
    const lateMs = this.#chance() < 0.01 ? this.#chance() * 30 : this.#chance()
    const fire = (): void => {
      if (!this.#alive) return
      if (this.#paused) this.#timersDue.push(() => job.run !== undefined && this.#run(run))
      else {
        job.run = undefined
        this.#run(run)
      }
    }
    const job: Job = this.machine.time.after(Math.max(1, delayMs) / this.machine.rate + lateMs, fire)
    return () => {
      job.run = undefined
    }
  }

  /** Something comes in. */
  deliver(run: () => void): void {
    if (!this.#alive) return
    if (this.#paused) this.#messages.push(run)
    else this.#run(run)
  }

  /** As SIGSTOP. */
  pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#sinceMs = this.machine.time.nowMs
  }

  /** What waited comes one after the other: the timers that were due, then the sockets, or the other way round. */
  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#sinceMs = this.machine.time.nowMs
    const [timers, messages] = [this.#timersDue, this.#messages]
    this.#timersDue = []
    this.#messages = []
    const waiting = this.#chance() < 0.5 ? [...timers, ...messages] : [...messages, ...timers]
    for (const run of waiting) this.machine.time.after(0, () => this.deliver(run))
  }

  /** As SIGKILL: nothing runs any more. */
  kill(): void {
    if (!this.#alive) return
    this.#alive = false
    for (const listener of this.#onKill) listener()
    this.#onKill = []
  }
  /** What the kernel does for a process that ends, such as closing its sockets. */
  onKill(listener: () => void): void {
    this.#onKill.push(listener)
  }

  #run(run: () => void): void {
    if (!this.#alive) return
    run()
    this.#onRan()
  }
}
