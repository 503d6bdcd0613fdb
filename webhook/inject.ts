// What injection adds to a pod, as JSON Patch operations, and the proof that it is no more than that. It brings a pod to
// one state from wherever it is: what is there already is not added again, so twice is once, and after another webhook has
// pushed the sidecar back only the move to the front is left to do.
import { isDeepStrictEqual } from 'node:util'
import jsonpatch from 'jsonpatch'
import {
  ANNOTATION_INJECTED,
  CONTAINER_SIDECAR,
  ENV_KUBERNETES_MASTER,
  LABEL_CLUSTER,
  VOLUME_TOKEN,
} from '../shared/names.ts'
import type { Injection } from './decide.ts'
import { flinkContainers } from './flink-containers.ts'
import { add, addFirst, addLast, addMember, type Operation, remove, type Step } from './patch.ts'
import { allContainers, annotationOf, labelOf, type Pod } from './pod.ts'
import { deposedProbe, masterFor, ownIndexes, sidecarContainer, tokenVolume } from './sidecar-spec.ts'
import { withoutOurs } from './uninject.ts'

export type DeploymentReference = { apiVersion: string; kind: 'Deployment'; name: string; uid: string }
export type InjectContext = { image: string; version: string; owner?: DeploymentReference }

/** Injection would not give the pod that it promises: a mistake of ours, or a pod that nobody thought of. */
export class InjectError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'InjectError'
  }
}

/** RFC 6902 operations in the order in which they apply; none: everything is there. */
export const injectOperations = (pod: Pod, decision: Injection, context: InjectContext): Operation[] => [
  ...metadataOperations(pod, decision, context),
  ...(hasSidecar(decision) ? sidecarOperations(pod, decision, context) : []),
  ...masterOperations(pod, decision),
  ...probeOperations(pod, decision),
]

/** In mode `service` a TaskManager gets the variable alone. */
const hasSidecar = ({ inject, settings }: Injection): boolean =>
  inject === 'jobmanager' || settings.taskmanager === 'sidecar'

const metadataOperations = (pod: Pod, decision: Injection, context: InjectContext): Operation[] => {
  const { settings } = decision
  const { labels, annotations, ownerReferences } = pod.metadata
  const { owner, version } = context
  const operations: Operation[] = []
  // A label that is there is the same one, or the pod was refused.
  if (settings.clusterId !== undefined && labelOf(pod, LABEL_CLUSTER) === undefined)
    operations.push(addMember(['metadata', 'labels'], labels, LABEL_CLUSTER, settings.clusterId))
  // The version that injected is kept when it is only put in order again.
  if (annotationOf(pod, ANNOTATION_INJECTED) === undefined || (hasSidecar(decision) && ownIndexes(pod).length === 0))
    operations.push(addMember(['metadata', 'annotations'], annotations, ANNOTATION_INJECTED, version))
  // Neither controller nor blockOwnerDeletion: there is one controller, the ReplicaSet, and the right to block is judged by
  // whoever creates the pod, the ReplicaSet controller, which has none over Deployments.
  if (owner !== undefined && !(ownerReferences ?? []).some(({ uid }) => uid === owner.uid))
    operations.push(addLast(['metadata', 'ownerReferences'], ownerReferences, owner))
  return operations
}

const sidecarOperations = (pod: Pod, { inject, settings }: Injection, { image }: InjectContext): Operation[] => {
  const { initContainers, volumes } = pod.spec
  const operations: Operation[] = []
  if (inject === 'jobmanager' && !(volumes ?? []).some(({ name }) => name === VOLUME_TOKEN))
    operations.push(addLast(['spec', 'volumes'], volumes, tokenVolume()))
  const list: Step[] = ['spec', 'initContainers']
  const own = ownIndexes(pod)
  const first = own[0]
  if (first === undefined) {
    operations.push(addFirst(list, initContainers, sidecarContainer(pod, inject, settings, image)))
  } else if (first !== 0 || own.length > 1) {
    // As it is, with what others added to it. From the back, so that the indexes before stay right.
    operations.push(...own.toReversed().map(index => remove([...list, index])))
    operations.push(add([...list, 0], initContainers?.[first]))
  }
  return operations
}

const masterOperations = (pod: Pod, { inject, settings }: Injection): Operation[] => {
  const value = masterFor(inject, settings, pod.metadata.namespace)
  return flinkContainers(pod, inject).flatMap(index => {
    const { env } = pod.spec.containers[index]!
    if ((env ?? []).some(({ name }) => name === ENV_KUBERNETES_MASTER)) return []
    return [addLast(['spec', 'containers', index, 'env'], env, { name: ENV_KUBERNETES_MASTER, value })]
  })
}

/** A container that has a liveness probe keeps it: `decide.ts` says so in a warning. */
const probeOperations = (pod: Pod, { inject, settings }: Injection): Operation[] =>
  settings.endDeposed
    ? flinkContainers(pod, inject).flatMap(index =>
        (pod.spec.containers[index]?.['livenessProbe'] ?? undefined) === undefined
          ? [add(['spec', 'containers', index, 'livenessProbe'], deposedProbe())]
          : [],
      )
    : []

/** The pod after the operations; the given one is left as it was. @throws InjectError */
export const injectedPod = (pod: Pod, decision: Injection, context: InjectContext): Pod =>
  applied(pod, injectOperations(pod, decision, context), decision, context)

/**
 * Applies the operations and checks what came out. A patch that does not apply, or gives a pod that is not valid, fails the
 * creation whatever the webhook's failure policy, so it is never sent unseen. @throws InjectError
 */
export const applied = (pod: Pod, operations: Operation[], decision: Injection, context: InjectContext): Pod => {
  let result: Pod
  try {
    result = jsonpatch.apply_patch(pod, operations)
  } catch (error) {
    throw new InjectError(`the patch does not apply: ${error instanceof Error ? error.message : error}`, error)
  }
  const twice = duplicate(allContainers(result).map(({ name }) => name))
  if (twice !== undefined) throw new InjectError(`two containers would have the name ${twice}`)
  const volume = duplicate((result.spec.volumes ?? []).map(({ name }) => name))
  if (volume !== undefined) throw new InjectError(`two volumes would have the name ${volume}`)
  if (hasSidecar(decision) && result.spec.initContainers?.[0]?.name !== CONTAINER_SIDECAR)
    throw new InjectError('the sidecar would not be the first init container')
  if (!isDeepStrictEqual(withoutOurs(pod, context.owner), withoutOurs(result, context.owner)))
    throw new InjectError('something of the pod’s own would change')
  return result
}

const duplicate = (names: readonly string[]): string | undefined => {
  const seen = new Set<string>()
  return names.find(name => seen.size === seen.add(name).size)
}
