// The part of a Pod that we read or write. Everything else passes through untouched: a webhook that knows only the fields
// of its own release drops those of the next one (`restartPolicy` and `startupProbe` were lost that way elsewhere).
import { LABEL_COMPONENT } from '../shared/names.ts'

export type TextMap = { [name: string]: string }
export type OwnerReference = {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}
export type EnvVar = { name: string; value?: string; valueFrom?: unknown }
export type ContainerPort = { containerPort?: number; hostPort?: number; protocol?: string; name?: string }
/** JSON from elsewhere may say `null` where nothing is. */
export type Container = {
  name: string
  image?: string
  command?: string[] | null
  args?: string[] | null
  env?: EnvVar[] | null
  ports?: ContainerPort[] | null
  restartPolicy?: string
  [field: string]: unknown
}
export type Volume = { name: string; [field: string]: unknown }
export type PodMetadata = {
  name?: string
  generateName?: string
  namespace?: string
  labels?: TextMap | null
  annotations?: TextMap | null
  ownerReferences?: OwnerReference[] | null
  [field: string]: unknown
}
export type PodSpec = {
  containers: Container[]
  initContainers?: Container[] | null
  volumes?: Volume[] | null
  hostNetwork?: boolean
  shareProcessNamespace?: boolean
  os?: { name?: string } | null
  nodeSelector?: TextMap | null
  securityContext?: { runAsUser?: number; [field: string]: unknown } | null
  [field: string]: unknown
}
export type Pod = {
  apiVersion?: string
  kind?: string
  metadata: PodMetadata
  spec: PodSpec
  [field: string]: unknown
}
/** What both a Pod and a workload's pod template have. */
export type PodTemplate = { metadata?: PodMetadata | null; spec: PodSpec }

export type Role = 'jobmanager' | 'taskmanager'

/** The member of a map that is its own: `constructor` is not a label that anybody set. */
export const memberOf = (map: TextMap | null | undefined, name: string): string | undefined =>
  map !== null && map !== undefined && Object.hasOwn(map, name) ? map[name] : undefined
export const labelOf = (pod: PodTemplate, name: string): string | undefined => memberOf(pod.metadata?.labels, name)
export const annotationOf = (pod: PodTemplate, name: string): string | undefined =>
  memberOf(pod.metadata?.annotations, name)

/** By the label that Flink's documentation, its native mode and its operator set alike. */
export const roleOf = (pod: PodTemplate): Role | undefined => {
  const component = labelOf(pod, LABEL_COMPONENT)
  return component === 'jobmanager' || component === 'taskmanager' ? component : undefined
}

/** All containers that share the pod's network, init containers first. */
export const allContainers = (pod: PodTemplate): Container[] => [
  ...(pod.spec.initContainers ?? []),
  ...pod.spec.containers,
]

/** How the pod is called in a log: its name is made only after admission. */
export const nameOf = (pod: PodTemplate): string =>
  pod.metadata?.name || (pod.metadata?.generateName ? `${pod.metadata.generateName}*` : '(no name)')
