// The lock's ConfigMap as last seen, since when its data is what it is (renewals change the version, not the data), and what of
// it an earlier leader left.
import { type ConfigMap, lockOfConfigMap } from '../shared/lock.ts'
import { type LeaderKeys, leaderKeysOf } from './leader.ts'

export type Cached = {
  object: ConfigMap | undefined
  version: string
  /** The oldest version with the very same data. */
  dataSince: string
  /** Leader keys as they were before the present term: until its leader writes them anew, they are his predecessor's. */
  former: LeaderKeys
}

export const cachedAfter = (before: Cached | undefined, object: ConfigMap | undefined, version: string): Cached => {
  // A list's version may be above that of what it lists, and a writer names the latter.
  const seen = object?.metadata.resourceVersion ?? version
  if (before === undefined) return { object, version, dataSince: seen, former: {} }
  const dataSince = sameData(before.object, object) ? before.dataSince : seen
  const former = sameTerm(before.object, object) ? before.former : leaderKeysOf(before.object)
  return { object, version, dataSince, former }
}

/** Beside a Lease the ConfigMap has the token alone: its stamp is the sign. */
const sameTerm = (a: ConfigMap | undefined, b: ConfigMap | undefined): boolean => {
  const [x, y] = [lockOfConfigMap(a, ''), lockOfConfigMap(b, '')]
  return x.record?.holder === y.record?.holder && x.token === y.token
}

const sameData = (a: ConfigMap | undefined, b: ConfigMap | undefined): boolean => {
  if (a === undefined || b === undefined) return a === b
  const [x, y] = [a.data ?? {}, b.data ?? {}]
  const keys = Object.keys(x)
  return keys.length === Object.keys(y).length && keys.every(key => x[key] === y[key])
}
