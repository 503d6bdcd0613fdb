// What the endpoint tells of the leader, put together from the candidate.
import { holderOf } from '../shared/election.ts'
import type { Candidate } from './candidate.ts'
import { type LeaderDocument, podOf } from './leader.ts'
import { LeaderIndex } from './leader-index.ts'

export class Status extends LeaderIndex {
  /** `firstIndex`: larger than any that an earlier process of this pod can have told, such as the time. */
  constructor(candidate: Candidate, firstIndex: number, after: (delayMs: number, run: () => void) => () => void) {
    const source = {
      leader: () => leaderOf(candidate),
      validForMs: () => Math.floor(validForMs(candidate)),
      target: () => candidate.target,
    }
    super(source, firstIndex, after)
    candidate.onChange(() => this.changed())
  }
}

/** A leader is told while its term can be valid, by our own clock, and not an instant longer. */
const validForMs = (candidate: Candidate): number => {
  if (candidate.leading()) return candidate.validForMs()
  const holder = holderOf(candidate.lock)
  // Our own record without a valid term: we know best that it is over. Handed over and not taken yet: nobody leads.
  return holder === candidate.identity || holder === '' ? 0 : candidate.recordValidForMs()
}

const NONE: LeaderDocument['components'] = { jobs: {} }

/** Never a stale name. */
const leaderOf = (candidate: Candidate): LeaderDocument => {
  const { lock } = candidate
  // Whole milliseconds decide, as they are told: a fraction that is left would be told as nothing, and nobody would look again.
  const validMs = Math.floor(validForMs(candidate))
  const known = validMs > 0
  const leads = candidate.leading()
  return {
    clusterId: candidate.target?.clusterId ?? '',
    // We know ourselves, whatever a third party wrote beside our record.
    name: known ? podOf(leads ? candidate.identity : holderOf(lock)) : null,
    isLeader: known && leads,
    token: known ? candidate.token : 0,
    validForMs: validMs,
    transitions: lock?.record?.transitions ?? 0,
    lastUpdate: candidate.history.lastChange,
    components: known ? (candidate.cached?.components ?? NONE) : NONE,
  }
}
