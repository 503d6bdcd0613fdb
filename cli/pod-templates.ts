// Where an object has its pods: the pod templates of the kinds that make pods, the items of a List. Any other object, a custom
// resource of the same kind's name too, has none.

export type Path = readonly (string | number)[]
/** `pod` is what stands at `path`, which may be anything, also nothing: a kustomize patch of a Deployment has no template. */
export type PodPlace = {
  path: Path
  kind: string
  name: string
  namespace: string | undefined
  /** Names of the labels by which the workload knows its pods. */
  selectorLabels: string[]
  pod: unknown
}

type Json = { [name: string]: unknown }

const TEMPLATE: Path = ['spec', 'template']
/** By kind: the API group, and where the pod is. */
const KINDS: { [kind: string]: { group: string; path: Path } } = {
  Pod: { group: '', path: [] },
  ReplicationController: { group: '', path: TEMPLATE },
  Deployment: { group: 'apps', path: TEMPLATE },
  StatefulSet: { group: 'apps', path: TEMPLATE },
  DaemonSet: { group: 'apps', path: TEMPLATE },
  ReplicaSet: { group: 'apps', path: TEMPLATE },
  Job: { group: 'batch', path: TEMPLATE },
  CronJob: { group: 'batch', path: ['spec', 'jobTemplate', 'spec', 'template'] },
}

export const podPlaces = (document: unknown): PodPlace[] => placesIn(document, [], undefined)

const placesIn = (value: unknown, at: Path, assumed: string | undefined): PodPlace[] => {
  if (!isMapping(value)) return []
  const { apiVersion, items } = value
  const kind = textOf(value['kind']) ?? assumed
  if (kind === undefined) return []
  // `kubectl get -o yaml` writes List; the API itself writes PodList and so on, whose items need not say what they are.
  if (kind.endsWith('List') && Array.isArray(items))
    return items.flatMap((item, index) => placesIn(item, [...at, 'items', index], kind.slice(0, -'List'.length)))
  const known = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined
  const group = textOf(apiVersion)?.split('/').slice(0, -1).join('/') ?? known?.group
  if (known === undefined || group !== known.group) return []
  const metadata = isMapping(value['metadata']) ? value['metadata'] : {}
  const path = [...at, ...known.path]
  return [
    {
      path,
      kind,
      name: textOf(metadata['name']) ?? textOf(metadata['generateName']) ?? '',
      namespace: textOf(metadata['namespace']),
      selectorLabels: labelsOf(valueAt(value, [...known.path.slice(0, -1), 'selector'])),
      pod: valueAt(value, known.path),
    },
  ]
}

/** A copy with another value at the path, which is there. */
export const withValueAt = (document: unknown, path: Path, value: unknown): unknown => {
  const [key, ...rest] = path
  if (key === undefined) return value
  if (Array.isArray(document)) return document.with(Number(key), withValueAt(document[Number(key)], rest, value))
  const map = document as Json
  return { ...map, [key]: withValueAt(map[key], rest, value) }
}

const valueAt = (document: unknown, path: Path): unknown =>
  path.reduce<unknown>((value, key) => (isMapping(value) ? value[key] : undefined), document)

/** A ReplicationController's selector is the labels themselves; the others say `matchLabels` and `matchExpressions`. */
const labelsOf = (selector: unknown): string[] => {
  if (!isMapping(selector)) return []
  const { matchLabels, matchExpressions } = selector
  const expressions = Array.isArray(matchExpressions) ? matchExpressions : []
  const keys = expressions.flatMap(one => (isMapping(one) ? (textOf(one['key']) ?? []) : []))
  return [...Object.keys(isMapping(matchLabels) ? matchLabels : {}), ...keys, ...Object.keys(selector)]
}

/** `spec.template.spec`, `items[0].spec`. */
export const dotted = (path: Path): string =>
  path.reduce<string>((text, key) => (typeof key === 'number' ? `${text}[${key}]` : text ? `${text}.${key}` : key), '')

const isMapping = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)
