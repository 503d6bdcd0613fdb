// A watch on the store: what it tells of each change, and where it begins.
import { untyped } from './kube-errors.ts'
import type { Change, ChangeType, History } from './kube-history.ts'
import { withVersion } from './kube-lifecycle.ts'
import { apiVersionOf, type KubeObject, type Resource } from './kube-resources.ts'
import { matcherOf, type Selection } from './kube-selectors.ts'

export type WatchQuery = Selection & { namespace?: string | undefined; resourceVersion?: string }
export type WatchEvent = { type: ChangeType | 'BOOKMARK' | 'ERROR'; object: object }
/** `bookmark` makes the event that tells how far the watch has come. */
export type Watch = { close: () => void; bookmark: () => WatchEvent }
type Fits = (object: KubeObject | undefined) => object is KubeObject
type Store = { history: History; list: () => KubeObject[]; version: () => number }

/** @throws KubeError 400, 410, 500 */
export const openWatch = (
  of: Resource,
  query: WatchQuery,
  store: Store,
  onEvent: (event: WatchEvent) => void,
): Watch => {
  const matches = matcherOf(of, query.labelSelector ?? '', query.fieldSelector ?? '')
  const fits: Fits = (object): object is KubeObject =>
    object !== undefined &&
    (query.namespace === undefined || object.metadata.namespace === query.namespace) &&
    matches(object)
  const tell = (change: Change): void => {
    const event = eventOf(change, fits)
    if (event !== undefined) onEvent(event)
  }
  const from = versionOf(query.resourceVersion)
  const missed = from === 0 ? [] : store.history.since(of, from)
  const present = from === 0 ? store.list() : []
  // A write made by a listener may be in the history already and still be told later.
  const begunAt = store.version()
  const close = store.history.listen(change => {
    if (change.resource === of && change.version > begunAt) tell(change)
  })
  for (const object of present) onEvent({ type: 'ADDED', object })
  for (const change of missed) tell(change)
  const bookmark = (): WatchEvent => {
    const metadata = { resourceVersion: String(store.version()) }
    return { type: 'BOOKMARK', object: { kind: of.kind, apiVersion: apiVersionOf(of), metadata } }
  }
  return { close, bookmark }
}

/** Whether a watch can be asked for like this, before one is begun. @throws KubeError 400, 500 */
export const checkWatch = (of: Resource, query: WatchQuery): void => {
  matcherOf(of, query.labelSelector ?? '', query.fieldSelector ?? '')
  versionOf(query.resourceVersion)
}

/** 0 stands for "any" as well as for "none given". @throws KubeError 500 */
const versionOf = (given: string | undefined): number => {
  if (given === undefined || given === '') return 0
  if (!/^\d+$/.test(given))
    throw untyped(`resourceVersion: Invalid value: "${given}": strconv.ParseUint: parsing "${given}": invalid syntax`)
  return Number(given)
}

const eventOf = (change: Change, fits: Fits): WatchEvent | undefined => {
  const { object, before, version } = change
  const was = fits(before)
  if (change.type !== 'DELETED' && fits(object)) return { type: was ? 'MODIFIED' : 'ADDED', object }
  if (!was) return undefined
  // One that ceased to fit is told of as it was, with the version at which it did.
  return { type: 'DELETED', object: change.type === 'DELETED' ? object : withVersion(before, version) }
}
