// Whether the pods of one namespace get what its label asks for: tried out, not only read.

import type { KubeObject } from '../shared/list-watch.ts'
import {
  ANNOTATION_INJECTED,
  ANNOTATION_LOCK,
  CONTAINER_SIDECAR,
  INSTALL,
  LABEL_CLUSTER,
  LABEL_COMPONENT,
  LABEL_INJECTION,
  PORT_POD,
} from '../shared/names.ts'
import { isRegrettable } from '../webhook/admit.ts'
import { collectionOf } from '../webhook/change.ts'
import { serviceName } from '../webhook/cluster-objects.ts'
import { decide, isReservedNamespace } from '../webhook/decide.ts'
import { isHaConfigMap } from '../webhook/ownership.ts'
import { isPod } from '../webhook/pod-shape.ts'
import { findOwnedHaConfigMaps } from '../webhook/reconcile.ts'
import { getsSidecar, metaOf, type WorkloadKind, workloadOf } from '../webhook/workload.ts'
import {
  annotationOf,
  at,
  type Json,
  labelOf,
  listOf,
  mapOf,
  nameOf,
  numberOf,
  type Read,
  type ReadList,
  read,
  readList,
  reasonOf,
  some,
  textOf,
} from './check-api.ts'
import { fail, ok, skip, type Verdict, warn } from './check-report.ts'
import { CANDIDATE_RIGHTS, LEASE_RIGHTS, missingRights } from './check-rights.ts'
import type { Cluster } from './cluster.ts'

/** What several checks look at, read once. */
export type NamespaceState = {
  name: string
  namespace: Read
  /** JobManagers' and TaskManagers' pods that are not at their end. */
  pods: ReadList
  /** Pod templates of the JobManagers that get the sidecar. */
  templates: Json[]
}

const WORKLOADS: readonly WorkloadKind[] = ['Deployment', 'StatefulSet', 'Job']
const LOGS = `kubectl -n ${INSTALL.namespace} logs deployment/${INSTALL.service}`

export const readNamespace = async (cluster: Cluster, name: string): Promise<NamespaceState> => {
  const namespace = await read(cluster, `/api/v1/namespaces/${name}`)
  // Whoever may not read the namespace can have named it.
  const asks = !namespace.ok || labelOf(namespace.object, LABEL_INJECTION) === 'enabled'
  const workloads = await Promise.all(
    WORKLOADS.map(async kind => {
      const list = await readList(cluster, collectionOf(kind, name))
      return list.ok ? list.items.filter(item => getsSidecar(workloadOf(kind, item as KubeObject), asks)) : []
    }),
  )
  const pods = await readList(
    cluster,
    `/api/v1/namespaces/${name}/pods`,
    `${LABEL_COMPONENT} in (jobmanager,taskmanager)`,
  )
  const isLive = (pod: Json): boolean => !['Succeeded', 'Failed'].includes(textOf(at(pod, 'status')['phase']))
  return {
    name,
    namespace,
    pods: pods.ok ? { ok: true, items: pods.items.filter(isLive) } : pods,
    templates: workloads.flat().map(workload => at(workload, 'spec', 'template')),
  }
}

export const checkLabel = ({ name, namespace }: NamespaceState): Verdict => {
  const hint = `kubectl label namespace ${name} ${LABEL_INJECTION}=enabled --overwrite`
  if (isReservedNamespace(name, INSTALL.namespace))
    return fail(`nothing is ever injected in ${name}`, 'give Flink a namespace of its own')
  if (!namespace.ok) return namespace.status === 403 ? skip(namespace.why) : fail(namespace.why, '')
  const value = labelOf(namespace.object, LABEL_INJECTION)
  if (value === 'enabled') return ok(`${LABEL_INJECTION}=enabled`)
  return value === ''
    ? fail(`it has no label ${LABEL_INJECTION}`, hint)
    : fail(`label ${LABEL_INJECTION} is "${value}": "enabled" is needed`, hint)
}

/** A pod as the webhook has to take it, which also passes Pod Security "restricted" and a quota. Never made for real. */
const PROBE = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { generateName: 'flink-ha-check-', labels: { [LABEL_COMPONENT]: 'jobmanager' } },
  spec: {
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'jobmanager',
        image: 'flink',
        resources: { requests: { cpu: '1m', memory: '1Mi' }, limits: { cpu: '1m', memory: '1Mi' } },
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
}

/** The whole way at once: label, selectors, network, certificate, decision, patch. */
export const checkDryRun = async (cluster: Cluster, { name }: NamespaceState): Promise<Verdict> => {
  const { status, body, warnings } = await cluster.request('POST', `/api/v1/namespaces/${name}/pods?dryRun=All`, PROBE)
  if (status !== 201) {
    const why = reasonOf(status, body)
    // What our webhook does or fails to do, the API server says by its name; a quota or a missing right is not ours.
    return why.includes(INSTALL.webhook) ? fail(why, LOGS) : skip(`no pod can be tried there: ${why}`)
  }
  const sidecar = listOf(at(body, 'spec')['initContainers'])
    .map(mapOf)
    .find(one => one['name'] === CONTAINER_SIDECAR)
  if (sidecar === undefined) {
    const said = warnings.length === 0 ? '' : `: ${warnings.join('; ')}`
    return fail(`a JobManager pod comes out without the sidecar${said}`, LOGS)
  }
  if (sidecar['restartPolicy'] !== 'Always')
    return fail('the API server drops restartPolicy of init containers', 'Kubernetes 1.29 or later is needed')
  return ok('a JobManager pod comes out with the sidecar (dry run)')
}

/** As the sidecars will need them: the rights are those of the pod's service account. */
export const checkAccounts = async (cluster: Cluster, state: NamespaceState): Promise<Verdict> => {
  const owners = [...state.templates, ...candidatesOf(state)]
  if (owners.length === 0) return skip('there are no JobManagers that get the sidecar yet')
  const accounts = new Map<string, boolean>()
  for (const owner of owners) {
    const name = textOf(at(owner, 'spec')['serviceAccountName']) || 'default'
    accounts.set(name, accounts.get(name) === true || annotationOf(owner, ANNOTATION_LOCK) === 'lease')
  }
  const problems: string[] = []
  for (const [name, needsLeases] of accounts) {
    const rights = [...CANDIDATE_RIGHTS, ...(needsLeases ? LEASE_RIGHTS : [])]
    const here = rights.map(right => ({ ...right, namespace: state.name }))
    const { missing, unanswered } = await missingRights(cluster, { namespace: state.name, name }, here)
    if (missing.length > 0) problems.push(`service account ${name} may not ${missing.join(', ')}`)
    else if (unanswered !== '') return skip(`the API server does not tell you: ${unanswered}`)
  }
  const names = [...accounts.keys()].join(', ')
  return problems.length === 0
    ? ok(`service account ${names}`)
    : fail(problems.join('; '), `the webhook binds ClusterRole ${INSTALL.candidateRole} to it: ${LOGS}`)
}

/** Made before the label, or while the webhook was away and its failurePolicy was Ignore. */
export const checkPods = ({ name, pods }: NamespaceState): Verdict => {
  if (!pods.ok) return skip(`the pods are not shown to you: ${pods.why}`)
  const facts = { namespaceAsks: true, nativeSidecars: true, imageOfOurs: '' }
  const missing: string[] = []
  const skipped: string[] = []
  for (const pod of pods.items) {
    if (annotationOf(pod, ANNOTATION_INJECTED) !== '' || !isPod(pod)) continue
    const decision = decide(pod, facts)
    if (decision.inject !== false) missing.push(nameOf(pod))
    else if (isRegrettable(pod, decision.reason)) skipped.push(`${nameOf(pod)} (${decision.reason})`)
  }
  if (pods.items.length === 0) return skip('there are no pods of Flink')
  if (missing.length > 0)
    return fail(
      `without the sidecar that they should have: ${some(missing)}`,
      'they were made before the label was there, or without the webhook: kubectl rollout restart what makes them',
    )
  if (skipped.length > 0)
    return warn(`left without a sidecar: ${some(skipped)}`, `flink-ha explain pod NAME -n ${name} says why`)
  return ok(`${pods.items.length} pods, none that misses its sidecar`)
}

export const checkSidecars = ({ pods }: NamespaceState, version: string): Verdict => {
  const injected = (pods.ok ? pods.items : []).filter(pod => annotationOf(pod, ANNOTATION_INJECTED) !== '')
  if (injected.length === 0) return skip('there are no sidecars')
  const others = injected.filter(pod => annotationOf(pod, ANNOTATION_INJECTED) !== version)
  if (others.length === 0) return ok(`${injected.length} sidecars of ${version}`)
  const named = others.map(pod => `${nameOf(pod)} (${annotationOf(pod, ANNOTATION_INJECTED)})`)
  return warn(`of another version than ${version}: ${some(named)}`, 'kubectl rollout restart what makes them')
}

/** By which TaskManagers' relays find the JobManagers' sidecars. */
export const checkServices = async (cluster: Cluster, state: NamespaceState): Promise<Verdict> => {
  const { name } = state
  const ids = [...new Set(candidatesOf(state).map(pod => labelOf(pod, LABEL_CLUSTER)))].filter(id => id !== '')
  if (ids.length === 0) return skip('no cluster id is known yet')
  const problems: string[] = []
  for (const id of ids) {
    const service = await read(cluster, `/api/v1/namespaces/${name}/services/${serviceName(id)}`)
    if (!service.ok && service.status === 403) return skip(service.why)
    if (!service.ok) problems.push(service.why)
    else if (!listOf(at(service.object, 'spec')['ports']).some(port => numberOf(mapOf(port)['port']) === PORT_POD))
      problems.push(`Service ${serviceName(id)} has no port ${PORT_POD}`)
  }
  const made = `the leading webhook replica makes it: ${LOGS}`
  return problems.length === 0
    ? ok(ids.map(id => `Service ${serviceName(id)}`).join(', '))
    : fail(problems.join('; '), made)
}

/** Whoever gave one an owner gave it an end as well. */
export const checkHaData = async (cluster: Cluster, { name }: NamespaceState): Promise<Verdict> => {
  const found = await readList(cluster, collectionOf('ConfigMap', name))
  if (!found.ok) return skip(`the ConfigMaps are not shown to you: ${found.why}`)
  const data = found.items.map(item => metaOf(item as KubeObject)).filter(isHaConfigMap)
  if (data.length === 0) return skip('there is no high-availability data yet')
  const owned = findOwnedHaConfigMaps(name, data)
  if (owned.length === 0) return ok(`${data.length} ConfigMaps of Flink's, none with an owner that it would go with`)
  const names = owned.map(({ regarding }) => regarding.name)
  return fail(
    `these go with their owner, and the jobs with them: ConfigMap ${some(names)}`,
    `kubectl -n ${name} patch configmap NAME --type=json -p '[{"op":"remove","path":"/metadata/ownerReferences"}]'`,
  )
}

/** The JobManagers' pods that have the sidecar: to others the reconciler grants nothing. */
const candidatesOf = ({ pods }: NamespaceState): Json[] =>
  (pods.ok ? pods.items : []).filter(
    pod => labelOf(pod, LABEL_COMPONENT) === 'jobmanager' && annotationOf(pod, ANNOTATION_INJECTED) !== '',
  )
