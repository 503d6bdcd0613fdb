// The lock as it was when it was judged that nobody leads. Looked at before each write that rests on that: a leader that begins
// meanwhile writes the lock first, and reads the jobs after that.
import type { ConfigMap, Metadata } from '../shared/lock.ts'
import { lockName } from '../sidecar/ha-names.ts'
import { leaseName } from '../sidecar/lock-store.ts'
import type { Cluster } from './cluster.ts'
import { configMapPath, found, type HaStore, leasePath } from './ha-store.ts'

export class LockGuard {
  #cluster: Cluster
  /** By path; undefined: missing. */
  #expected: Map<string, Metadata | undefined>

  constructor(cluster: Cluster, { namespace, clusterId, lock, lease, hasStrangersLease }: HaStore) {
    this.#cluster = cluster
    this.#expected = new Map([[configMapPath(namespace, lockName(clusterId)), lock?.metadata]])
    if (!hasStrangersLease) this.#expected.set(leasePath(namespace, leaseName(clusterId)), lease?.metadata)
  }

  /** Why it is not as it was; undefined: it is. @throws Error when it is not shown */
  async problem(): Promise<string | undefined> {
    for (const [path, expected] of this.#expected) {
      const now = ((await found(this.#cluster, path)) as ConfigMap | undefined)?.metadata
      if (now?.uid !== expected?.uid || now?.resourceVersion !== expected?.resourceVersion)
        return `${(now ?? expected)?.name} has changed since it was looked at: somebody uses the lock`
    }
    return undefined
  }

  /** It was written by us. */
  expect(path: string, metadata: Metadata | undefined): void {
    if (this.#expected.has(path)) this.#expected.set(path, metadata)
  }
}
