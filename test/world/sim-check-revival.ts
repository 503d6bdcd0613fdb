// When the faults are over, everything comes back by itself within what the profile promises (L1 to L5).
import type { Timings } from '../../shared/timings.ts'
import { leaderKey } from './flink-records.ts'
import type { KubeObject } from './kube-resources.ts'
import type { Violate } from './sim-check-leaders.ts'
import type { StoreCheck } from './sim-check-store.ts'
import { JOB } from './sim-jvm.ts'
import type { SimPod } from './sim-pod.ts'
import type { SimRelay } from './sim-relay.ts'
import type { SimTime } from './sim-time.ts'

export type RevivalOptions = {
  time: SimTime
  pods: readonly SimPod[]
  relays: readonly SimRelay[]
  /** As it is in the store. */
  lock: () => KubeObject | undefined
  timings: Timings
  store: StoreCheck
  /** Beside the lease: who was never asked for a promise waits for longer. */
  strangersWaitMs: number
  violate: Violate
}

/** Flink asks its API after its own pauses: up to 11 s, and a request may still hang for 10 s. */
const FLINK_MS = 45_000
/** A watch that hangs since a cut is given up after 90 s without a word. */
const WATCH_MS = 95_000
/** A vacancy is taken: a handed-over lock within moments, one nobody was named for within its short lease. */
const VACANT_MS = 3_000
const CHECKPOINT_MS = 40_000
/** A change of the lock is seen, and so is the one that the leader makes after it. */
const SIGHT_MS = 1_000

export class Revival {
  readonly #options: RevivalOptions
  #ended: SimPod | undefined

  constructor(options: RevivalOptions) {
    this.#options = options
  }

  get lastsMs(): number {
    return this.#leaderByMs + WATCH_MS + SIGHT_MS + VACANT_MS + CHECKPOINT_MS + 1_000
  }
  get #leaderByMs(): number {
    return 2 * this.#options.timings.leaseMs + FLINK_MS + this.#options.strangersWaitMs
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
    time.after(this.#leaderByMs + WATCH_MS, () => {
      this.#isPublished(this.#leader('L1'))
      this.#everybodySees()
      this.#endLeader()
    })
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

  /** The leader's addresses are in the lock, whatever third parties did to them. */
  #isPublished(leader: SimPod | undefined): void {
    const data = (this.#options.lock()?.['data'] ?? {}) as { [key: string]: string }
    const session = leader?.jvm?.client.session ?? 'none'
    for (const component of ['dispatcher', 'resourcemanager', 'restserver', `job-${JOB}`]) {
      const told = data[leaderKey(component)]
      if (told?.startsWith(`${session},`) !== true)
        this.#options.violate('L5', `${component} is "${told}" in the lock, and ${leader?.name} leads by ${session}`)
    }
  }

  /** What the lock is now, everybody has seen a moment later. */
  #everybodySees(): void {
    const { time, pods, violate } = this.#options
    const version = Number(this.#options.lock()?.metadata.resourceVersion ?? '0')
    time.after(SIGHT_MS, () => {
      for (const pod of pods) {
        const seen = pod.sidecar?.candidate.lock?.version ?? '0'
        if (Number(seen) < version)
          violate('L2', `${pod.name} sees version ${seen} of the lock, which is at ${version}`)
      }
    })
  }

  #endLeader(): void {
    const { time, store, violate } = this.#options
    const leader = this.#leader('L1')
    if (leader === undefined) return
    time.after(SIGHT_MS, () => {
      this.#ended = leader
      leader.crashJvm()
    })
    time.after(SIGHT_MS + VACANT_MS, () => {
      if (this.#leader('L3') === leader) violate('L3', `${leader.name} leads on, and its JVM is dead`)
      const stored = store.stored
      time.after(CHECKPOINT_MS, () => {
        this.#checkpointsGrow('L5', stored)
        this.#relaysTell()
      })
    })
  }

  #checkpointsGrow(rule: string, since: number): void {
    if (this.#options.store.stored <= since) this.#options.violate(rule, `no checkpoint completed after ${since}`)
  }

  #relaysTell(): void {
    const { relays, violate } = this.#options
    const leader = this.#leader('L1')
    for (const relay of relays) {
      const name = relay.relay?.leader().name
      if (name !== leader?.name) violate('L5', `${relay.end} tells ${name}, and ${leader?.name} leads`)
    }
  }
}
