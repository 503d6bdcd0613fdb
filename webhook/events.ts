/**
 * What was done and why, where a user looks for it: Events, on the object that it is about.
 *
 * Core v1 rather than events.k8s.io/v1: both are the same objects to the API server, but what is written as the latter has no
 * count and no first and last time, which dashboards and exporters of events read.
 *
 * Promises: never throws, never waits, never more than a bounded number of writes; the same Event again within the hour that
 * the API server keeps it is not written again. Does not promise that an Event is written: the log has it too.
 */
import type { Clock } from '../shared/clock.ts'
import type { KubeClient } from '../shared/kube-client.ts'
import { messageOf } from '../shared/list-watch.ts'
import type { Log } from '../shared/log.ts'
import type { EventReason } from '../shared/names.ts'

export type Regarding = {
  apiVersion: string
  kind: string
  /** Missing for what is in no namespace. */
  namespace?: string
  name: string
  uid?: string
}
export type EventInput = {
  regarding: Regarding
  type: 'Normal' | 'Warning'
  reason: EventReason
  /** What was done or tried, in CamelCase. */
  action: string
  /** In words. */
  note: string
}
export type EventsOptions = {
  client: KubeClient
  clock: Clock
  log: Log
  /** Which replica says so: the pod's name. */
  instance: string
}

const REPORTER = 'flink-ha.io/webhook'
/** The API server keeps Events for an hour (`--event-ttl`). */
const KEPT_MS = 3_600_000
const MAX_KNOWN = 1_000
/** So many at once, and one in this time after that. */
const BURST = 50
const REFILL_MS = 2_000
const TIMEOUT_MS = 5_000
/** Of the API server's validation. */
const MAX_NOTE_CHARS = 1_024
/** An object's name may have 253 characters; the Event's has a number behind it. */
const MAX_NAME_CHARS = 200

export class Events {
  #options: EventsOptions
  /** When each Event was last written, oldest first. */
  #known = new Map<string, number>()
  #allowance = BURST
  #allowedAtMs = 0
  #number = 0

  constructor(options: EventsOptions) {
    this.#options = options
  }

  record(input: EventInput): void {
    const key = keyOf(input)
    if (this.#isKnown(key)) return
    if (!this.#isAllowed()) {
      this.#options.log.debug({ reason: input.reason, name: input.regarding.name }, 'too many Events, one left out')
      return
    }
    this.#remember(key)
    void this.#write(input, key)
  }

  #isKnown(key: string): boolean {
    const atMs = this.#known.get(key)
    return atMs !== undefined && this.#options.clock.monoMs() - atMs < KEPT_MS
  }

  #remember(key: string): void {
    this.#known.delete(key)
    this.#known.set(key, this.#options.clock.monoMs())
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest)
  }

  #isAllowed(): boolean {
    const nowMs = this.#options.clock.monoMs()
    this.#allowance = Math.min(BURST, this.#allowance + (nowMs - this.#allowedAtMs) / REFILL_MS)
    this.#allowedAtMs = nowMs
    if (this.#allowance < 1) return false
    this.#allowance -= 1
    return true
  }

  async #write(input: EventInput, key: string): Promise<void> {
    const { client, log } = this.#options
    const { regarding, reason } = input
    // An Event about what is in no namespace is kept in `default`.
    const path = `/api/v1/namespaces/${regarding.namespace ?? 'default'}/events`
    const problem = await client
      .request('POST', path, { body: this.#eventOf(input), timeoutMs: TIMEOUT_MS })
      .then(({ status, body }) => (status < 300 ? undefined : `${status} ${messageOf(body)}`))
      .catch((error: Error) => error.message)
    if (problem === undefined) return
    this.#known.delete(key)
    log.debug({ problem, reason, name: regarding.name }, 'an Event cannot be written')
  }

  #eventOf({ regarding, type, reason, action, note }: EventInput): object {
    const { clock, instance } = this.#options
    const wallUs = clock.wallUs()
    const stamp = `${new Date(Math.floor(wallUs / 1000)).toISOString().slice(0, 19)}Z`
    // As client-go names them, by the time; the number tells two of one microsecond apart.
    const suffix = `${Math.floor(wallUs).toString(16)}${(this.#number++ % 256).toString(16).padStart(2, '0')}`
    const { name } = regarding
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name.slice(0, MAX_NAME_CHARS).replace(/[^a-z0-9]+$/, '') || 'flink-ha'}.${suffix}` },
      involvedObject: regarding,
      type,
      reason,
      action,
      message: note.slice(0, MAX_NOTE_CHARS),
      source: { component: REPORTER },
      reportingComponent: REPORTER,
      reportingInstance: instance,
      firstTimestamp: stamp,
      lastTimestamp: stamp,
      count: 1,
    }
  }
}

const keyOf = ({ regarding, type, reason, note }: EventInput): string => {
  const { kind, namespace, name, uid } = regarding
  return JSON.stringify([type, reason, note, kind, namespace, name, uid])
}
