// What the local JVM sees of the lock: the real ConfigMap under a virtual leader record. While this sidecar leads, the
// holder is the JVM itself ("" until it claimed, so that it claims); otherwise it is somebody else, freshly renewed, so
// that to Flink the lock never looks expired and there is nothing to take.
import { type ConfigMap, haLabels } from '../shared/lock.ts'
import { ANNOTATION_LEADER, DOMAIN, LEADER_KEY_PREFIX } from '../shared/names.ts'
import { type DurationSpelling, formatRecord, formatTime } from '../shared/record.ts'

/** The virtual record's holder and how it is told. */
export type Holder = {
  holder: string
  leaseMs: number
  acquireTime: string
  transitions: number
  spelling: DurationSpelling
}

/** The real record without our own annotations, which are nobody's business but ours. `record`: the virtual one. */
export const withRecord = (object: ConfigMap, record: string): ConfigMap => {
  const { managedFields: _, ...metadata } = object.metadata
  const others = Object.entries(object.metadata.annotations ?? {}).filter(([name]) => !name.startsWith(`${DOMAIN}/`))
  return {
    ...object,
    metadata: { ...metadata, annotations: { ...Object.fromEntries(others), [ANNOTATION_LEADER]: record } },
  }
}

export const virtualRecord = (holder: Holder, wallUs: number): string => {
  const now = formatTime(wallUs)
  // Flink 1.17 (fabric8 5.12) does not look for an empty holder, only for an old renewal; the others take both.
  const renewTime = holder.holder === '' ? formatTime(0) : now
  return formatRecord(
    {
      holder: holder.holder,
      leaseMs: holder.leaseMs,
      acquireTime: holder.acquireTime === '' ? now : holder.acquireTime,
      renewTime,
      transitions: holder.transitions,
    },
    holder.spelling,
  )
}

/** Shown while there is no lock yet: a native elector that is answered 404 would make one itself. */
export const placeholderLock = (namespace: string, name: string, clusterId: string, version: string): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name,
    namespace,
    uid: '00000000-0000-0000-0000-000000000000',
    resourceVersion: version,
    creationTimestamp: '1970-01-01T00:00:00Z',
    labels: haLabels(clusterId),
  },
})

/** What leaves the pod: the leader keys and nothing else of the data (no job graphs, no checkpoint pointers). */
export const leaderKeysOnly = (object: ConfigMap): ConfigMap => ({
  ...object,
  data: Object.fromEntries(Object.entries(object.data ?? {}).filter(([key]) => key.startsWith(LEADER_KEY_PREFIX))),
})

type Namespaced = { metadata?: { namespace?: string }; items?: unknown[] }

/**
 * An object, a list of objects or the body of a write as one of another namespace: its informers find by namespace and name
 * what they asked for (fabric8 `Cache.namespaceKeyFunc`). What names no namespace is left as it is.
 */
export const inNamespace = <T>(body: T, namespace: string): T => {
  if (typeof body !== 'object' || body === null) return body
  const { metadata, items } = body as Namespaced
  const renamed =
    metadata?.namespace === undefined || metadata.namespace === namespace
      ? body
      : { ...body, metadata: { ...metadata, namespace } }
  return Array.isArray(items) ? { ...renamed, items: items.map(item => inNamespace(item, namespace)) } : renamed
}
