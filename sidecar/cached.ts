// The lock's ConfigMap as last seen, and since when its data is what it is: renewals change the version, not the data.
import type { ConfigMap } from '../shared/lock.ts'

/** `dataSince`: the oldest version with the very same data. */
export type Cached = { object: ConfigMap | undefined; version: string; dataSince: string }

export const cachedAfter = (before: Cached | undefined, object: ConfigMap | undefined, version: string): Cached => {
  const same = before !== undefined && sameData(before.object, object)
  return { object, version, dataSince: same ? before.dataSince : version }
}

const sameData = (a: ConfigMap | undefined, b: ConfigMap | undefined): boolean => {
  if (a === undefined || b === undefined) return a === b
  const [x, y] = [a.data ?? {}, b.data ?? {}]
  const keys = Object.keys(x)
  return keys.length === Object.keys(y).length && keys.every(key => x[key] === y[key])
}
