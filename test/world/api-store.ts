/**
 * The embedded Kubernetes API's store: versioned objects with compare-and-set, watches with a bounded history, garbage
 * collection by owner reference. In process, deterministic, no timers. Behaves as kube-apiserver over etcd does; where the
 * two differ, the conformance tests (run against both) say so.
 */
import { randomUUID } from 'node:crypto'
import jsonpatch from 'jsonpatch'

export type Meta = {
  name: string
  generateName?: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  creationTimestamp?: string
  deletionTimestamp?: string
  finalizers?: string[]
  labels?: { [name: string]: string }
  annotations?: { [name: string]: string }
  ownerReferences?: { uid: string; kind: string; name: string }[]
  [field: string]: unknown
}
export type Obj = { apiVersion?: string; kind?: string; metadata: Meta; [field: string]: unknown }
export type Resource = { group: string; version: string; plural: string; kind: string; namespaced: boolean }
export type Change = { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: Obj; before: Obj | undefined; version: number }
export type PatchType = 'merge' | 'json' | 'strategic'

const resource = (group: string, plural: string, kind: string, namespaced = true, version = 'v1'): Resource => ({
  group,
  version,
  plural,
  kind,
  namespaced,
})

export const RESOURCES: readonly Resource[] = [
  resource('', 'configmaps', 'ConfigMap'),
  resource('', 'pods', 'Pod'),
  resource('', 'services', 'Service'),
  resource('', 'events', 'Event'),
  resource('', 'secrets', 'Secret'),
  resource('', 'serviceaccounts', 'ServiceAccount'),
  resource('', 'namespaces', 'Namespace', false),
  resource('coordination.k8s.io', 'leases', 'Lease'),
  resource('apps', 'deployments', 'Deployment'),
  resource('apps', 'replicasets', 'ReplicaSet'),
  resource('apps', 'statefulsets', 'StatefulSet'),
  resource('batch', 'jobs', 'Job'),
  resource('rbac.authorization.k8s.io', 'roles', 'Role'),
  resource('rbac.authorization.k8s.io', 'rolebindings', 'RoleBinding'),
  resource('admissionregistration.k8s.io', 'mutatingwebhookconfigurations', 'MutatingWebhookConfiguration', false),
]

const REASONS: { [code: number]: string } = {
  400: 'BadRequest',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  500: 'InternalError',
}

/** A refusal, with everything that a `Status` says. */
export class ApiError extends Error {
  readonly code: number
  readonly reason: string
  constructor(code: number, message: string, reason = REASONS[code] ?? 'Unknown') {
    super(message)
    this.name = 'ApiError'
    this.code = code
    this.reason = reason
  }
}

const NAME = /^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/
const CONFIG_MAP_LIMIT = 1024 * 1024

export type StoreOptions = {
  nowMs?: () => number
  /** Changes that a watch can go back. */
  historySize?: number
}

export class ApiStore {
  #objects = new Map<string, Map<string, Obj>>()
  #history: Change[] = []
  #version = 1_000
  /** Changes up to here are forgotten. */
  #compacted = 1_000
  #listeners = new Set<(change: Change) => void>()
  #nowMs: () => number
  #historySize: number

  constructor(options: StoreOptions = {}) {
    this.#nowMs = options.nowMs ?? Date.now
    this.#historySize = options.historySize ?? 1_000
  }

  get version(): number {
    return this.#version
  }

  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Forgets the history: a watch from an older version is answered 410. */
  compact(): void {
    this.#history = []
    this.#compacted = this.#version
  }

  /** What changed after a version. @throws ApiError 410 when that is forgotten */
  since(version: number): Change[] {
    if (version < this.#compacted) throw new ApiError(410, `too old resource version: ${version} (${this.#compacted})`)
    return this.#history.filter(change => change.version > version)
  }

  list(of: Resource, namespace?: string): Obj[] {
    const all = [...this.#of(of).values()]
    return all.filter(object => namespace === undefined || object.metadata.namespace === namespace)
  }

  /** @throws ApiError 404 */
  get(of: Resource, namespace: string, name: string): Obj {
    const found = this.#of(of).get(key(namespace, name))
    if (found === undefined) throw new ApiError(404, `${of.plural} "${name}" not found`)
    return found
  }

  create(of: Resource, namespace: string, given: Obj, dryRun = false): Obj {
    const object = structuredClone(given)
    if (typeof object.metadata !== 'object' || object.metadata === null) throw invalid(of, '', 'metadata is required')
    const { generateName } = object.metadata
    if (!object.metadata.name && generateName) object.metadata.name = generateName + randomUUID().slice(0, 5)
    const { name } = object.metadata
    if (typeof name !== 'string' || !NAME.test(name))
      throw invalid(of, String(name), 'metadata.name: a DNS subdomain is needed')
    if (object.metadata.resourceVersion)
      throw new ApiError(400, 'resourceVersion should not be set on objects to be created')
    if (this.#of(of).has(key(namespace, name)))
      throw new ApiError(409, `${of.plural} "${name}" already exists`, 'AlreadyExists')
    object.metadata.uid = randomUUID()
    object.metadata.creationTimestamp = `${new Date(this.#nowMs()).toISOString().slice(0, 19)}Z`
    if (of.namespaced) object.metadata.namespace = namespace
    if (of.plural === 'pods') object['status'] ??= { phase: 'Pending' }
    return this.#put(of, namespace, name, object, undefined, dryRun)
  }

  replace(of: Resource, namespace: string, name: string, given: Obj, dryRun = false): Obj {
    const before = this.get(of, namespace, name)
    const object = structuredClone(given)
    if (object.metadata?.name !== name)
      throw new ApiError(
        400,
        `the name of the object (${object.metadata?.name}) does not match the name on the URL (${name})`,
      )
    this.#check(of, before, object)
    return this.#put(of, namespace, name, keepIdentity(object, before), before, dryRun)
  }

  patch(of: Resource, namespace: string, name: string, type: PatchType, patch: unknown, dryRun = false): Obj {
    const before = this.get(of, namespace, name)
    const object = apply(type, before, patch)
    if (object.metadata?.name !== name) throw new ApiError(400, 'the name of an object cannot be changed')
    this.#check(of, before, object)
    return this.#put(of, namespace, name, keepIdentity(object, before), before, dryRun)
  }

  delete(
    of: Resource,
    namespace: string,
    name: string,
    preconditions: { uid?: string; resourceVersion?: string } = {},
  ): Obj {
    const before = this.get(of, namespace, name)
    for (const field of ['uid', 'resourceVersion'] as const)
      if (preconditions[field] !== undefined && preconditions[field] !== before.metadata[field])
        throw conflict(of, name, `Precondition failed: ${field} in precondition: ${preconditions[field]}`)
    if ((before.metadata.finalizers ?? []).length > 0) {
      const object = structuredClone(before)
      object.metadata.deletionTimestamp = new Date(this.#nowMs()).toISOString()
      return this.#put(of, namespace, name, object, before, false)
    }
    return this.#remove(of, before)
  }

  #of(of: Resource): Map<string, Obj> {
    const id = `${of.group}/${of.plural}`
    let objects = this.#objects.get(id)
    if (objects === undefined) {
      objects = new Map()
      this.#objects.set(id, objects)
    }
    return objects
  }

  /** Compare-and-set: a version that is given has to be the present one. */
  #check(of: Resource, before: Obj, object: Obj): void {
    const version = object.metadata.resourceVersion
    if (version !== undefined && version !== '' && version !== before.metadata.resourceVersion)
      throw conflict(
        of,
        before.metadata.name,
        'the object has been modified; please apply your changes to the latest version and try again',
      )
  }

  #put(of: Resource, namespace: string, name: string, object: Obj, before: Obj | undefined, dryRun: boolean): Obj {
    object.apiVersion = of.group === '' ? of.version : `${of.group}/${of.version}`
    object.kind = of.kind
    validate(of, object)
    const after = { ...object, metadata: { ...object.metadata } }
    delete after.metadata.resourceVersion
    // A write that changes nothing makes no version (etcd3 store: "no-op update").
    if (before !== undefined && same(after, before)) return before
    if (dryRun) return object
    object.metadata.resourceVersion = String(++this.#version)
    if (
      object.metadata.deletionTimestamp !== undefined &&
      (object.metadata.finalizers ?? []).length === 0 &&
      before !== undefined
    )
      return this.#remove(of, before)
    this.#of(of).set(key(namespace, name), object)
    this.#tell({ type: before === undefined ? 'ADDED' : 'MODIFIED', object, before, version: this.#version })
    return object
  }

  #remove(of: Resource, before: Obj): Obj {
    const object = structuredClone(before)
    object.metadata.resourceVersion = String(++this.#version)
    this.#of(of).delete(key(before.metadata.namespace ?? '', before.metadata.name))
    this.#tell({ type: 'DELETED', object, before, version: this.#version })
    this.#collectGarbage(before.metadata.uid ?? '')
    return object
  }

  #tell(change: Change): void {
    this.#history.push(change)
    if (this.#history.length > this.#historySize) this.#compacted = this.#history.shift()?.version ?? this.#compacted
    for (const listener of [...this.#listeners]) listener(change)
  }

  /** Removes what the removed one owned, where no other owner is left. */
  #collectGarbage(uid: string): void {
    for (const of of RESOURCES)
      for (const object of [...this.#of(of).values()]) {
        const owners = object.metadata.ownerReferences ?? []
        if (!owners.some(owner => owner.uid === uid)) continue
        if (!owners.some(owner => this.#exists(owner.uid))) this.#remove(of, object)
      }
  }

  #exists(uid: string): boolean {
    return RESOURCES.some(of => [...this.#of(of).values()].some(object => object.metadata.uid === uid))
  }
}

const key = (namespace: string, name: string): string => `${namespace}/${name}`
const conflict = (of: Resource, name: string, why: string): ApiError =>
  new ApiError(409, `Operation cannot be fulfilled on ${of.plural} "${name}": ${why}`)
const invalid = (of: Resource, name: string, why: string): ApiError =>
  new ApiError(422, `${of.kind} "${name}" is invalid: ${why}`)

const keepIdentity = (object: Obj, before: Obj): Obj => {
  const { uid, creationTimestamp, namespace } = before.metadata
  object.metadata = {
    ...object.metadata,
    ...(uid && { uid }),
    ...(creationTimestamp && { creationTimestamp }),
    ...(namespace && { namespace }),
  }
  return object
}

const validate = (of: Resource, object: Obj): void => {
  if (of.plural !== 'configmaps') return
  let bytes = 0
  for (const [name, value] of Object.entries((object['data'] ?? {}) as { [name: string]: unknown })) {
    if (typeof value !== 'string')
      throw new ApiError(400, `ConfigMap in version "v1" cannot be handled: data["${name}"] is not a string`)
    bytes += Buffer.byteLength(value)
  }
  if (bytes > CONFIG_MAP_LIMIT)
    throw invalid(of, object.metadata.name, `[]: Too long: may not be more than ${CONFIG_MAP_LIMIT} bytes`)
}

const same = (a: unknown, b: unknown, top = true): boolean => {
  if (a === b) return true
  if (
    typeof a !== 'object' ||
    typeof b !== 'object' ||
    a === null ||
    b === null ||
    Array.isArray(a) !== Array.isArray(b)
  )
    return false
  const [x, y] = [a as { [k: string]: unknown }, b as { [k: string]: unknown }]
  const keys = new Set([...Object.keys(x), ...Object.keys(y)])
  return [...keys].every(k => (top && k === 'metadata' ? sameMeta(x[k], y[k]) : same(x[k], y[k], false)))
}
const sameMeta = (a: unknown, b: unknown): boolean => {
  const { resourceVersion: _, ...x } = a as Meta
  const { resourceVersion: __, ...y } = b as Meta
  return same(prune(x), prune(y), false)
}
// An empty map is stored as none.
const prune = (meta: object): object =>
  Object.fromEntries(
    Object.entries(meta).filter(
      ([, v]) => v !== undefined && !(typeof v === 'object' && v !== null && Object.keys(v).length === 0),
    ),
  )

const apply = (type: PatchType, before: Obj, patch: unknown): Obj => {
  try {
    if (type === 'json') return jsonpatch.apply_patch(structuredClone(before), patch as never) as Obj
  } catch (error) {
    throw new ApiError(
      422,
      `the server rejected our request due to an error in our request: ${(error as Error).message}`,
    )
  }
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch))
    throw new ApiError(400, 'the patch is not an object')
  return merge(structuredClone(before), patch, type === 'strategic') as Obj
}

/** RFC 7386; strategic: owner references are merged by uid, as their merge key says. */
const merge = (target: unknown, patch: unknown, strategic: boolean, field = ''): unknown => {
  if (Array.isArray(patch) && strategic && field === 'ownerReferences') {
    const given = patch as { uid: string }[]
    const kept = ((target ?? []) as { uid: string }[]).filter(old => !given.some(entry => entry.uid === old.uid))
    return [...kept, ...given]
  }
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const base = typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {}
  const result: { [name: string]: unknown } = { ...base }
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name]
    else result[name] = merge(result[name], value, strategic, name)
  }
  return result
}
