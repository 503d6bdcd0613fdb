/**
 * Linearizability of one lock: is there an order of all calls, each between its call and its return, that explains every
 * outcome? The lock is a register with versions, compare-and-set, creation and deletion; it is missing at the beginning, and
 * whatever changes it is in the history, the hand of a third party too. A call of unknown outcome was made at any time from
 * its call on, also long after its return, or never. A refusal says only that nothing was made (it may have been a 429).
 *
 * Why no search is needed, and nothing is guessed: versions are unique and grow, so the calls whose outcome is known stand
 * in one order alone (`lock-points.ts`). What is left to find is which unknown calls filled the gaps between them.
 * - Each gap has one deadline for all of them: the first return of whatever comes after it.
 * - An unknown write fits into one gap only, by the version that it replaces: it never competes with another gap. Two are as
 *   good as more, because the first of them may have made any version that the second one replaces.
 * - Only creations and deletions fit into many gaps. Which of them a gap cannot do without is known, so that is a matching.
 */
import { describe, type LockCall } from './lock-call.ts'
import { matching } from './lock-matching.ts'
import { isThere, type Point, pointsOf, versionOf } from './lock-points.ts'

export type { LockCall, LockOp, LockOutcome } from './lock-call.ts'
export type LockVerdict = { ok: true } | { ok: false; why: string; calls: readonly LockCall[] }

/** Creations or deletions that a gap cannot do without. */
type Need = { kind: 'create' | 'delete'; record: string | undefined; deadlineMs: number; from: Point; to: Point }
type UnknownWrite = { replaces: number; record: string; calledMs: number }
type Refuted = Exclude<LockVerdict, { ok: true }>

export const checkLockHistory = (calls: readonly LockCall[]): LockVerdict => {
  const points = pointsOf(calls)
  const wrong = points.map(contradictionIn).find(found => found !== undefined) ?? tooLate(points)
  if (wrong !== undefined) return wrong
  const unknown = calls.filter(call => call.outcome.result === 'unknown')
  const writes = unknown.flatMap(({ op, calledMs }): UnknownWrite[] =>
    op.kind === 'write' ? [{ replaces: versionOf(op.version), record: op.record, calledMs }] : [],
  )
  const deadlines = deadlinesOf(points)
  const needs: Need[] = []
  for (let i = 1; i < points.length; i++) {
    const found = needsOf(points[i - 1]!, points[i]!, deadlines[i]!, writes)
    if (!Array.isArray(found)) return found
    needs.push(...found)
  }
  const others = unknown.filter(({ op }) => op.kind === 'create' || op.kind === 'delete')
  const unmet = matching(needs, others, meets)
  return unmet === undefined ? { ok: true } : unexplained(unmet.from, unmet.to)
}

/** What cannot be of one version, whatever came before it. */
const contradictionIn = (point: Point): Refuted | undefined => {
  const { makers, sights } = point
  if (makers[1] !== undefined) return refuted('one version was made twice', makers)
  const [maker, sight] = [makers[0], sights[0]]
  if (maker?.op.kind === 'delete' && sight !== undefined)
    return refuted('the lock was seen at the version of its deletion', [maker, sight])
  const other = sights.find(call => recordOf(call) !== point.record)
  return other && refuted('one version had two records', [maker ?? sights[0]!, other])
}

/** In the order of versions nothing may have returned before something earlier was called. */
const tooLate = (points: readonly Point[]): Refuted | undefined => {
  let latest: LockCall | undefined
  const later = (call: LockCall): void => {
    if (latest === undefined || call.calledMs > latest.calledMs) latest = call
  }
  // The sights of one version come after its making, and in any order.
  for (const { makers, sights } of points)
    for (const group of [makers, sights]) {
      const late = group.find(call => latest !== undefined && call.returnedMs < latest.calledMs)
      if (late !== undefined && latest !== undefined)
        return refuted('by its version the second came first, but the first had returned before it was called', [
          late,
          latest,
        ])
      group.forEach(later)
    }
  return undefined
}

/** For each point the first return from it on: nothing that was called after it can have come before it. */
const deadlinesOf = (points: readonly Point[]): number[] => {
  const deadlines: number[] = []
  let firstMs = Number.POSITIVE_INFINITY
  for (let i = points.length - 1; i >= 0; i--) {
    const { makers, sights } = points[i]!
    for (const call of [...makers, ...sights]) firstMs = Math.min(firstMs, call.returnedMs)
    deadlines[i] = firstMs
  }
  return deadlines
}

/** What unknown creations and deletions have to have been made between two neighbours. */
const needsOf = (from: Point, to: Point, deadlineMs: number, writes: readonly UnknownWrite[]): Need[] | Refuted => {
  const need = { record: undefined, deadlineMs, from, to }
  const [maker] = to.makers
  if (maker?.op.kind === 'write')
    return isThere(from) && from.version === versionOf(maker.op.version)
      ? []
      : refuted('a write was accepted that was not on the version that was there', [maker, ...witnesses(from)])
  const wanted = to.kind === 'missing' || maker?.op.kind === 'create' ? 'missing' : 'there'
  // Each unknown change has a version of its own, between those that are known.
  const room = to.version - from.version - (to.kind === 'missing' ? 0 : 1)
  if (maker === undefined && to.kind === 'version') return needsOfUnmade(need, room, writes)
  if (wanted === (isThere(from) ? 'there' : 'missing')) return []
  if (room < 1) return unexplained(from, to)
  return [{ ...need, kind: wanted === 'missing' ? 'delete' : 'create' }]
}

/** A version that no known call made: by an unknown write of the last one, or by an unknown creation. */
const needsOfUnmade = (need: Omit<Need, 'kind'>, room: number, writes: readonly UnknownWrite[]): Need[] | Refuted => {
  const { from, to, deadlineMs } = need
  const fitting = writes.filter(
    ({ replaces, calledMs }) => replaces >= from.version && replaces < to.version && calledMs <= deadlineMs,
  )
  const replaced = fitting
    .filter(({ record }) => to.record === undefined || record === to.record)
    .map(({ replaces }) => replaces)
  if (!isThere(from)) {
    // Whatever was created, an unknown write on it then made the record that was seen.
    const record = replaced.some(version => version > from.version) ? undefined : to.record
    return [{ ...need, kind: 'create', record }]
  }
  if (replaced.includes(from.version)) return []
  if (replaced.length > 0 && fitting.some(({ replaces }) => replaces === from.version)) return []
  if (room < 1) return unexplained(from, to)
  const record = replaced.some(version => version > from.version + 1) ? undefined : to.record
  return [
    { ...need, kind: 'delete', record: undefined },
    { ...need, kind: 'create', record },
  ]
}

const meets = (need: Need, { op, calledMs }: LockCall): boolean =>
  op.kind === need.kind &&
  calledMs <= need.deadlineMs &&
  (need.record === undefined || (op.kind === 'create' && op.record === need.record))

const recordOf = ({ op, outcome }: LockCall): string | undefined =>
  outcome.result === 'seen' ? outcome.record : op.kind === 'write' ? op.record : undefined

const unexplained = (from: Point, to: Point): Refuted =>
  refuted(
    `no call that can be spared, not even an unknown one, explains how the lock came from ${shown(from)} to ${shown(to)}`,
    [...witnesses(from), ...witnesses(to)],
  )

const shown = (point: Point): string => {
  if (isThere(point)) return `version ${point.version}`
  return point.version < 0 ? 'its beginning' : `missing at ${point.version}`
}

/** The calls that show a point, few enough to be read. */
const witnesses = ({ makers, replacedBy, sights }: Point): LockCall[] =>
  [...makers, ...sights, ...replacedBy].slice(0, 2)

const refuted = (problem: string, calls: readonly LockCall[]): Refuted => ({
  ok: false,
  why: `${problem}: ${calls.map(describe).join('; ')}`,
  calls,
})
