// Random histories of a lock: made by really applying calls at some moment of each, and then, if wanted, made worse.
import type { LockCall, LockOp, LockOutcome } from './lock-call.ts'

/** All are small numbers, so that a failing history shrinks well. */
export type Spec = { kind: number; startMs: number; lastsMs: number; at: number; fate: number; pick: number }
type State = { version: number; record: string | undefined }
type Planned = { spec: Spec; op: LockOp; order: number }

const RECORDS = ['A', 'B']

/** What clients would have seen of one lock that does as it should. */
export const playedHistory = (specs: readonly Spec[]): LockCall[] => {
  let state: State = { version: 0, record: undefined }
  const past: number[] = [0]
  const planned = specs.map((spec, order): Planned => ({ spec, op: { kind: 'read' }, order }))
  const byMoment = [...planned].sort((a, b) => momentMs(a.spec) - momentMs(b.spec) || a.order - b.order)
  const outcomes = new Map<Planned, LockOutcome>()
  for (const one of byMoment) {
    one.op = opOf(one.spec, state, past)
    const never = isUnknown(one.spec) && one.spec.fate === 9
    const next = never ? undefined : applied(state, one.op, 1 + (one.spec.pick % 3))
    outcomes.set(one, outcomeOf(one, state, next))
    state = next ?? state
    past.push(state.version)
  }
  return planned.map((one, i) => ({
    by: `c${i}`,
    calledMs: one.spec.startMs,
    returnedMs: one.spec.startMs + one.spec.lastsMs,
    op: one.op,
    outcome: outcomes.get(one) ?? { result: 'unknown' },
  }))
}

const isUnknown = ({ fate }: Spec): boolean => fate >= 6
/** When it is applied: before its return, unless that outcome is unknown. */
const momentMs = (spec: Spec): number =>
  spec.startMs + (isUnknown(spec) ? 2 * spec.at : Math.min(spec.at, spec.lastsMs))

const opOf = ({ kind, pick }: Spec, state: State, past: readonly number[]): LockOp => {
  const record = RECORDS[pick % RECORDS.length] ?? ''
  if (kind < 2) return { kind: 'read' }
  if (kind < 4 || (state.record === undefined && kind < 7)) return { kind: 'create', record }
  if (kind === 4) return { kind: 'delete' }
  // Now and then on a version of the past.
  const version = kind === 5 ? (past[pick % past.length] ?? 0) : state.version
  return { kind: 'write', version: String(version), record }
}

const applied = (state: State, op: LockOp, step: number): State | undefined => {
  if (op.kind === 'read') return undefined
  if (op.kind === 'write' && (state.record === undefined || Number(op.version) !== state.version)) return undefined
  if (op.kind !== 'write' && (op.kind === 'create') !== (state.record === undefined)) return undefined
  return { version: state.version + step, record: op.kind === 'delete' ? undefined : op.record }
}

const outcomeOf = ({ spec, op }: Planned, before: State, after: State | undefined): LockOutcome => {
  if (isUnknown(spec)) return { result: 'unknown' }
  if (op.kind === 'read') return { result: 'seen', version: String(before.version), record: before.record }
  return after === undefined ? { result: 'refused' } : { result: 'made', version: String(after.version) }
}

/** Some calls changed so that nobody knows whether the history still is one. */
export const mutated = (calls: readonly LockCall[], changes: readonly (readonly number[])[]): LockCall[] => {
  const copy = [...calls]
  for (const [index = 0, how = 0, amount = 0] of changes) {
    const at = index % Math.max(1, copy.length)
    const call = copy[at]
    if (call !== undefined) copy[at] = changed(call, how, amount)
  }
  return copy
}

const changed = (call: LockCall, how: number, amount: number): LockCall => {
  const { op, outcome } = call
  const record = RECORDS[amount % RECORDS.length] ?? ''
  if (how === 0) return { ...call, calledMs: amount, returnedMs: amount + 2 }
  if (how === 1) return { ...call, returnedMs: call.calledMs }
  if (how === 2 && op.kind !== 'read') return { ...call, outcome: { result: 'unknown' } }
  if (how === 3 && op.kind !== 'read') return { ...call, outcome: { result: 'made', version: String(amount) } }
  if (how === 4 && op.kind === 'write') return { ...call, op: { ...op, version: String(amount) } }
  if (how === 5 && (op.kind === 'write' || op.kind === 'create')) return { ...call, op: { ...op, record } }
  if (how === 6 && outcome.result === 'seen') return { ...call, outcome: { ...outcome, record } }
  if (outcome.result === 'seen' || outcome.result === 'made')
    return { ...call, outcome: { ...outcome, version: String(amount) } }
  return call
}
