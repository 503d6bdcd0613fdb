// What a pod's annotations say about how it is to be injected. A wish is obeyed or refused, never dropped: a value that
// cannot be used is a problem that names annotation, value and what would be right; an unknown annotation of ours is a warning.
import { CLUSTER_ID_RULE, isClusterId } from '../shared/cluster-id.ts'
import {
  ANNOTATION_CLUSTER_ID,
  ANNOTATION_END_DEPOSED,
  ANNOTATION_FAILSAFE,
  ANNOTATION_INJECTED,
  ANNOTATION_LOCK,
  ANNOTATION_PROFILE,
  ANNOTATION_RESOURCES,
  ANNOTATION_TASKMANAGER,
  DOMAIN,
  LABEL_CLUSTER,
  LABEL_INJECT,
  PORT_POD,
} from '../shared/names.ts'
import { PROFILES } from '../shared/timings.ts'
import { clusterIdOf, toldByFlink } from './cluster-id.ts'
import { flinkContainers } from './flink-containers.ts'
import { annotationOf, labelOf, type Pod, type Role } from './pod.ts'
import { parseQuantity } from './quantity.ts'
import { shown } from './shape.ts'
import { isDeposedProbe } from './sidecar-spec.ts'

export type ResourceName = keyof typeof ANNOTATION_RESOURCES
export type Resources = { [name in ResourceName]: string | undefined }
export type TaskManagerMode = (typeof TASKMANAGER_MODES)[number]
export type PodSettings = {
  /** undefined: the sidecar learns it from Flink's first request. */
  clusterId: string | undefined
  /** undefined: the sidecar's own default. */
  profile: string | undefined
  lock: string | undefined
  /** Whether Flink's container gets a liveness probe that ends a deposed JVM. */
  endDeposed: boolean
  failsafe: string | undefined
  taskmanager: TaskManagerMode
  resources: Resources
}
export type ReadSettings = { settings: PodSettings; problems: string[]; warnings: string[] }

export const TASKMANAGER_MODES = ['sidecar', 'service', 'off'] as const
export const LOCKS = ['configmap', 'lease'] as const
export const FAILSAFE = ['true', 'false'] as const

/** Each by itself: one annotation does not undo the other defaults. No CPU limit: throttled renewals lose elections. */
export const DEFAULT_RESOURCES: { [role in Role]: Resources } = {
  jobmanager: { 'cpu-request': '100m', 'cpu-limit': undefined, 'memory-request': '64Mi', 'memory-limit': '128Mi' },
  taskmanager: { 'cpu-request': '50m', 'cpu-limit': undefined, 'memory-request': '64Mi', 'memory-limit': '128Mi' },
}

const KNOWN_ANNOTATIONS: readonly string[] = [
  LABEL_INJECT,
  ANNOTATION_INJECTED,
  ANNOTATION_CLUSTER_ID,
  ANNOTATION_PROFILE,
  ANNOTATION_LOCK,
  ANNOTATION_END_DEPOSED,
  ANNOTATION_FAILSAFE,
  ANNOTATION_TASKMANAGER,
  ...Object.values(ANNOTATION_RESOURCES),
]

/** Only what applies to the role is read: one template's annotations may serve both. */
export const readPodSettings = (pod: Pod, role: Role): ReadSettings => {
  const problems: string[] = []
  const choice = (name: string, choices: readonly string[]): string | undefined => {
    const value = annotationOf(pod, name)
    if (value === undefined || choices.includes(value)) return value
    problems.push(`annotation ${name} is ${shown(value)}: ${choices.map(one => `"${one}"`).join(', ')} are allowed`)
    return undefined
  }
  const settings: PodSettings = {
    clusterId: readClusterId(pod, problems),
    profile: role === 'jobmanager' ? choice(ANNOTATION_PROFILE, Object.keys(PROFILES)) : undefined,
    lock: role === 'jobmanager' ? choice(ANNOTATION_LOCK, LOCKS) : undefined,
    endDeposed: role === 'jobmanager' && choice(ANNOTATION_END_DEPOSED, ['true', 'false']) === 'true',
    failsafe: role === 'jobmanager' ? choice(ANNOTATION_FAILSAFE, FAILSAFE) : undefined,
    taskmanager: 'sidecar',
    resources: DEFAULT_RESOURCES[role],
  }
  if (role === 'taskmanager')
    settings.taskmanager = (choice(ANNOTATION_TASKMANAGER, TASKMANAGER_MODES) as TaskManagerMode) ?? 'sidecar'
  settings.resources = readResources(pod, role, problems)
  const warnings = [...readWarnings(pod), ...(settings.endDeposed ? ownProbes(pod, role) : [])]
  return { settings, problems, warnings }
}

/** Two liveness probes cannot be had, and the user's is not ours to replace. */
const ownProbes = (pod: Pod, role: Role): string[] =>
  flinkContainers(pod, role).flatMap(index => {
    const { name, livenessProbe } = pod.spec.containers[index]!
    if (livenessProbe === undefined || livenessProbe === null || isDeposedProbe(livenessProbe)) return []
    const rule = `httpGet of path /jvm on port ${PORT_POD}, terminationGracePeriodSeconds 1`
    return [
      `annotation ${ANNOTATION_END_DEPOSED}: container ${shown(name)} has a livenessProbe of its own; it needs ${rule}`,
    ]
  })

const readClusterId = (pod: Pod, problems: string[]): string | undefined => {
  const wish = annotationOf(pod, ANNOTATION_CLUSTER_ID)
  if (wish !== undefined && !isClusterId(wish))
    problems.push(`annotation ${ANNOTATION_CLUSTER_ID} is ${shown(wish)}: ${CLUSTER_ID_RULE}`)
  const known = clusterIdOf(pod)
  const label = labelOf(pod, LABEL_CLUSTER)
  // Never overwritten: a ReplicaSet that selects by it would let go of the pod, and make another, without end.
  if (label !== undefined && label !== known?.id)
    problems.push(`label ${LABEL_CLUSTER} is ${shown(label)}: the cluster id ${shown(known?.id)} or no such label`)
  return known?.id
}

const readResources = (pod: Pod, role: Role, problems: string[]): Resources => {
  const given: Partial<Resources> = {}
  for (const [name, annotation] of Object.entries(ANNOTATION_RESOURCES) as [ResourceName, string][]) {
    const value = annotationOf(pod, annotation)
    if (value === undefined) continue
    if (parseQuantity(value) === undefined)
      problems.push(`annotation ${annotation} is ${shown(value)}: a quantity such as "100m" or "64Mi" is needed`)
    else given[name] = value
  }
  const resources = { ...DEFAULT_RESOURCES[role], ...given }
  for (const kind of ['cpu', 'memory'] as const) {
    const [request, limit] = [resources[`${kind}-request`], resources[`${kind}-limit`]]
    if (request === undefined || limit === undefined || sizeOf(request) <= sizeOf(limit)) continue
    // Kubernetes refuses a request above its limit. Of a wish and a default the default gives way.
    if (given[`${kind}-limit`] === undefined) resources[`${kind}-limit`] = request
    else if (given[`${kind}-request`] === undefined) resources[`${kind}-request`] = limit
    else
      problems.push(
        `annotation ${ANNOTATION_RESOURCES[`${kind}-request`]} is ${shown(request)}: at most the limit ${shown(limit)} is needed`,
      )
  }
  return resources
}

const sizeOf = (quantity: string): number => parseQuantity(quantity) ?? 0

const readWarnings = (pod: Pod): string[] => {
  const unknown = Object.keys(pod.metadata.annotations ?? {}).filter(
    name => name.startsWith(`${DOMAIN}/`) && !KNOWN_ANNOTATIONS.includes(name),
  )
  const warnings = unknown.map(name => `annotation ${name} is not known`)
  const [wish, told] = [annotationOf(pod, ANNOTATION_CLUSTER_ID), toldByFlink(pod)]
  if (wish !== undefined && told !== undefined && told.from !== 'cluster label' && told.id !== wish)
    warnings.push(`annotation ${ANNOTATION_CLUSTER_ID} is "${wish}", but Flink is told "${told.id}" (${told.from})`)
  return warnings
}
