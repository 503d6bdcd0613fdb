// Every cluster id that a pod, a pod template or Flink's configuration mentions, wherever it stands. Rather one too many than
// one too few: what is mentioned is in use, and HA data that is in use is nobody's leftover. But only what Flink goes by tells
// whose a JobManager is.
import { parseDocument } from 'yaml'
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
/** The same key alone, at a line's begin: `high-availability.cluster-id` is ZooKeeper's, and is not what a ConfigMap is named by. */
const TOLD_BY_LINE = /^[ \t]*["']?kubernetes\.cluster-id["']?[ \t]*:[ \t]*["']?([^\s"'#]+)/gm
const COMMENT = /^[ \t]*#.*$/gm
/** In every pod, for its service account's token. */
const ROOT_CA = 'kube-root-ca.crt'

/** `told`: those of them by which Flink names its HA data, as far as can be seen here. */
export type Ids = { ids: string[]; told: string[] }
export type Mentions = Ids & {
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
  const mentioned = (text: string): string[] => matches(text, IN_TEXT)
  const sure = [...known.map(id => id ?? ''), ...marks]
  return {
    ids: distinct([...sure, ...texts.flatMap(mentioned)]),
    told: distinct([...sure, ...texts.map(text => text.replace(COMMENT, '')).flatMap(mentioned)]),
    configMaps: configMaps.filter(name => name !== ROOT_CA),
    isJobManager: labelOf(template, LABEL_COMPONENT) === 'jobmanager',
  }
}

const containersOf = (template: unknown): { [field: string]: unknown }[] => {
  const spec = at(template, 'spec')
  return [...listOf(spec['initContainers']), ...listOf(spec['containers'])].map(mapOf)
}

/** Of a ConfigMap that a pod mounts. */
export const idsInConfiguration = (configMap: unknown): Ids => {
  const texts = Object.values(at(configMap, 'data')).map(textOf)
  return {
    ids: distinct(texts.flatMap(text => matches(text, IN_CONFIGURATION))),
    told: distinct(texts.flatMap(text => [...matches(text, TOLD_BY_LINE), nested(text)])),
  }
}

/** As `config.yaml` may have it. Other files are no YAML, and have nothing there. */
const nested = (text: string): string =>
  textOf(parseDocument(text, { logLevel: 'silent', uniqueKeys: false }).getIn(['kubernetes', 'cluster-id']))

const matches = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(match => match[1] ?? '')
const distinct = (ids: readonly string[]): string[] => [...new Set(ids.filter(isClusterId))]
