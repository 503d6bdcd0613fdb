// The sockets of Flink's client on node:http: a few pooled ones, one time limit per try. Every outcome is a value.
import http from 'node:http'
import type { Duplex } from 'node:stream'
import { createGunzip, gunzipSync } from 'node:zlib'
import type { Opened, Reply, Wire, WireOptions } from './flink-http.ts'

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

export class FlinkSockets implements Wire {
  readonly #options: WireOptions & { master: string }
  readonly #agent: http.Agent
  readonly #own = new Set<http.ClientRequest>()
  readonly #host: string
  readonly #port: number
  readonly #base: string

  constructor(options: WireOptions & { master: string }) {
    const url = new URL(options.master)
    this.#options = options
    this.#host = url.hostname.replace(/^\[|\]$/g, '')
    this.#port = Number(url.port || '80')
    this.#base = url.pathname.replace(/\/$/, '')
    this.#agent = new PoolAgent(options.periods.idleSocketMs)
  }

  end(): void {
    this.#agent.destroy()
    for (const request of this.#own) request.destroy()
    this.#own.clear()
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

  send(method: string, path: string, body: unknown, contentType?: string): Promise<Reply> {
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
        path: `${this.#base}${path}`,
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

  open(path: string, over: 'websocket' | 'http'): Promise<Opened> {
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
        path: `${this.#base}${path}`,
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
