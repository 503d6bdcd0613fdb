/**
 * What a JobManager's sidecar tells on `/leader/stream`, read with care: it comes over the network. Pure: text in, values out.
 */
import type { Component, LeaderDocument } from './leader.ts'

/** An event of a `text/event-stream`; `name` is "message" when it has none. */
export type StreamEvent = { name: string; data: string }

/** No document of a leader is longer; a peer that sends more without an end of line is no sidecar. */
const MAX_LINE_CHARS = 4 * 1024 * 1024
/** As long as a term can be valid at most (`MAX_LEASE_MS` of the record). */
const MAX_VALID_MS = 600_000

/**
 * Reads a stream of events, chunk by chunk (WHATWG HTML, "Parsing an event stream", as far as it is used).
 * @throws Error when a line has no end
 */
export const eventReader = (onEvent: (event: StreamEvent) => void): ((chunk: string) => void) => {
  let rest = ''
  let name = 'message'
  let data: string[] = []
  const take = (line: string): void => {
    if (line === '') {
      if (data.length > 0) onEvent({ name, data: data.join('\n') })
      name = 'message'
      data = []
    } else if (line.startsWith('data:')) data.push(line.slice('data:'.length).trimStart())
    else if (line.startsWith('event:')) name = line.slice('event:'.length).trim()
  }
  return chunk => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > MAX_LINE_CHARS) throw new Error('line too long')
    for (const line of lines) take(line.endsWith('\r') ? line.slice(0, -1) : line)
  }
}

/** The document of `/leader`; undefined when it is none. */
export const parseLeader = (text: string): LeaderDocument | undefined => {
  const value = parseObject(text)
  if (value === undefined) return undefined
  const { clusterId, name, token, transitions, lastUpdate } = value
  const validForMs = validity(value['validForMs'])
  if (typeof clusterId !== 'string' || (name !== null && typeof name !== 'string')) return undefined
  if (!isCount(token) || validForMs === undefined) return undefined
  return {
    clusterId,
    name: name === '' ? null : name,
    isLeader: false,
    token,
    validForMs,
    transitions: isCount(transitions) ? transitions : 0,
    lastUpdate: typeof lastUpdate === 'string' ? lastUpdate : null,
    components: parseComponents(value['components']),
  }
}

/** How long the last document can still be relied on, from an event `beat`; undefined when it does not say. */
export const parseBeat = (text: string): number | undefined => validity(parseObject(text)?.['validForMs'])

const parseObject = (text: string): { [name: string]: unknown } | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is { [name: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const validity = (value: unknown): number | undefined =>
  typeof value === 'number' && value >= 0 ? Math.min(value, MAX_VALID_MS) : undefined

const parseComponents = (value: unknown): LeaderDocument['components'] => {
  const components: LeaderDocument['components'] = { jobs: {} }
  if (!isObject(value)) return components
  for (const name of ['restserver', 'dispatcher', 'resourcemanager'] as const) {
    const component = parseComponent(value[name])
    if (component !== undefined) components[name] = component
  }
  const jobs = Object.entries(isObject(value['jobs']) ? value['jobs'] : {}).flatMap(([id, job]) => {
    const component = parseComponent(job)
    return component === undefined ? [] : [[id, component] as const]
  })
  return { ...components, jobs: Object.fromEntries(jobs) }
}

const parseComponent = (value: unknown): Component | undefined => {
  if (!isObject(value)) return undefined
  const { sessionId, address } = value
  return typeof sessionId === 'string' && typeof address === 'string' ? { sessionId, address } : undefined
}
