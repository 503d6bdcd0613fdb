// The three patch types that the API takes in JSON. Server-side apply is not among them.
import { isDeepStrictEqual } from 'node:util'
import jsonpatch from 'jsonpatch'
import { badRequest, KubeError } from './kube-errors.ts'
import type { KubeObject } from './kube-resources.ts'

export type PatchType = 'merge' | 'json' | 'strategic'

type Json = { [name: string]: unknown }
type Operation = { op: string; path: string; value?: unknown; from?: string }

const isMap = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The object, patched; the given one is left as it was. @throws KubeError 400, 422 */
export const applyPatch = (type: PatchType, before: KubeObject, patch: unknown): KubeObject => {
  if (type === 'json') return applyJsonPatch(structuredClone(before), patch)
  if (!isMap(patch)) throw badRequest('error decoding patch: json: cannot unmarshal into a map')
  // What a patch does not name is shared with the object that it is of: stored objects are frozen.
  return (type === 'merge' ? mergePatch(before, patch) : strategicPatch(structuredClone(before), patch)) as KubeObject
}

/**
 * RFC 6902 by the `jsonpatch` package, but for two things: kube-apiserver's library lets `replace` add a map's key, and
 * `jsonpatch` takes any two objects for equal in a `test`.
 */
export const applyJsonPatch = <T>(document: T, patch: unknown): T => {
  if (!Array.isArray(patch)) throw badRequest('error decoding patch: json: cannot unmarshal into a list of operations')
  try {
    let patched = document
    for (const operation of patch as Operation[]) {
      if (operation.op === 'test') assertEqual(at(patched, stepsOf(operation.path)), operation.value)
      else patched = jsonpatch.apply_patch(patched, [lenient(patched, operation)])
    }
    return patched
  } catch (error) {
    if (error instanceof KubeError) throw error
    throw new KubeError(422, 'the server rejected our request due to an error in our request', { details: {} })
  }
}

const stepsOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))

/** @throws TypeError where the way ends before the last step */
const at = (document: unknown, steps: string[]): unknown => {
  let value = document
  for (const step of steps) value = (value as Json)[step]
  return value
}

const assertEqual = (value: unknown, wanted: unknown): void => {
  if (!isDeepStrictEqual(value ?? null, wanted ?? null)) throw new Error('the test failed')
}

const lenient = (document: unknown, operation: Operation): Operation => {
  if (operation.op !== 'replace' || operation.path === '') return operation
  return isMap(at(document, stepsOf(operation.path).slice(0, -1))) ? { ...operation, op: 'add' } : operation
}

/** RFC 7386. */
export const mergePatch = (target: unknown, patch: unknown): unknown => {
  if (!isMap(patch)) return patch
  const result: Json = isMap(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name]
    else result[name] = mergePatch(result[name], value)
  }
  return result
}

/** Maps as in a merge patch; owner references by their merge key, the uid; finalizers as a set; other lists replaced. */
const strategicPatch = (target: unknown, patch: unknown, field = ''): unknown => {
  if (Array.isArray(patch)) return strategicList(Array.isArray(target) ? target : [], patch, field)
  if (!isMap(patch)) return patch
  const { $patch: directive, ...rest } = patch
  const result: Json = isMap(target) && directive !== 'replace' ? { ...target } : {}
  for (const [name, value] of Object.entries(rest)) {
    if (name.startsWith('$')) continue
    if (value === null) delete result[name]
    else result[name] = strategicPatch(result[name], value, name)
  }
  for (const [name, gone] of Object.entries(rest)) {
    const list = name.replace('$deleteFromPrimitiveList/', '')
    if (list === name || !Array.isArray(gone)) continue
    result[list] = ((result[list] ?? []) as unknown[]).filter(entry => !gone.includes(entry))
  }
  return result
}

const strategicList = (target: unknown[], patch: unknown[], field: string): unknown[] => {
  if (field === 'finalizers') return [...new Set([...target, ...patch])]
  if (field !== 'ownerReferences') return patch
  const merged = new Map((target as Json[]).map(entry => [entry['uid'], entry]))
  for (const entry of patch as Json[]) {
    if (entry['$patch'] === 'delete') merged.delete(entry['uid'])
    else merged.set(entry['uid'], { ...merged.get(entry['uid']), ...entry })
  }
  return [...merged.values()]
}
