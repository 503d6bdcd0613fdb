/**
 * Whether a cluster stands still, before its HA data is removed or written: nobody of it is alive, no JobManager is there that may
 * be of it, and nothing is about to make pods of it.
 */
import { ANNOTATION_CLUSTER_ID, LABEL_CLUSTER } from '../shared/names.ts'
import { some } from './check-api.ts'
import type { Cluster } from './cluster.ts'
import type { Users } from './cluster-users.ts'
import type { HaWorld } from './ha-args.ts'
import type { HaStore } from './ha-store.ts'
import type { Io } from './io.ts'
import { judgeLife, podOf } from './liveness.ts'

/** `why`: also when it does. */
export type Standstill = { stands: boolean; why: string }

/** @throws Error when what is needed is not shown */
export const judgeStandstill = async (
  cluster: Cluster,
  store: HaStore,
  users: Users,
  world: HaWorld,
  io: Io,
): Promise<Standstill> => {
  const obstacle = obstacleOf(store, users)
  if (obstacle !== undefined) return { stands: false, why: obstacle }
  const onWatch = (seconds: number): void => io.err(`somebody holds the lock: watching it for up to ${seconds} s\n`)
  const { alive, why } = await judgeLife(cluster, store, users, { ...world, onWatch })
  if (alive) return { stands: false, why: aliveText(why) }
  const { workloads } = users.unknown
  if (workloads.length > 0)
    io.err(`flink-ha: which cluster these are of cannot be told here: ${workloads.join(', ')}\n`)
  return { stands: true, why }
}

/** What can be told without watching anybody. */
const obstacleOf = (store: HaStore, users: Users): string | undefined => {
  const pod = podOf(store, users)
  if (pod !== undefined) return aliveText(pod)
  if (users.unknown.pods.length > 0) return unknownText(store.namespace, users.unknown.pods)
  const wanting = users.wanting.get(store.clusterId) ?? []
  return wanting.length > 0 ? `pods of it are about to be made by ${some(wanting)}` : undefined
}

const aliveText = (why: string): string => `the cluster is alive: ${why}`

const unknownText = (namespace: string, pods: readonly string[]): string =>
  `which cluster is run by ${some(pods)} cannot be told, so it may be this one: end it, or say its cluster id by the label ` +
  `${LABEL_CLUSTER} or the annotation ${ANNOTATION_CLUSTER_ID}, ` +
  `such as kubectl -n ${namespace} annotate pod NAME ${ANNOTATION_CLUSTER_ID}=ID`
