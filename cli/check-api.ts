// Reads from the cluster for the checks: an answer, or in words why there is none. Objects are taken as they come: a field
// that is not there is undefined, and a check that misses it says so.
import type { Cluster } from './cluster.ts'

export type Json = { [name: string]: unknown }
export type Read = { ok: true; object: Json } | { ok: false; status: number; why: string }

export const read = async (cluster: Cluster, path: string): Promise<Read> => {
  const { status, body } = await cluster.request('GET', path)
  if (status === 200) return { ok: true, object: mapOf(body) }
  return { ok: false, status, why: reasonOf(status, body) }
}

export type ReadList = { ok: true; items: Json[] } | { ok: false; status: number; why: string }

export const readList = async (cluster: Cluster, path: string, labelSelector = ''): Promise<ReadList> => {
  const query = labelSelector === '' ? '' : `?labelSelector=${encodeURIComponent(labelSelector)}`
  const answer = await read(cluster, `${path}${query}`)
  return answer.ok ? { ok: true, items: listOf(answer.object['items']).map(mapOf) } : answer
}

/** What the API server says about a refusal. */
export const reasonOf = (status: number, body: unknown): string => {
  const message = textOf(mapOf(body)['message'])
  return message === '' ? `the API server answers ${status}` : message
}

export const mapOf = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
export const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
export const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0)

/** `at(object, 'spec', 'template')`: a member of a member, {} when something on the way is missing. */
export const at = (object: unknown, ...path: string[]): Json =>
  path.reduce((map, name) => mapOf(map[name]), mapOf(object))

export const nameOf = (object: unknown): string => textOf(at(object, 'metadata')['name'])
export const labelOf = (object: unknown, name: string): string => textOf(at(object, 'metadata', 'labels')[name])
export const annotationOf = (object: unknown, name: string): string =>
  textOf(at(object, 'metadata', 'annotations')[name])

/** `v1.34.0+k3s1` is minor 34 of major 1; undefined when it is no version. */
export const versionOf = (text: string): { major: number; minor: number } | undefined => {
  const match = /^v?(\d+)\.(\d+)/.exec(text)
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) }
}

/** Native sidecars are on by default from 1.29 (KEP-753). */
export const hasNativeSidecars = (version: string): boolean => {
  const { major, minor } = versionOf(version) ?? { major: 0, minor: 0 }
  return major > 1 || (major === 1 && minor >= 29)
}

/** At most a few names in a sentence. */
export const some = (names: readonly string[], most = 5): string =>
  names.length <= most ? names.join(', ') : `${names.slice(0, most).join(', ')} and ${names.length - most} more`
