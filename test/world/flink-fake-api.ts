// The smallest ConfigMap API that Flink's client can run on, for the client's own tests: it writes down every request and
// answers as it is told. It is no model of Kubernetes; the embedded API of the simulation is.
import { createHash } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ConfigMap } from './flink-records.ts'

export type Seen = {
  method: string
  /** Below `…/configmaps`: "" for the collection, else "/name". */
  path: string
  query: string
  headers: http.IncomingHttpHeaders
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of any shape.
  body: any
  contentType: string | undefined
}

/** What to do with a request instead of serving it. */
export type Verdict = { status: number; headers?: http.OutgoingHttpHeaders } | 'destroy' | 'hang' | undefined

type Watcher = { selector: (configMap: ConfigMap) => boolean; send: (event: string) => void; end: () => void }
type Entry = { version: number; type: string; object: ConfigMap }

const BASE = '/api/v1/namespaces/flink/configmaps'
const WEBSOCKET_MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

export class FakeConfigMapApi {
  readonly requests: Seen[] = []
  /** Client sockets that are open now. */
  readonly sockets = new Set<Duplex>()
  judge: (seen: Seen) => Verdict = () => undefined
  websocket = false
  /** PING frames that arrived. */
  pings = 0
  answersPings = true
  url = ''
  readonly #server = http.createServer({ keepAliveTimeout: 0 }, (request, response) => {
    void this.#serve(request, response)
  })
  readonly #objects = new Map<string, ConfigMap>()
  readonly #watchers = new Set<Watcher>()
  #history: Entry[] = []
  #version = 100

  async listen(): Promise<void> {
    this.#server.on('connection', socket => {
      this.sockets.add(socket)
      socket.on('close', () => this.sockets.delete(socket))
    })
    this.#server.on('upgrade', (request, socket) => this.#upgrade(request, socket))
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.close()
    for (const socket of this.sockets) socket.destroy()
  }

  /** "GET /name" or "LIST", "WATCH", "WEBSOCKET" for the collection. */
  get sequence(): string[] {
    return this.requests.map(label)
  }

  object(name: string): ConfigMap | undefined {
    return this.#objects.get(name)
  }

  /** Somebody else's write. */
  put(name: string, change: (configMap: ConfigMap) => void): void {
    const known = this.#objects.get(name)
    const next: ConfigMap = structuredClone(known ?? { metadata: { name } })
    change(next)
    this.#store(known === undefined ? 'ADDED' : 'MODIFIED', next)
  }

  remove(name: string): void {
    const known = this.#objects.get(name)
    if (known === undefined) return
    this.#objects.delete(name)
    this.#record('DELETED', known)
  }

  /** Ends all watches properly. */
  endWatches(): void {
    for (const watcher of [...this.#watchers]) watcher.end()
  }

  /** Sends one event to all watches, as it is. */
  tell(event: unknown): void {
    for (const watcher of [...this.#watchers]) watcher.send(JSON.stringify(event))
  }

  get watching(): number {
    return this.#watchers.size
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const seen = await this.#note(request)
    const verdict = this.judge(seen)
    if (verdict === 'hang') return
    if (verdict === 'destroy') {
      request.socket.destroy()
      return
    }
    if (verdict !== undefined) return reply(response, verdict.status, status(verdict.status), verdict.headers)
    if (seen.query.includes('watch=true')) return this.#watch(seen, response)
    const [code, body] = this.#answer(seen)
    reply(response, code, body)
  }

  async #note(request: http.IncomingMessage): Promise<Seen> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const [path = '', query = ''] = (request.url ?? '').split('?')
    const seen = {
      method: request.method ?? '',
      path: path.startsWith(BASE) ? path.slice(BASE.length) : `outside:${path}`,
      query,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
      contentType: request.headers['content-type'],
    }
    this.requests.push(seen)
    return seen
  }

  #answer(seen: Seen): [number, unknown] {
    const name = seen.path.slice(1)
    const known = this.#objects.get(name)
    if (seen.method === 'GET' && name === '') return [200, this.#list(seen.query)]
    if (seen.method === 'POST') return this.#create(seen.body as ConfigMap)
    if (known === undefined) return [404, status(404)]
    switch (seen.method) {
      case 'GET':
        return [200, known]
      case 'DELETE':
        this.remove(name)
        return [200, status(200)]
      default: {
        const body = seen.body as ConfigMap
        const asked = body.metadata.resourceVersion
        if (asked !== undefined && asked !== known.metadata.resourceVersion) return [409, status(409)]
        const next = seen.method === 'PUT' ? body : (merged(known, body) as ConfigMap)
        return [200, this.#store('MODIFIED', next)]
      }
    }
  }

  #create(body: ConfigMap): [number, unknown] {
    if (this.#objects.has(body.metadata.name)) return [409, status(409)]
    return [201, this.#store('ADDED', { ...body, metadata: { ...body.metadata, uid: 'uid-1' } })]
  }

  #store(type: string, object: ConfigMap): ConfigMap {
    const { name } = object.metadata
    if (same(this.#objects.get(name), object)) return object
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } }
    this.#objects.set(name, stored)
    this.#record(type, stored)
    return stored
  }

  #record(type: string, object: ConfigMap): void {
    const version = type === 'DELETED' ? ++this.#version : this.#version
    const shown = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } }
    this.#history.push({ version, type, object: shown })
    for (const watcher of [...this.#watchers]) {
      if (watcher.selector(shown)) watcher.send(JSON.stringify({ type, object: shown }))
    }
  }

  #list(query: string): unknown {
    const items = [...this.#objects.values()].filter(selected(query))
    return { kind: 'ConfigMapList', metadata: { resourceVersion: String(this.#version) }, items }
  }

  #watch(seen: Seen, response: http.ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'application/json' })
    response.flushHeaders()
    this.#follow(seen.query, {
      send: event => response.write(`${event}\n`),
      end: () => response.end(),
      onClose: gone => response.on('close', gone),
    })
  }

  #upgrade(request: http.IncomingMessage, socket: Duplex): void {
    void this.#note(request).then(seen => {
      if (!this.websocket) {
        // As a server that ignores Upgrade does: the stream begins on this socket.
        socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n')
        socket.on('error', () => socket.destroy())
        socket.on('end', () => socket.destroy())
        return
      }
      const key = `${request.headers['sec-websocket-key']}${WEBSOCKET_MAGIC}`
      const accept = createHash('sha1').update(key).digest('base64')
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      )
      socket.on('data', (chunk: Buffer) => {
        // The only frames that a client sends fit one chunk here: PING, answered, and CLOSE.
        if ((chunk[0] ?? 0) === 0x89) {
          this.pings++
          if (this.answersPings) socket.write(Buffer.from([0x8a, 0]))
        }
        if ((chunk[0] ?? 0) === 0x88) socket.end()
      })
      socket.on('error', () => socket.destroy())
      this.#follow(seen.query, {
        send: event => socket.write(textFrame(event)),
        end: () => socket.end(Buffer.from([0x88, 2, 0x03, 0xe8])),
        onClose: gone => socket.on('close', gone),
      })
    })
  }

  #follow(query: string, to: Omit<Watcher, 'selector'> & { onClose: (gone: () => void) => void }): void {
    const from = Number(new URLSearchParams(query).get('resourceVersion'))
    const selector = selected(query)
    const watcher: Watcher = {
      selector,
      send: to.send,
      end: () => {
        this.#watchers.delete(watcher)
        to.end()
      },
    }
    this.#watchers.add(watcher)
    to.onClose(() => this.#watchers.delete(watcher))
    for (const { version, type, object } of this.#history) {
      if (version > from && selector(object)) to.send(JSON.stringify({ type, object }))
    }
  }
}

export const label = (seen: Seen): string => {
  if (seen.method !== 'GET' || seen.path !== '') return `${seen.method} ${seen.path}`.trim()
  if (!seen.query.includes('watch=true')) return 'LIST'
  return seen.headers.upgrade === undefined ? 'WATCH' : 'WEBSOCKET'
}

const reply = (
  response: http.ServerResponse,
  code: number,
  body: unknown,
  headers: http.OutgoingHttpHeaders = {},
): void => {
  response.writeHead(code, { 'Content-Type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

const status = (code: number): unknown => ({ kind: 'Status', apiVersion: 'v1', code })

const same = (a: ConfigMap | undefined, b: ConfigMap): boolean =>
  a !== undefined && JSON.stringify(a) === JSON.stringify(b)

const selected = (query: string): ((configMap: ConfigMap) => boolean) => {
  const parameters = new URLSearchParams(query)
  const name = parameters.get('fieldSelector')?.replace('metadata.name=', '')
  const labels = (parameters.get('labelSelector') ?? '').split(',').filter(text => text !== '')
  return ({ metadata }) =>
    (name === undefined || metadata.name === name) &&
    labels.every(text => metadata.labels?.[text.split('=')[0] ?? ''] === text.split('=')[1])
}

/** RFC 7386. */
const merged = (target: unknown, patch: unknown): unknown => {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: { [key: string]: unknown } = typeof target === 'object' && target !== null ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = merged(result[key], value)
  }
  return result
}

/** Unmasked text in two fragments, so that the reader has to join them. */
const textFrame = (text: string): Buffer => {
  const payload = Buffer.from(text)
  const half = Math.floor(payload.length / 2)
  return Buffer.concat([frame(0x01, payload.subarray(0, half)), frame(0x80, payload.subarray(half))])
}

const frame = (first: number, payload: Buffer): Buffer => {
  const head = payload.length < 126 ? Buffer.from([first, payload.length]) : Buffer.from([first, 126, 0, 0])
  if (head.length === 4) head.writeUInt16BE(payload.length, 2)
  return Buffer.concat([head, payload])
}
