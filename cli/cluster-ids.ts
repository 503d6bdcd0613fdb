// Every cluster id that a pod, a pod template or Flink's configuration mentions, wherever it stands. Rather one too many than
// one too few: what is mentioned is in use, and HA data that is in use is nobody's leftover.
import { isClusterId } from '../shared/cluster-id.ts'
import { ANNOTATION_CLUSTER_ID, LABEL_CLUSTER, LABEL_COMPONENT } from '../shared/names.ts'
import { clusterIdOf, toldByFlink } from '../webhook/cluster-id.ts'
import { isPodTemplate } from '../webhook/pod-shape.ts'
import { workloadOf } from '../webhook/workload.ts'
import { annotationOf, at, labelOf, listOf, mapOf, textOf } from './check-api.ts'

/** In arguments, in FLINK_PROPERTIES, of whatever container. */
const IN_TEXT = /kubernetes\.cluster-id["']?\s*[=:]\s*["']?([^\s"'#]+)/g
/** In a file of configuration, which may nest its keys: `high-availability.cluster-id` is taken as well. */
const IN_CONFIGURATION = /cluster-id["']?[ \t]*:[ \t]*["']?\/?([^\s"'#]+)/g
/** In every pod, for its service account's token. */
const ROOT_CA = 'kube-root-ca.crt'

export type Mentions = {
  ids: string[]
  /** ConfigMaps that may say more. */
  configMaps: string[]
  isJobManager: boolean
}

/** `template`: a pod, or a workload's pod template. */
export const mentionsIn = (template: unknown): Mentions => {
  const known = isPodTemplate(template) ? [clusterIdOf(template)?.id, toldByFlink(template)?.id] : []
  const isNative = labelOf(template, 'type').startsWith('flink-')
  const marks = [
    annotationOf(template, ANNOTATION_CLUSTER_ID),
    labelOf(template, LABEL_CLUSTER),
    ...(isNative ? [labelOf(template, 'app')] : []),
  ]
  const texts = containersOf(template).flatMap(({ command, args, env }) => [
    [...listOf(command), ...listOf(args)].map(textOf).join(' '),
    ...listOf(env).map(one => textOf(mapOf(one)['value'])),
  ])
  const { configMaps } = workloadOf('Deployment', { metadata: { name: '' }, spec: { template } } as never)
  return {
    ids: distinct([...known.map(id => id ?? ''), ...marks, ...texts.flatMap(text => matches(text, IN_TEXT))]),
    configMaps: configMaps.filter(name => name !== ROOT_CA),
    isJobManager: labelOf(template, LABEL_COMPONENT) === 'jobmanager',
  }
}

const containersOf = (template: unknown): { [field: string]: unknown }[] => {
  const spec = at(template, 'spec')
  return [...listOf(spec['initContainers']), ...listOf(spec['containers'])].map(mapOf)
}

/** Of a ConfigMap that a pod mounts. */
export const idsInConfiguration = (configMap: unknown): string[] =>
  distinct(Object.values(at(configMap, 'data')).flatMap(text => matches(textOf(text), IN_CONFIGURATION)))

const matches = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(match => match[1] ?? '')
const distinct = (ids: readonly string[]): string[] => [...new Set(ids.filter(isClusterId))]
