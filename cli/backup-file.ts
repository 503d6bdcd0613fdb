/**
 * A backup of a cluster's HA data: a List of its ConfigMaps as they were, and of its Lease if that was the lock, with a heading
 * that says of what, when and by whom. kubectl can show it. To write it back is `restore`'s: an uid and a version stand in each
 * object, so that `kubectl apply` and `replace` refuse it.
 */
import { Document } from 'yaml'
import { isClusterId } from '../shared/cluster-id.ts'
import type { ConfigMap, Lease, Metadata } from '../shared/lock.ts'
import { RULES } from '../shared/settings.ts'
import { haNameOf } from '../sidecar/ha-names.ts'
import { leaseName } from '../sidecar/lock-store.ts'
import { exactly, fields, filledText, listOf, mapOf, number, optional, problemsOf, text } from '../webhook/shape.ts'
import { at, listOf as itemsOf, mapOf as json, textOf } from './check-api.ts'
import { type HaStore, ownMaps } from './ha-store.ts'

const FORMAT = 1

export type Heading = { format: number; version: string; time: string; namespace: string; clusterId: string }
export type Backup = { heading: Heading; configMaps: ConfigMap[]; lease: Lease | undefined }

/** `time`: RFC 3339. */
export const backupOf = ({ namespace, clusterId, data, lease }: HaStore, version: string, time: string): object => {
  const leases = lease === undefined ? [] : [lease]
  return {
    apiVersion: 'v1',
    kind: 'List',
    backup: { format: FORMAT, version, time, namespace, clusterId },
    items: [
      ...ownMaps(data).map(({ metadata, data = {}, binaryData }) => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: kept(metadata, namespace),
        data,
        ...(binaryData !== undefined && { binaryData }),
      })),
      ...leases.map(({ metadata, spec }) => ({
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: kept(metadata, namespace),
        spec,
      })),
    ],
  }
}

/** What identifies it, and what Flink and the candidates read. */
const kept = ({ name, uid, resourceVersion, labels = {}, annotations = {} }: Metadata, namespace: string) => ({
  name,
  namespace,
  uid,
  resourceVersion,
  labels,
  annotations,
})

/** Quoted so that every reader takes each value for the text that it is. */
export const yamlOf = (value: object): string =>
  new Document(value, { version: '1.1', compat: 'yaml-1.1', aliasDuplicateObjects: false }).toString({ lineWidth: 0 })

const texts = optional(mapOf(text))
const metadata = fields({
  name: filledText,
  namespace: filledText,
  uid: filledText,
  resourceVersion: filledText,
  labels: texts,
  annotations: texts,
})
const item = fields({ apiVersion: filledText, kind: exactly('ConfigMap', 'Lease'), metadata })
const file = fields({
  apiVersion: exactly('v1'),
  kind: exactly('List'),
  backup: fields({
    format: number,
    version: filledText,
    time: filledText,
    namespace: filledText,
    clusterId: filledText,
  }),
  items: listOf(item),
})
const content = fields({ data: texts, binaryData: texts })
const spec = fields({ spec: fields({ holderIdentity: optional(text), leaseTransitions: optional(number) }) })

/** Every problem of the file, with field, value and what would be right; no problem: it can be restored. */
export const readBackup = (value: unknown): { backup: Backup | undefined; problems: string[] } => {
  const shape = problemsOf(value, '', file)
  if (shape.length > 0) return { backup: undefined, problems: shape }
  const heading = json(value)['backup'] as Heading
  const items = itemsOf(json(value)['items']).map(json)
  const problems = [...headingProblems(heading), ...items.flatMap((one, index) => itemProblems(one, index, heading))]
  const places = items.map(one => `${one['kind']} ${textOf(at(one, 'metadata')['name'])}`)
  for (const [index, place] of places.entries())
    if (places.indexOf(place) < index) problems.push(`items[${index}] is ${place}: it is there twice`)
  if (items.length === 0) problems.push('items is an empty list: nothing can be restored')
  if (problems.length > 0) return { backup: undefined, problems }
  const configMaps = items.filter(one => one['kind'] === 'ConfigMap') as unknown as ConfigMap[]
  const lease = items.find(one => one['kind'] === 'Lease') as unknown as Lease | undefined
  return { backup: { heading, configMaps, lease }, problems }
}

const headingProblems = ({ format, namespace, clusterId, time }: Heading): string[] => [
  ...(format === FORMAT
    ? []
    : [`backup.format is ${format}: ${FORMAT} is needed, other formats are of other versions`]),
  ...(RULES.namespace[0].test(namespace) ? [] : [`backup.namespace is "${namespace}": ${RULES.namespace[1]}`]),
  ...(isClusterId(clusterId) ? [] : [`backup.clusterId is "${clusterId}": ${RULES.clusterId[1]}`]),
  ...(Number.isNaN(Date.parse(time))
    ? [`backup.time is "${time}": a time such as 2026-01-02T03:04:05Z is needed`]
    : []),
]

const itemProblems = (one: { [field: string]: unknown }, index: number, heading: Heading): string[] => {
  const path = `items[${index}]`
  const { name, namespace, labels = {} } = one['metadata'] as Metadata
  const isLease = one['kind'] === 'Lease'
  const problems = problemsOf(one, path, isLease ? spec : content)
  if (namespace !== heading.namespace)
    problems.push(`${path}.metadata.namespace is "${namespace}": backup.namespace is "${heading.namespace}"`)
  const right = isLease
    ? name === leaseName(heading.clusterId)
    : haNameOf({ name, labels: labels ?? {} })?.clusterId === heading.clusterId
  if (!right)
    problems.push(
      `${path}.metadata.name is "${name}": name and labels of HA data of cluster "${heading.clusterId}" are needed`,
    )
  return problems
}
