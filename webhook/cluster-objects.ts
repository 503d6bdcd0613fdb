// The objects that the reconciler makes: a headless Service for each cluster, by which relays find the JobManagers' sidecars,
// and a RoleBinding for each service account of JobManagers.
import { isDeepStrictEqual } from 'node:util'
import {
  ANNOTATION_OWNER_SET,
  HA_SERVICE_SUFFIX,
  INSTALL,
  LABEL_CLUSTER,
  LABEL_COMPONENT,
  LABEL_MANAGED_BY,
  PORT_POD,
} from '../shared/names.ts'
import { ownerPatch } from './ownership.ts'
import { memberOf } from './pod.ts'
import type { Meta, RoleBindingFacts, ServiceFacts, Workload } from './workload.ts'

export const MANAGED_BY = 'flink-ha'
const MAX_NAME_CHARS = 63

export const isOurs = ({ labels }: Meta): boolean => memberOf(labels, LABEL_MANAGED_BY) === MANAGED_BY

export const serviceName = (clusterId: string): string => `${clusterId}${HA_SERVICE_SUFFIX}`

const serviceLabels = (clusterId: string) => ({ [LABEL_MANAGED_BY]: MANAGED_BY, [LABEL_CLUSTER]: clusterId })

const serviceSpec = (clusterId: string) => ({
  selector: { [LABEL_COMPONENT]: 'jobmanager', [LABEL_CLUSTER]: clusterId },
  // A standby answers too, and so does a sidecar whose JobManager is not ready.
  publishNotReadyAddresses: true,
  ports: [{ name: 'flink-ha', port: PORT_POD, protocol: 'TCP', targetPort: PORT_POD }],
})

export const newService = (clusterId: string, owners: readonly Workload[]) => {
  const name = serviceName(clusterId)
  const owned = ownerPatch({ name }, owners, owners)
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name,
      labels: serviceLabels(clusterId),
      ...(owned && {
        ownerReferences: owned.ownerReferences,
        annotations: { [ANNOTATION_OWNER_SET]: owned.annotations[ANNOTATION_OWNER_SET] ?? '' },
      }),
    },
    spec: { ...serviceSpec(clusterId), clusterIP: 'None' },
  }
}

/** What cannot be changed is wrong: the Service has to be made anew. */
export const isBeyondRepair = ({ spec }: ServiceFacts): boolean => spec['clusterIP'] !== 'None'

/** What makes a Service of ours as it should be, but for its owners; undefined when it is. Fields that others set stay. */
export const servicePatch = (
  service: ServiceFacts,
  clusterId: string,
): { labels?: object; spec?: object } | undefined => {
  const { labels = {} } = service.metadata
  const wanted = serviceSpec(clusterId)
  const spec = Object.entries(wanted).every(([field, value]) => isDeepStrictEqual(service.spec[field], value))
  const label = Object.entries(serviceLabels(clusterId)).every(([name, value]) => labels[name] === value)
  if (spec && label) return undefined
  // A selector is a map, and a merge patch would leave in it what does not belong there.
  const had = (service.spec['selector'] ?? {}) as { [name: string]: string }
  const stray = Object.keys(had).filter(name => !Object.hasOwn(wanted.selector, name))
  const selector = { ...Object.fromEntries(stray.map(name => [name, null])), ...wanted.selector }
  return { ...(!label && { labels: serviceLabels(clusterId) }), ...(!spec && { spec: { ...wanted, selector } }) }
}

/** `flink-ha-<account>`; of an account with a long name the beginning, and a number that tells it from the others. */
export const roleBindingName = (account: string): string => {
  const name = `flink-ha-${account}`
  return name.length <= MAX_NAME_CHARS ? name : `${name.slice(0, MAX_NAME_CHARS - 9)}-${fingerprint(account)}`
}

/** FNV-1a, 32 bits. */
const fingerprint = (text: string): string => {
  let hash = 0x811c9dc5
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}

const RBAC = 'rbac.authorization.k8s.io'

export const newRoleBinding = (namespace: string, account: string) => ({
  apiVersion: `${RBAC}/v1`,
  kind: 'RoleBinding',
  metadata: { name: roleBindingName(account), labels: { [LABEL_MANAGED_BY]: MANAGED_BY } },
  roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: INSTALL.candidateRole },
  subjects: [{ kind: 'ServiceAccount', name: account, namespace }],
})

/** Whether a RoleBinding of ours binds what it should: nobody can change it, so a wrong one is made anew. */
export const isRight = ({ roleRef, subjects }: RoleBindingFacts, namespace: string, account: string): boolean => {
  const wanted = newRoleBinding(namespace, account)
  return isDeepStrictEqual(roleRef, wanted.roleRef) && isDeepStrictEqual(subjects, wanted.subjects)
}
