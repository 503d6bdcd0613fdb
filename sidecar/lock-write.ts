/**
 * What a JVM's write to the lock becomes. Election traffic (a claim, a renewal, a release) is absorbed here and never
 * reaches the API server; data is passed on under the real record. Pure: bodies in, a decision out.
 */
import jsonpatch from 'jsonpatch'
import type { ConfigMap } from '../shared/lock.ts'
import { ANNOTATION_LEADER, LEADER_KEY_PREFIX } from '../shared/names.ts'
import { type DurationSpelling, type LeaderRecord, parseRecord } from '../shared/record.ts'
import { compareVersions } from '../shared/resource-version.ts'

/** The virtual record that the JVM wrote, with its spelling, so that it is shown back as it was written. */
export type Claim = { record: LeaderRecord; spelling: DurationSpelling }

export type DataPatch = { [key: string]: string | null }

export type LockWrite =
  | { kind: 'bad'; status: 400 | 415 | 422; message: string }
  /** Renewal or acquisition without a change of data. */
  | { kind: 'absorb'; claim: Claim }
  /** The JVM vacates its lock: it is stopping. */
  | { kind: 'release' }
  /** Nothing changes: answered with what is there. */
  | { kind: 'nothing'; claim: Claim | undefined }
  /** `publishes`: an address of its process; `stops`: the last one that there was is removed. */
  | { kind: 'data'; claim: Claim | undefined; patch: DataPatch; publishes: boolean; stops: boolean }
  /** Its data was read before somebody changed the data: writing it would undo that. */
  | { kind: 'stale' }

/** Keys whose removal means that the process is closing (`DefaultLeaderElectionService` deregisters its contenders), if it put them there. */
const PROCESS_KEYS = ['dispatcher', 'resourcemanager', 'restserver'].map(name => LEADER_KEY_PREFIX + name)

export type LockWriteInput = {
  method: 'PUT' | 'PATCH'
  contentType: string
  body: unknown
  /** The lock as cached. */
  current: ConfigMap
  /** The version since which the data is what it is; later versions were renewals only. */
  dataSince: string
}

export const decideLockWrite = (input: LockWriteInput): LockWrite => {
  const { method, contentType, body, current, dataSince } = input
  if (method === 'PATCH' && contentType.startsWith('application/json-patch+json')) return decideJsonPatch(input)
  if (method === 'PATCH' && !/^application\/(merge|strategic-merge)-patch\+json/.test(contentType))
    return bad(415, `a merge, strategic merge or JSON patch is needed; Content-Type is "${contentType}"`)
  if (!isObject(body)) return bad(400, 'the body is not a JSON object')
  const metadata = isObject(body['metadata']) ? body['metadata'] : {}
  if (metadata['name'] !== undefined && metadata['name'] !== current.metadata.name)
    return bad(400, `metadata.name is "${metadata['name']}", the path says "${current.metadata.name}"`)
  const claim = claimOf(metadata)
  const wanted = wantedData(method, body, current)
  if (typeof wanted === 'string') return bad(422, wanted)
  const patch = difference(current.data ?? {}, wanted)
  if (Object.keys(patch).length === 0) {
    if (claim === undefined) return { kind: 'nothing', claim }
    return claim.record.holder === '' ? { kind: 'release' } : { kind: 'absorb', claim }
  }
  // A patch changes the keys that it names; a replacement speaks of all of them, so it must have read them all.
  const version = metadata['resourceVersion']
  if (typeof version === 'string' && version !== '') {
    const order = compareVersions(version, dataSince)
    if (order === undefined || order < 0) return { kind: 'stale' }
  } else if (method === 'PUT') return { kind: 'stale' }
  const publishes = PROCESS_KEYS.some(key => typeof patch[key] === 'string')
  const stops = PROCESS_KEYS.some(key => patch[key] === null) && noneLeft(wanted)
  return { kind: 'data', claim, patch, publishes, stops }
}

/** A JSON Patch (RFC 6902) of what is there is the replacement that it makes of it. */
const decideJsonPatch = (input: LockWriteInput): LockWrite => {
  const { body, current } = input
  if (!Array.isArray(body)) return bad(400, 'a JSON patch is an array of operations')
  let patched: ConfigMap
  try {
    patched = jsonpatch.apply_patch(structuredClone(current), body) as ConfigMap
  } catch (error) {
    return bad(422, `the patch does not apply: ${(error as Error).message}`)
  }
  if (!isObject(patched)) return bad(422, 'the patch leaves no object')
  const annotations = { ...patched.metadata?.annotations }
  // The real record is nobody's claim: only one that the patch put there is.
  if (annotations[ANNOTATION_LEADER] === current.metadata.annotations?.[ANNOTATION_LEADER])
    delete annotations[ANNOTATION_LEADER]
  return decideLockWrite({
    ...input,
    method: 'PUT',
    body: { ...patched, metadata: { ...patched.metadata, annotations } },
  })
}

const bad = (status: 400 | 415 | 422, message: string): LockWrite => ({ kind: 'bad', status, message })

const isObject = (value: unknown): value is { [name: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const noneLeft = (data: { [key: string]: string }): boolean => PROCESS_KEYS.every(key => data[key] === undefined)

const claimOf = (metadata: { [name: string]: unknown }): Claim | undefined => {
  const annotations = isObject(metadata['annotations']) ? metadata['annotations'] : {}
  const raw = annotations[ANNOTATION_LEADER]
  if (typeof raw !== 'string') return undefined
  const record = parseRecord(raw)
  return record && { record, spelling: raw.includes('"PT') ? 'iso' : 'number' }
}

/** The data that there would be, or what is wrong with it. */
const wantedData = (
  method: 'PUT' | 'PATCH',
  body: { [name: string]: unknown },
  current: ConfigMap,
): { [key: string]: string } | string => {
  const given = body['data']
  if (given !== undefined && given !== null && !isObject(given)) return 'data is not an object of strings'
  // RFC 7386: null for the whole removes the whole, null for a key removes the key.
  if (method === 'PATCH' && given === null) return {}
  const data = new Map(method === 'PUT' ? [] : Object.entries(current.data ?? {}))
  for (const [key, value] of Object.entries(given ?? {})) {
    if (value === null && method === 'PATCH') data.delete(key)
    else if (typeof value === 'string') data.set(key, value)
    else return `data["${key}"] is ${JSON.stringify(value)?.slice(0, 40)}, not a string`
  }
  return Object.fromEntries(data)
}

/** The merge patch that turns one map into another. */
export const difference = (from: { [key: string]: string }, to: { [key: string]: string }): DataPatch =>
  // By entries, not by assignment: "__proto__" is a key that a ConfigMap may have.
  Object.fromEntries<string | null>([
    ...Object.entries(to).filter(([key, value]) => from[key] !== value),
    ...Object.keys(from).flatMap((key): [string, null][] => (Object.hasOwn(to, key) ? [] : [[key, null]])),
  ])

export const applyPatch = (data: { [key: string]: string }, patch: DataPatch): { [key: string]: string } => {
  const kept = Object.entries(data).filter(([key]) => !Object.hasOwn(patch, key))
  const set = Object.entries(patch).filter((entry): entry is [string, string] => entry[1] !== null)
  return Object.fromEntries([...kept, ...set])
}
