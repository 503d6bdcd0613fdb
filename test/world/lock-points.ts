// The states of a lock that known outcomes speak of, in the order of their versions, each with the calls that show it.
import type { LockCall } from './lock-call.ts'

export type Point = {
  /** `missing`: a read found none, at this version of the collection; it comes after what was made at the same version. */
  kind: 'version' | 'missing'
  version: number
  /** One, or none when an unknown call made it; more are a contradiction. */
  makers: LockCall[]
  sights: LockCall[]
  /** Accepted writes on it. */
  replacedBy: LockCall[]
  /** Undefined when nobody knows. */
  record: string | undefined
}

/** Whether the lock exists there. */
export const isThere = ({ kind, makers }: Point): boolean => kind === 'version' && makers[0]?.op.kind !== 'delete'

/** Before everything else it is missing. */
const BEFORE = -1

export const pointsOf = (calls: readonly LockCall[]): Point[] => {
  const points = new Map<string, Point>()
  const at = (kind: Point['kind'], text: string): Point => {
    const version = outcomeVersion(text)
    const key = `${kind} ${version}`
    const point = points.get(key) ?? emptyPoint(kind, version)
    points.set(key, point)
    return point
  }
  for (const call of calls) put(call, at)
  const sorted = [...points.values()].sort((a, b) => a.version - b.version || (a.kind === 'version' ? -1 : 1))
  return [emptyPoint('missing', BEFORE), ...sorted]
}

const put = (call: LockCall, at: (kind: Point['kind'], version: string) => Point): void => {
  const { op, outcome } = call
  if (outcome.result === 'seen') {
    const point = at(outcome.record === undefined ? 'missing' : 'version', outcome.version)
    point.sights.push(call)
    if (point.makers.length === 0) point.record ??= outcome.record
  }
  if (outcome.result !== 'made') return
  const point = at('version', outcome.version)
  if (op.kind === 'write' && op.version === outcome.version) {
    // It changed nothing: as good as a read of what it says.
    point.sights.push(call)
    if (point.makers.length === 0) point.record ??= op.record
    return
  }
  point.makers.push(call)
  point.record = op.kind === 'write' || op.kind === 'create' ? op.record : undefined
  if (op.kind === 'write' && !Number.isNaN(versionOf(op.version))) at('version', op.version).replacedBy.push(call)
}

const emptyPoint = (kind: Point['kind'], version: number): Point => ({
  kind,
  version,
  makers: [],
  sights: [],
  replacedBy: [],
  record: undefined,
})

/** NaN for none: a write that names no version is on none that there ever was. */
export const versionOf = (text: string): number => (/^\d+$/.test(text) ? Number(text) : Number.NaN)

/** @throws Error: a history without versions cannot be judged, and must not pass for a good one. */
const outcomeVersion = (text: string): number => {
  const version = versionOf(text)
  if (!Number.isSafeInteger(version)) throw new Error(`version is "${text}": a decimal number is needed`)
  return version
}
