// How one object comes into being and how a write changes it: the fields that belong to the server, not to the writer.
import { isDeepStrictEqual } from 'node:util'
import { badRequest, conflict, type KubeError, untyped } from './kube-errors.ts'
import type { KubeObject, Meta, Resource } from './kube-resources.ts'

/** What makes each object its own. */
export type Source = { now: () => number; random: () => number }

const SUFFIX = 'bcdfghjklmnpqrstvwxz2456789'
const SUFFIX_CHARS = 5

export const timestamp = (epochMs: number): string => `${new Date(epochMs).toISOString().slice(0, 19)}Z`

const newUid = ({ random }: Source): string => {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
  const variant = '89ab'[Number.parseInt(hex.charAt(16), 16) % 4]
  const groups = [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `${variant}${hex.slice(17, 20)}`]
  return [...groups, hex.slice(20)].join('-')
}

const newName = (prefix: string, { random }: Source): string => {
  const pick = (): string => SUFFIX.charAt(Math.floor(random() * SUFFIX.length))
  return prefix + Array.from({ length: SUFFIX_CHARS }, pick).join('')
}

/** @throws KubeError 400, 500 */
export const born = (of: Resource, namespace: string, given: KubeObject, source: Source): KubeObject => {
  const { metadata } = given
  if (metadata.namespace !== undefined && metadata.namespace !== namespace) throw otherNamespace()
  if (metadata.resourceVersion !== undefined)
    throw untyped('resourceVersion should not be set on objects to be created')
  const { deletionTimestamp: _, deletionGracePeriodSeconds: __, ...kept } = metadata
  const name = metadata.name ?? (metadata.generateName && newName(metadata.generateName, source))
  const labels = of.kind === 'Namespace' ? { 'kubernetes.io/metadata.name': name, ...metadata.labels } : metadata.labels
  const meta = {
    ...kept,
    ...(name && { name }),
    ...(of.namespaced && { namespace }),
    uid: newUid(source),
    ...(of.hasGeneration && { generation: 1 }),
    creationTimestamp: timestamp(source.now()),
    ...(labels && { labels }),
  } as Meta
  return { ...given, metadata: meta, ...(of.hasStatus && { status: firstStatus(of) }) }
}

const firstStatus = (of: Resource): object => {
  if (of.kind === 'Pod') return { phase: 'Pending' }
  return of.kind === 'Namespace' ? { phase: 'Active' } : {}
}

/**
 * The object that a write leaves: the given one, with the server's fields of the present one. The writer's uid stays for
 * the validation to judge. The present version is kept: only a write that changes something gets a new one.
 */
export const changed = (
  of: Resource,
  given: KubeObject,
  before: KubeObject,
  subresource: 'status' | undefined,
): KubeObject => {
  const was = before.metadata
  const meta = {
    ...given.metadata,
    ...(was.namespace !== undefined && { namespace: was.namespace }),
    uid: given.metadata.uid ?? was.uid,
    resourceVersion: was.resourceVersion,
    creationTimestamp: was.creationTimestamp,
    ...(was.generateName !== undefined && { generateName: was.generateName }),
    ...(was.generation !== undefined && { generation: was.generation }),
    ...(was.deletionTimestamp !== undefined && { deletionTimestamp: was.deletionTimestamp }),
    ...(was.deletionGracePeriodSeconds !== undefined && { deletionGracePeriodSeconds: was.deletionGracePeriodSeconds }),
  } as Meta
  if (was.deletionTimestamp === undefined) {
    delete meta.deletionTimestamp
    delete meta.deletionGracePeriodSeconds
  }
  if (!of.hasGeneration) delete meta.generation
  if (subresource === 'status') return { ...before, metadata: meta, ...pick(given, 'status') }
  const { status: _, ...content } = given
  const object = of.hasStatus ? { ...content, metadata: meta, ...pick(before, 'status') } : { ...given, metadata: meta }
  if (of.hasGeneration && !isDeepStrictEqual(countedOf(of, object), countedOf(of, before)))
    object.metadata.generation = (was.generation ?? 0) + 1
  return object
}

const pick = (object: KubeObject, field: string): object =>
  object[field] === undefined ? {} : { [field]: object[field] }

/** The part whose changes a generation counts. */
const countedOf = (of: Resource, { metadata, status: _, ...content }: KubeObject): object =>
  of.annotationsCount ? { ...content, annotations: metadata.annotations } : content

/** The path and the body have to name the same object. @throws KubeError 400 */
export const checkPath = (namespace: string, name: string, { metadata }: KubeObject): void => {
  if (metadata.name === undefined)
    throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`)
  if (metadata.name !== name)
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`)
  if (metadata.namespace !== undefined && metadata.namespace !== namespace) throw otherNamespace()
}

const otherNamespace = (): KubeError =>
  badRequest('the namespace of the provided object does not match the namespace sent on the request')

/** A PUT that names another uid means an object that is gone. @throws KubeError 409 */
export const checkUid = (of: Resource, given: KubeObject, before: KubeObject | undefined): void => {
  const { uid, name, namespace } = given.metadata
  const present = before?.metadata.uid ?? ''
  if (uid === undefined || uid === present) return
  const key = ['/registry', of.plural, namespace, name].filter(Boolean).join('/')
  throw conflict(
    of,
    name,
    `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ` +
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${present}`,
  )
}

export const withVersion = (object: KubeObject, version: number): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: String(version) },
})

export const deepFreeze = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const entry of Object.values(value)) deepFreeze(entry)
  return Object.freeze(value)
}
