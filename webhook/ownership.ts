/**
 * The ownership tree: what goes when a JobManagers' Deployment or StatefulSet is deleted. Flink's Services, its configuration
 * and its TaskManagers' workloads do; the HA ConfigMaps, which a later cluster of the same id resumes from, never.
 *
 * An object that has an owner which we did not give it is left alone, and so is one that is used by somebody else too. What
 * we set is noted on the object, by the owner's uid, so that no more than that is ever taken back. A reference to an owner
 * that is gone is never taken back: the garbage collector may be on its way to the object because of it.
 *
 * Who uses a ConfigMap is known of Deployments, StatefulSets and Jobs alone: a CronJob, a DaemonSet or a bare pod that mounts
 * Flink's configuration is not seen. Whoever has such sets the annotation `flink-ha.io/owner: none` on the ConfigMap, or on any
 * other object: then we leave the owners of it alone, those that it has included.
 */
import {
  ANNOTATION_LEADER,
  ANNOTATION_OWNER_SET,
  LABEL_CLUSTER,
  LABEL_COMPONENT,
  LABEL_ROLE,
  LOCK_SUFFIX,
} from '../shared/names.ts'
import { memberOf, type OwnerReference } from './pod.ts'
import type { Meta, ServiceFacts, Workload } from './workload.ts'

/** In place of the uids, set by a user: hands off. */
const NO_OWNER = 'none'

/** A JobManagers' workload, and the ids of the clusters that its pods have belonged to, as far as known. */
export type JobManagers = { workload: Workload; ids: readonly string[] }

/** A job's ConfigMap: `<cluster-id>-<job id>-config-map`, 32 hexadecimal digits. */
const JOB_CONFIG_MAP = /-[0-9a-f]{32}-config-map$/

/** By name, label and annotation, each of which is enough: Flink 2 sets no label of its own any more. */
export const isHaConfigMap = ({ name, labels, annotations }: Meta): boolean =>
  memberOf(labels, 'configmap-type') === 'high-availability' ||
  memberOf(annotations, ANNOTATION_LEADER) !== undefined ||
  name.endsWith(LOCK_SUFFIX) ||
  JOB_CONFIG_MAP.test(name)

/** Not a controller, which would adopt; not blocking, which asks rights of whoever makes the object (OpenShift). */
const referenceTo = ({ apiVersion, kind, metadata }: Workload): OwnerReference => ({
  apiVersion,
  kind,
  name: metadata.name,
  uid: metadata.uid ?? '',
})

/** A Job ends by itself and leaves its cluster behind on purpose: its tree is not ours to take down. */
const canOwn = ({ workload }: JobManagers): boolean => workload.kind !== 'Job'

const workloadsOf = (jobManagers: readonly JobManagers[]): Workload[] => jobManagers.map(({ workload }) => workload)

/**
 * The owners of a TaskManagers' workload: by the cluster id if both tell one, else by the label `app`, as long as that names
 * one JobManagers' workload alone.
 */
export const ownersOfTaskManagers = (taskManagers: Workload, jobManagers: readonly JobManagers[]): Workload[] => {
  const { clusterId, labels, role, kind } = taskManagers
  if (role !== 'taskmanager' || kind === 'Job') return []
  const byId = clusterId === undefined ? [] : jobManagers.filter(({ ids }) => ids.includes(clusterId))
  if (byId.length > 0) return workloadsOf(byId.filter(canOwn))
  const app = memberOf(labels, 'app')
  const byApp = jobManagers.filter(({ workload }) => app !== undefined && memberOf(workload.labels, 'app') === app)
  const isOther = clusterId !== undefined && byApp.some(({ ids }) => ids.length > 0)
  return byApp.length === 1 && !isOther ? workloadsOf(byApp.filter(canOwn)) : []
}

/**
 * The owners of a Service: of those that select JobManagers, or TaskManagers, that all have or are an owner, and nothing else.
 * One that leads to a Job's JobManagers as well, or to some that opted out, has to outlive the others.
 */
export const ownersOfService = (
  { spec }: ServiceFacts,
  workloads: readonly Workload[],
  jobManagers: readonly JobManagers[],
): Workload[] => {
  const selector = Object.entries((spec['selector'] ?? {}) as { [name: string]: string })
  const component = selector.find(([name]) => name === LABEL_COMPONENT)?.[1]
  if (component === 'taskmanager') {
    const selected = workloads.filter(({ labels }) => fits(selector, labels))
    const owners = selected.map(workload => ownersOfTaskManagers(workload, jobManagers))
    return owners.some(found => found.length === 0) ? [] : [...new Set(owners.flat())]
  }
  if (component !== 'jobmanager' && !selector.some(([name]) => name === LABEL_CLUSTER)) return []
  // Both are on the pods alone, put there by the webhook or by the sidecar.
  const ofPods = [LABEL_CLUSTER, LABEL_ROLE]
  const ofTemplate = selector.filter(([name]) => !ofPods.includes(name))
  const clusters = selector.filter(([name]) => name === LABEL_CLUSTER)
  const selects = ({ workload, ids }: JobManagers): boolean =>
    fits(ofTemplate, workload.labels) && clusters.every(([, id]) => ids.includes(id))
  const selected = jobManagers.filter(selects)
  // Pods of these get no label from us: what the template has is all.
  const others = workloads.filter(other => !jobManagers.some(({ workload }) => workload === other))
  const isShared = others.some(({ labels }) => isOfJobManagers(labels) && fits(selector, labels))
  return isShared || !selected.every(canOwn) ? [] : workloadsOf(selected)
}

const isOfJobManagers = (labels: { [name: string]: string }): boolean =>
  memberOf(labels, LABEL_COMPONENT) === 'jobmanager'

const fits = (selector: readonly [string, string][], labels: { [name: string]: string }): boolean =>
  selector.every(([name, value]) => memberOf(labels, name) === value)

/** The owners of a ConfigMap: those that mount it as Flink's configuration, unless anybody else's pods need it as well. */
export const ownersOfConfigMap = (
  configMap: Meta,
  workloads: readonly Workload[],
  jobManagers: readonly JobManagers[],
): Workload[] => {
  if (isHaConfigMap(configMap)) return []
  const { name } = configMap
  const owners = workloadsOf(jobManagers.filter(canOwn)).filter(({ configuration }) => configuration.includes(name))
  const isOfTree = (user: Workload): boolean =>
    owners.includes(user) || ownersOfTaskManagers(user, jobManagers).some(owner => owners.includes(owner))
  const users = workloads.filter(({ configMaps }) => configMaps.includes(name))
  return users.every(isOfTree) ? owners : []
}

/** The metadata of a merge patch. */
export type OwnerPatch = {
  resourceVersion?: string
  ownerReferences: OwnerReference[]
  annotations: { [name: string]: string | null }
}

/** What makes the owners of an object that are ours the given ones; undefined when they are. */
export const ownerPatch = (
  metadata: Meta,
  owners: readonly Workload[],
  workloads: readonly Workload[],
): OwnerPatch | undefined => {
  const { ownerReferences: present = [], resourceVersion, annotations } = metadata
  const noted = memberOf(annotations, ANNOTATION_OWNER_SET)
  if (noted === NO_OWNER) return undefined
  const ours = new Set((noted ?? '').split(','))
  const foreign = present.filter(({ uid }) => !ours.has(uid))
  const alive = new Set(workloads.map(workload => workload.metadata.uid))
  const gone = present.filter(({ uid }) => ours.has(uid) && !alive.has(uid))
  // A workload that is being deleted keeps what it has, and gets nothing.
  const isPresent = (uid: string | undefined): boolean => present.some(reference => reference.uid === uid)
  const wanted = (foreign.length > 0 ? [] : owners)
    .filter(({ metadata: { uid, deletionTimestamp } }) => deletionTimestamp === undefined || isPresent(uid))
    .map(referenceTo)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const next = [...foreign, ...gone, ...wanted]
  const note = [...gone, ...wanted].map(({ uid }) => uid).join(',')
  const same = present.length === next.length && next.every(({ uid }) => isPresent(uid)) && (noted ?? '') === note
  if (same) return undefined
  return {
    ...(resourceVersion !== undefined && { resourceVersion }),
    ownerReferences: next,
    annotations: { [ANNOTATION_OWNER_SET]: note === '' ? null : note },
  }
}

/** The owners that a patch adds to what an object has. */
export const ownersAdded = (
  { ownerReferences: present = [] }: Meta,
  patch: OwnerPatch | undefined,
  owners: readonly Workload[],
): Workload[] => {
  const names = (references: readonly OwnerReference[], { metadata }: Workload): boolean =>
    references.some(({ uid }) => uid === metadata.uid)
  return owners.filter(owner => names(patch?.ownerReferences ?? [], owner) && !names(present, owner))
}
