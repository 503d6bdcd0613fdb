// The index of who leads: it moves on with each change of what `GET /leader` tells, so that a reader can wait for the next
// one. Who knows the leader, a candidate or a relay, is given from outside.
import type { LeaderDocument } from './leader.ts'

export type LeaderSource = {
  leader: () => LeaderDocument
  /** How long that can be relied on, cheaper than the whole. */
  validForMs: () => number
  /** The cluster that it is of; undefined while not known. */
  target: () => { namespace: string; clusterId: string } | undefined
}

export class LeaderIndex {
  readonly source: LeaderSource
  #index: number
  #shown = ''
  #listeners = new Set<() => void>()
  #cancelExpiry: () => void = () => {}
  #after: (delayMs: number, run: () => void) => () => void

  /** `firstIndex`: larger than any that an earlier process of this pod can have told, such as the time. */
  constructor(source: LeaderSource, firstIndex: number, after: (delayMs: number, run: () => void) => () => void) {
    this.source = source
    this.#index = firstIndex
    this.#after = after
  }

  get index(): number {
    return this.#index
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  leader(): LeaderDocument {
    return this.source.leader()
  }

  /** To be called whenever what is told may have changed. */
  changed(): void {
    const { validForMs, ageSeconds: _, ...lasting } = this.leader()
    this.#cancelExpiry()
    // The end of validity is a change that no event announces.
    if (validForMs > 0) this.#cancelExpiry = this.#after(validForMs + 1, () => this.changed())
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
