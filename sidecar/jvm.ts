/**
 * Whether there is a Flink to lead for. Only a candidate with a live, connected JVM stands; a JVM that is gone, silent or
 * stopping is withdrawn at once. The signs, surest first: it says so (it releases its virtual lock), all of its sockets
 * closed and its port refuses (the kernel closes both when a process ends), it asked nothing for longer than its lease.
 * Pure: the sockets, the port and the time come in as events.
 */

import { unreachable } from '../shared/assert.ts'
import type { Reason } from '../shared/election.ts'

export type JvmState = {
  phase: 'absent' | 'standing' | 'doubtful' | 'silent' | 'stopped'
  /** Open connections that carried requests of Flink's client. */
  sockets: number
  /** Its lock identity, a UUID made once a process; "" until it claimed. */
  identity: string
  /** The identity that a restarted sidecar expects to meet again; "" when none. */
  expected: string
  /** Lease that the JVM states in its own record: silent for longer, and it would have given up itself. */
  leaseMs: number
  lastHeardMs: number
  /** Whether a term that it had claimed ended, and it asked nothing since: it may still believe to lead. */
  untold: boolean
  /** When it gave leadership up itself. */
  stoppedAtMs: number
  /** When the last socket closed. */
  closedAtMs: number
  /** When the port is asked (again); Infinity when there is no doubt. */
  probeAtMs: number
  leading: boolean
}

export type JvmEvent =
  | { type: 'tick' }
  | { type: 'socket-opened' }
  | { type: 'socket-closed' }
  /** It listed ConfigMaps: only a process that just started does. */
  | { type: 'listed' }
  /** Any request for the lock: the elector's thread is alive. */
  | { type: 'elector-heard' }
  | { type: 'claimed'; identity: string; leaseMs: number }
  | { type: 'stopped' }
  | { type: 'port-refused' }
  | { type: 'port-open' }
  /** The lock names this pod, and the JVM that its term was granted to, if it had claimed it ("" otherwise). */
  | { type: 'expect'; identity: string }
  /** The lock names somebody else: there is nothing to go on with. */
  | { type: 'not-ours' }
  /** `resumed`: an earlier process of this sidecar began the term. */
  | { type: 'leading'; leading: boolean; resumed: boolean }

export type JvmAction = { type: 'probe' } | { type: 'stand' } | { type: 'withdraw'; reason: Reason }
export type JvmStep = { state: JvmState; actions: JvmAction[] }

/** Flink's default `high-availability.kubernetes.leader-election.lease-duration`. */
export const FLINK_LEASE_MS = 15_000
/** A standby asks every 5 to 11 s (retry period x (1 + 1.2 x random)); three of the longest, and it is silent. */
const STANDBY_SILENT_MS = 33_000
/** A JVM that outlived its sidecar asks again within its retry period of 5 s. */
const EXPECT_MS = 7_000
/**
 * A JVM that gives leadership up is closing, and gone within a second or so; one that still asks for the lock after this
 * long is not: fabric8 also releases when it missed its own renew deadline, and goes on as a candidate.
 */
const STOPPED_MS = 10_000
/**
 * How long to wait before the port is asked again that still answers, with no socket open. A process that ends closes its
 * sockets one after the other, within a millisecond or so; the longer the doubt, the likelier that nothing ends.
 */
const reprobeMs = (doubtMs: number): number => Math.min(10, Math.max(1, doubtMs / 4))
/** The same for a JVM that no longer stands: only its successor waits for the answer. */
const REPROBE_GONE_MS = 250

export const initialJvm: JvmState = {
  phase: 'absent',
  sockets: 0,
  identity: '',
  expected: '',
  leaseMs: FLINK_LEASE_MS,
  lastHeardMs: 0,
  untold: false,
  stoppedAtMs: 0,
  closedAtMs: 0,
  probeAtMs: Number.POSITIVE_INFINITY,
  leading: false,
}

/** Expected when the lock does not say which JVM its term was granted to. */
export const ANY_JVM = '*'
const NEVER = Number.POSITIVE_INFINITY

export const stepJvm = (before: JvmState, event: JvmEvent, nowMs: number): JvmStep => {
  const actions: JvmAction[] = []
  const taken = take(before, event, nowMs, actions)
  return { state: judge(taken, nowMs, actions), actions }
}

const stands = (s: JvmState): boolean => s.phase === 'standing' || s.phase === 'doubtful'

const leave = (s: JvmState, phase: JvmState['phase'], reason: Reason, actions: JvmAction[]): JvmState => {
  // Whoever neither stands nor is expected to was withdrawn before: its last sign is not another end.
  if (stands(s) || s.expected !== '') actions.push({ type: 'withdraw', reason })
  const forget = phase === 'absent' ? { identity: '', leaseMs: FLINK_LEASE_MS } : {}
  return { ...s, ...forget, phase, expected: '', untold: s.untold && phase === 'silent', probeAtMs: NEVER }
}

const take = (s: JvmState, event: JvmEvent, nowMs: number, actions: JvmAction[]): JvmState => {
  switch (event.type) {
    case 'tick':
      return s
    case 'socket-opened':
      return { ...s, sockets: s.sockets + 1, ...(s.phase === 'doubtful' && { phase: 'standing', probeAtMs: NEVER }) }
    case 'socket-closed': {
      const sockets = Math.max(0, s.sockets - 1)
      // Single sockets close all the time (evictions, ended watches); none left is the sign.
      if (sockets > 0 || s.phase === 'absent') return { ...s, sockets }
      return {
        ...s,
        sockets,
        closedAtMs: nowMs,
        probeAtMs: nowMs,
        ...(s.phase === 'standing' && { phase: 'doubtful' as const }),
      }
    }
    case 'listed':
      if (s.phase === 'stopped') return { ...s, phase: 'absent', identity: '' }
      return s.expected === '' ? s : leave(s, 'absent', 'jvm-replaced', actions)
    case 'elector-heard':
      return heard(s, nowMs, actions)
    case 'claimed':
      return { ...s, identity: event.identity, expected: '', leaseMs: event.leaseMs, lastHeardMs: nowMs }
    case 'stopped':
      if (s.phase === 'stopped') return s
      return { ...leave(s, 'stopped', 'jvm-stopped', actions), stoppedAtMs: nowMs }
    case 'port-refused':
      if (s.sockets > 0) return s
      return s.phase === 'absent' && s.expected === ''
        ? { ...s, probeAtMs: NEVER }
        : leave(s, 'absent', 'jvm-gone', actions)
    case 'port-open':
      // A restarted sidecar finds its JVM alive and waits for it to come back; otherwise the doubt goes on.
      if (s.sockets > 0 || s.phase === 'absent') return { ...s, probeAtMs: NEVER }
      return { ...s, probeAtMs: nowMs + (s.phase === 'doubtful' ? reprobeMs(nowMs - s.closedAtMs) : REPROBE_GONE_MS) }
    case 'expect':
      return {
        ...s,
        identity: event.identity,
        expected: event.identity === '' ? ANY_JVM : event.identity,
        lastHeardMs: nowMs,
        probeAtMs: s.phase === 'absent' ? nowMs : s.probeAtMs,
      }
    case 'not-ours':
      return { ...s, expected: '' }
    case 'leading':
      return leading(s, event, nowMs)
    default:
      return unreachable(event)
  }
}

const leading = (s: JvmState, event: JvmEvent & { type: 'leading' }, nowMs: number): JvmState => {
  // Only the very term that it was granted to is gone on with by a JVM that did not ask again: the end of it ends that.
  const expected = event.resumed ? s.expected : ''
  // The lease of a JVM that was just granted leadership begins now: it has not had to ask before.
  if (event.leading) return { ...s, expected, leading: true, untold: false, lastHeardMs: nowMs }
  const untold = s.untold || (s.leading && s.identity !== '' && s.phase !== 'stopped')
  return { ...s, expected, leading: false, untold }
}

const heard = (s: JvmState, nowMs: number, actions: JvmAction[]): JvmState => {
  // Once it claimed its term only its renewals count: anybody in the pod may read the lock, the new process of a container
  // among them that restarted without our noticing.
  const claimed = s.leading && s.identity !== '' && s.expected === ''
  const heardNow = claimed ? s : { ...s, lastHeardMs: nowMs, untold: false }
  if (s.phase === 'standing') return heardNow
  // A stopping JVM may take the lock back 4 ms after it released it: it does not stand again.
  if (s.phase === 'stopped' && nowMs < s.stoppedAtMs + STOPPED_MS) return heardNow
  if (s.phase === 'doubtful') return { ...heardNow, phase: 'standing', probeAtMs: NEVER }
  actions.push({ type: 'stand' })
  return { ...heardNow, phase: 'standing', lastHeardMs: nowMs, untold: false, probeAtMs: NEVER }
}

/** Silence, and the port to ask. */
const judge = (s: JvmState, nowMs: number, actions: JvmAction[]): JvmState => {
  if (nowMs >= s.probeAtMs) {
    actions.push({ type: 'probe' })
    // Until the answer is here; it is asked again when that gets lost.
    return { ...s, probeAtMs: nowMs + 1_000 }
  }
  if (nowMs < silentAtMs(s)) return s
  return leave(s, s.phase === 'absent' ? 'absent' : 'silent', 'jvm-silent', actions)
}

const silentAtMs = (s: JvmState): number => {
  if (s.expected !== '') return s.lastHeardMs + EXPECT_MS
  if (!stands(s)) return NEVER
  return s.lastHeardMs + (s.leading ? s.leaseMs : STANDBY_SILENT_MS)
}

/** Whether its term ended over its head, and it has been silent for so long since that it may be frozen. */
export const isDeposed = (s: JvmState, nowMs: number): boolean => s.untold && nowMs >= s.lastHeardMs + s.leaseMs

/** When the next `tick` is due. */
export const jvmWakeAtMs = (s: JvmState): number => Math.min(s.probeAtMs, silentAtMs(s))
