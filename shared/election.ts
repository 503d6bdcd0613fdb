/**
 * One candidate's view of one election. What happens comes in as events, what must be done goes out as actions; it knows
 * no clock, no socket and no process. Used by the sidecar and by the webhook's reconciler. Read this file first.
 *
 * Promises: no step ends leading past the renew deadline, counted from the *sending* of the last write known to have been
 * made (with failsafe on, of the last round in which all others promised to wait as well: `failsafe.ts`); nobody is
 * overtaken before the whole lease that its record states has passed unchanged before our own eyes; every write is a
 * compare-and-set on the version that the decision was taken on; tokens grow.
 * Does not promise anything while the process is paused between steps: what it sent before may still arrive, and is
 * refused there by its version (see the fencing of the store).
 */
import { unreachable } from './assert.ts'
import {
  type Ask,
  acknowledged,
  askAtMs,
  FAILSAFE_LIMIT_MS,
  mayPromise,
  NOT_VOUCHED,
  strangerWaitMs,
  termEndMs,
  toAsk,
  type Vouching,
  withKnownRoster,
  withRoster,
} from './failsafe.ts'
import { type DurationSpelling, formatRecord, formatTime, type LeaderRecord } from './record.ts'
import { isStale, versionNumber } from './resource-version.ts'
import type { Timings } from './timings.ts'

/** Why a term ended, or was not begun: also the metric's label, the log's field and the lock's annotation. */
export type Reason =
  | 'deadline' // no write was acknowledged in time
  | 'superseded' // the lock names somebody else
  | 'lock-deleted'
  | 'jvm-gone' // its sockets closed and its port refuses
  | 'jvm-silent' // no heartbeat for longer than its own lease
  | 'jvm-stopped' // it released the lock itself
  | 'jvm-replaced' // a new process, where the term was granted to an old one
  | 'pod-deleted' // the preStop hook ran
  | 'shutdown' // SIGTERM
  | 'switchover'

/** One sight of the lock, whatever kind of object it is. */
export type Lock = {
  /** Version of the object; of the collection that it was missing from when `exists` is false. */
  version: string
  exists: boolean
  /** The record's text, the unit in which "unchanged" is judged; "" when missing or absent. */
  raw: string
  /** Undefined when there is none that can be read. */
  record: LeaderRecord | undefined
  /** Fencing token of the current or last term; 0 when there never was one. */
  token: number
  /** Identity of the candidate that the lock was handed to; "" when its holder took it himself. */
  successor: string
  /** Whom its holder asks to wait when the API server does not answer him, himself among them; empty: without failsafe. */
  roster: readonly string[]
}

/** Who leads by this record: nobody while the lock is handed over and the successor has not taken it. */
export const holderOf = (lock: Lock | undefined): string =>
  lock?.record === undefined || lock.successor !== '' ? '' : lock.record.holder

export type Write = {
  id: number
  /** `create` makes a lock that nobody holds; `release` vacates it or hands it to a successor; the others set our record. */
  kind: 'create' | 'acquire' | 'renew' | 'release'
  /** Compare-and-set: the version that this write replaces; "" for `create`. */
  version: string
  raw: string
  token: number
  sentAtMs: number
  reason: Reason | ''
  successor: string
  /** The lock's roster from now on; undefined: it has none, and had none. */
  roster: readonly string[] | undefined
  /** Goes on with a term that an earlier process of this pod began. */
  resumes: boolean
  /** The data write that rides along, if any: its handle is the caller's own. */
  data: number | undefined
}

export type State = {
  role: 'follower' | 'leader'
  /** Whether there is something to lead for: only then do we stand. */
  standing: boolean
  /** The last distinct record, and when, by our own clock, we first saw it or were last asked by its holder to wait. */
  lock: Lock | undefined
  lockSinceMs: number
  /** When the newest of our writes that is known to have been made was sent. */
  heldSinceMs: number | undefined
  token: number
  /** Never more than one that we wait for. */
  write: Write | undefined
  /** Writes without a known outcome: neither made nor not made until their record is seen. */
  unknown: readonly Write[]
  /** Data writes that wait for the next write, oldest first. */
  data: readonly number[]
  /** Why we no longer stand: from then on a record that names us is given back. Undefined before the first `stand`. */
  withdrawn: { reason: Reason; successor: string } | undefined
  /** Whether the term that we hold or may hold was begun by an earlier process of this pod. */
  resumed: boolean
  reading: boolean
  /** No write before this: grows with failures in a row. */
  notBeforeMs: number
  failures: number
  lastSentMs: number
  /** True until this process has given up a term: then a record that names us is a term to go on with. */
  resumable: boolean
  nextId: number
  /** Who can be asked for a promise. */
  peers: readonly string[]
  /** What they promised. */
  vouching: Vouching
}

export type Event =
  | { type: 'tick' }
  /** `read`: the answer to a `read-lock`, as opposed to a sight that somebody else's write caused. */
  | { type: 'lock-seen'; lock: Lock; read?: boolean }
  | { type: 'write-done'; id: number; lock: Lock }
  /** `conflict` and `refused`: certainly not made. `unreachable`: nobody knows. */
  | { type: 'write-failed'; id: number; why: 'conflict' | 'refused' | 'unreachable'; retryAfterMs?: number }
  | { type: 'read-failed' }
  | { type: 'stand' }
  | { type: 'withdraw'; reason: Reason; successor?: string }
  | { type: 'data-write'; data: number }
  | { type: 'peers'; members: readonly string[] }
  /** Every member that was asked, in the round that was sent then, has promised. */
  | { type: 'vouched'; sentAtMs: number }
  /** A leader asks us not to overtake it. */
  | { type: 'promise-asked'; ask: Ask }

export type Action =
  | { type: 'write-lock'; write: Write }
  | { type: 'read-lock' }
  | { type: 'lead'; token: number; resumed: boolean }
  | { type: 'yield'; reason: Reason }
  | { type: 'data-refused'; data: number }
  /** A round: all of the members are asked, or it proves nothing. */
  | { type: 'ask-promises'; members: readonly string[]; token: number; leaseMs: number; sentAtMs: number }
  | { type: 'promise'; id: number; given: boolean }

/** `monoMs` decides; `wallUs` (microseconds since the epoch) is only written into records for others to read. */
export type Now = { monoMs: number; wallUs: number }
export type Step = { state: State; actions: Action[] }

export type Election = {
  initial: State
  step: (state: State, event: Event, now: Now) => Step
  /** When the next `tick` is due; Infinity when nothing but an event can change anything. */
  wakeAtMs: (state: State) => number
  /** Until when this candidate may act as leader; 0 when it may not. */
  validUntilMs: (state: State) => number
}

const FIRST_BACKOFF_MS = 50
/** Lease of a record that was given up, vacant or handed to a successor: as client-go's and fabric8's releases state. */
const GIVEN_UP_LEASE_MS = 1_000
/**
 * Holder of a lock that was just made. A missing lock may have been deleted under a living leader, and its making cannot be
 * a compare-and-set on its absence: so it is made held by nobody for one lease, which everybody waits for, as for any other.
 */
export const NOBODY = 'flink-ha-nobody'

export type ElectionOptions = { spelling?: DurationSpelling; failsafe?: boolean; limitMs?: number }

export const makeElection = (me: string, t: Timings, options: ElectionOptions = {}): Election => {
  const { spelling = 'number', failsafe = false, limitMs = FAILSAFE_LIMIT_MS } = options
  const initial: State = {
    role: 'follower',
    standing: false,
    lock: undefined,
    lockSinceMs: 0,
    heldSinceMs: undefined,
    token: 0,
    write: undefined,
    unknown: [],
    data: [],
    withdrawn: undefined,
    resumed: false,
    reading: false,
    notBeforeMs: 0,
    failures: 0,
    lastSentMs: Number.NEGATIVE_INFINITY,
    resumable: true,
    nextId: 1,
    peers: [],
    vouching: NOT_VOUCHED,
  }

  const isMine = (lock: Lock | undefined): boolean => lock?.record?.holder === me
  /** When a follower may write; Infinity while it may not. */
  const takeoverAtMs = (s: State): number => {
    const { lock } = s
    if (lock === undefined) return Number.POSITIVE_INFINITY
    const sinceMs = s.lockSinceMs + strangerWaitMs(lock.roster, me, limitMs)
    // Nobody is overtaken unwatched: a garbled record may hide a living leader, so it is waited for as long as our own
    // lease, as a readable one is for as long as it states.
    if (lock.record === undefined) return sinceMs + t.leaseMs
    if (lock.record.holder === me) return 0
    if (lock.record.holder === '') return 0
    // A lock that was handed over states a short lease: a successor that does not take it is overtaken soon.
    return sinceMs + lock.record.leaseMs
  }
  const validUntilMs = (s: State): number =>
    s.role === 'leader' && s.heldSinceMs !== undefined ? termEndMs(s.heldSinceMs, s.vouching, t, limitMs) : 0

  const step = (before: State, event: Event, now: Now): Step => {
    const actions: Action[] = []
    // The deadline comes before the event: whoever wakes up late has already lost, whatever he is told then.
    let s = settle(before, now, actions)
    s = take(s, event, now, actions)
    s = settle(s, now, actions)
    s = plan(s, now, actions)
    s = askAround(s, now, actions)
    return { state: s, actions }
  }

  /** The one door out at the deadline: no event, however late, may leave us leading past it. */
  const settle = (s: State, now: Now, actions: Action[]): State => {
    if (s.role !== 'leader' || now.monoMs < validUntilMs(s)) return s
    const yielded = yieldTerm(s, 'deadline', actions)
    // Whoever lost touch, or slept, reads before it writes anything again.
    actions.push({ type: 'read-lock' })
    return { ...yielded, reading: true }
  }

  const yieldTerm = (s: State, reason: Reason, actions: Action[]): State => {
    if (s.role === 'leader') actions.push({ type: 'yield', reason })
    for (const data of s.data) actions.push({ type: 'data-refused', data })
    // What was sent under the old term acknowledges nothing from now on: who leads again begins a new one.
    const sent = { write: undefined, unknown: [] }
    return { ...s, ...sent, role: 'follower', heldSinceMs: undefined, data: [], resumable: false }
  }

  const take = (s: State, event: Event, now: Now, actions: Action[]): State => {
    switch (event.type) {
      case 'tick':
        return s
      case 'lock-seen':
        return see(s, event.lock, event.read === true, now, actions)
      case 'write-done': {
        if (s.write?.id !== event.id) return see(s, event.lock, false, now, actions)
        const done = { ...s, write: undefined, failures: 0, notBeforeMs: 0 }
        return see(acknowledge(done, s.write), event.lock, false, now, actions)
      }
      case 'write-failed':
        return failed(s, event, now, actions)
      case 'read-failed':
        return backOff({ ...s, reading: false }, now, undefined)
      case 'stand':
        return { ...s, standing: true, withdrawn: undefined }
      case 'withdraw':
        // Whoever gave up gives back once: the release under way may name a successor, as a second one could not.
        if (s.withdrawn !== undefined) return { ...s, notBeforeMs: 0 }
        return {
          ...yieldTerm(s, event.reason, actions),
          standing: false,
          withdrawn: { reason: event.reason, successor: event.successor ?? '' },
          // Giving back does not wait for a write under way, nor for a back-off: by its version one of the two writes is
          // refused, and one that still lands is seen, names us, and is given back in its turn.
          notBeforeMs: 0,
        }
      case 'data-write':
        if (s.role === 'leader') return { ...s, data: [...s.data, event.data] }
        actions.push({ type: 'data-refused', data: event.data })
        return s
      case 'peers':
        return { ...s, peers: event.members }
      case 'vouched':
        // Counted from its sending, as a write is. A round of an earlier term was sent before the write that began this one.
        return { ...s, vouching: { ...s.vouching, sinceMs: Math.max(s.vouching.sinceMs, event.sentAtMs) } }
      case 'promise-asked':
        return promise(s, event.ask, now, actions)
      default:
        return unreachable(event)
    }
  }

  /** A write that is known to have been made is a lease from its *sending*, however late the news. */
  const acknowledge = (s: State, write: Write): State => {
    if (write.kind !== 'acquire' && write.kind !== 'renew') return s
    const heldSinceMs = Math.max(s.heldSinceMs ?? Number.NEGATIVE_INFINITY, write.sentAtMs)
    const vouching = acknowledged(s.vouching, write.id)
    return {
      ...s,
      heldSinceMs,
      vouching,
      token: write.token,
      resumed: write.kind === 'acquire' ? write.resumes : s.resumed,
    }
  }

  const see = (s: State, sight: Lock, read: boolean, now: Now, actions: Action[]): State => {
    const lock = withKnownRoster(sight, s.lock, NOBODY)
    // A lower version is an old sight, however it got here; an equal one says nothing new.
    const known = s.lock !== undefined && isStale(s.lock.version, lock.version)
    const reading = s.reading && known && !read
    const fresh = known ? { ...s, reading } : { ...s, lock, reading, lockSinceMs: sinceMs(s, lock, now) }
    const mine = fresh.lock
    if (mine === undefined || !isMine(mine)) return lost(fresh, actions)
    // The record is ours: whichever of our writes made it is acknowledged by the sight of it.
    const maker = [...fresh.unknown, ...(fresh.write === undefined ? [] : [fresh.write])].find(w => w.raw === mine.raw)
    const acked = maker === undefined ? fresh : acknowledge({ ...fresh, unknown: [] }, maker)
    return lead(acked, now, actions)
  }

  // A record's stamps make each renewal differ. A garbled one has none, and the same garble twice may hide a term in
  // between: there each version counts as a change.
  const unchanged = (a: Lock, b: Lock): boolean =>
    a.exists &&
    b.exists &&
    a.raw === b.raw &&
    a.token === b.token &&
    (b.record !== undefined || a.version === b.version)
  const sinceMs = (s: State, lock: Lock, now: Now): number =>
    s.lock !== undefined && unchanged(s.lock, lock) ? s.lockSinceMs : now.monoMs

  /** The lock does not name us: whatever we believed, it is over. */
  const lost = (s: State, actions: Action[]): State => {
    if (s.role !== 'leader') return { ...s, heldSinceMs: undefined }
    return yieldTerm(s, s.lock?.exists === false ? 'lock-deleted' : 'superseded', actions)
  }

  const lead = (s: State, now: Now, actions: Action[]): State => {
    if (s.role === 'leader' || !s.standing || s.heldSinceMs === undefined) return s
    // A late success does not lead: its lease may have been taken already.
    if (now.monoMs >= s.heldSinceMs + t.renewDeadlineMs) return s
    actions.push({ type: 'lead', token: s.token, resumed: s.resumed })
    return { ...s, role: 'leader' }
  }

  const failed = (s: State, event: Event & { type: 'write-failed' }, now: Now, actions: Action[]): State => {
    if (s.write?.id !== event.id) return s
    if (event.why === 'unreachable')
      return backOff({ ...s, write: undefined, unknown: [...s.unknown, s.write] }, now, event.retryAfterMs)
    const next = { ...s, write: undefined }
    if (event.why === 'refused') return backOff(next, now, event.retryAfterMs)
    // Somebody wrote in between: nothing is written again before the lock has been read.
    if (!s.reading) actions.push({ type: 'read-lock' })
    // The first conflict is natural and costs nothing; a storm of them must not become one of ours.
    return s.failures === 0
      ? { ...next, reading: true, failures: 1 }
      : backOff({ ...next, reading: true }, now, undefined)
  }

  const backOff = (s: State, now: Now, retryAfterMs: number | undefined): State => {
    const waitMs = Math.min(t.retryMs, retryAfterMs ?? FIRST_BACKOFF_MS * 2 ** Math.min(s.failures, 10))
    return { ...s, failures: s.failures + 1, notBeforeMs: now.monoMs + waitMs }
  }

  const promise = (s: State, ask: Ask, now: Now, actions: Action[]): State => {
    const given = mayPromise(s.lock, ask)
    actions.push({ type: 'promise', id: ask.id, given })
    // The leader's own word that it goes on is worth as much as the sight of a renewal: the lease begins anew.
    return given ? { ...s, lockSinceMs: now.monoMs } : s
  }

  const nextAskMs = (s: State): number =>
    failsafe && s.role === 'leader' && s.heldSinceMs !== undefined
      ? askAtMs(s.heldSinceMs, s.vouching, t)
      : Number.POSITIVE_INFINITY

  const askAround = (s: State, now: Now, actions: Action[]): State => {
    if (now.monoMs < nextAskMs(s)) return s
    const members = toAsk(s.vouching, me)
    actions.push({ type: 'ask-promises', members, token: s.token, leaseMs: t.leaseMs, sentAtMs: now.monoMs })
    return { ...s, vouching: { ...s.vouching, askedAtMs: now.monoMs } }
  }

  /** What to do now, given everything: at most one write, on the version that was judged. */
  const plan = (s: State, now: Now, actions: Action[]): State => {
    const { lock } = s
    if (lock === undefined || s.write !== undefined || s.reading || now.monoMs < s.notBeforeMs) return s
    if (s.withdrawn !== undefined) return isMine(lock) ? send(s, 'release', lock, now, actions) : s
    if (s.role === 'leader') return now.monoMs >= renewAtMs(s) ? send(s, 'renew', lock, now, actions) : s
    if (!lock.exists) return send(s, 'create', lock, now, actions)
    return s.standing && now.monoMs >= takeoverAtMs(s) ? send(s, 'acquire', lock, now, actions) : s
  }

  // A failed renewal is tried again as soon as the back-off allows, data at once, the rest once in a retry period.
  const renewAtMs = (s: State): number => (s.data.length > 0 || s.failures > 0 ? 0 : s.lastSentMs + t.retryMs)

  const send = (s: State, kind: Write['kind'], lock: Lock, now: Now, actions: Action[]): State => {
    const given = kind === 'create' || kind === 'release'
    // A record that still names us after a restart is the same term: nobody can have led in between.
    // What was handed to us is ours to begin, not to go on with.
    // Nor is a term whose token somebody took away: what it stamped would be of a later one.
    const begun = isMine(lock) && lock.successor === '' && lock.token > 0
    const sameTerm = kind === 'renew' || (kind === 'acquire' && begun && s.resumable)
    // Our own term keeps our own token, and our next one is above it, whatever a third party made of the annotation meanwhile.
    const own = kind === 'renew' ? s.token : Math.max(lock.token, s.token)
    const token = given ? lock.token : sameTerm ? own : Math.max(nextToken(lock), s.token + 1)
    const successor = kind === 'create' ? NOBODY : kind === 'release' ? (s.withdrawn?.successor ?? '') : ''
    const write: Write = {
      id: s.nextId,
      kind,
      version: lock.exists ? lock.version : '',
      raw: recordText(lock, kind, sameTerm, successor, now),
      token,
      sentAtMs: now.monoMs,
      reason: kind === 'release' ? (s.withdrawn?.reason ?? '') : '',
      successor,
      roster: rosterOf(s, kind, lock),
      resumes: kind === 'acquire' && sameTerm,
      // Not after a failure: data that is refused (too large, say) and comes again and again must not cost us the term.
      data: kind === 'renew' && s.failures === 0 ? s.data[0] : undefined,
    }
    actions.push({ type: 'write-lock', write })
    const data = write.data === undefined ? s.data : s.data.slice(1)
    // What was sent a whole lease ago proves nothing any more, even if it is seen now.
    const unknown = s.unknown.filter(w => now.monoMs < w.sentAtMs + t.leaseMs)
    const vouching = given ? s.vouching : withRoster(s.vouching, write.id, write.roster ?? [])
    return { ...s, write, data, unknown, vouching, nextId: s.nextId + 1, lastSentMs: now.monoMs }
  }

  const rosterOf = (s: State, kind: Write['kind'], lock: Lock): readonly string[] | undefined => {
    // A lock that was missing may have been deleted under a leader that is vouched for.
    if (kind !== 'create' && kind !== 'release' && failsafe) return [me, ...s.peers]
    return lock.roster.length === 0 ? undefined : kind === 'create' ? lock.roster : []
  }

  const recordText = (lock: Lock, kind: Write['kind'], sameTerm: boolean, successor: string, now: Now): string => {
    const old = lock.record
    const stamp = formatTime(now.wallUs)
    const given = kind === 'create' || kind === 'release'
    const holder = given ? successor : me
    const record: LeaderRecord = {
      holder,
      leaseMs: kind === 'release' ? GIVEN_UP_LEASE_MS : t.leaseMs,
      acquireTime: sameTerm && old !== undefined ? old.acquireTime : stamp,
      // A renewal must look like one even when the wall clock was set back onto the very same microsecond.
      renewTime: old?.renewTime === stamp ? formatTime(now.wallUs + 1) : stamp,
      transitions: (old?.transitions ?? 0) + (given || old?.holder === holder ? 0 : 1),
    }
    return formatRecord(record, spelling)
  }

  const wakeAtMs = (s: State): number => {
    const times = [Number.POSITIVE_INFINITY]
    if (s.role === 'leader') times.push(validUntilMs(s), nextAskMs(s))
    if (s.write === undefined && !s.reading && s.lock !== undefined) {
      if (s.withdrawn !== undefined) times.push(isMine(s.lock) ? s.notBeforeMs : Number.POSITIVE_INFINITY)
      else if (s.role === 'leader') times.push(Math.max(renewAtMs(s), s.notBeforeMs))
      else if (!s.lock.exists) times.push(s.notBeforeMs)
      else if (s.standing) times.push(Math.max(takeoverAtMs(s), s.notBeforeMs))
    }
    return Math.min(...times)
  }

  return { initial, step, wakeAtMs, validUntilMs }
}

/**
 * The next fencing token: above the last one, and above the version of the lock that is being taken. The versions of one
 * object only grow, over its deletion too, so tokens grow even when the annotation that kept the last one is gone. A lock
 * that was missing is made before it is taken, so that the version is never that of an older, deleted one.
 */
export const nextToken = (lock: Lock): number => Math.max(lock.token, versionNumber(lock.version)) + 1
