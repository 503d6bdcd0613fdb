/**
 * Many writes of the JVM in a row, as when a session cluster recovers its jobs: of each job Flink takes back what the last leader
 * published, and publishes its own. On each event, it writes anew what that event does not show yet, of whatever job
 * (`DefaultLeaderElectionService.notifyAllKnownLeaderInformation`): of n jobs, shown each state in between, n² times. So in
 * a burst it is shown what its writes came to as soon as it pauses, as by a watch that is late.
 */
import type { Clock } from '../shared/clock.ts'

/** So many are shown as they are made: one job that recovers waits for nothing. */
export const SINGLE_WRITES = 8
/** Without a write for so long, the row is over. A JVM that never led before needs a quarter of that for each. */
export const PAUSE_MS = 250
/** No event waits longer. */
export const MAX_HELD_MS = 1_000

export class Burst {
  #clock: Pick<Clock, 'after'>
  #over: () => void
  #writes = 0
  #holds = false
  #cancelPause = (): void => {}
  #cancelMax = (): void => {}

  /** `over`: what was held can be shown. */
  constructor(clock: Pick<Clock, 'after'>, over: () => void) {
    this.#clock = clock
    this.#over = over
  }

  /** Whether what changes now is not shown yet. */
  get holds(): boolean {
    return this.#holds
  }

  write(): void {
    this.#writes++
    if (this.#writes > SINGLE_WRITES && !this.#holds) {
      this.#holds = true
      this.#cancelMax = this.#clock.after(MAX_HELD_MS, () => this.#show())
    }
    this.#cancelPause()
    this.#cancelPause = this.#clock.after(PAUSE_MS, () => {
      this.#writes = 0
      this.#show()
    })
  }

  #show(): void {
    if (!this.#holds) return
    this.#holds = false
    this.#cancelMax()
    this.#over()
  }
}
