// The system's clock, but for timers of some lengths: those wait until a test lets them go.
import { type Clock, systemClock } from '../../shared/clock.ts'

export class HeldTimers {
  readonly clock: Clock
  #waiting: { ms: number; run: () => void }[] = []

  /** `lengths`: in milliseconds. */
  constructor(...lengths: readonly number[]) {
    const after = (ms: number, run: () => void): (() => void) => {
      if (!lengths.includes(ms)) return systemClock.after(ms, run)
      const timer = { ms, run }
      this.#waiting.push(timer)
      return () => {
        this.#waiting = this.#waiting.filter(other => other !== timer)
      }
    }
    this.clock = { ...systemClock, after }
  }

  /** How many of this length wait. */
  count(ms: number): number {
    return this.#waiting.filter(timer => timer.ms === ms).length
  }

  /** Ends all of these lengths that wait now. */
  go(...lengths: readonly number[]): void {
    const due = this.#waiting.filter(({ ms }) => lengths.includes(ms))
    this.#waiting = this.#waiting.filter(timer => !due.includes(timer))
    for (const { run } of due) run()
  }
}
