// Whether a pod is injected. Pure: the same pod and facts, the same decision, on the command line as in the webhook.
//
//   component      flink-ha.io/inject            namespace    decision
//   other, absent  any                           any          skip: not-flink
//   Flink's        any                           reserved     skip: own-namespace        (mirror pods: mirror-pod)
//   Flink's        label and annotation differ   any          refuse: both are named
//   Flink's        neither "true" nor "false"    any          refuse: it is named
//   Flink's        "false"                       any          skip: opted-out
//   Flink's        absent                        unlabelled   skip: namespace-not-labelled
//   Flink's        "true"                        any          inject, unless one of the following
//   Flink's        absent                        labelled     inject, unless one of the following
//
// then, in this order: windows, host-network, already-injected, an annotation that cannot be used (refuse), taskmanager-off,
// container-unknown, cluster-id-unknown, master-set, no-native-sidecars, name-taken, port-taken. The first reason wins.
// Flink's: the label component is jobmanager or taskmanager. Label or annotation: the label is there so that an object
// selector can see it; with both, they must agree.
import {
  ANNOTATION_INJECTED,
  CONTAINER_SIDECAR,
  ENV_KUBERNETES_MASTER,
  LABEL_INJECT,
  PORT_LOCAL,
  PORT_POD,
  SKIP_REASONS,
  type SkipReason,
  VOLUME_TOKEN,
} from '../shared/names.ts'
import { flinkContainers } from './flink-containers.ts'
import { allContainers, annotationOf, type Container, labelOf, memberOf, type Pod, type Role, roleOf } from './pod.ts'
import { type PodSettings, type ReadSettings, readPodSettings } from './pod-settings.ts'
import { shown } from './shape.ts'
import { isSidecar, masterFor, ownIndexes } from './sidecar-spec.ts'

export type Facts = {
  namespaceAsks: boolean
  /** The API server is of Kubernetes 1.29 or later. */
  nativeSidecars: boolean
  /** What is injected; a container that runs it already is the sidecar, whatever its name. */
  imageOfOurs: string
  /** The namespace is flink-ha's own or one of Kubernetes'. */
  reserved?: boolean
}
/** Where nothing is ever injected: an installation must not stand in its own way, nor in Kubernetes'. */
export const isReservedNamespace = (name: string, own: string): boolean =>
  name === own || ['kube-system', 'kube-public', 'kube-node-lease'].includes(name)

export type Injection = { inject: Role; settings: PodSettings; warnings: string[] }
export type Skip = { inject: false; reason: SkipReason; message: string }
/** It asked for us, but wrongly: the message names the annotation, its value, and what would be right. Decision 0011. */
export type Refusal = { inject: 'refuse'; reason: 'bad-annotation'; message: string }
export type Decision = Injection | Skip | Refusal

export const decide = (pod: Pod, facts: Facts): Decision => {
  const role = roleOf(pod)
  if (role === undefined) return skip('not-flink')
  const subject: Subject = { pod, facts, role, read: readPodSettings(pod, role) }
  for (const adjudicate of ADJUDICATORS) {
    const decision = adjudicate(subject)
    if (decision !== undefined) return decision
  }
  return { inject: role, settings: subject.read.settings, warnings: subject.read.warnings }
}

/** What the pod itself says: label, annotation, or a disagreement of the two in words. */
export type Wish = { wants: boolean | undefined } | { problem: string }

export const wishOf = (pod: Pod): Wish => {
  const wishes = [
    { from: 'label', value: labelOf(pod, LABEL_INJECT) },
    { from: 'annotation', value: annotationOf(pod, LABEL_INJECT) },
  ].filter(wish => wish.value !== undefined)
  for (const { from, value } of wishes)
    if (value !== 'true' && value !== 'false')
      return { problem: `${from} ${LABEL_INJECT} is ${shown(value)}: "true" or "false" is needed` }
  const [first, second] = wishes
  if (second !== undefined && first?.value !== second.value)
    return { problem: `label ${LABEL_INJECT} is "${first?.value}", the annotation "${second.value}": they must agree` }
  return { wants: first === undefined ? undefined : first.value === 'true' }
}

type Subject = { pod: Pod; facts: Facts; role: Role; read: ReadSettings }
type Adjudicator = (subject: Subject) => Skip | Refusal | undefined

const skip = (reason: SkipReason, detail = ''): Skip => ({
  inject: false,
  reason,
  message: detail === '' ? SKIP_REASONS[reason] : `${SKIP_REASONS[reason]}: ${detail}`,
})
const refuse = (message: string): Refusal => ({ inject: 'refuse', reason: 'bad-annotation', message })

const ownNamespace: Adjudicator = ({ facts }) => (facts.reserved === true ? skip('own-namespace') : undefined)

const mirrorPod: Adjudicator = ({ pod }) =>
  annotationOf(pod, 'kubernetes.io/config.mirror') === undefined ? undefined : skip('mirror-pod')

const asked: Adjudicator = ({ pod, facts }) => {
  const wish = wishOf(pod)
  if ('problem' in wish) return refuse(wish.problem)
  if (wish.wants === false) return skip('opted-out')
  return wish.wants === true || facts.namespaceAsks ? undefined : skip('namespace-not-labelled')
}

const windows: Adjudicator = ({ pod: { spec } }) =>
  [
    spec.os?.name,
    memberOf(spec.nodeSelector, 'kubernetes.io/os'),
    memberOf(spec.nodeSelector, 'beta.kubernetes.io/os'),
  ].includes('windows')
    ? skip('windows')
    : undefined

const hostNetwork: Adjudicator = ({ pod }) => (pod.spec.hostNetwork === true ? skip('host-network') : undefined)

/**
 * The sidecar is where it belongs, or somebody wrote it in by hand, who knows where. One of ours that another webhook
 * pushed back is not done yet: injecting again moves it to the front, and changes nothing else.
 */
const alreadyInjected: Adjudicator = ({ pod, facts, role, read }) => {
  if (annotationOf(pod, ANNOTATION_INJECTED) !== undefined) {
    const viaService = role === 'taskmanager' && read.settings.taskmanager === 'service'
    const inPlace = viaService || (ownIndexes(pod).length === 1 && ownIndexes(pod)[0] === 0)
    const flinks = flinkContainers(pod, role).map(index => masterOf(pod.spec.containers[index]!))
    const own = flinks.length > 0 && flinks.every(master => master !== undefined)
    return inPlace && own ? skip('already-injected') : undefined
  }
  const byHand = allContainers(pod).find(container => isSidecar(container, facts.imageOfOurs))
  return byHand === undefined ? undefined : skip('already-injected', `container ${shown(byHand.name)}`)
}

const badAnnotation: Adjudicator = ({ read }) =>
  read.problems.length === 0 ? undefined : refuse(read.problems.join('; '))

const taskManagerOff: Adjudicator = ({ role, read }) =>
  role === 'taskmanager' && read.settings.taskmanager === 'off' ? skip('taskmanager-off') : undefined

const containerUnknown: Adjudicator = ({ pod, role }) =>
  flinkContainers(pod, role).length === 0 ? skip('container-unknown', `name it ${shown(role)}`) : undefined

/** Our own value is no obstacle: it may have been written in ahead of us. */
const masterSet: Adjudicator = ({ pod, role, read }) => {
  const wanted = masterFor(role, read.settings, pod.metadata.namespace)
  for (const index of flinkContainers(pod, role)) {
    const container = pod.spec.containers[index]!
    const found = masterOf(container)
    if (found !== undefined && found.value !== wanted) return skip('master-set', `container ${shown(container.name)}`)
  }
  return undefined
}

const masterOf = (container: Container) => (container.env ?? []).find(({ name }) => name === ENV_KUBERNETES_MASTER)

const clusterIdUnknown: Adjudicator = ({ read }) =>
  read.settings.taskmanager === 'service' && read.settings.clusterId === undefined
    ? skip('cluster-id-unknown')
    : undefined

// From here on: what only matters where a container is added.
const needsContainer =
  (adjudicate: Adjudicator): Adjudicator =>
  subject =>
    subject.role === 'taskmanager' && subject.read.settings.taskmanager === 'service' ? undefined : adjudicate(subject)

const noNativeSidecars: Adjudicator = ({ facts }) => (facts.nativeSidecars ? undefined : skip('no-native-sidecars'))

const nameTaken: Adjudicator = ({ pod }) => {
  if (annotationOf(pod, ANNOTATION_INJECTED) !== undefined && ownIndexes(pod).length > 0) return undefined
  if (allContainers(pod).some(({ name }) => name === CONTAINER_SIDECAR))
    return skip('name-taken', `container ${shown(CONTAINER_SIDECAR)}`)
  return (pod.spec.volumes ?? []).some(({ name }) => name === VOLUME_TOKEN)
    ? skip('name-taken', `volume ${shown(VOLUME_TOKEN)}`)
    : undefined
}

const portTaken: Adjudicator = ({ pod }) => {
  const others = allContainers(pod).filter(container => !isSidecar(container, ''))
  for (const { name, ports } of others)
    for (const { containerPort, protocol } of ports ?? [])
      if ((containerPort === PORT_LOCAL || containerPort === PORT_POD) && (protocol ?? 'TCP') === 'TCP')
        return skip('port-taken', `container ${shown(name)} uses ${containerPort}`)
  return undefined
}

const ADJUDICATORS: readonly Adjudicator[] = [
  ownNamespace,
  mirrorPod,
  asked,
  windows,
  hostNetwork,
  alreadyInjected,
  badAnnotation,
  taskManagerOff,
  containerUnknown,
  clusterIdUnknown,
  masterSet,
  ...[noNativeSidecars, nameTaken, portTaken].map(needsContainer),
]
