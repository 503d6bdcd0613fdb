// The API server of a simulation: the embedded API's store behind connections that delay, lose and break. What a call is
// answered is decided when it arrives; whether anybody hears of it is another matter.
import type { DeleteOptions } from './kube-deletion.ts'
import { KubeError } from './kube-errors.ts'
import type { Change } from './kube-history.ts'
import { type KubeObject, type Resource, resourceOf } from './kube-resources.ts'
import { KubeStore } from './kube-store.ts'
import type { WatchEvent } from './kube-watch.ts'
import { Channel, type Link } from './sim-network.ts'
import { EPOCH_MS } from './sim-process.ts'
import type { Chance, SimTime } from './sim-time.ts'

export type ApiCall = {
  /** Who calls: a sidecar's process, a native JVM's, a third party. */
  by: string
  method: string
  path: string
  body: unknown
  contentType: string
  accept: string
}
export type ApiAnswer = { status: number; headers: { [name: string]: string }; body: unknown }
/** How a call fails: nothing comes for a broken connection but that. */
export type ApiReply = { answer: (answer: ApiAnswer) => void; broken: (why: string) => void }
export type WatchReply = ApiReply & {
  event: (text: string) => void
  end: () => void
}

type Mood = { share: number; status: number; retryAfterSeconds: number | undefined; afterCommit: boolean }
type OpenWatch = {
  by: string
  channel: Channel
  reply: WatchReply
  name: string
  resource: Resource
  close: () => void
}
type Parsed = { resource: Resource; namespace: string; name: string | undefined; query: URLSearchParams }

const BOOKMARK_MS = 60_000
const NO_HEADERS = {}
const TWICE = { 'simulation-twice': 'yes' }

export class SimApi {
  readonly store: KubeStore
  /** The call whose write is being told of. */
  current: ApiCall | undefined
  calls = 0
  #time: SimTime
  #chance: Chance
  #state: 'up' | 'down' | 'frozen' = 'up'
  #generation = 0
  #frozen: (() => void)[] = []
  #mood: Mood | undefined
  #watches = new Set<OpenWatch>()
  #lags = new Map<string, number>()
  #texts = new WeakMap<KubeObject, Map<string, string>>()
  #parsed = new Map<string, Parsed>()
  #lockVersions: KubeObject[] = []
  /** Servers with and without a watch cache say in different ways that a version is too old. */
  readonly #refusesWatches: boolean

  constructor(time: SimTime, chance: Chance) {
    this.#time = time
    this.#chance = chance
    this.#refusesWatches = chance() < 0.5
    this.store = new KubeStore({
      now: () => EPOCH_MS + time.nowMs,
      random: chance,
      namespaces: ['ns'],
      historySize: 200,
    })
    this.store.onChange(change => this.#remember(change))
  }

  // ---- faults ----

  /** As a crash: every connection breaks, and new ones are refused. */
  crash(): void {
    this.#state = 'down'
    this.#generation++
    this.#frozen = []
    this.breakWatches()
  }
  /** It comes back without the history. */
  recover(): void {
    if (this.#state === 'frozen') return this.thaw()
    this.#state = 'up'
    this.store.compact()
  }
  freeze(): void {
    if (this.#state === 'up') this.#state = 'frozen'
  }
  /** What was sent meanwhile is done now, whoever still waits for it. */
  thaw(): void {
    if (this.#state !== 'frozen') return
    this.#state = 'up'
    const waiting = this.#frozen
    this.#frozen = []
    for (const run of waiting) this.#time.after(this.#chance() * 20, run)
  }
  moody(mood: Mood | undefined): void {
    this.#mood = mood
  }
  lag(by: string, lagMs: number): void {
    if (lagMs === 0) this.#lags.delete(by)
    else this.#lags.set(by, lagMs)
  }
  calm(): void {
    if (this.#state !== 'up') this.recover()
    this.#mood = undefined
    this.#lags.clear()
  }
  /** Streams break: of one client, or of all. */
  breakWatches(by?: string): void {
    for (const watch of [...this.#watches]) {
      if (by !== undefined && watch.by !== by) continue
      watch.close()
      this.#time.after(this.#chance() * 5, () => watch.reply.broken('the connection broke'))
    }
  }
  /** A client is told of an older state of the lock, as by a server that is behind. */
  regress(by: string, back: number): void {
    const old = this.#lockVersions.at(-1 - back)
    if (old === undefined) return
    for (const watch of this.#watches)
      if (watch.by === by && watch.name === old.metadata.name) this.#tell(watch, { type: 'MODIFIED', object: old })
  }

  // ---- calls ----

  /** A request over this link; the answer comes back over it. */
  call(link: Link, call: ApiCall, reply: ApiReply): void {
    link.send(() => this.#arrive(link, call, reply))
  }

  #arrive(link: Link, call: ApiCall, reply: ApiReply): void {
    if (this.#state === 'down') {
      link.send(() => reply.broken('connection refused'))
      return
    }
    if (this.#state === 'frozen') {
      this.#frozen.push(() => this.#arrive(link, call, reply))
      return
    }
    this.calls++
    const answer = this.#moodily(call)
    const generation = this.#generation
    link.send(() => {
      if (this.#generation === generation) reply.answer(answer)
      else reply.broken('the connection broke')
    })
  }

  #moodily(call: ApiCall): ApiAnswer {
    const mood = this.#mood
    if (mood === undefined || this.#chance() >= mood.share) return this.handle(call)
    // Committed, and yet answered with an error; or done twice on the way, and answered for the second time.
    if (mood.afterCommit) this.handle(call)
    if (mood.afterCommit && mood.status === 409) return { ...this.handle(call), headers: TWICE }
    const headers: { [name: string]: string } =
      mood.retryAfterSeconds === undefined ? NO_HEADERS : { 'retry-after': String(mood.retryAfterSeconds) }
    return { status: mood.status, headers, body: { kind: 'Status', code: mood.status, message: 'told to fail' } }
  }

  /** At once, whatever the state: also for third parties. */
  handle(call: ApiCall): ApiAnswer {
    this.current = call
    try {
      return this.#answer(call, this.#parse(call.path))
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      return { status: error.code, headers: NO_HEADERS, body: error.status }
    } finally {
      this.current = undefined
    }
  }

  #answer(call: ApiCall, { resource, namespace, name, query }: Parsed): ApiAnswer {
    const ok = (object: KubeObject, status = 200): ApiAnswer => ({
      status,
      headers: NO_HEADERS,
      body: call.accept.includes('PartialObjectMetadata') ? { kind: object.kind, metadata: object.metadata } : object,
    })
    if (name === undefined && call.method === 'GET') return this.#list(resource, namespace, query)
    if (name === undefined) return ok(this.store.create(resource, namespace, call.body), 201)
    switch (call.method) {
      case 'GET':
        return ok(this.store.get(resource, namespace, name))
      case 'PUT':
        return ok(this.store.replace(resource, namespace, name, call.body))
      case 'PATCH':
        return ok(this.store.patch(resource, namespace, name, 'merge', call.body))
      default:
        return ok(this.store.delete(resource, namespace, name, (call.body ?? {}) as DeleteOptions))
    }
  }

  #list(resource: Resource, namespace: string, query: URLSearchParams): ApiAnswer {
    const named = nameIn(query)
    const found = named === undefined ? undefined : this.store.find(resource, namespace, named)
    const items = named === undefined ? this.store.list(resource, namespace) : found === undefined ? [] : [found]
    const metadata = { resourceVersion: String(this.store.version) }
    return {
      status: 200,
      headers: NO_HEADERS,
      body: { kind: `${resource.kind}List`, apiVersion: 'v1', metadata, items },
    }
  }

  #parse(path: string): Parsed {
    const known = this.#parsed.get(path)
    if (known !== undefined) return known
    const match = /^\/apis?\/(?:[^/]+\/)?v1\/namespaces\/([^/]+)\/([a-z]+)(?:\/([^/?]+))?(?:\?(.*))?$/.exec(path)
    if (match === null) throw new Error(`not served in the simulation: ${path}`)
    const [, namespace = '', plural = '', name, query = ''] = match
    const parsed = { resource: resourceOf(plural), namespace, name, query: new URLSearchParams(query) }
    // Watches differ in their versions; the rest comes again and again.
    if (!parsed.query.has('watch')) this.#parsed.set(path, parsed)
    return parsed
  }

  // ---- watches ----

  /** Opens a watch; the returned function closes it from the client's side. */
  watch(link: Link, call: ApiCall, reply: WatchReply): () => void {
    let close = (): void => {}
    let closed = false
    link.send(() => {
      if (closed) return
      if (this.#state === 'down') {
        link.send(() => reply.broken('connection refused'))
        return
      }
      if (this.#state === 'frozen') {
        this.#frozen.push(() => {
          if (!closed) close = this.#open(link, call, reply)
        })
        return
      }
      close = this.#open(link, call, reply)
    })
    return () => {
      closed = true
      close()
    }
  }

  #open(link: Link, call: ApiCall, reply: WatchReply): () => void {
    const { resource, namespace, query } = this.#parse(call.path)
    const name = nameIn(query) ?? ''
    const channel = new Channel(this.#time, link)
    const past: WatchEvent[] = []
    let take = (event: WatchEvent): void => void past.push(event)
    let stop: () => void
    const mood = this.#mood
    if (mood !== undefined && !mood.afterCommit && this.#chance() < mood.share) {
      channel.send(() => reply.answer({ status: mood.status, headers: NO_HEADERS, body: undefined }))
      return () => {}
    }
    try {
      const from = {
        namespace,
        fieldSelector: `metadata.name=${name}`,
        resourceVersion: query.get('resourceVersion') ?? '',
      }
      const watch = this.store.watch(resource, from, event => take(event))
      stop = () => watch.close()
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      this.#refuseWatch(channel, error, reply)
      return () => {}
    }
    const close = (): void => {
      stop()
      bookmarks.run = undefined
      end.run = undefined
      this.#watches.delete(open)
    }
    const open: OpenWatch = { by: call.by, channel, reply, name, resource, close }
    const bookmark = (): void => {
      this.#send(open, bookmarkText(resource, this.store.version))
      bookmarks = this.#time.after(BOOKMARK_MS, bookmark)
    }
    let bookmarks = this.#time.after(BOOKMARK_MS, bookmark)
    const end = this.#time.after(Number(query.get('timeoutSeconds') ?? '1800') * 1_000, () => {
      close()
      channel.send(() => reply.end())
    })
    this.#watches.add(open)
    channel.send(() => reply.answer({ status: 200, headers: NO_HEADERS, body: undefined }))
    take = event => this.#tell(open, event)
    for (const event of past) take(event)
    return close
  }

  #tell(open: OpenWatch, event: WatchEvent): void {
    this.#send(open, this.#textOf(event))
  }
  #send(open: OpenWatch, text: string): void {
    open.channel.send(() => open.reply.event(text), this.#lags.get(open.by) ?? 0)
  }

  /** 410 comes as an answer, or as the first event. */
  #refuseWatch(channel: Channel, error: KubeError, reply: WatchReply): void {
    if (this.#refusesWatches) {
      channel.send(() => reply.answer({ status: error.code, headers: NO_HEADERS, body: error.status }))
      return
    }
    channel.send(() => reply.answer({ status: 200, headers: NO_HEADERS, body: undefined }))
    channel.send(() => reply.event(`${JSON.stringify({ type: 'ERROR', object: error.status })}\n`))
    channel.send(() => reply.end())
  }

  /** All watches are sent the same text. */
  #textOf({ type, object }: WatchEvent): string {
    let texts = this.#texts.get(object as KubeObject)
    if (texts === undefined) {
      texts = new Map()
      this.#texts.set(object as KubeObject, texts)
    }
    let text = texts.get(type)
    if (text === undefined) {
      text = `${JSON.stringify({ type, object })}\n`
      texts.set(type, text)
    }
    return text
  }

  #remember({ object, resource }: Change): void {
    if (resource.kind !== 'ConfigMap' || !object.metadata.name.endsWith('-cluster-config-map')) return
    this.#lockVersions.push(object)
    if (this.#lockVersions.length > 12) this.#lockVersions.shift()
  }
}

const nameIn = (query: URLSearchParams): string | undefined =>
  /^metadata\.name=(.+)$/.exec(query.get('fieldSelector') ?? '')?.[1]

const bookmarkText = (resource: Resource, version: number): string =>
  `{"type":"BOOKMARK","object":{"kind":"${resource.kind}","apiVersion":"v1","metadata":{"resourceVersion":"${version}"}}}\n`
