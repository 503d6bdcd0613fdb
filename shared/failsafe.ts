/**
 * Failsafe: a leader whom the API server does not answer goes on while every candidate that could overtake it in time gives
 * it its word, pod to pod, not to. Pure: the rules, with their reasons; `election.ts` applies them. Off unless it is asked for.
 *
 * Why there are never two leaders. A leader writes beside each record whom it will ask: the roster. To overtake it somebody
 * has to replace, by its version, a record that may be the lock's at that moment: the last acknowledged one, or a later one
 * that was sent. If it was sent after the round of asking that the term is counted from, its lease, which begins with the
 * sight of it, ends after the term. Otherwise its roster is among those that were asked, and who overtakes is
 * - in that roster: it was asked in that round and answered. It waits for a lease from the receipt of the question, which
 *   is later than the sending that the term is counted from; that is the inequality of `timings.ts` once more.
 *   If it restarted since and forgot its word, it watches the record for a whole lease anew, from a later moment still.
 * - or not in it, and will not be asked: it waits `limitMs` longer than the lease, and no term gets older than `limitMs`
 *   without an acknowledged write.
 * A record that cannot be read leaves its roster readable, and a lock that is missing is made with the roster that its
 * maker remembers, so both are waited for in the same way. Not covered: a third party that deletes the lock while its
 * leader and the whole roster are cut off, if it is made anew by a candidate that did not see its last record; and
 * candidates that know no rosters, such as Flink's own.
 */
import type { Lock } from './election.ts'
import { DRIFT, type Timings } from './timings.ts'

/**
 * How long a term lasts without an acknowledged write at most. Candidates of different versions have to agree on it: one
 * that is not in the roster waits for as long as *its* code says.
 */
export const FAILSAFE_LIMIT_MS = 180_000
/** Stands in a roster that cannot be read: it is of somebody, and nobody is in it. */
export const UNREADABLE_ROSTER: readonly string[] = ['']

/** How much longer than the lease a record is waited for, by who is not asked for a promise. */
export const strangerWaitMs = (roster: readonly string[], me: string, limitMs: number): number =>
  roster.length === 0 || roster.includes(me) ? 0 : limitMs * (1 + 2 * DRIFT)

/** A record that is missing or cannot be read, or that nobody began a term with, says nothing against the known roster. */
export const withKnownRoster = (lock: Lock, known: Lock | undefined, nobody: string): Lock =>
  known === undefined || lock.roster.length > 0 || (lock.record !== undefined && lock.record.holder !== nobody)
    ? lock
    : { ...lock, roster: known.roster }

// ---- the member's side ----

/** A leader's question: will you not overtake me for a lease, from now? */
export type Ask = { id: number; leader: string; token: number; leaseMs: number }

/**
 * Whether a member may promise: only when its own last sight of the lock names that leader, in that very term. From then on
 * it waits as if it had just seen a renewal, and needs no other memory of it: whatever it sees of the lock later is waited
 * for in its turn, from a later moment, but for what shows that the term is over: given up, or followed by another.
 * Nor does a write of its own, under way to overtake that leader, need a rule: it was sent when all waiting was over, and
 * by then that term had ended for good, however late the write or the question arrives.
 */
export const mayPromise = (lock: Lock | undefined, ask: Ask): boolean =>
  lock?.record?.holder === ask.leader &&
  lock.successor === '' &&
  lock.token === ask.token &&
  // A leader that restarted with a longer lease may have written a record that was not seen here. A record states seconds.
  Math.round(lock.record.leaseMs) >= Math.round(ask.leaseMs)

// ---- the leader's side ----

export type Vouching = {
  /** Rosters of the last acknowledged write and of every later one that may have been made, by the write's id. */
  rosters: readonly { id: number; members: readonly string[] }[]
  /** When the last round was sent that all members acknowledged. */
  sinceMs: number
  askedAtMs: number
}

export const NOT_VOUCHED: Vouching = {
  rosters: [],
  sinceMs: Number.NEGATIVE_INFINITY,
  askedAtMs: Number.NEGATIVE_INFINITY,
}

/** A write that is sent may be made. Failed ones stay as well: to ask one member too many is safe. */
export const withRoster = (v: Vouching, id: number, members: readonly string[]): Vouching => {
  const last = v.rosters.at(-1)
  // The same roster again: the later write stands for both, so that an outage does not make the list long.
  const others = last !== undefined && last.members.join() === members.join() ? v.rosters.slice(0, -1) : v.rosters
  return { ...v, rosters: [...others, { id, members }] }
}

/** What was sent before an acknowledged write can no longer be the lock. */
export const acknowledged = (v: Vouching, id: number): Vouching => ({
  ...v,
  rosters: v.rosters.filter(roster => roster.id >= id),
})

/** Everybody who may overtake after a mere lease: all of them have to promise. */
export const toAsk = (v: Vouching, me: string): string[] =>
  [...new Set(v.rosters.flatMap(roster => roster.members))].filter(member => member !== me)

/** The end of a term: of writes alone as ever; of promises never later than `limitMs` after the last acknowledged write. */
export const termEndMs = (heldSinceMs: number, v: Vouching, t: Timings, limitMs: number): number =>
  Math.max(heldSinceMs + t.renewDeadlineMs, Math.min(v.sinceMs + t.renewDeadlineMs, heldSinceMs + limitMs))

/** When to ask (again): at half of the deadline, so that a lost round can be repeated. */
export const askAtMs = (heldSinceMs: number, v: Vouching, t: Timings): number =>
  Math.max(heldSinceMs + t.renewDeadlineMs / 2, v.askedAtMs + t.retryMs)
