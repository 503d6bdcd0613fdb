// The life of a list and watch, whatever is kept of it: a list, then a watch from its version on. The watch carries
// bookmarks, is ended by the server after a while (`timeoutSeconds`), is dropped when nothing came for longer than a
// bookmark's period, goes on from the last version seen, and begins with a list again on 410 (Kubernetes, "Efficient
// detection of changes").
import type { IncomingMessage } from 'node:http'
import type { Clock } from './clock.ts'
import type { ApiClient } from './kube-client.ts'

export type WatchEvent = {
  type: string
  object: { metadata: { resourceVersion?: string }; code?: number; message?: string }
}

export type WatchLoopOptions = {
  client: ApiClient
  clock: Clock
  /** The collection's path, such as `/api/v1/namespaces/ns/configmaps`. */
  collection: string
  /** Selectors, as a query has them; may be empty. */
  query: string
  /** Form in which the objects are wanted; whole when missing. */
  accept?: string | undefined
  /** Lists, and answers with the version to watch from. @throws Refused, Unreachable */
  list: () => Promise<string>
  /** ADDED, MODIFIED or DELETED: bookmarks and errors stay here. */
  onEvent: (event: WatchEvent, version: string) => void
  /** Each failure in words, for the log and a counter. */
  onProblem: (problem: string) => void
  /** Called, and nothing asked again, when the API server says 403: for what can be done without. */
  onForbidden?: ((problem: string) => void) | undefined
  random?: (() => number) | undefined
}

/** The API server answered, but not with what was asked for. */
export class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.name = 'Refused'
    this.status = status
  }
}

export const REQUEST_TIMEOUT_MS = 5_000
/** The API server sends a bookmark about every minute. */
const IDLE_MS = 90_000
const MIN_WATCH_SECONDS = 300
const MAX_LINE_CHARS = 8 * 1024 * 1024
const MAX_BACKOFF_MS = 5_000

export class WatchLoop {
  #options: WatchLoopOptions
  #abort = new AbortController()
  #version: string | undefined
  #failures = 0

  constructor(options: WatchLoopOptions) {
    this.#options = options
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    const { onProblem, onForbidden } = this.#options
    while (!this.#abort.signal.aborted) {
      try {
        if (this.#version === undefined) await this.list()
        if (this.#abort.signal.aborted) return
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
  get stopped(): boolean {
    return this.#abort.signal.aborted
  }

  /** Lists now, beside the watch, which goes on from there when it is opened next. @throws Refused, Unreachable */
  async list(): Promise<void> {
    this.#version = await this.#options.list()
  }

  async #watch(): Promise<void> {
    const { client, collection, query, accept, random = Math.random } = this.#options
    const seconds = MIN_WATCH_SECONDS + Math.floor(random() * MIN_WATCH_SECONDS)
    const watch = `watch=true&allowWatchBookmarks=true&timeoutSeconds=${seconds}&resourceVersion=${this.#version}`
    const path = `${collection}?${query === '' ? '' : `${query}&`}${watch}`
    const response = await client.stream(path, REQUEST_TIMEOUT_MS, this.#abort.signal, accept)
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

  #take(event: WatchEvent): void {
    // What was already received when it was stopped is nobody's business any more.
    if (this.#abort.signal.aborted) return
    if (event.type === 'ERROR') {
      // 410 Expired: the history that we wanted to go on from is gone. Anything else: no reason to trust it either.
      this.#version = undefined
      throw new Error(`watch error ${event.object.code}: ${event.object.message}`)
    }
    const version = event.object.metadata.resourceVersion ?? ''
    this.#version = version
    if (event.type !== 'BOOKMARK') this.#options.onEvent(event, version)
  }

  async #backOff(): Promise<void> {
    const { clock, random = Math.random } = this.#options
    const delayMs = Math.min(MAX_BACKOFF_MS, 100 * 2 ** this.#failures) * (0.5 + random())
    this.#failures = Math.min(this.#failures + 1, 10)
    await new Promise<void>(resolve => {
      const { signal } = this.#abort
      const done = (): void => {
        cancel()
        signal.removeEventListener('abort', done)
        resolve()
      }
      const cancel = clock.after(delayMs, done)
      signal.addEventListener('abort', done)
    })
  }
}
