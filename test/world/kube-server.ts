/**
 * The embedded Kubernetes API over HTTP, with the faults that a test or the demo wants of an API server. WebSocket
 * upgrades are not taken: such a watch is answered 200 with JSON lines.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { After } from './kube-admission.ts'
import {
  type ApiOptions,
  type KubeAnswer,
  KubeApi,
  type KubeRequest,
  MAX_BODY_BYTES,
  realAfter,
  tooLarge,
} from './kube-api.ts'
import { WatchConnection } from './kube-connection.ts'
import { KubeError } from './kube-errors.ts'
import { errorOf, type Failure, Failures } from './kube-faults.ts'
import { routeOf } from './kube-route.ts'
import type { KubeStore } from './kube-store.ts'
import { httpWebhookCall, type ResolveService } from './kube-webhook-call.ts'

/** `status` 0: not answered (yet). `path` is without the query. */
export type SeenRequest = {
  method: string
  path: string
  query: string
  verb: string
  status: number
  userAgent: string
  /** Milliseconds since the epoch. */
  at: number
}
export type ServerOptions = ApiOptions & {
  host?: string
  /** 0: any that is free; the same one is kept. */
  port?: number
  /** When given, a request needs one of these as a bearer token. */
  tokens?: readonly string[]
  /** For webhooks that are named by a Service. */
  resolveService?: ResolveService
  /** How many requests the journal keeps. */
  journalSize?: number
}

const DEFAULT_JOURNAL = 10_000

export class KubeServer {
  readonly api: KubeApi
  /** The newest requests, oldest first. */
  readonly requests: SeenRequest[] = []
  #options: ServerOptions
  #server: Server | undefined
  #port: number
  #host: string
  #sockets = new Set<Socket>()
  #watches = new Set<WatchConnection>()
  #failures = new Failures()
  #delay: { ms: number; when: 'before' | 'after' } = { ms: 0, when: 'before' }
  #dropping = false
  #abandoned: 'dropped' | 'done' = 'dropped'
  #after: After
  #frozen: Promise<void> | undefined
  #melt: () => void = () => {}

  constructor(options: ServerOptions = {}) {
    const noService = ({ namespace, name }: { namespace: string; name: string }): never => {
      throw new Error(`service ${namespace}/${name} is nowhere: give resolveService`)
    }
    const callWebhook = options.callWebhook ?? httpWebhookCall(options.resolveService ?? noService)
    this.api = new KubeApi({ ...options, callWebhook })
    this.#options = options
    this.#after = options.after ?? realAfter
    this.#host = options.host ?? '127.0.0.1'
    this.#port = options.port ?? 0
  }

  get store(): KubeStore {
    return this.api.store
  }
  /** Known once it listens. */
  get url(): string {
    return `http://${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.#port}`
  }
  get openWatches(): number {
    return this.#watches.size
  }

  async listen(): Promise<void> {
    if (this.#server !== undefined) return
    const server = createServer((request, response) => void this.#serve(request, response))
    // Clients keep their connections as long as they like; kube-apiserver does not hang up on them either.
    server.keepAliveTimeout = 0
    server.requestTimeout = 0
    server.headersTimeout = 0
    server.on('connection', socket => {
      socket.setNoDelay(true)
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, this.#host, resolve)
    })
    this.#port = (server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    for (const socket of this.#sockets) socket.destroy()
    this.thaw()
    if (server === undefined) return
    await new Promise(resolve => server.close(resolve))
  }

  /**
   * Connections and requests are taken, nothing is done or answered, watches are silent, until `thaw`. Requests that were
   * abandoned by then are `dropped`, or `done` all the same: a stopped process finds them in its sockets, and may do either.
   */
  freeze(abandoned: 'dropped' | 'done' = 'dropped'): void {
    this.#abandoned = abandoned
    this.#frozen ??= new Promise(resolve => {
      this.#melt = resolve
    })
  }
  thaw(): void {
    this.#frozen = undefined
    this.#melt()
    for (const watch of this.#watches) watch.thaw()
  }
  /** Connections are cut, and refused until `accept`. */
  async refuse(): Promise<void> {
    await this.close()
  }
  /** Listens again, on the same port. */
  async accept(): Promise<void> {
    await this.listen()
  }
  /** Cuts the connections of all watches. */
  breakWatches(): void {
    for (const watch of [...this.#watches]) watch.destroy()
  }
  /** Ends all watches with the 410 that says: list again. */
  expireWatches(): void {
    for (const watch of [...this.#watches]) watch.expire()
  }
  /** While true, watches tell of nothing, and never will of what happened meanwhile. */
  dropWatchEvents(dropping: boolean): void {
    this.#dropping = dropping
  }
  /** Forgets the history: watches from versions before now are answered 410. */
  compact(): void {
    this.store.compact()
  }
  /** Answers take this much longer; `after`: what was asked is done at once. 0 ends it. */
  delay(ms: number, when: 'before' | 'after' = 'before'): void {
    this.#delay = { ms, when }
  }
  fail(failure: Failure): void {
    this.#failures.add(failure)
  }
  /** Ends failures that have not been used up. */
  heal(): void {
    this.#failures.clear()
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen = this.#note(incoming)
    // A client that hangs up is no error of ours.
    response.on('error', () => {})
    try {
      const body = await readBody(incoming)
      const { ms, when } = this.#delay
      if (when === 'before') await this.#wait(ms)
      const wasFrozen = this.#frozen !== undefined
      while (this.#frozen !== undefined) await this.#frozen
      const isLate = wasFrozen && this.#abandoned === 'done'
      if (incoming.socket.destroyed && !isLate) return
      const { method = '', url: path = '', headers } = incoming
      await this.#answer({ method, path, headers, body }, response, seen, when === 'after' ? ms : 0)
    } catch (error) {
      if (error instanceof KubeError) reply(response, seen, refusal(error))
      else incoming.socket.destroy()
    }
  }

  async #answer(request: KubeRequest, response: ServerResponse, seen: SeenRequest, delayMs: number): Promise<void> {
    const failure = this.#failures.take(request)
    if (failure !== undefined && failure.afterCommit !== true) throw errorOf(failure)
    if (!this.#isKnown(request)) throw new KubeError(401, 'Unauthorized')
    const answer = await this.api.handle(request)
    await this.#wait(delayMs)
    while (this.#frozen !== undefined) await this.#frozen
    if (failure?.afterCommit === true) {
      if ('watch' in answer) answer.watch.close()
      response.socket?.destroy()
      return
    }
    if (!('watch' in answer)) return reply(response, seen, answer)
    if (response.socket === null || response.socket.destroyed) return answer.watch.close()
    seen.status = 200
    const flags = { isFrozen: () => this.#frozen !== undefined, isDropping: () => this.#dropping }
    const connection = new WatchConnection(response, answer.watch, flags)
    this.#watches.add(connection)
    response.on('close', () => this.#watches.delete(connection))
    connection.start()
  }

  #isKnown({ headers }: KubeRequest): boolean {
    const { tokens } = this.#options
    if (tokens === undefined) return true
    const [, token = ''] = /^Bearer (.+)$/i.exec(String(headers?.['authorization'] ?? '')) ?? []
    return tokens.includes(token)
  }

  #note(incoming: IncomingMessage): SeenRequest {
    const { method = '', url = '', headers } = incoming
    const [path = '', query = ''] = url.split('?')
    const at = (this.#options.now ?? Date.now)()
    const verb = verbOf(method, path, query)
    const seen: SeenRequest = { method, path, query, verb, status: 0, userAgent: headers['user-agent'] ?? '', at }
    this.requests.push(seen)
    if (this.requests.length > (this.#options.journalSize ?? DEFAULT_JOURNAL)) this.requests.shift()
    return seen
  }

  #wait(ms: number): Promise<void> | undefined {
    return ms > 0 ? new Promise(resolve => this.#after(ms, resolve)) : undefined
  }
}

/** As RBAC and the audit log name it: get, list, watch, create, update, patch, delete, deletecollection. */
export const verbOf = (method: string, path: string, query: string): string => {
  const isNamed = routeOf(path)?.name !== undefined
  if (method === 'GET') {
    if (isNamed) return 'get'
    return /(^|&)watch=(?!false|0)/.test(query) ? 'watch' : 'list'
  }
  if (method === 'DELETE') return isNamed ? 'delete' : 'deletecollection'
  return { POST: 'create', PUT: 'update', PATCH: 'patch' }[method] ?? method.toLowerCase()
}

const refusal = (error: KubeError): KubeAnswer => {
  const seconds = error.details?.retryAfterSeconds
  const headers = { 'content-type': 'application/json', ...(seconds !== undefined && { 'retry-after': `${seconds}` }) }
  return { status: error.code, headers, body: error.status }
}

const reply = (response: ServerResponse, seen: SeenRequest, { status, headers, body }: KubeAnswer): void => {
  if (response.socket === null || response.socket.destroyed || response.headersSent) return
  seen.status = status
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

/** Reads to the end even what is too much, so that the client hears the refusal. @throws KubeError 413 */
const readBody = async (incoming: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= MAX_BODY_BYTES) chunks.push(chunk)
  }
  if (size > MAX_BODY_BYTES) throw tooLarge()
  return Buffer.concat(chunks).toString('utf8')
}
