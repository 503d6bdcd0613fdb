// Which ConfigMaps are the HA data of which cluster. By name and by labels, both of which Flink gives them
// (`KubernetesUtils.getConfigMapLabels`): one that has the name alone may be anybody's, and one that has the labels alone is
// Flink's configuration, or the autoscaler's memory. The label `app` says the cluster id, so that the job of cluster `a` and
// whatever cluster `a-b` has are never taken for each other.
import { isClusterId } from '../shared/cluster-id.ts'
import type { Metadata } from '../shared/lock.ts'
import { FLINK_TYPE_LABEL, JOB_SUFFIX, LOCK_SUFFIX } from '../shared/names.ts'

export const JOB_ID = /^[0-9a-f]{32}$/

/** `jobId` undefined: the lock. */
export type HaName = { clusterId: string; jobId: string | undefined }

export const lockName = (clusterId: string): string => `${clusterId}${LOCK_SUFFIX}`
export const jobConfigMapName = (clusterId: string, jobId: string): string => `${clusterId}-${jobId}${JOB_SUFFIX}`

/** What finds them; Flink 2 sets no label of high availability's own any more. */
export const haSelector = (clusterId?: string): string =>
  `${clusterId === undefined ? '' : `app=${clusterId},`}${FLINK_TYPE_LABEL.name}=${FLINK_TYPE_LABEL.value}`

type Labels = { [name: string]: string }

/** As Flink labels its HA data, and every candidate the Lease that it makes. */
export const isLabelled = (labels: Labels, clusterId: string): boolean =>
  labels['app'] === clusterId && labels[FLINK_TYPE_LABEL.name] === FLINK_TYPE_LABEL.value

/** The same in words. */
export const labelsText = (clusterId: string): string =>
  `the labels app=${clusterId} and ${FLINK_TYPE_LABEL.name}=${FLINK_TYPE_LABEL.value}`

/** undefined: not HA data, as far as both tell. */
export const haNameOf = ({ name, labels = {} }: Pick<Metadata, 'name' | 'labels'>): HaName | undefined => {
  const clusterId = labels['app'] ?? ''
  if (!isLabelled(labels, clusterId) || isAutoscalers(labels)) return undefined
  return isClusterId(clusterId) ? byName(name, clusterId) : undefined
}

/** The same, by the name alone: what the name would be in this cluster. */
const byName = (name: string, clusterId: string): HaName | undefined => {
  if (name === lockName(clusterId)) return { clusterId, jobId: undefined }
  if (!name.startsWith(`${clusterId}-`) || !name.endsWith(JOB_SUFFIX)) return undefined
  const jobId = name.slice(clusterId.length + 1, -JOB_SUFFIX.length)
  return JOB_ID.test(jobId) ? { clusterId, jobId } : undefined
}

/** Of Flink's operator, which keeps them when it removes HA data. */
const isAutoscalers = (labels: Labels): boolean => labels['component'] === 'autoscaler'

/** Why a ConfigMap that could be taken for HA data of this cluster is not; undefined when nobody would, or when it is. */
export const foreignReason = (clusterId: string, metadata: Pick<Metadata, 'name' | 'labels'>): string | undefined => {
  const { name, labels = {} } = metadata
  if (isAutoscalers(labels) || haNameOf(metadata)?.clusterId === clusterId) return undefined
  if (byName(name, clusterId) !== undefined) return `it has the name of HA data, but not ${labelsText(clusterId)}`
  return isLabelled(labels, clusterId) && name.endsWith(JOB_SUFFIX)
    ? 'it has the labels of HA data, but not the name'
    : undefined
}
