// What a conformance test is given, and what they share.
import type { Test } from 'tap'
import type { Answer, Body, Event, EventStream, Headers } from './kube-probe.ts'

export type Target = {
  request: (method: string, path: string, body?: unknown, headers?: Headers) => Promise<Answer>
  watch: (path: string, headers?: Headers) => Promise<EventStream>
  /** There already; its objects are the tests'. */
  namespace: string
  /** Forgets the history of all resources. */
  canCompact?: () => Promise<void>
}
export type Case = { name: string; needsCompaction?: boolean; run: (t: Test, target: Target) => Promise<void> }

export const MERGE: Headers = { 'content-type': 'application/merge-patch+json' }
export const JSON_PATCH: Headers = { 'content-type': 'application/json-patch+json' }
export const STRATEGIC: Headers = { 'content-type': 'application/strategic-merge-patch+json' }
export const PARTIAL: Headers = {
  accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json',
}

export const configMaps = ({ namespace }: Target): string => `/api/v1/namespaces/${namespace}/configmaps`
export const leases = ({ namespace }: Target): string => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`

export const versionOf = (object: Body): string => object.metadata.resourceVersion

/** A ConfigMap as it was created. */
export const make = async (t: Test, target: Target, name: string, content: object = {}, meta: object = {}) => {
  const given = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...meta }, ...content }
  const answer = await target.request('POST', configMaps(target), given)
  t.equal(answer.status, 201, `${name} is created`)
  return answer.body
}

/** A refusal, but for the message, which must only contain what is given. */
export const refused = (t: Test, answer: Answer, code: number, reason: string | undefined, words: string): void => {
  const { message, details, ...rest } = answer.body
  t.equal(answer.status, code, words)
  t.strictSame(rest, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    ...(reason !== undefined && { reason }),
    code,
  })
  t.match(message, words)
}

/** The next event that is no bookmark. */
export const nextOf = async (watch: EventStream): Promise<Event | undefined> => {
  let event = await watch.next()
  while (event?.type === 'BOOKMARK') event = await watch.next()
  return event
}

export const takeFrom = async (watch: EventStream, count: number): Promise<Event[]> => {
  const events: Event[] = []
  while (events.length < count) {
    const event = await nextOf(watch)
    if (event === undefined) break
    events.push(event)
  }
  return events
}

/** What a real cluster does in its own time, and the embedded one at once. */
export const eventually = async (look: () => Promise<boolean>, withinMs = 30_000): Promise<boolean> => {
  const endMs = performance.now() + withinMs
  for (;;) {
    if (await look()) return true
    if (performance.now() > endMs) return false
    await new Promise(resolve => setTimeout(resolve, 200))
  }
}
