// The cluster id, as far as a pod or a pod template tells it. What Flink would refuse, or would expand first, such as
// `$(CLUSTER_ID)`, counts as not told: the sidecar learns the id from Flink's first request then.
import { isClusterId } from '../shared/cluster-id.ts'
import { ANNOTATION_CLUSTER_ID, LABEL_CLUSTER } from '../shared/names.ts'
import { flinkContainers } from './flink-containers.ts'
import { annotationOf, labelOf, memberOf, type PodTemplate, type Role, roleOf } from './pod.ts'

export type ClusterIdSource = 'annotation' | 'arguments' | 'FLINK_PROPERTIES' | 'labels' | 'cluster label'
export type KnownClusterId = { id: string; from: ClusterIdSource }

/** `-Dkubernetes.cluster-id=x`, also as two arguments, also within a shell's command line. */
const ARGUMENT = /(?:^|[\s"'])-D\s*["']?kubernetes\.cluster-id=["']?([^\s"']+)/g
/** A line of configuration. */
const PROPERTY = /^[ \t]*["']?kubernetes\.cluster-id["']?[ \t]*:[ \t]*["']?([^\s"'#]+)/gm
/** Values of the label `type` under which the label `app` is the cluster id: native mode, and the operator's standalone mode. */
const FLINK_TYPES = ['flink-native-kubernetes', 'flink-standalone-kubernetes']

/**
 * The annotation, then what Flink itself reads, in the order in which it wins there (dynamic properties over the
 * configuration), then the labels that are made from it. A label `flink-ha.io/cluster` of the user's own comes last.
 */
export const clusterIdOf = (pod: PodTemplate): KnownClusterId | undefined => {
  const annotation = valid(annotationOf(pod, ANNOTATION_CLUSTER_ID))
  return annotation === undefined ? toldByFlink(pod) : { id: annotation, from: 'annotation' }
}

/** As `clusterIdOf`, without the annotation. */
export const toldByFlink = (pod: PodTemplate): KnownClusterId | undefined => {
  const role = roleOf(pod)
  if (role !== undefined) {
    const argument = valid(lastMatch(commandLines(pod, role), ARGUMENT))
    if (argument !== undefined) return { id: argument, from: 'arguments' }
    const property = valid(lastMatch(flinkProperties(pod, role), PROPERTY))
    if (property !== undefined) return { id: property, from: 'FLINK_PROPERTIES' }
  }
  const type = memberOf(pod.metadata?.labels, 'type')
  const app = type !== undefined && FLINK_TYPES.includes(type) ? valid(labelOf(pod, 'app')) : undefined
  if (app !== undefined) return { id: app, from: 'labels' }
  const label = valid(labelOf(pod, LABEL_CLUSTER))
  return label === undefined ? undefined : { id: label, from: 'cluster label' }
}

const valid = (text: string | undefined): string | undefined =>
  text !== undefined && isClusterId(text) ? text : undefined

/** Later ones win in Flink. */
const lastMatch = (texts: readonly string[], pattern: RegExp): string | undefined =>
  texts.flatMap(text => [...text.matchAll(pattern)].map(match => match[1])).at(-1)

const commandLines = (pod: PodTemplate, role: Role): string[] =>
  flinkContainers(pod, role).map(index => {
    const { command, args } = pod.spec.containers[index]!
    return [...(command ?? []), ...(args ?? [])].join(' ')
  })

const flinkProperties = (pod: PodTemplate, role: Role): string[] =>
  flinkContainers(pod, role).flatMap(index =>
    (pod.spec.containers[index]!.env ?? []).flatMap(({ name, value }) =>
      name === 'FLINK_PROPERTIES' && value !== undefined ? [value] : [],
    ),
  )
