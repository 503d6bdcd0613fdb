// A cluster's HA data as the API server has it: the ConfigMaps by their labels, in one list and so of one moment, and what may
// hold the lock: the ConfigMap of that name whatever its labels are, and the Lease.
import { type ConfigMap, haLabels, type Lease } from '../shared/lock.ts'
import { leasesPath } from '../shared/lock-writes.ts'
import { type HaData, haDataOf } from '../sidecar/ha-data.ts'
import { haSelector, isLabelled, labelsText, lockName } from '../sidecar/ha-names.ts'
import { configMapsPath, leaseName } from '../sidecar/lock-store.ts'
import { type Read, read, readList } from './check-api.ts'
import type { Cluster } from './cluster.ts'

export type ClusterName = { namespace: string; clusterId: string }
export type HaStore = ClusterName & {
  data: HaData
  /** Of the lock's name; also one that lacks Flink's labels, for a candidate takes it as it is. */
  lock: ConfigMap | undefined
  lease: Lease | undefined
  /** Somebody else has a Lease of the name that ours would have. */
  hasStrangersLease: boolean
}

export const configMapPath = (namespace: string, name: string): string => `${configMapsPath(namespace)}/${name}`
export const leasePath = (namespace: string, name: string): string => `${leasesPath(namespace)}/${name}`

/** @throws Error that says what is not shown */
export const readHaStore = async (cluster: Cluster, { namespace, clusterId }: ClusterName): Promise<HaStore> => {
  const configMaps = (await listed(cluster, configMapsPath(namespace), haSelector(clusterId))) as ConfigMap[]
  const lock =
    configMaps.find(({ metadata }) => metadata.name === lockName(clusterId)) ??
    ((await found(cluster, configMapPath(namespace, lockName(clusterId)))) as ConfigMap | undefined)
  const lease = (await found(cluster, leasePath(namespace, leaseName(clusterId)))) as Lease | undefined
  // `<cluster id>-leader` is a name that others use, too.
  const isOwn = lease === undefined || isLabelled(lease.metadata.labels ?? {}, clusterId)
  const all = lock === undefined || configMaps.includes(lock) ? configMaps : [...configMaps, lock]
  const data = haDataOf(clusterId, all)
  if (isOwn) return { namespace, clusterId, data, lock, lease, hasStrangersLease: false }
  const problem = `the Lease of that name lacks ${labelsText(clusterId)}: somebody else’s`
  const problems = [...data.problems, { configMap: leaseName(clusterId), key: '', problem }]
  return { namespace, clusterId, data: { ...data, problems }, lock, lease: undefined, hasStrangersLease: true }
}

/** The lock lacks Flink's labels, and with it the plans would be left out: what is wrong, and what mends it; undefined: it does not. */
export const unlabelledLock = ({ namespace, clusterId, lock, data }: HaStore): string | undefined => {
  if (lock === undefined || data.lock !== undefined) return undefined
  const { name, labels = {} } = lock.metadata
  const missing = Object.entries(haLabels(clusterId)).filter(([label, value]) => labels[label] !== value)
  const texts = missing.map(([label, value]) => `${label}=${value}`)
  const mending = `kubectl -n ${namespace} label --overwrite configmap ${name} ${texts.join(' ')}`
  return `ConfigMap ${name} has the name of this cluster’s lock and may have plans of jobs, but lacks the labels ${texts.join(', ')}: if it is the lock, ${mending} mends it`
}

/** What is this cluster's, the lock last. */
export const ownMaps = ({ lock, jobMaps }: HaData): ConfigMap[] => [
  ...jobMaps.values(),
  ...(lock === undefined ? [] : [lock]),
]

/** @throws Error when it is not shown */
export const listed = async (cluster: Cluster, path: string, selector = ''): Promise<object[]> => {
  const list = await readList(cluster, path, selector)
  if (!list.ok) throw new Error(`${path} is not shown to you: ${list.why}`)
  return list.items
}

/** undefined: there is none. @throws Error when it is not shown */
export const found = async (cluster: Cluster, path: string): Promise<object | undefined> => {
  const one: Read = await read(cluster, path)
  if (one.ok) return one.object
  if (one.status === 404) return undefined
  throw new Error(`${path} is not shown to you: ${one.why}`)
}
