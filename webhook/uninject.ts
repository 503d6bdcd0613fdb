// Takes out of a pod exactly what injection puts in: for the command line, and to prove that injection changed nothing else.
import { ANNOTATION_INJECTED, ENV_KUBERNETES_MASTER, LABEL_CLUSTER, VOLUME_TOKEN } from '../shared/names.ts'
import { clusterIdOf } from './cluster-id.ts'
import { isOurMaster } from './flink-containers.ts'
import { annotationOf, type Container, type Pod } from './pod.ts'
import { isDeposedProbe, ownIndexes } from './sidecar-spec.ts'

/**
 * The pod as it was before injection; one that was not injected comes back as it is. A list or map that is left empty goes as
 * well, for injection may have made it; the owner reference stays, for only the API server can have seen one added.
 * `selectorLabels`: the labels by which the pod's workload knows it.
 */
export const uninjectedPod = (pod: Pod, selectorLabels: readonly string[] = []): Pod => {
  if (annotationOf(pod, ANNOTATION_INJECTED) === undefined) return pod
  const without = withoutOurs(pod, undefined)
  return isLabelOfOurs(without, selectorLabels) ? without : withoutOurs(pod, undefined, pod.metadata.labels)
}

/**
 * Injection adds the cluster's label where something else in the pod tells the cluster id; a label that alone tells it is the
 * user's. So is one that the selector names: without it the API server would refuse the workload.
 */
const isLabelOfOurs = (without: Pod, selectorLabels: readonly string[]): boolean =>
  !selectorLabels.includes(LABEL_CLUSTER) && clusterIdOf(without) !== undefined

/** Without anything that injection could have added, and without empty lists and maps in those places. */
export const withoutOurs = (
  pod: Pod,
  owner: { uid: string } | undefined,
  labels = without(pod.metadata.labels, LABEL_CLUSTER),
): Pod => {
  const { metadata, spec } = pod
  const own = new Set(ownIndexes(pod))
  return {
    ...pod,
    metadata: filled(metadata, {
      labels,
      annotations: without(metadata.annotations, ANNOTATION_INJECTED),
      ownerReferences: metadata.ownerReferences?.filter(({ uid }) => uid !== owner?.uid),
    }),
    spec: filled(
      { ...spec, containers: spec.containers.map(withoutAdditions) },
      {
        initContainers: spec.initContainers?.filter((_, index) => !own.has(index)),
        volumes: spec.volumes?.filter(({ name }) => name !== VOLUME_TOKEN),
      },
    ),
  }
}

const withoutAdditions = (container: Container): Container =>
  filled(container, {
    env: container.env?.filter(({ name, value }) => name !== ENV_KUBERNETES_MASTER || !isOurMaster(value)),
    livenessProbe: isDeposedProbe(container['livenessProbe']) ? undefined : (container['livenessProbe'] as object),
  })

const without = (map: { [name: string]: string } | null | undefined, name: string) => {
  if (map === null || map === undefined || !Object.hasOwn(map, name)) return map
  const { [name]: _, ...rest } = map
  return rest
}

/** The object with these members, each in its old place, or gone where nothing is left of it. */
const filled = <T extends object>(object: T, members: { [name: string]: object | null | undefined }): T => {
  const entries = Object.entries(object).flatMap(([name, old]) => {
    if (!Object.hasOwn(members, name)) return [[name, old]]
    const member = members[name]
    return member === null || member === undefined || Object.keys(member).length === 0 ? [] : [[name, member]]
  })
  return Object.fromEntries(entries) as T
}
