/**
 * The embedded Kubernetes API's requests, in process: a method, a path, headers and a body in; a status, headers and a
 * body, or a watch, out. Refusals are `Status` objects. `kube-server.ts` puts it on a socket.
 */
import { Admitter, type After, type CallWebhook } from './kube-admission.ts'
import type { DeleteOptions } from './kube-deletion.ts'
import { about, badRequest, KubeError, noSuchPath, notAllowed, tooLargeVersion } from './kube-errors.ts'
import { type Page, Pages } from './kube-pages.ts'
import type { PatchType } from './kube-patch.ts'
import { apiVersionOf, type KubeObject } from './kube-resources.ts'
import { discoveryOf, isServed, type Route, routeOf } from './kube-route.ts'
import type { Selection } from './kube-selectors.ts'
import { asPartial, type Shape, shapeOf } from './kube-shape.ts'
import { KubeStore, type StoreOptions } from './kube-store.ts'
import { decode } from './kube-validate.ts'
import { checkWatch } from './kube-watch.ts'
import { WatchStream } from './kube-watch-stream.ts'

/** `path` includes the query; names of headers are in lower case; a body is text, or already parsed. */
export type KubeRequest = {
  method: string
  path: string
  headers?: { [name: string]: string | string[] | undefined }
  body?: unknown
}
export type KubeAnswer = { status: number; headers: { [name: string]: string | string[] }; body: unknown }
export type KubeStream = { status: 200; headers: { [name: string]: string }; watch: WatchStream }
export type ApiOptions = StoreOptions & {
  /** Timers of watches and webhook calls. */
  after?: After
  /** How often a watch that allows bookmarks gets one. */
  bookmarkMs?: number
  callWebhook?: CallWebhook
}

type Call = Route & { request: KubeRequest; query: URLSearchParams; shape: Shape; dryRun: boolean }

export const MAX_BODY_BYTES = 3 * 1024 * 1024
const BOOKMARK_MS = 60_000
const JSON_TYPE = { 'content-type': 'application/json' }
const PATCH_TYPES: { [type: string]: PatchType } = {
  'application/merge-patch+json': 'merge',
  'application/json-patch+json': 'json',
  'application/strategic-merge-patch+json': 'strategic',
}

export const realAfter: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs)
  return () => clearTimeout(timer)
}

export class KubeApi {
  readonly store: KubeStore
  #admitter: Admitter
  #pages: Pages
  #after: After
  #bookmarkMs: number

  constructor(options: ApiOptions = {}) {
    this.store = new KubeStore(options)
    this.#pages = new Pages(this.store)
    this.#after = options.after ?? realAfter
    this.#bookmarkMs = options.bookmarkMs ?? BOOKMARK_MS
    const call: CallWebhook = options.callWebhook ?? (() => Promise.reject(new Error('no way to call webhooks')))
    this.#admitter = new Admitter(this.store, call, this.#after, options.random ?? Math.random)
  }

  /** Never rejects: what goes wrong is a `Status`. Bodies are copies. */
  async handle(request: KubeRequest): Promise<KubeAnswer | KubeStream> {
    try {
      const answer = await this.#answer(request)
      return 'body' in answer ? { ...answer, body: structuredClone(answer.body) } : answer
    } catch (error) {
      const known =
        error instanceof KubeError ? error : new KubeError(500, `Internal error occurred: ${(error as Error).stack}`)
      const seconds = known.details?.retryAfterSeconds
      const headers = { ...JSON_TYPE, ...(seconds !== undefined && { 'retry-after': String(seconds) }) }
      return { status: known.code, headers, body: known.status }
    }
  }

  async #answer(request: KubeRequest): Promise<KubeAnswer | KubeStream> {
    const url = new URL(request.path, 'http://embedded')
    if (['/readyz', '/livez', '/healthz'].includes(url.pathname)) return page(200, 'ok')
    const discovery = request.method === 'GET' ? discoveryOf(url.pathname) : undefined
    if (discovery !== undefined) return { status: 200, headers: JSON_TYPE, body: discovery }
    const route = routeOf(url.pathname)
    if (route === undefined) {
      if (isServed(url.pathname)) throw noSuchPath()
      return page(404, '404 page not found\n')
    }
    if (route.subresource !== undefined && !(route.subresource === 'status' && route.resource.hasStatus))
      throw noSuchPath()
    const shape = shapeOf(header(request, 'accept'))
    const call: Call = { ...route, request, query: url.searchParams, shape, dryRun: dryRunOf(url.searchParams) }
    switch (request.method) {
      case 'GET':
        return call.name === undefined ? this.#collection(call) : shaped(call, 200, this.#named(call, 'get'))
      case 'POST':
        return this.#create(call)
      case 'PUT': {
        const isNew = call.name !== undefined && this.#find(call, call.name) === undefined
        return shaped(call, isNew ? 201 : 200, this.#named(call, 'put'))
      }
      case 'PATCH':
        return shaped(call, 200, this.#named(call, 'patch'))
      case 'DELETE':
        return call.name === undefined ? this.#deleteCollection(call) : this.#delete(call, call.name)
      default:
        throw notAllowed()
    }
  }

  #find({ resource, namespace = '' }: Call, name: string): KubeObject | undefined {
    return this.store.find(resource, namespace, name)
  }

  #named(call: Call, verb: 'get' | 'put' | 'patch'): KubeObject {
    const { resource, name, namespace = '', dryRun } = call
    if (name === undefined) throw notAllowed()
    if (verb === 'get') return this.store.get(resource, namespace, name)
    const options = { dryRun, subresource: call.subresource === 'status' ? ('status' as const) : undefined }
    if (verb === 'put') return this.store.replace(resource, namespace, name, bodyOf(call), options)
    const type = PATCH_TYPES[mediaType(call.request)]
    if (type === undefined) throw new KubeError(415, '415: Unsupported Media Type', { details: {} })
    return this.store.patch(resource, namespace, name, type, patchOf(call.request), options)
  }

  async #create(call: Call): Promise<KubeAnswer> {
    const { resource, name, namespace = '', dryRun } = call
    if (name !== undefined || (resource.namespaced && namespace === '')) throw notAllowed()
    const given = decode(resource, bodyOf(call))
    // The namespace is looked at before a webhook is, and the name only after all.
    if (resource.namespaced) this.store.home(namespace)
    const { object, warnings } = await this.#admitter.admit(resource, namespace, given, dryRun)
    const answer = shaped(call, 201, this.store.create(resource, namespace, object, { dryRun }))
    if (warnings.length === 0) return answer
    return { ...answer, headers: { ...answer.headers, warning: warnings.map(text => `299 - ${JSON.stringify(text)}`) } }
  }

  #collection(call: Call): KubeAnswer | KubeStream {
    const { resource, namespace, query } = call
    const watching = query.get('watch')
    if (watching !== null && watching !== 'false' && watching !== '0') return this.#watch(call)
    this.#checkVersion(query.get('resourceVersion') ?? '')
    const list = () => this.store.list(resource, namespace, selectionOf(query))
    return listed(call, this.#pages.read(resource, query, list))
  }

  /** @throws KubeError 400, 504 */
  #checkVersion(given: string): void {
    if (given === '') return
    if (!/^\d+$/.test(given))
      throw badRequest(
        `invalid resource version: resourceVersion: Invalid value: "${given}": strconv.ParseUint: parsing "${given}": invalid syntax`,
      )
    if (Number(given) > this.store.version) throw tooLargeVersion(Number(given), this.store.version)
  }

  #watch(call: Call): KubeStream {
    const { resource, namespace, query, shape } = call
    if (shape === 'partial-list') throw notAcceptable()
    const seconds = query.get('timeoutSeconds') ?? ''
    if (!/^-?\d*$/.test(seconds)) throw badRequest(`strconv.ParseInt: parsing "${seconds}": invalid syntax`)
    const from = { ...selectionOf(query), namespace, resourceVersion: query.get('resourceVersion') ?? '' }
    checkWatch(resource, from)
    const watch = new WatchStream({
      store: this.store,
      resource,
      query: from,
      timeoutMs: Number(seconds) > 0 ? Number(seconds) * 1_000 : undefined,
      bookmarkMs: query.get('allowWatchBookmarks') === 'true' ? this.#bookmarkMs : undefined,
      after: this.#after,
      show: object => structuredClone(shape === 'partial' ? asPartial(object) : object),
    })
    return { status: 200, headers: JSON_TYPE, watch }
  }

  #delete(call: Call, name: string): KubeAnswer {
    const { resource, namespace = '' } = call
    if (call.subresource !== undefined) throw notAllowed()
    const gone = this.store.delete(resource, namespace, name, deleteOptionsOf(call))
    const stays = (gone.metadata.finalizers ?? []).length > 0
    if (resource.returnsDeleted || stays) return shaped(call, 200, gone)
    const details = about(resource, name, gone.metadata.uid)
    return ok({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details })
  }

  #deleteCollection(call: Call): KubeAnswer {
    const { resource, namespace, query } = call
    if (resource.namespaced && namespace === undefined) throw notAllowed()
    const found = this.store.list(resource, namespace, selectionOf(query))
    const version = this.store.version
    const options = deleteOptionsOf(call)
    // Garbage collection may have been there first.
    for (const { metadata } of found)
      if (this.#find(call, metadata.name) !== undefined)
        this.store.delete(resource, namespace ?? '', metadata.name, options)
    return listed(call, { items: found, version })
  }
}

const ok = (body: unknown): KubeAnswer => ({ status: 200, headers: JSON_TYPE, body })

const page = (status: number, body: string): KubeAnswer => ({
  status,
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  body,
})

const shaped = ({ shape }: Call, status: number, object: KubeObject): KubeAnswer => {
  if (shape === 'partial-list') throw notAcceptable()
  return { status, headers: JSON_TYPE, body: shape === 'partial' ? asPartial(object) : object }
}

/** The items of a list do not say what they are. */
const listed = ({ resource, shape }: Call, { items, version, token, left }: Page): KubeAnswer => {
  if (shape === 'partial')
    throw new KubeError(
      406,
      `you requested PartialObjectMetadata, but the requested object is a list (${resource.kind}List)`,
    )
  const more = token !== undefined && { continue: token, remainingItemCount: left }
  const metadata = { resourceVersion: String(version), ...more }
  if (shape === 'partial-list')
    return ok({
      kind: 'PartialObjectMetadataList',
      apiVersion: 'meta.k8s.io/v1',
      metadata,
      items: items.map(asPartial),
    })
  const bare = items.map(({ kind: _, apiVersion: __, ...item }) => item)
  return ok({ kind: `${resource.kind}List`, apiVersion: apiVersionOf(resource), metadata, items: bare })
}

const notAcceptable = (): KubeError =>
  new KubeError(406, 'the requested object is neither a list of objects nor one', { details: {} })

const header = (request: KubeRequest, name: string): string => String(request.headers?.[name] ?? '')
const mediaType = (request: KubeRequest): string =>
  (header(request, 'content-type').split(';')[0] ?? '').trim().toLowerCase()

const selectionOf = (query: URLSearchParams): Selection => ({
  labelSelector: query.get('labelSelector') ?? '',
  fieldSelector: query.get('fieldSelector') ?? '',
})

const dryRunOf = (query: URLSearchParams): boolean => {
  const given = query.getAll('dryRun')
  if (given.some(value => value !== 'All'))
    throw new KubeError(422, `dryRun: Unsupported value: ${JSON.stringify(given)}: supported values: "All"`)
  return given.length > 0
}

/** @throws KubeError 400, 413, 415 */
const bodyOf = ({ request, resource }: Call): object | null => {
  if (!['', 'application/json'].includes(mediaType(request)))
    throw new KubeError(
      415,
      'the body of the request was in an unknown format - accepted media types include: application/json',
    )
  const parsed = parsedOf(request, `the object provided is unrecognized (must be of type ${resource.kind})`)
  if (typeof parsed !== 'object' || Array.isArray(parsed))
    throw badRequest(`the object provided is unrecognized (must be of type ${resource.kind}): it is no JSON object`)
  return parsed
}

const patchOf = (request: KubeRequest): unknown => parsedOf(request, 'error decoding patch')

const parsedOf = ({ body }: KubeRequest, problem: string): unknown => {
  if (body !== undefined && typeof body !== 'string') return body
  if (Buffer.byteLength(body ?? '') > MAX_BODY_BYTES) throw tooLarge()
  try {
    return JSON.parse(body ?? '')
  } catch (error) {
    throw badRequest(`${problem}: ${(error as Error).message}`)
  }
}

export const tooLarge = (): KubeError => new KubeError(413, `Request entity too large: limit is ${MAX_BODY_BYTES}`)

const deleteOptionsOf = ({ request, query, dryRun }: Call): DeleteOptions => {
  const empty = request.body === undefined || request.body === ''
  const given = (empty ? {} : parsedOf(request, 'error decoding DeleteOptions')) as Omit<DeleteOptions, 'dryRun'> & {
    dryRun?: string[]
  }
  const seconds = query.get('gracePeriodSeconds')
  const policy = query.get('propagationPolicy') as DeleteOptions['propagationPolicy'] | null
  return {
    ...given,
    ...(seconds !== null && { gracePeriodSeconds: Number(seconds) }),
    ...(policy && { propagationPolicy: policy }),
    dryRun: dryRun || (given.dryRun ?? []).includes('All'),
  }
}
