/**
 * `flink-ha status --orphans`: HA data that no cluster uses. Nobody names its cluster id: no pod, nothing that makes pods, no
 * object of Flink's operator; and nobody renews its lock. What somebody names is in use, also when it is scaled to nothing.
 */
import type { ConfigMap } from '../shared/lock.ts'
import { haDataOf, sizeOf } from '../sidecar/ha-data.ts'
import { haNameOf, haSelector } from '../sidecar/ha-names.ts'
import { configMapsPath } from '../sidecar/lock-store.ts'
import { collectionOf } from '../webhook/change.ts'
import { some, textOf } from './check-api.ts'
import type { Cluster } from './cluster.ts'
import { readUsers } from './cluster-users.ts'
import type { HaWorld } from './ha-args.ts'
import { type ClusterName, listed, readHaStore } from './ha-store.ts'
import { complain, type Io } from './io.ts'
import { judgeLife } from './liveness.ts'
import { ageText, sizeText, textTable } from './table.ts'

export type OrphansArgs = { namespace: string | undefined; json: boolean }

export type Orphan = ClusterName & {
  configMaps: string[]
  bytes: number
  jobs: string[]
  /** Of the oldest of them. */
  createdAt: string | null
  ageSeconds: number | null
}

/** Resolves with the exit code. */
export const orphans = async ({ namespace, json }: OrphansArgs, world: HaWorld, io: Io): Promise<number> => {
  try {
    const cluster = await world.connecting()
    const path = namespace === undefined ? collectionOf('ConfigMap') : configMapsPath(namespace)
    const byNamespace = clustersIn((await listed(cluster, path, haSelector())) as ConfigMap[])
    const perNamespace = await Promise.all(
      [...byNamespace].map(([name, clusters]) => orphansIn(cluster, name, clusters, world, io)),
    )
    const found = perNamespace.flat().sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))
    io.out(json ? `${JSON.stringify(found, undefined, 2)}\n` : orphansText(found))
    return 0
  } catch (error) {
    return complain(io, [(error as Error).message])
  }
}

const placeOf = ({ namespace, clusterId }: ClusterName): string => `${namespace}/${clusterId}`

/** By namespace and cluster id. */
type Clusters = Map<string, ConfigMap[]>

const clustersIn = (configMaps: readonly ConfigMap[]): Map<string, Clusters> => {
  const byNamespace = new Map<string, Clusters>()
  for (const configMap of configMaps) {
    const clusterId = haNameOf(configMap.metadata)?.clusterId
    const { namespace = '' } = configMap.metadata
    if (clusterId === undefined) continue
    const clusters = byNamespace.get(namespace) ?? new Map<string, ConfigMap[]>()
    byNamespace.set(namespace, clusters.set(clusterId, [...(clusters.get(clusterId) ?? []), configMap]))
  }
  return byNamespace
}

const orphansIn = async (
  cluster: Cluster,
  namespace: string,
  clusters: Clusters,
  world: HaWorld,
  io: Io,
): Promise<Orphan[]> => {
  const users = await readUsers(cluster, namespace)
  const unknown = [...users.unknown.pods, ...users.unknown.workloads]
  const unused = [...clusters].filter(([clusterId]) => !users.byId.has(clusterId))
  if (unused.length > 0 && unknown.length > 0)
    io.err(
      `flink-ha: namespace ${namespace}: any of these may be of ${some(unknown)}, whose cluster id cannot be told here\n`,
    )
  const judged = await Promise.all(
    unused.map(async ([clusterId, configMaps]) => {
      const store = await readHaStore(cluster, { namespace, clusterId })
      const onWatch = (seconds: number): void =>
        io.err(`somebody holds the lock of ${namespace}/${clusterId}: watching it for up to ${seconds} s\n`)
      const { alive } = await judgeLife(cluster, store, users, { ...world, onWatch })
      return alive ? [] : [orphanOf({ namespace, clusterId }, configMaps, world.wallMs())]
    }),
  )
  return judged.flat()
}

const orphanOf = ({ namespace, clusterId }: ClusterName, configMaps: readonly ConfigMap[], nowMs: number): Orphan => {
  const times = configMaps.map(({ metadata }) => textOf(metadata['creationTimestamp'])).filter(time => time !== '')
  const createdAt = times.sort()[0] ?? null
  const ageSeconds = createdAt === null ? null : Math.max(0, Math.round((nowMs - Date.parse(createdAt)) / 1_000))
  return {
    namespace,
    clusterId,
    configMaps: configMaps.map(({ metadata }) => metadata.name),
    bytes: configMaps.reduce((sum, one) => sum + sizeOf(one).bytes, 0),
    jobs: haDataOf(clusterId, configMaps).jobs.map(({ id }) => id),
    createdAt,
    ageSeconds,
  }
}

const HEAD = ['namespace', 'cluster id', 'ConfigMaps', 'size', 'jobs', 'age']

const orphansText = (found: readonly Orphan[]): string => {
  if (found.length === 0) return 'there is no HA data that nobody uses\n'
  const rows = found.map(({ namespace, clusterId, configMaps, bytes, jobs, ageSeconds }) => [
    namespace,
    clusterId,
    String(configMaps.length),
    sizeText(bytes),
    String(jobs.length),
    ageSeconds === null ? '-' : ageText(ageSeconds),
  ])
  return `${textTable([HEAD, ...rows])}flink-ha cleanup --namespace NAMESPACE --cluster-id ID shows more, and removes them\n`
}
