// The writes of a restore: each a compare-and-set, each after another look at the locks. The first that fails ends it.
import type { Metadata } from '../shared/lock.ts'
import { leasesPath } from '../shared/lock-writes.ts'
import { configMapsPath } from '../sidecar/lock-store.ts'
import { reasonOf } from './check-api.ts'
import type { Cluster } from './cluster.ts'
import type { ClusterName, HaStore } from './ha-store.ts'
import { complain, type Io } from './io.ts'
import { LockGuard } from './lock-guard.ts'
import type { Restore } from './restore-plan.ts'

export const DONE = { create: 'created', replace: 'replaced', none: 'left as it is' } as const

const collectionOf = (kind: Restore['kind'], namespace: string): string =>
  kind === 'Lease' ? leasesPath(namespace) : configMapsPath(namespace)

const send = (cluster: Cluster, { namespace }: ClusterName, { kind, name, verb, body }: Restore, query = '') =>
  verb === 'create'
    ? cluster.request('POST', `${collectionOf(kind, namespace)}${query}`, body)
    : cluster.request('PUT', `${collectionOf(kind, namespace)}/${name}${query}`, body)

/** Rights, quotas, sizes and versions, before anything is done. */
export const tried = async (cluster: Cluster, name: ClusterName, one: Restore): Promise<string | undefined> => {
  const { status, body } = await send(cluster, name, one, '?dryRun=All')
  return status < 300 ? undefined : `${one.kind} ${one.name} cannot be ${DONE[one.verb]}: ${reasonOf(status, body)}`
}

/** `stores`: whose locks have to stay as they are. */
export const write = async (
  cluster: Cluster,
  name: ClusterName,
  stores: readonly HaStore[],
  due: readonly Restore[],
  io: Io,
): Promise<number> => {
  const guards = stores.map(store => new LockGuard(cluster, store))
  for (const [at, one] of due.entries()) {
    const problem = await step(cluster, name, guards, one)
    if (problem === undefined) {
      io.out(`${DONE[one.verb]} ${one.kind} ${one.name}\n`)
      continue
    }
    const left = due.slice(at).map(({ kind, name }) => `${kind} ${name}`)
    return complain(io, [
      problem,
      `nothing more is written; not done: ${left.join(', ')}; the same command goes on there`,
    ])
  }
  return 0
}

/** undefined: done. */
const step = async (
  cluster: Cluster,
  name: ClusterName,
  guards: readonly LockGuard[],
  one: Restore,
): Promise<string | undefined> => {
  try {
    for (const guard of guards) {
      const problem = await guard.problem()
      if (problem !== undefined) return problem
    }
    const { status, body } = await send(cluster, name, one)
    if (status === 409) return `${one.kind} ${one.name} has changed since it was looked at: ${reasonOf(status, body)}`
    if (status >= 300) return `${one.kind} ${one.name} is not ${DONE[one.verb]}: ${reasonOf(status, body)}`
    const path = `${collectionOf(one.kind, name.namespace)}/${one.name}`
    for (const guard of guards) guard.expect(path, (body as { metadata: Metadata }).metadata)
    return undefined
  } catch (error) {
    return `whether ${one.kind} ${one.name} was ${DONE[one.verb]} is not known: ${(error as Error).message}`
  }
}
