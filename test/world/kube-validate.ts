// What kube-apiserver does to an object before it stores it: decodes it strictly where types matter, drops what is empty
// or unknown, and names everything that is wrong with it at once.
import { badRequest, type Cause, cause, invalid, KubeError } from './kube-errors.ts'
import { apiVersionOf, type KubeObject, type Meta, qualifiedName, type Resource } from './kube-resources.ts'
import { isLabelKey, isLabelValue } from './kube-selectors.ts'

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
/** Names of roles are path segments, no more. */
const PATH_SEGMENT = /^(?!\.\.?$)[^/%]+$/
const CONFIG_KEY = /^[-._a-zA-Z0-9]+$/
const MAX_NAME_CHARS = 253
const MAX_ANNOTATION_BYTES = 256 * 1024
export const MAX_DATA_BYTES = 1024 * 1024

const META_FIELDS = new Set([
  'name',
  'generateName',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'labels',
  'annotations',
  'ownerReferences',
  'finalizers',
])
const CONFIG_MAP_FIELDS = new Set(['apiVersion', 'kind', 'metadata', 'immutable', 'data', 'binaryData'])

type Json = { [name: string]: unknown }

/**
 * A given object as the API understands it: a copy without nulls, empty maps, unknown fields and `managedFields` (which
 * are not kept here). @throws KubeError 400 for wrong types
 */
export const decode = (of: Resource, given: unknown): KubeObject => {
  const object = (given === null ? {} : given) as Json
  const { kind = of.kind, apiVersion = apiVersionOf(of), metadata = {} } = object
  if (kind !== of.kind && kind !== '')
    throw badRequest(
      `${kind} in version "${apiVersion}" cannot be handled as a ${of.kind}: converting (${kind}) to (${of.kind}): unknown conversion`,
    )
  if (apiVersion !== apiVersionOf(of) && apiVersion !== '')
    throw badRequest(
      `the API version in the data (${apiVersion}) does not match the expected API version (${apiVersionOf(of)})`,
    )
  if (typeof metadata !== 'object' || Array.isArray(metadata))
    throw wrongType(of, metadata, 'metadata', 'v1.ObjectMeta')
  const meta = decodeMeta(of, (metadata ?? {}) as Json)
  const rest = Object.entries(object).filter(([field]) => of.kind !== 'ConfigMap' || CONFIG_MAP_FIELDS.has(field))
  if (of.kind === 'ConfigMap') for (const field of ['data', 'binaryData']) stringMap(of, field, object[field])
  const { kind: _, apiVersion: __, metadata: ___, ...content } = withoutNulls(Object.fromEntries(rest)) as Json
  for (const field of ['data', 'binaryData']) if (isEmpty(content[field])) delete content[field]
  return { kind: of.kind, apiVersion: apiVersionOf(of), metadata: meta, ...content }
}

const decodeMeta = (of: Resource, given: Json): Meta => {
  for (const field of ['name', 'generateName', 'namespace', 'uid', 'resourceVersion'])
    if (given[field] !== undefined && given[field] !== null && typeof given[field] !== 'string')
      throw wrongType(of, given[field], `metadata.${field}`, 'string')
  for (const field of ['labels', 'annotations']) stringMap(of, `metadata.${field}`, given[field])
  for (const field of ['ownerReferences', 'finalizers'])
    if (given[field] !== undefined && given[field] !== null && !Array.isArray(given[field]))
      throw wrongType(of, given[field], `metadata.${field}`, 'list')
  const known = Object.entries(given).filter(
    ([field, value]) => META_FIELDS.has(field) && value !== '' && !isEmpty(value),
  )
  return withoutNulls(Object.fromEntries(known)) as Meta
}

const isEmpty = (value: unknown): boolean =>
  value === null || (typeof value === 'object' && Object.keys(value).length === 0)

const wrongType = (of: Resource, value: unknown, field: string, wanted: string): KubeError => {
  const type = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
  return badRequest(
    `${of.kind} in version "${of.version}" cannot be handled as a ${of.kind}: json: cannot unmarshal ${type} into Go struct field ${of.kind}.${field} of type ${wanted}`,
  )
}

const stringMap = (of: Resource, field: string, value: unknown): void => {
  if (value === undefined || value === null || Object.isFrozen(value)) return
  if (typeof value !== 'object' || Array.isArray(value)) throw wrongType(of, value, field, 'map[string]string')
  for (const entry of Object.values(value))
    if (typeof entry !== 'string' && entry !== null) throw wrongType(of, entry, field, 'string')
}

/** Go reads null as "not given"; a copy without them, in maps at any depth. What is stored, and frozen, has none. */
const withoutNulls = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  if (Array.isArray(value)) return value.map(withoutNulls)
  const kept = Object.entries(value).filter(([, entry]) => entry !== null && entry !== undefined)
  return Object.fromEntries(kept.map(([name, entry]) => [name, withoutNulls(entry)]))
}

/** @throws KubeError 422 with everything found */
export const validate = (of: Resource, object: KubeObject, before: KubeObject | undefined): void => {
  const { metadata } = object
  const causes = [...nameCauses(of, metadata), ...metaCauses(metadata, before?.metadata)]
  if (before !== undefined) causes.push(...immutableCauses(object, before))
  if (of.kind === 'ConfigMap') causes.push(...configMapCauses(object, before))
  if (of.kind === 'Pod' && !((object['spec'] as Json | undefined)?.['containers'] as unknown[] | undefined)?.length)
    causes.push(cause('FieldValueRequired', 'spec.containers', ''))
  if (of.kind === 'Lease') causes.push(...leaseCauses(object))
  if (causes.length > 0) throw invalid(of, metadata.name ?? '', causes)
}

const nameCauses = (of: Resource, { name }: Meta): Cause[] => {
  if (name === undefined) return [cause('FieldValueRequired', 'metadata.name', 'name or generateName is required')]
  const isRole = of.group === 'rbac.authorization.k8s.io'
  const isLabel = of.kind === 'Namespace' || of.kind === 'Service'
  const form = isRole ? PATH_SEGMENT : isLabel ? DNS_LABEL : SUBDOMAIN
  const limit = isLabel ? 63 : MAX_NAME_CHARS
  if (name.length > limit)
    return [cause('FieldValueInvalid', 'metadata.name', `must be no more than ${limit} characters`, name)]
  if (form.test(name)) return []
  const what = isLabel ? 'a lowercase RFC 1123 label' : 'a lowercase RFC 1123 subdomain'
  const why = `${what} must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character`
  return [cause('FieldValueInvalid', 'metadata.name', why, name)]
}

/** What was accepted before is not looked at again. */
const metaCauses = (metadata: Meta, before: Meta | undefined): Cause[] => {
  const causes: Cause[] = []
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    if (before?.labels?.[key] === value) continue
    if (!isLabelKey(key))
      causes.push(cause('FieldValueInvalid', 'metadata.labels', 'name part must be a label key', key))
    if (!isLabelValue(value))
      causes.push(
        cause(
          'FieldValueInvalid',
          'metadata.labels',
          "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
          value,
        ),
      )
  }
  for (const key of Object.keys(metadata.annotations ?? {}))
    if (before?.annotations?.[key] === undefined && !isLabelKey(key.toLowerCase()))
      causes.push(cause('FieldValueInvalid', 'metadata.annotations', 'name part must be a qualified name', key))
  if (isLarger(metadata.annotations, MAX_ANNOTATION_BYTES))
    causes.push(tooLong('metadata.annotations', MAX_ANNOTATION_BYTES))
  for (const owner of metadata.ownerReferences ?? [])
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const)
      if (!owner[field])
        causes.push(cause('FieldValueInvalid', `metadata.ownerReferences.${field}`, 'must not be empty', ''))
  if ((metadata.ownerReferences ?? []).filter(owner => owner.controller === true).length > 1)
    causes.push(
      cause('FieldValueInvalid', 'metadata.ownerReferences', 'Only one reference can have Controller set to true'),
    )
  return causes
}

const immutableCauses = (object: KubeObject, before: KubeObject): Cause[] => {
  const causes: Cause[] = []
  if (object.metadata.uid !== before.metadata.uid)
    causes.push(cause('FieldValueInvalid', 'metadata.uid', 'field is immutable', object.metadata.uid))
  if (before.metadata.deletionTimestamp === undefined) return causes
  const added = (object.metadata.finalizers ?? []).filter(name => !(before.metadata.finalizers ?? []).includes(name))
  if (added.length === 0) return causes
  const found = added.map(name => JSON.stringify(name)).join(', ')
  const why = `no new finalizers can be added if the object is being deleted, found new finalizers []string{${found}}`
  return [...causes, cause('FieldValueForbidden', 'metadata.finalizers', why)]
}

const configMapCauses = (object: KubeObject, before: KubeObject | undefined): Cause[] => {
  if (before !== undefined && object['data'] === before['data'] && object['binaryData'] === before['binaryData'])
    return []
  const known = before?.['data'] as { [key: string]: string } | undefined
  const maps = [object['data'], object['binaryData']] as ({ [key: string]: string } | undefined)[]
  const causes = maps
    .flatMap(map => Object.keys(map ?? {}))
    .filter(key => (!known?.[key] && !CONFIG_KEY.test(key)) || key.length > MAX_NAME_CHARS)
    .map(key =>
      cause(
        'FieldValueInvalid',
        `data[${key}]`,
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        key,
      ),
    )
  const [text, binary] = maps
  const decoded = Object.values(binary ?? {}).reduce((sum, value) => sum + Buffer.byteLength(value, 'base64'), 0)
  const size = (): number => Object.values(text ?? {}).reduce((sum, value) => sum + Buffer.byteLength(value), decoded)
  if ((decoded > 0 || isLarger(text, MAX_DATA_BYTES)) && size() > MAX_DATA_BYTES)
    causes.push(tooLong('[]', MAX_DATA_BYTES))
  if (before?.['immutable'] === true)
    for (const field of ['data', 'binaryData'])
      if (JSON.stringify(object[field]) !== JSON.stringify(before[field]))
        causes.push(cause('FieldValueForbidden', field, 'field is immutable when `immutable` is set'))
  return causes
}

const leaseCauses = (object: KubeObject): Cause[] => {
  const spec = (object['spec'] ?? {}) as Json
  const causes: Cause[] = []
  if (typeof spec['leaseDurationSeconds'] === 'number' && spec['leaseDurationSeconds'] <= 0)
    causes.push(
      cause('FieldValueInvalid', 'spec.leaseDurationSeconds', 'must be greater than 0', spec['leaseDurationSeconds']),
    )
  if (typeof spec['leaseTransitions'] === 'number' && spec['leaseTransitions'] < 0)
    causes.push(
      cause(
        'FieldValueInvalid',
        'spec.leaseTransitions',
        'must be greater than or equal to 0',
        spec['leaseTransitions'],
      ),
    )
  return causes
}

/** A character has three bytes at most: most maps need no counting. */
const isLarger = (map: { [name: string]: string } | undefined, bytes: number): boolean => {
  let chars = 0
  for (const key in map) chars += key.length + (map[key]?.length ?? 0)
  return chars * 3 > bytes && bytesOf(map) > bytes
}

const bytesOf = (map: { [name: string]: string } | undefined): number =>
  Object.entries(map ?? {}).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0)

const tooLong = (field: string, bytes: number): Cause => ({
  reason: 'FieldValueTooLong',
  message: `Too long: may not be more than ${bytes} bytes`,
  field,
})

/** Some kinds refuse a PUT that does not say which version it replaces. */
export const versionRequired = (of: Resource, name: string): KubeError => {
  const found = cause('FieldValueInvalid', 'metadata.resourceVersion', 'must be specified for an update', 0)
  return new KubeError(422, `${qualifiedName(of)} "${name}" is invalid: ${found.field}: ${found.message}`, {
    details: { name, ...(of.group !== '' && { group: of.group }), kind: of.plural, causes: [found] },
  })
}
