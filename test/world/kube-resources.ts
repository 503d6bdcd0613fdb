// What the embedded Kubernetes API knows of each resource: its names and the few rules in which resources differ.
// Measured on kube-apiserver 1.34; `conformance.ts` holds the two together.

export type Meta = {
  name: string
  generateName?: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: { [name: string]: string }
  annotations?: { [name: string]: string }
  ownerReferences?: OwnerReference[]
  finalizers?: string[]
  [field: string]: unknown
}
export type OwnerReference = {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}
export type KubeObject = { apiVersion?: string; kind?: string; metadata: Meta; [field: string]: unknown }

export type Resource = {
  group: string
  version: string
  plural: string
  kind: string
  namespaced: boolean
  /** `status` is written through a path of its own only. */
  hasStatus: boolean
  /** `metadata.generation` counts the changes of everything but metadata and status. */
  hasGeneration: boolean
  /** And of annotations. */
  annotationsCount: boolean
  /** A PUT without resourceVersion is taken. */
  unconditionalUpdate: boolean
  /** A PUT of a missing object creates it. */
  createOnUpdate: boolean
  /** DELETE answers with the object instead of a `Status`. */
  returnsDeleted: boolean
  /** Fields that a field selector may name, beside the object's name and namespace. */
  fields: readonly string[]
}

type Differences = Partial<Omit<Resource, 'group' | 'version' | 'plural' | 'kind'>>

const resource = (group: string, plural: string, kind: string, differences: Differences = {}): Resource => ({
  group,
  version: 'v1',
  plural,
  kind,
  namespaced: true,
  hasStatus: false,
  hasGeneration: false,
  annotationsCount: false,
  unconditionalUpdate: true,
  createOnUpdate: false,
  returnsDeleted: false,
  fields: [],
  ...differences,
})

const POD_FIELDS = ['spec.nodeName', 'spec.restartPolicy', 'spec.serviceAccountName', 'status.phase', 'status.podIP']
const EVENT_FIELDS = ['kind', 'namespace', 'name', 'uid'].map(field => `involvedObject.${field}`)
const workload: Differences = { hasStatus: true, hasGeneration: true }
const createOnUpdate = true
const returnsDeleted = true

export const RESOURCES: readonly Resource[] = [
  resource('', 'configmaps', 'ConfigMap'),
  resource('', 'pods', 'Pod', { ...workload, returnsDeleted, fields: POD_FIELDS }),
  resource('', 'services', 'Service', { hasStatus: true, createOnUpdate, returnsDeleted }),
  resource('', 'events', 'Event', { createOnUpdate, fields: [...EVENT_FIELDS, 'reason', 'type'] }),
  resource('', 'namespaces', 'Namespace', { namespaced: false, hasStatus: true, returnsDeleted }),
  resource('', 'secrets', 'Secret', { fields: ['type'] }),
  resource('', 'serviceaccounts', 'ServiceAccount', { returnsDeleted }),
  resource('coordination.k8s.io', 'leases', 'Lease', { unconditionalUpdate: false, createOnUpdate }),
  resource('apps', 'deployments', 'Deployment', { ...workload, annotationsCount: true }),
  resource('apps', 'replicasets', 'ReplicaSet', workload),
  resource('apps', 'statefulsets', 'StatefulSet', workload),
  resource('batch', 'jobs', 'Job', { ...workload, returnsDeleted }),
  resource('rbac.authorization.k8s.io', 'roles', 'Role', { createOnUpdate }),
  resource('rbac.authorization.k8s.io', 'rolebindings', 'RoleBinding', { createOnUpdate }),
  resource('admissionregistration.k8s.io', 'mutatingwebhookconfigurations', 'MutatingWebhookConfiguration', {
    namespaced: false,
    hasGeneration: true,
    unconditionalUpdate: false,
  }),
]

/** @throws Error for a plural that is not in the table */
export const resourceOf = (plural: string): Resource => {
  const found = RESOURCES.find(of => of.plural === plural)
  if (found === undefined) throw new Error(`the embedded Kubernetes API has no resource ${plural}`)
  return found
}

export const apiVersionOf = (of: Resource): string => (of.group === '' ? of.version : `${of.group}/${of.version}`)

/** As error messages name it: `configmaps`, `leases.coordination.k8s.io`. */
export const qualifiedName = (of: Resource): string => (of.group === '' ? of.plural : `${of.plural}.${of.group}`)

/** As validation messages name it: `ConfigMap`, `Deployment.apps`. */
export const qualifiedKind = (of: Resource): string => (of.group === '' ? of.kind : `${of.kind}.${of.group}`)
