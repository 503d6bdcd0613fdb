// When the faults are over, everything comes back by itself within what the profile promises (L1 to L5).
import type { Timings } from '../../shared/timings.ts'
import type { Violate } from './sim-check-leaders.ts'
import type { StoreCheck } from './sim-check-store.ts'
import type { SimPod } from './sim-pod.ts'
import type { SimTime } from './sim-time.ts'

export type RevivalOptions = {
  time: SimTime
  pods: readonly SimPod[]
  timings: Timings
  store: StoreCheck
  violate: Violate
}

/** Flink asks its API after its own pauses: up to 11 s, and a request may still hang for 10 s. */
const FLINK_MS = 45_000
/** A watch that hangs since a cut is given up after 90 s without a word. */
const WATCH_MS = 95_000
/** A vacancy is taken: a handed-over lock within moments, one nobody was named for within its short lease. */
const VACANT_MS = 3_000
const CHECKPOINT_MS = 30_000

export class Revival {
  readonly #options: RevivalOptions
  #ended: SimPod | undefined

  constructor(options: RevivalOptions) {
    this.#options = options
  }

  get lastsMs(): number {
    return this.#leaderByMs + WATCH_MS + VACANT_MS + CHECKPOINT_MS + 1_000
  }
  get #leaderByMs(): number {
    return 2 * this.#options.timings.leaseMs + FLINK_MS
  }

  /** Whose JVM was ended here, and is not to be started again by others. */
  spares(pod: SimPod): boolean {
    return this.#ended === pod
  }

  begin(): void {
    const { time } = this.#options
    const stored = this.#options.store.stored
    time.after(this.#leaderByMs, () => {
      this.#leader('L1')
      this.#everybodyStands()
      this.#checkpointsGrow('L5', stored)
    })
    time.after(this.#leaderByMs + WATCH_MS, () => this.#endLeader())
  }

  #leader(rule: string): SimPod | undefined {
    const { pods, violate } = this.#options
    const leader = pods.find(pod => pod.sidecar?.candidate.leading() === true)
    if (leader === undefined) violate(rule, 'nobody leads')
    return leader
  }

  #everybodyStands(): void {
    const { pods, violate } = this.#options
    for (const pod of pods)
      if (pod.sidecar?.candidate.standing !== true)
        violate('L2', `${pod.name} does not stand: its JVM is ${pod.sidecar?.candidate.jvm.phase}`)
  }

  #checkpointsGrow(rule: string, since: number): void {
    if (this.#options.store.stored <= since) this.#options.violate(rule, `no checkpoint completed after ${since}`)
  }

  #endLeader(): void {
    const { time, store } = this.#options
    const leader = this.#leader('L1')
    if (leader === undefined) return
    this.#ended = leader
    leader.crashJvm()
    time.after(VACANT_MS, () => this.#leader('L3'))
    time.after(VACANT_MS, () => {
      const stored = store.stored
      time.after(CHECKPOINT_MS, () => this.#checkpointsGrow('L5', stored))
    })
  }
}
