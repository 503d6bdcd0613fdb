/**
 * A collection kept in memory, by the rules of `watch-loop.ts`: listed page by page, then followed.
 *
 * Promises: what it shows was true together at some moment, or is newer; an older sight never replaces a newer one; what a
 * list does not name any more goes, and is told. Does not promise to be up to date: whoever writes because of it says which
 * version he saw.
 */
import type { Clock } from './clock.ts'
import { ACCEPT_METADATA, ACCEPT_METADATA_LIST, type ApiClient } from './kube-client.ts'
import { type KubeObject, messageOf } from './list-watch.ts'
import { isStale } from './resource-version.ts'
import { REQUEST_TIMEOUT_MS, Refused, type WatchEvent, WatchLoop } from './watch-loop.ts'

export type InformerOptions<T> = {
  client: ApiClient
  clock: Clock
  /** The collection's path, such as `/apis/apps/v1/replicasets`. */
  collection: string
  /** Selectors, as a query has them, such as `labelSelector=component%3Djobmanager`. */
  query?: string
  /** Asks for metadata alone, which spares the API server, the network and our memory the rest. */
  metadataOnly?: boolean
  /** What is kept of an object; without it, all but `managedFields`. Its `metadata` needs namespace, name and version. */
  keep?: (object: KubeObject) => T
  /** After each change; `after` undefined: gone. Not before the first list is complete. */
  onChange?: (after: T | undefined, before: T | undefined) => void
  /** Each failure in words, for the log and a counter. */
  onProblem: (problem: string) => void
  /** Called, and nothing asked again, when the API server says 403: for what can be done without. */
  onForbidden?: (problem: string) => void
  random?: () => number
}

type Page = { metadata?: { resourceVersion?: string; continue?: string }; items?: KubeObject[] }

const PAGE_SIZE = 500

/** The query that selects by labels, such as `a=b,c!=d`. */
export const selecting = (selector: string): string => `labelSelector=${encodeURIComponent(selector)}`

export class Informer<T extends KubeObject = KubeObject> {
  /** Settles when the first list is complete; never if that never happens. */
  readonly synced: Promise<void>
  #options: InformerOptions<T>
  #loop: WatchLoop
  #objects = new Map<string, T>()
  /** The version up to which the collection is known. */
  #version = ''
  #isSynced = false
  #settle: () => void = () => {}
  #started = false

  constructor(options: InformerOptions<T>) {
    const { client, clock, collection, query = '', onProblem, onForbidden, random } = options
    this.#options = options
    this.synced = new Promise(resolve => {
      this.#settle = resolve
    })
    this.#loop = new WatchLoop({
      client,
      clock,
      collection,
      query,
      accept: options.metadataOnly === true ? ACCEPT_METADATA : undefined,
      list: () => this.#list(),
      onEvent: (event, version) => this.#take(event, version),
      onProblem,
      onForbidden,
      random,
    })
  }

  start(): void {
    if (this.#started) return
    this.#started = true
    void this.#loop.run()
  }

  /** What is in memory stays, and is no longer kept up to date. */
  stop(): void {
    this.#loop.stop()
  }

  isSynced(): boolean {
    return this.#isSynced
  }

  all(): T[] {
    return [...this.#objects.values()]
  }

  /** `namespace` is "" for what is in none. */
  get(namespace: string, name: string): T | undefined {
    return this.#objects.get(keyOf({ namespace, name }))
  }

  /** All pages show the same moment; a list that took so long that this moment is forgotten (410) fails as a whole. */
  async #list(): Promise<string> {
    const found = new Map<string, T>()
    let version = ''
    let token = ''
    do {
      const page = await this.#page(token)
      version = page.metadata?.resourceVersion ?? version
      token = page.metadata?.continue ?? ''
      for (const item of page.items ?? []) found.set(keyOf(item.metadata), this.#kept(item))
    } while (token !== '' && !this.#loop.stopped)
    if (!this.#loop.stopped) this.#replace(found, version)
    return version
  }

  async #page(token: string): Promise<Page> {
    const { client, collection, query = '', metadataOnly } = this.#options
    const parts = [query, `limit=${PAGE_SIZE}`, token && `continue=${encodeURIComponent(token)}`]
    const path = `${collection}?${parts.filter(part => part !== '').join('&')}`
    const { status, body } = await client.request('GET', path, {
      timeoutMs: REQUEST_TIMEOUT_MS,
      ...(metadataOnly === true && { accept: ACCEPT_METADATA_LIST }),
    })
    if (status !== 200) throw new Refused(status, `list of ${collection} answered ${status}: ${messageOf(body)}`)
    return body as Page
  }

  /** A list is the truth, also when its versions are lower: the API server's store may have been restored from a backup. */
  #replace(found: Map<string, T>, version: string): void {
    const known = this.#objects
    const first = !this.#isSynced
    this.#objects = found
    this.#version = version
    this.#isSynced = true
    if (first) this.#settle()
    for (const [key, object] of found) {
      const before = known.get(key)
      if (before?.metadata.resourceVersion !== object.metadata.resourceVersion) this.#tell(object, before)
    }
    for (const [key, before] of known) if (!found.has(key)) this.#tell(undefined, before)
  }

  #take({ type, object }: WatchEvent, version: string): void {
    if (isStale(this.#version, version)) return
    this.#version = version
    const item = object as KubeObject
    const key = keyOf(item.metadata)
    const before = this.#objects.get(key)
    if (type !== 'DELETED') {
      const kept = this.#kept(item)
      this.#objects.set(key, kept)
      this.#tell(kept, before)
    } else if (before !== undefined) {
      this.#objects.delete(key)
      this.#tell(undefined, before)
    }
  }

  #tell(after: T | undefined, before: T | undefined): void {
    this.#options.onChange?.(after, before)
  }

  #kept(object: KubeObject): T {
    if (this.#options.keep !== undefined) return this.#options.keep(object)
    const { managedFields: _, ...metadata } = object.metadata
    return { ...object, metadata } as T
  }
}

const keyOf = ({ namespace = '', name }: { namespace?: string; name: string }): string => `${namespace}/${name}`
