// What the reconciler keeps of the objects of a namespace: the few facts that it decides on. A workload is whatever makes pods
// from a template: Deployment, StatefulSet, Job. What is written by others may lack anything, or hold `null` instead.
import type { KubeObject } from '../shared/list-watch.ts'
import type { Metadata } from '../shared/lock.ts'
import { ANNOTATION_INJECTED, DOMAIN, LABEL_CLUSTER, LABEL_INJECT } from '../shared/names.ts'
import { clusterIdOf } from './cluster-id.ts'
import {
  annotationOf,
  labelOf,
  memberOf,
  type OwnerReference,
  type PodMetadata,
  type PodTemplate,
  type Role,
  roleOf,
} from './pod.ts'

type Json = { [field: string]: unknown }
export type Meta = Metadata & { ownerReferences?: OwnerReference[]; deletionTimestamp?: string }

export type WorkloadKind = 'Deployment' | 'StatefulSet' | 'Job'
export type Workload = {
  metadata: Meta
  apiVersion: string
  kind: WorkloadKind
  /** Undefined: not Flink's, or a template that wants to be left alone. */
  role: Role | undefined
  /** Its pods ask for the sidecar by themselves, whatever their namespace says. */
  asks: boolean
  /** As far as the template tells it. */
  clusterId: string | undefined
  /** Name of the service account of its pods. */
  account: string
  /** Labels of the template. */
  labels: { [name: string]: string }
  /** Labels by which the workload knows its pods; undefined when it says more than labels can. */
  selector: { [name: string]: string } | undefined
  /** ConfigMaps that its pods need, whatever for. */
  configMaps: string[]
  /** Those of them that are mounted as Flink's configuration. */
  configuration: string[]
}

/** A JobManager's pod that has the sidecar. */
export type InjectedPod = { metadata: Meta; account: string; clusterId: string | undefined }
export type ServiceFacts = { metadata: Meta; spec: Json }
export type RoleBindingFacts = { metadata: Meta; roleRef: unknown; subjects: unknown }

export const API_VERSIONS = { Deployment: 'apps/v1', StatefulSet: 'apps/v1', Job: 'batch/v1' } as const

/** Where Flink's image expects its configuration (`FLINK_CONF_DIR` of its `config.sh`). */
const CONF_DIR = '/opt/flink/conf'

/** Of annotations, which may be large, only our own are of interest; a copy, with nothing else but what identifies. */
export const metaOf = ({ metadata }: { metadata: Metadata }): Meta => {
  const { name, namespace, uid, resourceVersion, labels, annotations, ownerReferences, deletionTimestamp } =
    metadata as Meta
  const ours = Object.entries(annotations ?? {}).filter(([key]) => key.startsWith(`${DOMAIN}/`))
  return {
    name,
    ...(namespace !== undefined && { namespace }),
    ...(uid !== undefined && { uid }),
    ...(resourceVersion !== undefined && { resourceVersion }),
    ...(labels && { labels }),
    ...(ours.length > 0 && { annotations: Object.fromEntries(ours) }),
    ...(ownerReferences && ownerReferences.length > 0 && { ownerReferences }),
    ...(deletionTimestamp !== undefined && { deletionTimestamp }),
  }
}

export const workloadOf = (kind: WorkloadKind, object: KubeObject): Workload => {
  const spec = mapOf((object as Json)['spec'])
  const template = templateOf(spec['template'])
  const { matchLabels, matchExpressions } = mapOf(spec['selector'])
  const isPlain = listOf(matchExpressions).length === 0 && Object.keys(mapOf(matchLabels)).length > 0
  const role = optedOut(template) ? undefined : roleOf(template)
  return {
    metadata: metaOf(object),
    apiVersion: API_VERSIONS[kind],
    kind,
    role,
    asks: role !== undefined && asksItself(template.metadata ?? {}),
    clusterId: role && clusterIdOf(template)?.id,
    account: accountOf(template.spec),
    labels: template.metadata?.labels ?? {},
    selector: isPlain ? (matchLabels as { [name: string]: string }) : undefined,
    configMaps: configMapsOf(template),
    configuration: role === undefined ? [] : configurationOf(template),
  }
}

/** Whether its pods are JobManagers that get the sidecar, and so need what the reconciler keeps for them. */
export const getsSidecar = ({ role, asks }: Workload, namespaceAsks: boolean): boolean =>
  role === 'jobmanager' && (namespaceAsks || asks)

/** Undefined when the pod has no sidecar, or has come to its end. */
export const injectedPodOf = (object: KubeObject): InjectedPod => {
  const phase = mapOf((object as Json)['status'])['phase']
  const metadata = metaOf(object)
  // A pod that ran to its end needs nothing any more, but is kept, often for days.
  const ended = phase === 'Succeeded' || phase === 'Failed'
  if (ended) delete metadata.annotations
  return {
    metadata,
    account: accountOf(mapOf((object as Json)['spec'])),
    clusterId: memberOf(metadata.labels, LABEL_CLUSTER),
  }
}

/** Of a pod, or of a template: whether it asks for the sidecar, in whatever namespace. */
const asksItself = ({ labels, annotations }: Pick<PodMetadata, 'labels' | 'annotations'>): boolean =>
  [labels, annotations].some(map => memberOf(map, LABEL_INJECT) === 'true')

export const isInjected = ({ metadata }: { metadata: Meta }): boolean =>
  memberOf(metadata.annotations, ANNOTATION_INJECTED) !== undefined

/** Of a JobManagers' pod: whether it has the sidecar, or asks for it by itself. */
export const isWithUs = (pod: { metadata: Meta }): boolean => isInjected(pod) || asksItself(pod.metadata)

export const serviceOf = (object: KubeObject): ServiceFacts => ({
  metadata: metaOf(object),
  spec: mapOf((object as Json)['spec']),
})

export const roleBindingOf = (object: KubeObject): RoleBindingFacts => ({
  metadata: metaOf(object),
  roleRef: (object as Json)['roleRef'],
  subjects: (object as Json)['subjects'],
})

const optedOut = (template: PodTemplate): boolean =>
  labelOf(template, LABEL_INJECT) === 'false' || annotationOf(template, LABEL_INJECT) === 'false'

const mapOf = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
const listOf = (value: unknown): Json[] => (Array.isArray(value) ? value.map(mapOf) : [])
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Each list that is read is a list of maps. */
const templateOf = (value: unknown): PodTemplate => {
  const template = mapOf(value)
  const spec = mapOf(template['spec'])
  const containers = listOf(spec['containers']).map(container => ({ ...container, name: textOf(container['name']) }))
  return { ...template, spec: { ...spec, containers } } as PodTemplate
}

/** `serviceAccount` is the field's old name, which the API server fills in too. */
const accountOf = (spec: Json): string =>
  textOf(spec['serviceAccountName']) || textOf(spec['serviceAccount']) || 'default'

const containersOf = ({ spec }: PodTemplate): Json[] => [...listOf(spec['initContainers']), ...listOf(spec.containers)]

const configMapsOf = (template: PodTemplate): string[] => {
  const mounted = listOf(template.spec['volumes']).flatMap(configMapsOfVolume)
  const read = containersOf(template).flatMap(({ env, envFrom }) => [
    ...listOf(env).map(({ valueFrom }) => mapOf(mapOf(valueFrom)['configMapKeyRef'])['name']),
    ...listOf(envFrom).map(({ configMapRef }) => mapOf(configMapRef)['name']),
  ])
  return distinct([...mounted, ...read.map(textOf)])
}

const configMapsOfVolume = (volume: Json): string[] => [
  textOf(mapOf(volume['configMap'])['name']),
  ...listOf(mapOf(volume['projected'])['sources']).map(source => textOf(mapOf(source['configMap'])['name'])),
]

/** What is mounted as Flink's configuration folder, or file by file into it: other ConfigMaps may be anybody's. */
const configurationOf = (template: PodTemplate): string[] => {
  const volumes = new Map(listOf(template.spec['volumes']).map(volume => [textOf(volume['name']), volume]))
  const found = listOf(template.spec.containers).flatMap(container => {
    const given = listOf(container['env']).find(({ name }) => name === 'FLINK_CONF_DIR')?.['value']
    const dir = (textOf(given) || CONF_DIR).replace(/\/+$/, '')
    return listOf(container['volumeMounts'])
      .filter(({ mountPath }) => `${textOf(mountPath).replace(/\/+$/, '')}/`.startsWith(`${dir}/`))
      .flatMap(({ name }) => configMapsOfVolume(volumes.get(textOf(name)) ?? {}))
  })
  return distinct(found)
}

const distinct = (names: readonly string[]): string[] => [...new Set(names.filter(name => name !== ''))].sort()
