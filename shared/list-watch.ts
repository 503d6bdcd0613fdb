// Keeps one named object in sight: a list, then a watch from there on. The watch carries bookmarks, is ended by the
// server after a while (`timeoutSeconds`), is dropped when nothing came for longer than a bookmark's period, goes on from
// the last version seen, and begins with a list again on 410 (Kubernetes, "Efficient detection of changes").
import type { IncomingMessage } from 'node:http'
import type { Clock } from './clock.ts'
import type { KubeClient } from './kube-client.ts'
import type { Metadata } from './lock.ts'

export type KubeObject = { metadata: Metadata }
/** `object` undefined: missing, as of `version`. `listed`: an answer to a list, so read after it was asked for. */
export type Sight<T> = { object: T | undefined; version: string; listed: boolean }

export type ListWatchOptions<T> = {
  client: KubeClient
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

/** The API server answered, but not with what was asked for. */
class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.name = 'Refused'
    this.status = status
  }
}

const REQUEST_TIMEOUT_MS = 5_000
/** The API server sends a bookmark about every minute. */
const IDLE_MS = 90_000
const MIN_WATCH_SECONDS = 300
const MAX_LINE_CHARS = 8 * 1024 * 1024
const MAX_BACKOFF_MS = 5_000

export class ListWatch<T extends KubeObject> {
  #options: ListWatchOptions<T>
  #abort = new AbortController()
  #version: string | undefined
  #failures = 0

  constructor(options: ListWatchOptions<T>) {
    this.#options = options
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    const { onProblem, onForbidden } = this.#options
    while (!this.#abort.signal.aborted) {
      try {
        if (this.#version === undefined) await this.list()
        const openedMs = this.#options.clock.monoMs()
        await this.#watch()
        // A server that ends each watch at once must not be asked again at once.
        if (this.#options.clock.monoMs() - openedMs < 1_000) await this.#backOff()
        else this.#failures = 0
      } catch (error) {
        if (this.#abort.signal.aborted) return
        if (onForbidden !== undefined && error instanceof Refused && error.status === 403) {
          onForbidden(error.message)
          return
        }
        onProblem(error instanceof Error ? error.message : String(error))
        await this.#backOff()
      }
    }
  }

  stop(): void {
    this.#abort.abort()
  }

  #selector(): string {
    return `fieldSelector=${encodeURIComponent(`metadata.name=${this.#options.name}`)}`
  }

  /** A consistent read (no `resourceVersion`), which also tells the version at which the object is missing. */
  async list(): Promise<void> {
    const { client, collection, onSight } = this.#options
    const path = `${collection}?${this.#selector()}`
    const { status, body } = await client.request('GET', path, { timeoutMs: REQUEST_TIMEOUT_MS })
    if (status !== 200) throw new Refused(status, `list answered ${status}: ${messageOf(body)}`)
    const list = body as { apiVersion?: string; kind?: string; metadata?: { resourceVersion?: string }; items?: T[] }
    const version = list.metadata?.resourceVersion ?? ''
    this.#version = version
    const item = list.items?.[0]
    // The items of a list do not say what they are; as events, which need to, they are passed on.
    const object = item && { apiVersion: list.apiVersion, kind: list.kind?.replace(/List$/, ''), ...item }
    onSight({ object, version, listed: true })
  }

  async #watch(): Promise<void> {
    const { client, collection, random = Math.random } = this.#options
    const seconds = MIN_WATCH_SECONDS + Math.floor(random() * MIN_WATCH_SECONDS)
    const query = `watch=true&allowWatchBookmarks=true&timeoutSeconds=${seconds}&resourceVersion=${this.#version}`
    const path = `${collection}?${this.#selector()}&${query}`
    const response = await client.stream(path, REQUEST_TIMEOUT_MS, this.#abort.signal)
    if (response.statusCode !== 200) {
      response.destroy()
      if (response.statusCode === 410) this.#version = undefined
      throw new Refused(response.statusCode ?? 0, `watch answered ${response.statusCode}`)
    }
    await this.#drain(response)
  }

  #drain(response: IncomingMessage): Promise<void> {
    const { clock } = this.#options
    return new Promise((resolve, reject) => {
      let rest = ''
      const silent = (): void => void response.destroy(new Error(`watch silent for ${IDLE_MS} ms`))
      let cancelIdle = clock.after(IDLE_MS, silent)
      const end = (error?: Error): void => {
        cancelIdle()
        if (error === undefined) resolve()
        else reject(error)
      }
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        cancelIdle()
        cancelIdle = clock.after(IDLE_MS, silent)
        const lines = (rest + chunk).split('\n')
        rest = lines.pop() ?? ''
        try {
          if (rest.length > MAX_LINE_CHARS) throw new Error('watch line too long')
          for (const line of lines) if (line !== '') this.#take(JSON.parse(line))
        } catch (error) {
          response.destroy(error as Error)
        }
      })
      response.on('error', end)
      response.on('end', () => end())
      response.on('close', () => end(new Error('watch closed')))
    })
  }

  #take(event: { type: string; object: T & { code?: number; message?: string } }): void {
    const { onSight } = this.#options
    if (event.type === 'ERROR') {
      // 410 Expired: the history that we wanted to go on from is gone. Anything else: no reason to trust it either.
      this.#version = undefined
      throw new Error(`watch error ${event.object.code}: ${event.object.message}`)
    }
    const version = event.object.metadata.resourceVersion ?? ''
    this.#version = version
    if (event.type === 'BOOKMARK') return
    onSight({ object: event.type === 'DELETED' ? undefined : event.object, version, listed: false })
  }

  async #backOff(): Promise<void> {
    const { clock, random = Math.random } = this.#options
    const delayMs = Math.min(MAX_BACKOFF_MS, 100 * 2 ** this.#failures) * (0.5 + random())
    this.#failures = Math.min(this.#failures + 1, 10)
    await new Promise<void>(resolve => {
      clock.after(delayMs, resolve)
      this.#abort.signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }
}

/** The words of a Kubernetes `Status`, or of whatever else was answered. */
export const messageOf = (body: unknown): string => {
  if (typeof body === 'object' && body !== null && 'message' in body) return String(body.message)
  return typeof body === 'string' ? body.slice(0, 200) : ''
}
