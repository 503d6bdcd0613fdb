// The HTTP layer of Flink's client (okhttp under fabric8): a few pooled sockets, one time limit per try, retries inside
// a call. Every outcome is a value; status 0 means that no complete answer came.
import http from 'node:http'
import type { Duplex } from 'node:stream'
import { createGunzip, gunzipSync } from 'node:zlib'
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

/** okhttp keeps a socket for its own idle time, whatever the server's Keep-Alive header says. */
class PoolAgent extends http.Agent {
  readonly #idleMs: number

  constructor(idleMs: number) {
    super({ keepAlive: true, maxFreeSockets: 5, scheduling: 'lifo' })
    this.#idleMs = idleMs
  }

  override keepSocketAlive(socket: Duplex): boolean {
    const tcp = socket as Duplex & { setTimeout(ms: number): void; setKeepAlive(on: boolean): void }
    tcp.setKeepAlive(true)
    tcp.setTimeout(this.#idleMs)
    return true
  }
}

export type FlinkHttpOptions = {
  master: string
  namespace: string
  rules: DialectRules
  periods: Periods
  timers: Timers
  token: string | undefined
  onRefused: (status: number, method: string, path: string) => void
}

export class FlinkHttp {
  readonly #options: FlinkHttpOptions
  readonly #agent: http.Agent
  readonly #own = new Set<http.ClientRequest>()
  readonly #host: string
  readonly #port: number
  readonly #basePath: string

  constructor(options: FlinkHttpOptions) {
    const url = new URL(options.master)
    this.#options = options
    this.#host = url.hostname.replace(/^\[|\]$/g, '')
    this.#port = Number(url.port || '80')
    this.#basePath = `${url.pathname.replace(/\/$/, '')}/api/v1/namespaces/${options.namespace}/configmaps`
    this.#agent = new PoolAgent(options.periods.idleSocketMs)
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
    return this.#retrying('GET', `?${query}`, () => this.#openOnce(`?${query}`, over))
  }

  /** Destroys every socket at once. */
  end(): void {
    this.#agent.destroy()
    for (const request of this.#own) request.destroy()
    this.#own.clear()
  }

  #call(method: string, path: string, body?: unknown, contentType?: string): Promise<Reply> {
    return this.#retrying(method, path, () => this.#once(method, path, body, contentType))
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

  #headers(connection: string): http.OutgoingHttpHeaders {
    const { token } = this.#options
    return {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      'User-Agent': 'flink',
      'Accept-Encoding': 'gzip',
      Connection: connection,
    }
  }

  #once(method: string, path: string, body: unknown, contentType?: string): Promise<Reply> {
    const headers = this.#headers('Keep-Alive')
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    if (payload !== undefined) {
      headers['Content-Type'] = contentType ?? 'application/json; charset=utf-8'
      headers['Content-Length'] = payload.length
    }
    if (this.#options.timers.ended) return Promise.resolve(GONE)
    return new Promise(resolve => {
      let timedOut = false
      const request = http.request({
        host: this.#host,
        port: this.#port,
        method,
        path: `${this.#basePath}${path}`,
        headers,
        agent: this.#agent,
      })
      const cancelTimeout = this.#options.timers.after(this.#options.periods.requestTimeoutMs, () => {
        timedOut = true
        request.destroy(new Error('timed out'))
      })
      const settle = (reply: Reply): void => {
        cancelTimeout()
        resolve(reply)
      }
      request.on('error', error => settle(failure(error, timedOut, request.reusedSocket)))
      request.on('response', response => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', error => settle(failure(error, timedOut, false)))
        response.on('end', () => settle(answer(response, Buffer.concat(chunks))))
      })
      request.end(payload)
    })
  }

  #openOnce(path: string, over: 'websocket' | 'http'): Promise<Opened> {
    const headers = this.#headers(over === 'http' ? 'Keep-Alive' : 'Upgrade')
    if (over === 'websocket') {
      headers['Upgrade'] = 'websocket'
      headers['Origin'] = `http://${this.#host}:${this.#port}`
      headers['Sec-WebSocket-Key'] = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64')
      headers['Sec-WebSocket-Version'] = '13'
    }
    if (this.#options.timers.ended) return Promise.resolve({ ...GONE, abandon: () => {} })
    return new Promise(resolve => {
      const request = http.request({
        host: this.#host,
        port: this.#port,
        method: 'GET',
        path: `${this.#basePath}${path}`,
        headers,
        agent: over === 'http' ? this.#agent : false,
      })
      if (over === 'websocket') this.#own.add(request)
      const abandon = (): void => {
        request.destroy()
      }
      request.on('close', () => this.#own.delete(request))
      request.on('error', error => resolve({ ...failure(error, false, request.reusedSocket), abandon }))
      request.on('upgrade', (_response, socket, head) => {
        resolve({ status: 101, body: undefined, stream: socket, head, abandon: () => socket.destroy() })
      })
      request.on('response', response => {
        if (response.statusCode === 200) {
          const zipped = response.headers['content-encoding'] === 'gzip'
          const stream = zipped ? response.pipe(createGunzip()) : response
          if (zipped) response.on('error', error => (stream as Duplex).destroy(error))
          resolve({ status: 200, body: undefined, stream, abandon })
          return
        }
        // A refused watch leaves its socket to the pool once the answer is read.
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', error => resolve({ ...failure(error, false, false), abandon }))
        response.on('end', () => resolve({ ...answer(response, Buffer.concat(chunks)), abandon }))
      })
      request.end()
    })
  }
}

/** The reply to a call of a client that has ended. */
const GONE: Reply = { status: 0, body: undefined, why: 'reset' }

const failure = (error: Error, timedOut: boolean, reusedSocket: boolean): Reply => {
  const refused = (error as NodeJS.ErrnoException).code === 'ECONNREFUSED'
  return { status: 0, body: undefined, why: timedOut ? 'timed-out' : refused ? 'refused' : 'reset', reusedSocket }
}

const answer = (response: http.IncomingMessage, raw: Buffer): Reply => {
  const status = response.statusCode ?? 0
  const retryAfterMs = Number(response.headers['retry-after'] ?? '0') * 1000
  try {
    const text = response.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw
    const body: unknown = text.length === 0 ? undefined : JSON.parse(text.toString('utf8'))
    return { status, body, ...(retryAfterMs > 0 ? { retryAfterMs } : {}) }
  } catch {
    // fabric8 reads a successful answer that is not JSON as an IOException; an error answer may be any text.
    return status < 400 ? { status: 0, body: undefined, why: 'reset' } : { status, body: undefined }
  }
}
