/**
 * The embedded Kubernetes API over HTTP: paths, selectors, watches, `Status` errors, calls to mutating webhooks; and the
 * faults that a test wants of it. The main job (`flink-ha demo`) runs on it too.
 */
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import jsonpatch from 'jsonpatch'
import {
  ApiError,
  ApiStore,
  type Change,
  type Obj,
  type PatchType,
  RESOURCES,
  type Resource,
  type StoreOptions,
} from './api-store.ts'

export type ApiRequest = {
  method: string
  path: string
  status: number
  userAgent: string
  atMs: number
  query: URLSearchParams
}
export type Failure = {
  /** Which requests; all when missing. */
  match?: (request: { method: string; path: string; query: URLSearchParams }) => boolean
  status?: number
  retryAfterSeconds?: number
  times: number
  /** The write is made, but the connection is cut without an answer. */
  afterCommit?: boolean
}

const MAX_BODY_BYTES = 3 * 1024 * 1024
const PATCH_TYPES: { [type: string]: PatchType } = {
  'application/merge-patch+json': 'merge',
  'application/json-patch+json': 'json',
  'application/strategic-merge-patch+json': 'strategic',
}

type Route = {
  resource: Resource
  namespace: string | undefined
  name: string | undefined
  subresource: string | undefined
}

export class ApiServer {
  readonly store: ApiStore
  /** The newest thousand. */
  readonly requests: ApiRequest[] = []
  /** What the mutating webhooks said in their `warnings`. */
  readonly warnings: string[] = []
  delayMs = 0
  #server: Server | undefined
  #port: number
  #host: string
  #sockets = new Set<Socket>()
  #watches = new Set<ServerResponse>()
  #failures: Failure[] = []
  #frozen: Promise<void> | undefined
  #thaw: () => void = () => {}
  #bookmarkMs: number

  constructor(options: StoreOptions & { host?: string; port?: number; bookmarkMs?: number } = {}) {
    this.store = new ApiStore(options)
    this.#host = options.host ?? '127.0.0.1'
    this.#port = options.port ?? 0
    this.#bookmarkMs = options.bookmarkMs ?? 60_000
  }

  get url(): string {
    return `http://${this.#host}:${this.#port}`
  }
  get openWatches(): number {
    return this.#watches.size
  }

  async listen(): Promise<void> {
    const server = createServer((request, response) => {
      void this.#serve(request, response)
    })
    server.keepAliveTimeout = 0
    server.on('connection', socket => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, this.#host, resolve)
    })
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    this.thaw()
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    const closed = new Promise(resolve => server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** Connections are taken, nothing is answered, watches are silent. */
  freeze(): void {
    this.#frozen ??= new Promise(resolve => {
      this.#thaw = resolve
    })
  }
  thaw(): void {
    this.#frozen = undefined
    this.#thaw()
  }
  /** Connections are refused until `accept`, on the same port. */
  async refuse(): Promise<void> {
    await this.close()
  }
  async accept(): Promise<void> {
    await this.listen()
  }
  breakWatches(): void {
    for (const response of [...this.#watches]) response.destroy()
  }
  /** Ends all watches with the 410 that says: list again. */
  expireWatches(): void {
    for (const response of [...this.#watches])
      response.end(line('ERROR', statusOf(new ApiError(410, 'too old resource version'))))
  }
  fail(failure: Failure): void {
    this.#failures.push(failure)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://api')
    const seen: ApiRequest = {
      method: request.method ?? '',
      path: url.pathname,
      status: 0,
      userAgent: request.headers['user-agent'] ?? '',
      atMs: Date.now(),
      query: url.searchParams,
    }
    this.requests.push(seen)
    if (this.requests.length > 1_000) this.requests.shift()
    try {
      const body = await readBody(request)
      if (this.delayMs > 0) await new Promise(resolve => setTimeout(resolve, this.delayMs))
      while (this.#frozen !== undefined) await this.#frozen
      if (response.destroyed) return
      const failure = this.#failing(seen)
      if (failure !== undefined && failure.afterCommit !== true) {
        const status = failure.status ?? 500
        const headers =
          failure.retryAfterSeconds === undefined ? {} : { 'retry-after': String(failure.retryAfterSeconds) }
        seen.status = status
        return send(response, status, statusOf(new ApiError(status, 'told to fail')), headers)
      }
      const answered = await this.#answer(request, response, url, body)
      if (answered === undefined) return
      if (failure?.afterCommit === true) {
        request.socket.destroy()
        return
      }
      seen.status = answered.status
      send(response, answered.status, answered.body, {})
    } catch (error) {
      const known = error instanceof ApiError ? error : new ApiError(500, String(error))
      seen.status = known.code
      send(response, known.code, statusOf(known), {})
    }
  }

  #failing(request: ApiRequest): Failure | undefined {
    const failure = this.#failures.find(f => f.match === undefined || f.match(request))
    if (failure === undefined) return undefined
    if (--failure.times <= 0) this.#failures = this.#failures.filter(f => f !== failure)
    return failure
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    body: Buffer,
  ): Promise<{ status: number; body: unknown } | undefined> {
    if (url.pathname === '/readyz') return { status: 200, body: 'ok' }
    if (url.pathname === '/version')
      return { status: 200, body: { major: '1', minor: '34', gitVersion: 'v1.34.0-embedded' } }
    const route = parseRoute(url.pathname)
    if (route === undefined) throw new ApiError(404, 'the server could not find the requested resource')
    const { resource, name } = route
    const namespace = route.namespace ?? ''
    const dryRun = url.searchParams.get('dryRun') === 'All'
    switch (request.method) {
      case 'GET': {
        if (name !== undefined) return this.#shaped(request, 200, this.store.get(resource, namespace, name))
        if (url.searchParams.get('watch') === 'true' || url.searchParams.get('watch') === '1') {
          this.#watch(response, route, url.searchParams)
          return undefined
        }
        const items = this.store.list(resource, route.namespace).filter(selector(url.searchParams))
        const group = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
        const metadata = { resourceVersion: String(this.store.version) }
        return { status: 200, body: { kind: `${resource.kind}List`, apiVersion: group, metadata, items } }
      }
      case 'POST': {
        if (name !== undefined) throw new ApiError(405, 'POST is not allowed on an object')
        const object = await this.#admit(resource, namespace, parse(body) as Obj, dryRun)
        return { status: 201, body: this.store.create(resource, namespace, object, dryRun) }
      }
      case 'PUT':
        if (name === undefined) throw new ApiError(405, 'PUT is not allowed on a collection')
        return this.#shaped(request, 200, this.store.replace(resource, namespace, name, parse(body) as Obj, dryRun))
      case 'PATCH': {
        if (name === undefined) throw new ApiError(405, 'PATCH is not allowed on a collection')
        const type = PATCH_TYPES[(request.headers['content-type'] ?? '').split(';')[0] ?? '']
        if (type === undefined) throw new ApiError(415, 'the body of the request was in an unknown format')
        return this.#shaped(request, 200, this.store.patch(resource, namespace, name, type, parse(body), dryRun))
      }
      case 'DELETE': {
        if (name === undefined) throw new ApiError(405, 'DELETE is not allowed on a collection')
        const options =
          body.length === 0 ? {} : (parse(body) as { preconditions?: { uid?: string; resourceVersion?: string } })
        const gone = this.store.delete(resource, namespace, name, options.preconditions)
        const details = { name, kind: resource.plural, uid: gone.metadata.uid }
        return { status: 200, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details } }
      }
      default:
        throw new ApiError(405, `${request.method} is not allowed`)
    }
  }

  #shaped(request: IncomingMessage, status: number, object: Obj): { status: number; body: unknown } {
    const partial = (request.headers.accept ?? '').includes('as=PartialObjectMetadata')
    if (!partial) return { status, body: object }
    return { status, body: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata } }
  }

  #watch(response: ServerResponse, route: Route, query: URLSearchParams): void {
    const fits = selector(query)
    const within = (object: Obj): boolean =>
      (route.namespace === undefined || object.metadata.namespace === route.namespace) && fits(object)
    const given = query.get('resourceVersion') ?? ''
    const { group, version } = route.resource
    const apiVersion = group === '' ? version : `${group}/${version}`
    // As for the real one, an expired version is an ERROR event in a stream that is answered 200.
    const missed: Change[] = []
    let expired: ApiError | undefined
    try {
      if (given !== '' && given !== '0') missed.push(...this.store.since(Number(given)))
    } catch (error) {
      expired = error as ApiError
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    if (expired !== undefined) {
      response.end(line('ERROR', statusOf(expired)))
      return
    }
    const tell = (change: Change): void => {
      if (change.object.kind !== route.resource.kind || change.object.apiVersion !== apiVersion) return
      const [was, is] = [
        change.before !== undefined && within(change.before),
        change.type !== 'DELETED' && within(change.object),
      ]
      if (!was && !is) return
      const type = !is ? 'DELETED' : was ? 'MODIFIED' : 'ADDED'
      if (this.#frozen === undefined) response.write(line(type, change.object))
      else void this.#frozen.then(() => response.write(line(type, change.object)))
    }
    if (given === '' || given === '0')
      for (const object of this.store.list(route.resource, route.namespace).filter(fits))
        response.write(line('ADDED', object))
    for (const change of missed) tell(change)
    const off = this.store.onChange(tell)
    this.#watches.add(response)
    const bookmark = setInterval(() => {
      if (query.get('allowWatchBookmarks') !== 'true') return
      const metadata = { resourceVersion: String(this.store.version) }
      response.write(line('BOOKMARK', { kind: route.resource.kind, apiVersion, metadata }))
    }, this.#bookmarkMs)
    const seconds = Number(query.get('timeoutSeconds')) || 1_800
    const end = setTimeout(() => response.end(), seconds * 1_000)
    response.on('close', () => {
      off()
      clearInterval(bookmark)
      clearTimeout(end)
      this.#watches.delete(response)
    })
  }

  /** Asks the mutating webhooks that select a new pod, in the order of their names. */
  async #admit(resource: Resource, namespace: string, object: Obj, dryRun: boolean): Promise<Obj> {
    if (resource.plural !== 'pods') return object
    const webhooks = this.store
      .list(of('mutatingwebhookconfigurations'))
      .flatMap(configuration => (configuration['webhooks'] ?? []) as Webhook[])
    let admitted = object
    for (const webhook of webhooks.filter(w => this.#selects(w, namespace, admitted)))
      admitted = await this.#review(webhook, namespace, admitted, dryRun)
    return admitted
  }

  #selects(webhook: Webhook, namespace: string, object: Obj): boolean {
    const labels = this.store.list(of('namespaces')).find(ns => ns.metadata.name === namespace)?.metadata.labels
    const ofNamespace = { 'kubernetes.io/metadata.name': namespace, ...labels }
    return (
      matches(webhook.namespaceSelector, ofNamespace) && matches(webhook.objectSelector, object.metadata.labels ?? {})
    )
  }

  async #review(webhook: Webhook, namespace: string, object: Obj, dryRun: boolean): Promise<Obj> {
    const uid = crypto.randomUUID()
    const kind = { group: '', version: 'v1', kind: 'Pod' }
    const resource = { group: '', version: 'v1', resource: 'pods' }
    const request = {
      uid,
      kind,
      resource,
      namespace,
      operation: 'CREATE',
      object,
      dryRun,
      userInfo: { username: 'embedded' },
    }
    const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }
    try {
      const answered = (await post(webhook, review)) as { response?: ReviewResponse }
      const { response } = answered
      if (response?.uid !== uid) throw new Error('the response has another uid')
      this.warnings.push(...(response.warnings ?? []))
      if (!response.allowed)
        throw new ApiError(
          403,
          `admission webhook "${webhook.name}" denied the request: ${response.status?.message ?? ''}`,
          'Forbidden',
        )
      if (response.patch === undefined) return object
      const patch = JSON.parse(Buffer.from(response.patch, 'base64').toString('utf8'))
      return jsonpatch.apply_patch(structuredClone(object), patch) as Obj
    } catch (error) {
      if (error instanceof ApiError) throw error
      if (webhook.failurePolicy === 'Ignore') return object
      throw new ApiError(500, `failed calling webhook "${webhook.name}": ${(error as Error).message}`)
    }
  }
}

type Selector = {
  matchLabels?: { [name: string]: string }
  matchExpressions?: { key: string; operator: string; values?: string[] }[]
}
type Webhook = {
  name: string
  clientConfig: { url?: string; caBundle?: string }
  failurePolicy?: string
  timeoutSeconds?: number
  namespaceSelector?: Selector
  objectSelector?: Selector
}
type ReviewResponse = {
  uid?: string
  allowed?: boolean
  patch?: string
  warnings?: string[]
  status?: { message?: string }
}

const of = (plural: string): Resource => {
  const found = RESOURCES.find(resource => resource.plural === plural)
  if (found === undefined) throw new Error(`no resource ${plural}`)
  return found
}

const matches = (wanted: Selector | undefined, labels: { [name: string]: string }): boolean =>
  Object.entries(wanted?.matchLabels ?? {}).every(([name, value]) => labels[name] === value) &&
  (wanted?.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = labels[key]
    if (operator === 'In') return value !== undefined && values.includes(value)
    if (operator === 'NotIn') return value === undefined || !values.includes(value)
    return operator === 'Exists' ? value !== undefined : value === undefined
  })

const post = (webhook: Webhook, review: object): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const url = new URL(webhook.clientConfig.url ?? '')
    const options = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      timeout: (webhook.timeoutSeconds ?? 10) * 1_000,
    }
    const ca = webhook.clientConfig.caBundle
    const request =
      url.protocol === 'https:'
        ? httpsRequest(url, { ...options, ...(ca && { ca: Buffer.from(ca, 'base64') }) })
        : httpRequest(url, options)
    request.on('timeout', () => request.destroy(new Error('context deadline exceeded')))
    request.on('error', reject)
    request.on('response', response => {
      readBody(response).then(body => {
        if (response.statusCode === 200) resolve(JSON.parse(body.toString('utf8')))
        else reject(new Error(`the server responded with the status code ${response.statusCode}`))
      }, reject)
    })
    request.end(JSON.stringify(review))
  })

const parseRoute = (path: string): Route | undefined => {
  const parts = path
    .split('/')
    .filter(part => part !== '')
    .map(decodeURIComponent)
  const group = parts[0] === 'apis' ? parts[1] : parts[0] === 'api' ? '' : undefined
  if (group === undefined) return undefined
  const rest = parts.slice(group === '' ? 2 : 3)
  const version = parts[group === '' ? 1 : 2]
  const scoped = rest[0] === 'namespaces' && rest.length > 2
  const [plural, name, subresource] = scoped ? rest.slice(2) : rest
  const resource = RESOURCES.find(r => r.group === group && r.version === version && r.plural === plural)
  if (resource === undefined || (resource.namespaced && !scoped && name !== undefined)) return undefined
  return { resource, namespace: scoped ? rest[1] : undefined, name, subresource }
}

/** Equality, inequality, set and existence, as in Kubernetes' label selectors; names and namespaces as fields. */
export const selector = (query: URLSearchParams): ((object: Obj) => boolean) => {
  const tests: ((object: Obj) => boolean)[] = []
  for (const term of (query.get('fieldSelector') ?? '').split(',').filter(t => t !== '')) {
    const match = /^metadata\.(name|namespace)(!?)==?(.*)$/.exec(term)
    if (match === null) throw new ApiError(400, `field label not supported: ${term}`)
    tests.push(object => (object.metadata[match[1] as 'name'] === match[3]) === (match[2] === ''))
  }
  for (const term of (query.get('labelSelector') ?? '').split(/,(?![^(]*\))/).filter(t => t !== ''))
    tests.push(labelTest(term.trim()))
  return object => tests.every(test => test(object))
}

const labelTest = (term: string): ((object: Obj) => boolean) => {
  const label = (object: Obj, name: string): string | undefined => object.metadata.labels?.[name]
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term)
  if (set !== null) {
    const values = (set[3] ?? '').split(',').map(value => value.trim())
    return object => values.includes(label(object, set[1] ?? '') ?? '\0') === (set[2] === 'in')
  }
  const equal = /^([^!=\s]+)\s*(!?)==?\s*(.*)$/.exec(term)
  if (equal !== null) return object => (label(object, equal[1] ?? '') === equal[3]) === (equal[2] === '')
  if (/^![^=]+$/.test(term)) return object => label(object, term.slice(1)) === undefined
  return object => label(object, term) !== undefined
}

const parse = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw new ApiError(400, `the object provided is unrecognized: ${(error as Error).message}`)
  }
}

const readBody = (request: IncomingMessage): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= MAX_BODY_BYTES) chunks.push(chunk)
    })
    request.on('error', reject)
    request.on('end', () => {
      if (size <= MAX_BODY_BYTES) resolve(Buffer.concat(chunks))
      else reject(new ApiError(413, `Request entity too large: limit is ${MAX_BODY_BYTES}`, 'RequestEntityTooLarge'))
    })
  })

const statusOf = (error: ApiError) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: error.message,
  reason: error.reason,
  code: error.code,
})

const line = (type: string, object: object): string => `${JSON.stringify({ type, object })}\n`

const send = (response: ServerResponse, status: number, body: unknown, headers: { [name: string]: string }): void => {
  if (response.headersSent || response.destroyed) return
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...headers,
  })
  response.end(text)
}
