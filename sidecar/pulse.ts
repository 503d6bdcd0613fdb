// When this process was awake for certain. Whoever was stopped finds old words in its sockets, and would take them for news.
import type { Clock } from '../shared/clock.ts'

const PERIOD_MS = 1_000
/** Later than that, and it was stopped, or had no processor. */
const LATE_MS = 2 * PERIOD_MS

export class Pulse {
  readonly #clock: Clock
  #beatMs = 0
  #awakeMs = 0
  #cancel = (): void => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  start(): void {
    this.#beatMs = this.#clock.monoMs()
    this.#beat()
  }
  stop(): void {
    this.#cancel()
  }

  #beat(): void {
    const nowMs = this.#clock.monoMs()
    // After a late beat what waited in the sockets may still be on its way: one more, in time, ends that.
    if (nowMs - this.#beatMs <= LATE_MS) this.#awakeMs = nowMs
    this.#beatMs = nowMs
    this.#cancel = this.#clock.after(PERIOD_MS, () => this.#beat())
  }

  /** What is heard at this moment was said after it: now; after a sleep, when that began. */
  heardAtMs(): number {
    const nowMs = this.#clock.monoMs()
    return nowMs - this.#awakeMs <= LATE_MS ? nowMs : this.#awakeMs
  }
}
