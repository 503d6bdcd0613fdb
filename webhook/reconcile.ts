/**
 * What a namespace should hold because of the JobManagers in it, against what it holds: the changes between the two, each with
 * its reason in words. Pure; decided anew from everything each time, so that no event has to be remembered.
 *
 *   the namespace      Service, RoleBinding                          owner references
 *   asks               for each cluster, for each service account    as `ownership.ts` says
 *   does not, or no    for JobManagers that ask by themselves, and   none; all of ours on what is not ours are
 *   longer             for pods with a sidecar; the others go        taken back
 *
 * A sidecar that is running goes on until its pod ends: taking its rights away from under it would end its term, and with it
 * the jobs. The RoleBindings of a namespace go last: as long as one is there, a restarted reconciler knows that it has been
 * there, and finishes.
 */
import { isClusterId } from '../shared/cluster-id.ts'
import { LABEL_CLUSTER, LABEL_INJECTION } from '../shared/names.ts'
import { type Change, collectionOf, deletionOf, type Finding, type Kind, regardingOf } from './change.ts'
import {
  isBeyondRepair,
  isOurs,
  isRight,
  newRoleBinding,
  newService,
  roleBindingName,
  serviceName,
  servicePatch,
} from './cluster-objects.ts'
import type { Regarding } from './events.ts'
import {
  isHaConfigMap,
  type JobManagers,
  ownerPatch,
  ownersAdded,
  ownersOfConfigMap,
  ownersOfService,
  ownersOfTaskManagers,
} from './ownership.ts'
import { memberOf, type OwnerReference } from './pod.ts'
import {
  getsSidecar,
  type InjectedPod,
  isInjected,
  type Meta,
  type RoleBindingFacts,
  type ServiceFacts,
  type Workload,
} from './workload.ts'

export type Observed = {
  namespace: string
  /** The namespace is labelled. */
  asks: boolean
  workloads: readonly Workload[]
  /** JobManager pods. */
  pods: readonly InjectedPod[]
  services: readonly ServiceFacts[]
  /** Those that are ours. */
  roleBindings: readonly RoleBindingFacts[]
  /** All but those with the labels of Flink's HA ConfigMaps. */
  configMaps: readonly Meta[]
}
export type Plan = { changes: Change[]; findings: Finding[] }

const NOT_LABELLED = `the namespace no longer has the label ${LABEL_INJECTION}`
const NOT_ASKED = `the namespace has no label ${LABEL_INJECTION}, and nothing in it that asks by itself needs it`

export const planOf = (observed: Observed): Plan => {
  const seen = { ...observed, pods: observed.pods.filter(isInjected) }
  const jobManagers = jobManagersOf(seen)
  const findings: Finding[] = []
  const services = serviceChanges(seen, jobManagers, findings)
  const bindings = roleBindingChanges(seen, jobManagers)
  const owners = ownerChanges(seen, observed.asks ? jobManagers : [])
  // First what a sidecar waits for.
  const grants = bindings.filter(({ verb }) => verb === 'create')
  const revocations = bindings.filter(({ verb }) => verb !== 'create')
  if (observed.asks) findings.push(...findOwnedHaConfigMaps(observed.namespace, observed.configMaps))
  if (observed.asks) return { changes: [...grants, ...services, ...owners, ...revocations], findings }
  const before = [...owners, ...services]
  return { changes: [...grants, ...before, ...(before.length > 0 ? [] : revocations)], findings }
}

/** The HA ConfigMaps that somebody gave an owner, and with it an end. */
export const findOwnedHaConfigMaps = (namespace: string, configMaps: readonly Meta[]): Finding[] =>
  configMaps.filter(isHaConfigMap).flatMap((metadata): Finding[] => {
    const owners = (metadata.ownerReferences ?? []).map(({ kind, name }) => `${kind} ${name}`)
    if (owners.length === 0) return []
    const note =
      `ConfigMap ${metadata.name} holds Flink's high-availability data and is owned by ${owners.join(', ')}: ` +
      'when its owner goes, so do the jobs. Remove its metadata.ownerReferences'
    return [{ regarding: regardingOf('ConfigMap', namespace, metadata), reason: 'HaConfigMapOwned', note }]
  })

/** Those whose pods get the sidecar. */
const jobManagersOf = (observed: Observed): JobManagers[] =>
  observed.workloads
    .filter(workload => getsSidecar(workload, observed.asks))
    .map(workload => ({ workload, ids: idsOf(workload, observed) }))

const isOwnedBy = ({ ownerReferences = [] }: Meta, { metadata }: Workload): boolean =>
  ownerReferences.some(({ uid }: OwnerReference) => uid === metadata.uid)

/** What the template says, and what the pods have learned; with no pods at present, what they had learned. */
const idsOf = (workload: Workload, { pods, services }: Observed): string[] => {
  const told = workload.clusterId === undefined ? [] : [workload.clusterId]
  const learned = pods.filter(pod => isPodOf(pod, workload)).flatMap(({ clusterId }) => clusterId ?? [])
  if (told.length + learned.length > 0) return [...new Set([...told, ...learned])].sort()
  return services
    .filter(({ metadata }) => isOurs(metadata) && isOwnedBy(metadata, workload))
    .flatMap(({ metadata }) => memberOf(metadata.labels, LABEL_CLUSTER) ?? [])
}

/** By its owners, else as the workload's own controller knows its pods; never by its name. */
const isPodOf = ({ metadata }: InjectedPod, workload: Workload): boolean => {
  if (isOwnedBy(metadata, workload)) return true
  const wanted = Object.entries(workload.selector ?? {})
  return wanted.length > 0 && wanted.every(([name, value]) => memberOf(metadata.labels, name) === value)
}

const ownerChanges = (observed: Observed, jobManagers: readonly JobManagers[]): Change[] => {
  const { asks, namespace, workloads, services, configMaps } = observed
  const change = (kind: Kind, metadata: Meta, owners: readonly Workload[]): Change[] => {
    const patch = ownerPatch(metadata, owners, workloads)
    if (patch === undefined || metadata.deletionTimestamp !== undefined) return []
    const isSet = Object.values(patch.annotations).some(value => value !== null)
    const names = owners.map(owner => `${owner.kind} ${owner.metadata.name}`).join(', ')
    const why = asks ? '' : `: ${NOT_LABELLED}`
    return [
      {
        verb: 'patch',
        path: `${collectionOf(kind, namespace)}/${metadata.name}`,
        body: { metadata: patch },
        regarding: regardingOf(kind, namespace, metadata),
        reason: isSet ? 'OwnerSet' : 'OwnerTakenBack',
        note: `${kind} ${metadata.name} ${isSet ? `goes when ${names} does` : `stays when its JobManagers go${why}`}`,
        owners: ownersAdded(metadata, patch, owners),
      },
    ]
  }
  return [
    ...workloads
      .filter(({ kind }) => kind !== 'Job')
      .flatMap(workload => change(workload.kind, workload.metadata, ownersOfTaskManagers(workload, jobManagers))),
    ...services
      .filter(({ metadata }) => !isOurs(metadata))
      .flatMap(service => change('Service', service.metadata, ownersOfService(service, workloads, jobManagers))),
    ...configMaps.flatMap(metadata =>
      change('ConfigMap', metadata, ownersOfConfigMap(metadata, workloads, jobManagers)),
    ),
  ]
}

const serviceChanges = (observed: Observed, jobManagers: readonly JobManagers[], findings: Finding[]): Change[] => {
  const { asks, namespace, pods, services } = observed
  const ids = new Set([...jobManagers.flatMap(({ ids }) => ids), ...pods.flatMap(({ clusterId }) => clusterId ?? [])])
  const needed = [...ids].filter(isClusterId).sort()
  const names = new Set(needed.map(serviceName))
  const why = asks ? 'no JobManagers of its cluster are left' : NOT_ASKED
  const unneeded = services
    .filter(({ metadata }) => isOurs(metadata) && !names.has(metadata.name))
    .map(({ metadata }) => deletionOf('Service', namespace, metadata, 'ServiceRemoved', why))
  const wanted = needed.flatMap(id => {
    const owners = jobManagers.filter(({ ids }) => ids.includes(id)).map(({ workload }) => workload)
    const service = services.find(({ metadata }) => metadata.name === serviceName(id))
    if (service === undefined) return [creation(observed, id, owners)]
    const { metadata } = service
    if (!isOurs(metadata)) {
      const note = `Service ${metadata.name} is not flink-ha's: relays of cluster ${id} look for sidecars behind it`
      findings.push({ regarding: regardingOf('Service', namespace, metadata), reason: 'NameTaken', note })
      return []
    }
    return isBeyondRepair(service)
      ? [deletionOf('Service', namespace, metadata, 'ServiceRemoved', 'it is not headless; it is made anew')]
      : correction(observed, service, id, owners)
  })
  return [...unneeded, ...wanted]
}

const creation = ({ namespace, asks }: Observed, id: string, jobManagers: readonly Workload[]): Change => {
  const name = serviceName(id)
  const [owner] = jobManagers
  const owners = asks ? jobManagers : []
  const body = newService(id, owners)
  return {
    verb: 'create',
    path: collectionOf('Service', namespace),
    body,
    regarding:
      owner === undefined
        ? regardingOf('Service', namespace, { name })
        : regardingOf(owner.kind, namespace, owner.metadata),
    reason: 'ServiceMade',
    note: `Service ${name}: by it TaskManagers find the sidecars of cluster ${id}`,
    owners: ownersAdded({ name }, ownerPatch({ name }, owners, owners), owners),
  }
}

const correction = (
  { namespace, asks, workloads }: Observed,
  service: ServiceFacts,
  id: string,
  owners: readonly Workload[],
): Change[] => {
  const { metadata } = service
  const patch = servicePatch(service, id)
  const owned = asks ? ownerPatch(metadata, owners, workloads) : undefined
  if (patch === undefined && owned === undefined) return []
  const { labels, spec } = patch ?? {}
  const { name, resourceVersion } = metadata
  return [
    {
      verb: 'patch',
      path: `${collectionOf('Service', namespace)}/${name}`,
      body: { metadata: { resourceVersion, ...owned, ...(labels && { labels }) }, ...(spec && { spec }) },
      regarding: regardingOf('Service', namespace, metadata),
      reason: 'ServiceCorrected',
      note: `Service ${name} was not as relays of cluster ${id} need it`,
      owners: ownersAdded(metadata, owned, owners),
    },
  ]
}

const roleBindingChanges = (observed: Observed, jobManagers: readonly JobManagers[]): Change[] => {
  const { asks, namespace, pods, roleBindings } = observed
  const accounts = new Map<string, Regarding | undefined>(pods.map(({ account }) => [account, undefined]))
  for (const { workload } of jobManagers)
    accounts.set(workload.account, regardingOf(workload.kind, namespace, workload.metadata))
  const names = new Set([...accounts.keys()].map(roleBindingName))
  const why = asks ? 'no JobManagers use its service account' : NOT_ASKED
  const unneeded = roleBindings
    .filter(({ metadata }) => !names.has(metadata.name))
    .map(({ metadata }) => deletionOf('RoleBinding', namespace, metadata, 'RightsRemoved', why))
  const wanted = [...accounts].flatMap(([account, regarding]) => {
    const present = roleBindings.find(({ metadata }) => metadata.name === roleBindingName(account))
    if (present === undefined) return [grant(namespace, account, regarding)]
    if (isRight(present, namespace, account)) return []
    const anew = 'it does not bind what it should; it is made anew'
    return [deletionOf('RoleBinding', namespace, present.metadata, 'RightsRemoved', anew)]
  })
  return [...unneeded, ...wanted]
}

const grant = (namespace: string, account: string, regarding: Regarding | undefined): Change => {
  const body = newRoleBinding(namespace, account)
  const { name } = body.metadata
  return {
    verb: 'create',
    path: collectionOf('RoleBinding', namespace),
    body,
    regarding: regarding ?? regardingOf('RoleBinding', namespace, { name }),
    reason: 'RightsGranted',
    note: `RoleBinding ${name}: service account ${account} may do what a sidecar does (ClusterRole ${body.roleRef.name})`,
  }
}
