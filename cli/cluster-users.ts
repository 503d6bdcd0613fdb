// Who uses which cluster id in a namespace: pods, what makes pods, and the Flink operator's own objects.
import { collectionOf } from '../webhook/change.ts'
import type { WorkloadKind } from '../webhook/workload.ts'
import { at, type Json, nameOf, readList, textOf } from './check-api.ts'
import type { Cluster } from './cluster.ts'
import { idsInConfiguration, type Mentions, mentionsIn } from './cluster-ids.ts'
import { configMapPath, found, listed } from './ha-store.ts'

export type Users = {
  /** By cluster id: `Deployment flink-jobmanager`. */
  byId: Map<string, string[]>
  /** By cluster id: pods that are not at their end. */
  pods: Map<string, string[]>
  /** Identities `<name>_<uid>` of all pods that are not at their end, as sidecars hold a lock by. */
  identities: Set<string>
  /** JobManagers whose cluster id nothing here tells. */
  unknown: string[]
}

const WORKLOADS: readonly WorkloadKind[] = ['Deployment', 'StatefulSet', 'Job']
/** Of Flink's operator, which makes the object's name the cluster id. */
const flinkDeployments = (namespace: string): string =>
  `/apis/flink.apache.org/v1beta1/namespaces/${namespace}/flinkdeployments`

type Found = { what: string; isPod: boolean; mentions: Mentions }

/** @throws Error that says what is not shown: then nothing can be said about anybody's absence */
export const readUsers = async (cluster: Cluster, namespace: string): Promise<Users> => {
  const pods = ((await listed(cluster, collectionOf('Pod', namespace))) as Json[]).filter(isLive)
  const users = [
    ...pods.map(pod => foundOf('Pod', pod, pod)),
    ...(await Promise.all(WORKLOADS.map(kind => workloads(cluster, kind, namespace)))).flat(),
  ]
  const configured = await configuredIds(cluster, namespace, users)
  const idsOf = ({ mentions }: Found): string[] => [
    ...mentions.ids,
    ...mentions.configMaps.flatMap(name => configured.get(name) ?? []),
  ]
  const operators = (await operated(cluster, namespace)).map(name => ({ what: `FlinkDeployment ${name}`, ids: [name] }))
  return {
    byId: grouped([...users.map(user => ({ what: user.what, ids: idsOf(user) })), ...operators]),
    pods: grouped(users.filter(({ isPod }) => isPod).map(user => ({ what: user.what, ids: idsOf(user) }))),
    identities: new Set(pods.map(pod => `${nameOf(pod)}_${textOf(at(pod, 'metadata')['uid'])}`)),
    unknown: users.filter(user => user.mentions.isJobManager && idsOf(user).length === 0).map(({ what }) => what),
  }
}

const foundOf = (kind: string, object: Json, template: unknown): Found => ({
  what: `${kind} ${nameOf(object)}`,
  isPod: kind === 'Pod',
  mentions: mentionsIn(template),
})

/** A pod that is being deleted runs until it is gone. */
const isLive = (pod: Json): boolean => !['Succeeded', 'Failed'].includes(textOf(at(pod, 'status')['phase']))

const workloads = async (cluster: Cluster, kind: WorkloadKind, namespace: string): Promise<Found[]> =>
  ((await listed(cluster, collectionOf(kind, namespace))) as Json[]).map(object =>
    foundOf(kind, object, at(object, 'spec', 'template')),
  )

/** By name of the ConfigMap: the cluster ids in it. */
const configuredIds = async (
  cluster: Cluster,
  namespace: string,
  users: readonly Found[],
): Promise<Map<string, string[]>> => {
  const names = [...new Set(users.flatMap(({ mentions }) => mentions.configMaps))]
  const read = async (name: string): Promise<[string, string[]]> => [
    name,
    idsInConfiguration(await found(cluster, configMapPath(namespace, name))),
  ]
  return new Map(await Promise.all(names.map(read)))
}

const operated = async (cluster: Cluster, namespace: string): Promise<string[]> => {
  const list = await readList(cluster, flinkDeployments(namespace))
  if (list.ok) return list.items.map(nameOf)
  // Without the operator there is no such API.
  if (list.status === 404) return []
  throw new Error(`${flinkDeployments(namespace)} is not shown to you: ${list.why}`)
}

const grouped = (users: readonly { what: string; ids: readonly string[] }[]): Map<string, string[]> => {
  const byId = new Map<string, string[]>()
  for (const { what, ids } of users) for (const id of new Set(ids)) byId.set(id, [...(byId.get(id) ?? []), what])
  return byId
}
