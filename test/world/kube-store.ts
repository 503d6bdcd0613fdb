/**
 * The embedded Kubernetes API's store: versioned objects with compare-and-set, watches with a bounded history, garbage
 * collection by owner reference. In process, synchronous, no timers: the same calls with the same `now` and `random` give
 * the same objects and versions. Behaves as kube-apiserver 1.34 does; `conformance.ts` runs against both.
 *
 * Stored objects are frozen and handed out as they are: copy before changing one.
 */
import { checkPreconditions, type DeleteOptions, graceOf } from './kube-deletion.ts'
import { alreadyExists, KubeError, modified, notAllowed, notFound, untyped } from './kube-errors.ts'
import { judge } from './kube-garbage.ts'
import { type Change, History } from './kube-history.ts'
import {
  born,
  changed,
  checkPath,
  checkUid,
  deepFreeze,
  type Source,
  timestamp,
  withVersion,
} from './kube-lifecycle.ts'
import { applyPatch, type PatchType } from './kube-patch.ts'
import { type KubeObject, RESOURCES, type Resource, resourceOf } from './kube-resources.ts'
import { matcherOf, type Selection } from './kube-selectors.ts'
import { decode, validate, versionRequired } from './kube-validate.ts'
import { openWatch, type Watch, type WatchEvent, type WatchQuery } from './kube-watch.ts'

export type StoreOptions = {
  /** Milliseconds since the epoch. */
  now?: () => number
  /** For uids and generated names; 0 to 1. */
  random?: () => number
  /** Changes of a resource that a watch can go back. */
  historySize?: number
  /** Made at the start, beside `default`. */
  namespaces?: readonly string[]
}
export type WriteOptions = { dryRun?: boolean; subresource?: 'status' | undefined }
const FIRST_VERSION = 1_000
const DEFAULT_HISTORY = 1_000

export class KubeStore {
  #objects = new Map<Resource, Map<string, KubeObject>>(RESOURCES.map(of => [of, new Map()]))
  #version = FIRST_VERSION
  #history: History
  #source: Source
  #collecting = false

  constructor(options: StoreOptions = {}) {
    this.#source = { now: options.now ?? Date.now, random: options.random ?? Math.random }
    this.#history = new History(options.historySize ?? DEFAULT_HISTORY, FIRST_VERSION)
    for (const name of new Set(['default', ...(options.namespaces ?? [])]))
      this.create(resourceOf('namespaces'), '', { metadata: { name } })
  }

  /** Of the newest write. */
  get version(): number {
    return this.#version
  }

  /** Each write, in order, at once. */
  onChange(listener: (change: Change) => void): () => void {
    return this.#history.listen(listener)
  }

  /** Forgets the history: a watch from an older version is answered 410. */
  compact(): void {
    this.#history.compact(this.#version)
  }

  /** Sorted by namespace and name. @throws KubeError 400 */
  list(of: Resource, namespace?: string, selection: Selection = {}): KubeObject[] {
    const fits = matcherOf(of, selection.labelSelector ?? '', selection.fieldSelector ?? '')
    return [...this.#of(of).entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object)
      .filter(object => (namespace === undefined || object.metadata.namespace === namespace) && fits(object))
  }

  find(of: Resource, namespace: string, name: string): KubeObject | undefined {
    return this.#of(of).get(keyOf(of, namespace, name))
  }

  /** @throws KubeError 404 */
  get(of: Resource, namespace: string, name: string): KubeObject {
    const found = this.find(of, namespace, name)
    if (found === undefined) throw notFound(of, name)
    return found
  }

  /** A namespace that objects can be made in. @throws KubeError 404 */
  home(namespace: string): KubeObject {
    return this.get(resourceOf('namespaces'), '', namespace)
  }

  /** @throws KubeError 400, 404 (namespace), 409, 422 */
  create(of: Resource, namespace: string, given: unknown, options: WriteOptions = {}): KubeObject {
    if (of.namespaced && namespace === '') throw notAllowed()
    const object = born(of, namespace, decode(of, given), this.#source)
    if (of.namespaced) this.home(namespace)
    validate(of, object, undefined)
    const { name } = object.metadata
    if (this.find(of, namespace, name) !== undefined) throw alreadyExists(of, name)
    return this.#commit(of, object, undefined, options.dryRun === true)
  }

  /** PUT. @throws KubeError 400, 404, 409, 422 */
  replace(of: Resource, namespace: string, name: string, given: unknown, options: WriteOptions = {}): KubeObject {
    const object = decode(of, given)
    checkPath(namespace, name, object)
    const before = this.find(of, namespace, name)
    if (before === undefined) {
      if (!of.createOnUpdate || options.subresource !== undefined) throw notFound(of, name)
      checkUid(of, object, undefined)
      const { resourceVersion: _, ...metadata } = object.metadata
      return this.create(of, namespace, { ...object, metadata }, options)
    }
    if (object.metadata.resourceVersion === undefined && !of.unconditionalUpdate) throw versionRequired(of, name)
    checkUid(of, object, before)
    return this.#update(of, name, object, before, options)
  }

  /** @throws KubeError 400, 404, 409, 422 */
  patch(
    of: Resource,
    namespace: string,
    name: string,
    type: PatchType,
    patch: unknown,
    options: WriteOptions = {},
  ): KubeObject {
    const before = this.get(of, namespace, name)
    const object = decodePatched(of, applyPatch(type, before, patch))
    checkPath(namespace, name, object)
    return this.#update(of, name, object, before, options)
  }

  /** The object as it was deleted; or as it is now, when finalizers or a pod's grace period keep it. @throws KubeError 404, 409 */
  delete(of: Resource, namespace: string, name: string, options: DeleteOptions = {}): KubeObject {
    const before = this.get(of, namespace, name)
    checkPreconditions(of, before, options.preconditions ?? {})
    if (options.propagationPolicy === 'Orphan' && options.dryRun !== true) this.#orphan(before)
    const graceSeconds = graceOf(of, before, options)
    const kept = (before.metadata.finalizers ?? []).length > 0 || graceSeconds > 0
    if (!kept) return options.dryRun === true ? before : this.#remove(of, before)
    const { deletionGracePeriodSeconds: pending, deletionTimestamp } = before.metadata
    if (deletionTimestamp !== undefined && (pending ?? 0) <= graceSeconds) return before
    const metadata = {
      ...before.metadata,
      ...(of.hasGeneration && { generation: (before.metadata.generation ?? 0) + 1 }),
      deletionTimestamp: timestamp(this.#source.now() + graceSeconds * 1_000),
      deletionGracePeriodSeconds: graceSeconds,
    }
    return this.#commit(of, { ...before, metadata }, before, options.dryRun === true)
  }

  /**
   * Tells what changes from a version on; without one (or from 0) it first tells of what is there. Events of the past come
   * before this returns. An object that begins or ceases to fit the selectors is ADDED or DELETED. @throws KubeError 400, 410
   */
  watch(of: Resource, query: WatchQuery, onEvent: (event: WatchEvent) => void): Watch {
    const list = () => this.list(of, query.namespace, query)
    return openWatch(of, query, { history: this.#history, list, version: () => this.#version }, onEvent)
  }

  /** Runs by itself after each write that may leave something to collect. */
  collectGarbage(): void {
    if (this.#collecting) return
    this.#collecting = true
    try {
      while (this.#collectOnce());
    } finally {
      this.#collecting = false
    }
  }

  #collectOnce(): boolean {
    let found = false
    for (const of of RESOURCES)
      for (const object of [...this.#of(of).values()]) {
        const verdict = judge(object, (owner, namespace, name) => this.find(owner, namespace, name))
        if (verdict === undefined) continue
        found = true
        const { namespace = '', name } = object.metadata
        if (verdict.delete) this.delete(of, namespace, name)
        else this.patch(of, namespace, name, 'merge', { metadata: { ownerReferences: verdict.owners } })
      }
    return found
  }

  #of(of: Resource): Map<string, KubeObject> {
    const objects = this.#objects.get(of)
    if (objects === undefined) throw new Error(`${of.plural} is not one of RESOURCES`)
    return objects
  }

  #update(of: Resource, name: string, given: KubeObject, before: KubeObject, options: WriteOptions): KubeObject {
    const { resourceVersion } = given.metadata
    if (resourceVersion !== undefined && !/^\d+$/.test(resourceVersion))
      throw untyped(`strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`)
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion) throw modified(of, name)
    const object = changed(of, given, before, options.subresource)
    validate(of, object, before)
    // A write that changes nothing makes no version and no event.
    if (isSame(object, before)) return before
    return this.#commit(of, object, before, options.dryRun === true)
  }

  #commit(of: Resource, object: KubeObject, before: KubeObject | undefined, dryRun: boolean): KubeObject {
    if (dryRun) return deepFreeze(object)
    const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [], namespace = '', name } = object.metadata
    // The last finalizer is gone: so is the object.
    if (deletionTimestamp !== undefined && finalizers.length === 0 && deletionGracePeriodSeconds === 0) {
      this.#remove(of, object)
      return object
    }
    const stored = deepFreeze(withVersion(object, ++this.#version))
    this.#of(of).set(keyOf(of, namespace, name), stored)
    const type = before === undefined ? 'ADDED' : 'MODIFIED'
    this.#history.push({ type, resource: of, object: stored, before, version: this.#version })
    if (stored.metadata.ownerReferences !== undefined) this.collectGarbage()
    return stored
  }

  #remove(of: Resource, before: KubeObject): KubeObject {
    const { namespace = '', name } = before.metadata
    if (of.kind === 'Namespace') this.#empty(name)
    const object = deepFreeze(withVersion(before, ++this.#version))
    this.#of(of).delete(keyOf(of, namespace, name))
    this.#history.push({ type: 'DELETED', resource: of, object, before, version: this.#version })
    this.collectGarbage()
    return object
  }

  /** A namespace takes everything in it along, finalizers or not. */
  #empty(namespace: string): void {
    for (const of of RESOURCES.filter(({ namespaced }) => namespaced))
      for (const object of this.list(of, namespace))
        if (this.find(of, namespace, object.metadata.name) !== undefined) this.#remove(of, object)
  }

  #orphan(owner: KubeObject): void {
    for (const of of RESOURCES)
      for (const object of this.list(of)) {
        const { ownerReferences = [], namespace = '', name } = object.metadata
        const kept = ownerReferences.filter(({ uid }) => uid !== owner.metadata.uid)
        if (kept.length === ownerReferences.length) continue
        this.patch(of, namespace, name, 'merge', { metadata: { ownerReferences: kept } })
      }
  }
}

/** Of JSON values, as `isDeepStrictEqual`; what a write left alone is the very same object. */
const isSame = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  const names = Object.keys(a)
  return (
    Array.isArray(a) === Array.isArray(b) &&
    names.length === Object.keys(b).length &&
    names.every(name => Object.hasOwn(b, name) && isSame(a[name as never], b[name as never]))
  )
}

const keyOf = (of: Resource, namespace: string, name: string): string => (of.namespaced ? `${namespace}/${name}` : name)

/** What a patch made of an object is invalid where a given object would be malformed. */
const decodePatched = (of: Resource, patched: KubeObject): KubeObject => {
  try {
    return decode(of, patched)
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    const message = `Invalid value: ${JSON.stringify(patched)}: ${error.message}`
    throw new KubeError(422, ` "" is invalid: patch: ${message}`, {
      details: { causes: [{ reason: 'FieldValueInvalid', message, field: 'patch' }] },
    })
  }
}
