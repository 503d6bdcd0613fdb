// Keeps one named object in sight, by the rules of `watch-loop.ts`.
import type { Clock } from './clock.ts'
import type { ApiClient } from './kube-client.ts'
import type { Metadata } from './lock.ts'
import { REQUEST_TIMEOUT_MS, Refused, WatchLoop } from './watch-loop.ts'

export type KubeObject = { metadata: Metadata }
/** `object` undefined: missing, as of `version`. `listed`: an answer to a list, so read after it was asked for. */
export type Sight<T> = { object: T | undefined; version: string; listed: boolean }

export type ListWatchOptions<T> = {
  client: ApiClient
  clock: Clock
  /** The collection's path, such as `/api/v1/namespaces/ns/configmaps`. */
  collection: string
  name: string
  onSight: (sight: Sight<T>) => void
  /** Each failure in words, for the log and a counter. */
  onProblem: (problem: string) => void
  /** Called, and nothing asked again, when the API server says 403: for what can be done without. */
  onForbidden?: (problem: string) => void
  random?: () => number
}

export class ListWatch<T extends KubeObject> {
  #options: ListWatchOptions<T>
  #query: string
  #loop: WatchLoop

  constructor(options: ListWatchOptions<T>) {
    const { client, clock, collection, name, onSight, onProblem, onForbidden, random } = options
    this.#options = options
    this.#query = `fieldSelector=${encodeURIComponent(`metadata.name=${name}`)}`
    this.#loop = new WatchLoop({
      client,
      clock,
      collection,
      query: this.#query,
      list: () => this.#list(),
      onEvent: ({ type, object }, version) =>
        onSight({ object: type === 'DELETED' ? undefined : (object as unknown as T), version, listed: false }),
      onProblem,
      onForbidden,
      random,
    })
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    await this.#loop.run()
  }

  stop(): void {
    this.#loop.stop()
  }

  /** A consistent read (no `resourceVersion`), which also tells the version at which the object is missing. */
  async list(): Promise<void> {
    await this.#loop.list()
  }

  async #list(): Promise<string> {
    const { client, collection, onSight } = this.#options
    const { status, body } = await client.request('GET', `${collection}?${this.#query}`, {
      timeoutMs: REQUEST_TIMEOUT_MS,
    })
    if (status !== 200) throw new Refused(status, `list answered ${status}: ${messageOf(body)}`)
    const list = body as { apiVersion?: string; kind?: string; metadata?: { resourceVersion?: string }; items?: T[] }
    const version = list.metadata?.resourceVersion ?? ''
    const item = list.items?.[0]
    // The items of a list do not say what they are; as events, which need to, they are passed on.
    const object = item && { apiVersion: list.apiVersion, kind: list.kind?.replace(/List$/, ''), ...item }
    onSight({ object, version, listed: true })
    return version
  }
}

/** The words of a Kubernetes `Status`, or of whatever else was answered. */
export const messageOf = (body: unknown): string => {
  if (typeof body === 'object' && body !== null && 'message' in body) return String(body.message)
  return typeof body === 'string' ? body.slice(0, 200) : ''
}
