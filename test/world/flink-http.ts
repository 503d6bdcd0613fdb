// The HTTP layer of Flink's client (okhttp under fabric8): retries inside a call. Every outcome is a value; status 0 means
// that no complete answer came.
import type { Duplex } from 'node:stream'
import type { DialectRules, Periods } from './flink-dialect.ts'
import type { ConfigMap } from './flink-records.ts'
import type { Timers } from './flink-timers.ts'

export type Reply = {
  status: number
  body: unknown
  /** For status 0: refused is retried with pauses, reset twice at once. */
  why?: 'refused' | 'reset' | 'timed-out'
  retryAfterMs?: number
  reusedSocket?: boolean
}

/** An answer that has begun: of a plain watch (200), or 101 with the socket that was upgraded. */
export type Opened = Reply & { stream?: Duplex | NodeJS.ReadableStream; head?: Buffer; abandon: () => void }

export type WireOptions = {
  periods: Periods
  timers: Timers
  token: string | undefined
}

/** One try each; `path` from the root on, with its query. */
export type Wire = {
  send: (method: string, path: string, body: unknown, contentType?: string) => Promise<Reply>
  /** Begins a watch on a pooled socket, or tries to make one of a socket of its own a WebSocket. */
  open: (path: string, over: 'websocket' | 'http') => Promise<Opened>
  /** Destroys every socket at once. */
  end: () => void
}

export type FlinkHttpOptions = {
  wire: Wire
  namespace: string
  rules: DialectRules
  periods: Periods
  timers: Timers
  onRefused: (status: number, method: string, path: string) => void
}

export class FlinkHttp {
  readonly #options: FlinkHttpOptions
  readonly #basePath: string

  constructor(options: FlinkHttpOptions) {
    this.#options = options
    this.#basePath = `/api/v1/namespaces/${options.namespace}/configmaps`
  }

  list(query: string): Promise<Reply> {
    return this.#call('GET', `?${query}`)
  }

  get(name: string): Promise<Reply> {
    return this.#call('GET', `/${name}`)
  }

  create(body: unknown): Promise<Reply> {
    return this.#call('POST', '', body)
  }

  replace(configMap: ConfigMap): Promise<Reply> {
    return this.#call('PUT', `/${configMap.metadata.name}`, configMap)
  }

  patch(name: string, body: unknown): Promise<Reply> {
    return this.#call('PATCH', `/${name}`, body, 'application/merge-patch+json; charset=utf-8')
  }

  delete(name: string): Promise<Reply> {
    return this.#call('DELETE', `/${name}`, {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy: 'Background',
    })
  }

  /** Begins a watch on a pooled socket, or tries to make one of a socket of its own a WebSocket. */
  open(query: string, over: 'websocket' | 'http'): Promise<Opened> {
    return this.#retrying('GET', `?${query}`, () => this.#options.wire.open(`${this.#basePath}?${query}`, over))
  }

  /** Destroys every socket at once. */
  end(): void {
    this.#options.wire.end()
  }

  #call(method: string, path: string, body?: unknown, contentType?: string): Promise<Reply> {
    return this.#retrying(method, path, () =>
      this.#options.wire.send(method, `${this.#basePath}${path}`, body, contentType),
    )
  }

  async #retrying<R extends Reply>(method: string, path: string, once: () => Promise<R>): Promise<R> {
    const { rules, periods, timers } = this.#options
    let pauseMs = periods.backoffMs
    let atOnce = rules.httpRetries > 0 ? 2 : 0
    for (let retries = 0; ; retries++) {
      const reply = await once()
      if (timers.ended) return reply
      // okhttp itself repeats on a new socket what failed on a pooled one that the server had closed meanwhile.
      const stale = reply.why === 'reset' && reply.reusedSocket === true && retries === 0
      const again = reply.status === 0 || reply.status === 429 || reply.status >= 500
      if (!again || (retries >= rules.httpRetries && !stale)) {
        const absent = method === 'GET' && reply.status === 404
        if (reply.status === 0 || (reply.status >= 400 && !absent)) {
          this.#options.onRefused(reply.status, method, `${this.#basePath}${path}`)
        }
        return reply
      }
      if (reply.why === 'reset' && (stale || atOnce > 0)) {
        atOnce--
        continue
      }
      await timers.sleep(Math.max(pauseMs, reply.retryAfterMs ?? 0))
      pauseMs = Math.min(pauseMs * 2, periods.backoffMs * 32)
    }
  }
}
