// Who uses which cluster id in a namespace: pods, what makes pods, and the Flink operator's own objects.
import { collectionOf } from '../webhook/change.ts'
import type { WorkloadKind } from '../webhook/workload.ts'
import { at, type Json, nameOf, read, readList, textOf } from './check-api.ts'
import type { Cluster } from './cluster.ts'
import { type Ids, idsInConfiguration, type Mentions, mentionsIn } from './cluster-ids.ts'
import { configMapPath, found, listed } from './ha-store.ts'
import { remedyOf } from './wanting.ts'

export type Users = {
  /** By cluster id: `Deployment flink-jobmanager`. */
  byId: Map<string, string[]>
  /** By cluster id: pods that are not at their end. */
  pods: Map<string, string[]>
  /** Identities `<name>_<uid>` of all pods that are not at their end, as sidecars hold a lock by. */
  identities: Set<string>
  /** By cluster id: what will make pods though there may be none now, and what keeps it from that. */
  wanting: Map<string, string[]>
  /** JobManagers whose cluster id nothing here tells: pods that are not at their end, and what makes pods. */
  unknown: { pods: string[]; workloads: string[] }
}

const WORKLOADS: readonly WorkloadKind[] = ['Deployment', 'StatefulSet', 'Job']
/** Of Flink's operator, which makes the object's name the cluster id. */
const OPERATORS_API = '/apis/flink.apache.org/v1beta1'
const flinkDeployments = (namespace: string): string => `${OPERATORS_API}/namespaces/${namespace}/flinkdeployments`

/** `remedy` undefined: it makes no pods. */
type Found = { what: string; isPod: boolean; remedy: string | undefined; mentions: Mentions }

/** @throws Error that says what is not shown: then nothing can be said about anybody's absence */
export const readUsers = async (cluster: Cluster, namespace: string): Promise<Users> => {
  const pods = ((await listed(cluster, collectionOf('Pod', namespace))) as Json[]).filter(isLive)
  const users = [
    ...pods.map(pod => foundOf('Pod', pod, pod)),
    ...(await Promise.all(WORKLOADS.map(kind => workloads(cluster, kind, namespace)))).flat(),
  ]
  const configured = await configuredIds(cluster, namespace, users)
  const idsOf = ({ mentions }: Found, which: keyof Ids): string[] => [
    ...mentions[which],
    ...mentions.configMaps.flatMap(name => configured.get(name)?.[which] ?? []),
  ]
  const named = [
    ...users.map(user => ({ ...user, ids: idsOf(user, 'ids') })),
    ...(await operated(cluster, namespace)).map(operatedOf),
  ]
  const unknown = users.filter(user => user.mentions.isJobManager && idsOf(user, 'told').length === 0)
  return {
    byId: grouped(named),
    pods: grouped(named.filter(({ isPod }) => isPod)),
    identities: new Set(pods.map(pod => `${nameOf(pod)}_${textOf(at(pod, 'metadata')['uid'])}`)),
    wanting: grouped(
      named.flatMap(({ what, ids, remedy }) => (remedy === undefined ? [] : [{ what: `${what}: ${remedy}`, ids }])),
    ),
    unknown: {
      pods: unknown.filter(({ isPod }) => isPod).map(({ what }) => what),
      workloads: unknown.filter(({ isPod }) => !isPod).map(({ what }) => what),
    },
  }
}

const foundOf = (kind: 'Pod' | WorkloadKind, object: Json, template: unknown): Found => ({
  what: `${kind} ${nameOf(object)}`,
  isPod: kind === 'Pod',
  remedy: kind === 'Pod' ? undefined : remedyOf(kind, object),
  mentions: mentionsIn(template),
})

const operatedOf = (object: Json) => ({
  what: `FlinkDeployment ${nameOf(object)}`,
  isPod: false,
  remedy: remedyOf('FlinkDeployment', object),
  ids: [nameOf(object)],
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
): Promise<Map<string, Ids>> => {
  const names = [...new Set(users.flatMap(({ mentions }) => mentions.configMaps))]
  const idsOf = async (name: string): Promise<[string, Ids]> => [
    name,
    idsInConfiguration(await found(cluster, configMapPath(namespace, name))),
  ]
  return new Map(await Promise.all(names.map(idsOf)))
}

const operated = async (cluster: Cluster, namespace: string): Promise<Json[]> => {
  const list = await readList(cluster, flinkDeployments(namespace))
  if (list.ok) return list.items
  // Without the operator there is no such API. Rights are judged before that; what APIs there are is shown to everybody.
  if (list.status === 404 || (list.status === 403 && (await isMissing(cluster, OPERATORS_API)))) return []
  throw new Error(`${flinkDeployments(namespace)} is not shown to you: ${list.why}`)
}

const isMissing = async (cluster: Cluster, path: string): Promise<boolean> => {
  const one = await read(cluster, path)
  return !one.ok && one.status === 404
}

const grouped = (users: readonly { what: string; ids: readonly string[] }[]): Map<string, string[]> => {
  const byId = new Map<string, string[]>()
  for (const { what, ids } of users) for (const id of new Set(ids)) byId.set(id, [...(byId.get(id) ?? []), what])
  return byId
}
