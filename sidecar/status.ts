// What the endpoint tells of the leader, put together from the candidate; and its index, which moves on with each change,
// so that a reader can wait for the next one.
import { holderOf } from '../shared/election.ts'
import type { Candidate } from './candidate.ts'
import { componentsOf, type LeaderDocument, podOf } from './leader.ts'

export class Status {
  readonly candidate: Candidate
  #index: number
  #shown = ''
  #listeners = new Set<() => void>()
  #cancelExpiry: () => void = () => {}
  #after: (delayMs: number, run: () => void) => () => void

  /** `firstIndex`: larger than any that an earlier process of this pod can have told, such as the time. */
  constructor(candidate: Candidate, firstIndex: number, after: (delayMs: number, run: () => void) => () => void) {
    this.candidate = candidate
    this.#index = firstIndex
    this.#after = after
    candidate.onChange(() => this.#changed())
  }

  get index(): number {
    return this.#index
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Never a stale name: a leader is told while its term can be valid, by our own clock, and not an instant longer. */
  leader(): LeaderDocument {
    const { candidate } = this
    const { lock } = candidate
    const isLeader = candidate.leading()
    const holder = holderOf(lock)
    // Our own record without a valid term: we know best that it is over.
    const validForMs = isLeader
      ? candidate.validForMs()
      : holder === candidate.identity
        ? 0
        : candidate.recordValidForMs()
    const known = validForMs > 0
    return {
      clusterId: candidate.target?.clusterId ?? '',
      name: known ? podOf(holder) : null,
      isLeader,
      token: known ? candidate.token : 0,
      validForMs: Math.floor(validForMs),
      transitions: lock?.record?.transitions ?? 0,
      lastUpdate: candidate.history.lastChange,
      components: known ? componentsOf(candidate.cached?.object) : { jobs: {} },
    }
  }

  #changed(): void {
    const { validForMs, ...lasting } = this.leader()
    this.#cancelExpiry()
    // The end of validity is a change that no event announces.
    if (validForMs > 0) this.#cancelExpiry = this.#after(validForMs + 1, () => this.#changed())
    const shown = JSON.stringify(lasting)
    if (shown === this.#shown) return
    this.#shown = shown
    this.#index++
    for (const listener of [...this.#listeners]) listener()
  }

  stop(): void {
    this.#cancelExpiry()
  }
}
