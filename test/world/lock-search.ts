// The same question as `lock-history.ts` asks, answered by trying every order and every version that an unknown call may
// have made (Wing and Gong). Good for a handful of calls, and plain enough to be believed.
import type { LockCall } from './lock-call.ts'

/** `version`: of the newest change or sight; undefined record: missing. */
type State = { record: string | undefined; version: number }

export const searchLockHistory = (calls: readonly LockCall[]): boolean => {
  const relevant = calls.filter(({ op, outcome }) => {
    if (outcome.result === 'refused') return false
    return outcome.result !== 'unknown' || op.kind !== 'read'
  })
  const named = calls.flatMap(({ outcome }) => ('version' in outcome ? [Number(outcome.version)] : []))
  const replaced = calls.flatMap(({ op }) => (op.kind === 'write' && op.version !== '' ? [Number(op.version)] : []))
  const highest = Math.max(0, ...named, ...replaced) + 1
  const seen = new Set<string>()
  const search = (left: readonly LockCall[], state: State): boolean => {
    const required = left.filter(({ outcome }) => outcome.result !== 'unknown')
    if (required.length === 0) return true
    const key = JSON.stringify([left.map(call => relevant.indexOf(call)), state.record ?? null, state.version])
    if (seen.has(key)) return false
    seen.add(key)
    const firstReturnMs = Math.min(...required.map(({ returnedMs }) => returnedMs))
    return left.some(
      call =>
        call.calledMs <= firstReturnMs &&
        after(state, call, highest).some(next =>
          search(
            left.filter(other => other !== call),
            next,
          ),
        ),
    )
  }
  return search(relevant, { record: undefined, version: -1 })
}

/** The states that a call may lead to; none when it cannot have been made here. */
const after = (state: State, { op, outcome }: LockCall, highest: number): State[] => {
  if (outcome.result === 'seen') return seenFrom(state, Number(outcome.version), outcome.record)
  if (op.kind === 'read') return []
  if (op.kind === 'write') {
    if (state.record === undefined || String(state.version) !== op.version) return []
    if (outcome.result === 'made' && outcome.version === op.version) return state.record === op.record ? [state] : []
  } else if ((op.kind === 'create') !== (state.record === undefined)) return []
  const record = op.kind === 'delete' ? undefined : op.record
  const versions =
    outcome.result === 'made'
      ? [Number(outcome.version)]
      : Array.from({ length: Math.max(0, highest - state.version) }, (_, i) => state.version + 1 + i)
  return versions.filter(version => version > state.version).map(version => ({ record, version }))
}

const seenFrom = (state: State, version: number, record: string | undefined): State[] => {
  if (record !== undefined) return record === state.record && version === state.version ? [state] : []
  // Missing: the collection's version never falls.
  return state.record === undefined && version >= state.version ? [{ record, version }] : []
}
