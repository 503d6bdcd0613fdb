// The lock's ConfigMap as last seen, since when its data is what it is (renewals change the version, not the data), and what of
// it an earlier leader left.
import { type ConfigMap, lockOfConfigMap } from '../shared/lock.ts'
import { componentsOf, type LeaderDocument, type LeaderKeys, leaderKeysOf } from './leader.ts'
import { type Joined, joinedIn, parseJoined } from './standbys.ts'

export type Cached = {
  object: ConfigMap | undefined
  version: string
  /** The oldest version with the very same data. */
  dataSince: string
  /** Leader keys as they were before the present term: until its leader writes them anew, they are his predecessor's. */
  former: LeaderKeys
  /** Those of the present term. */
  components: LeaderDocument['components']
  /** Who joined. */
  joined: Joined
  /** What tells one term from the next. */
  term: string
}

export const cachedAfter = (before: Cached | undefined, object: ConfigMap | undefined, version: string): Cached => {
  // A list's version may be above that of what it lists, and a writer names the latter.
  const seen = object?.metadata.resourceVersion ?? version
  const { record, token } = lockOfConfigMap(object, '')
  // Beside a Lease the ConfigMap has the token alone: its stamp is the sign.
  const term = `${token} ${record?.holder}`
  const hasSameData = before !== undefined && sameData(before.object, object)
  const dataSince = hasSameData ? before.dataSince : seen
  const former = before === undefined ? {} : term === before.term ? before.former : leaderKeysOf(before.object)
  // Most sights are of renewals: what those leave as it was is not worked out again.
  const isKnown = hasSameData && former === before.former
  const components = isKnown ? before.components : componentsOf(object, former)
  const joined =
    before !== undefined && joinedIn(object) === joinedIn(before.object) ? before.joined : parseJoined(object)
  return { object, version, dataSince, former, components, joined, term }
}

const sameData = (a: ConfigMap | undefined, b: ConfigMap | undefined): boolean => {
  if (a === undefined || b === undefined) return a === b
  const [x, y] = [a.data ?? {}, b.data ?? {}]
  const keys = Object.keys(x)
  return keys.length === Object.keys(y).length && keys.every(key => x[key] === y[key])
}
