/**
 * The endpoint for people, TaskManagers, probes and Prometheus. The local port serves everything; the pod port the same,
 * read-only. Unknown paths are 404, never somebody else's answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import { holderOf } from '../shared/election.ts'
import { type KubeClient, Unreachable } from '../shared/kube-client.ts'
import type { ConfigMap } from '../shared/lock.ts'
import { JOB_SUFFIX } from '../shared/names.ts'
import type { Timings } from '../shared/timings.ts'
import type { Candidate } from './candidate.ts'
import type { Gateway } from './gateway.ts'
import { answer, readJson, type Scope } from './http.ts'
import { jobDocument, jobIds } from './jobs.ts'
import { podOf } from './leader.ts'
import { configMapsPath } from './lock-store.ts'
import type { Metrics } from './metrics.ts'
import { STATUS_PAGE } from './page.ts'
import type { Peers } from './peers.ts'
import type { Status } from './status.ts'
import { Stream } from './stream.ts'

export type EndpointOptions = {
  candidate: Candidate
  status: Status
  gateway: Gateway
  peers: Peers
  client: KubeClient
  clock: Clock
  metrics: Metrics
  timings: Timings
}

const MAX_WAIT_MS = 300_000
const SSE_HEARTBEAT_MS = 15_000
/** More than this many waiting readers of one pod are turned away. */
const MAX_WAITERS = 1_024
/** Retry periods after which a loop that did not hear of the lock is unwell. */
const UNWELL_PERIODS = 30

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>

export class Endpoint {
  #options: EndpointOptions
  #waiters = 0
  #streams = new Set<Stream>()
  #handlers: { [path: string]: Handler }

  constructor(options: EndpointOptions) {
    this.#options = options
    const role =
      (wanted: boolean): Handler =>
      (_, response) =>
        this.#role(response, wanted)
    this.#handlers = {
      '/': (request, response) => this.#root(request, response),
      '/leader': (request, response, url) => this.#leader(request, response, url),
      '/leader/stream': (request, response) => this.#stream(request, response),
      '/primary': role(true),
      '/replica': role(false),
      '/members': (_, response) => this.#members(response),
      '/history': (_, response) => answer(response, 200, options.candidate.history.terms),
      '/jobs': (_, response) => this.#jobs(response),
      '/healthz': (_, response) => this.#health(response),
      '/readyz': (_, response) => this.#ready(response),
      '/metrics': (_, response) => this.#metrics(response),
    }
  }

  get openStreams(): number {
    return this.#streams.size + this.#waiters
  }

  async handle(request: IncomingMessage, response: ServerResponse, url: URL, scope: Scope): Promise<void> {
    if (url.pathname === '/switchover' && scope === 'local') return await this.#switchover(request, response)
    const handler = Object.hasOwn(this.#handlers, url.pathname) ? this.#handlers[url.pathname] : undefined
    if (handler === undefined) return answer(response, 404, { error: `${url.pathname} is not served here` })
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return answer(response, 405, { error: `${request.method} is not served here` }, { allow: 'GET, HEAD' })
    await handler(request, response, url)
  }

  /** Ends what is open, properly, so that readers come back to whoever is next. */
  end(): void {
    for (const stream of [...this.#streams]) stream.end()
  }

  #index(): { [name: string]: string } {
    return { 'x-flink-ha-index': String(this.#options.status.index) }
  }

  #sendLeader(response: ServerResponse): void {
    const leader = this.#options.status.leader()
    answer(response, leader.name === null ? 503 : 200, leader, this.#index())
  }

  #leader(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const { status, clock } = this.#options
    const wait = url.searchParams.get('wait')
    const waitMs = wait === null ? 0 : durationMs(wait)
    if (waitMs === undefined || waitMs > MAX_WAIT_MS)
      return answer(response, 400, {
        error: `wait is "${wait}": a duration up to 300s is needed, such as 30s or 500ms`,
      })
    const index = url.searchParams.get('index')
    if (index !== null && !/^\d{1,20}$/.test(index))
      return answer(response, 400, {
        error: `index is "${index}": the X-Flink-HA-Index of an earlier answer is needed`,
      })
    if (waitMs === 0 || index === null || index !== String(status.index)) return this.#sendLeader(response)
    if (this.openStreams >= MAX_WAITERS)
      return answer(response, 429, { error: 'too many readers' }, { 'retry-after': '1' })
    this.#waiters++
    const off = status.onChange(() => done())
    const cancel = clock.after(waitMs, () => done())
    const done = (): void => {
      off()
      cancel()
      response.off('close', done)
      this.#waiters--
      if (!request.socket.destroyed) this.#sendLeader(response)
    }
    response.once('close', done)
  }

  #stream(request: IncomingMessage, response: ServerResponse): void {
    const { status, clock, metrics } = this.#options
    if (this.openStreams >= MAX_WAITERS)
      return answer(response, 429, { error: 'too many readers' }, { 'retry-after': '1' })
    let cancel = (): void => {}
    const off = status.onChange(() => send())
    const stream = new Stream(response, 'text/event-stream', {
      clock,
      onClose: () => {
        off()
        cancel()
        this.#streams.delete(stream)
      },
      onCutOff: () => metrics.cutOff.inc(),
    })
    this.#streams.add(stream)
    const send = (): void => stream.send(`id: ${status.index}\ndata: ${JSON.stringify(status.leader())}\n\n`)
    const beat = (): void => {
      stream.send(': still here\n\n')
      cancel = clock.after(SSE_HEARTBEAT_MS, beat)
    }
    cancel = clock.after(SSE_HEARTBEAT_MS, beat)
    // A reader that comes back with the present index has missed nothing.
    if (request.headers['last-event-id'] === String(status.index)) stream.send(': nothing new\n\n')
    else send()
  }

  #root(request: IncomingMessage, response: ServerResponse): void {
    if ((request.headers.accept ?? '').includes('text/html'))
      return answer(response, 200, STATUS_PAGE, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
      })
    const leader = this.#options.status.leader()
    // As the leader-elector sidecars in use answer: an empty name when nobody leads.
    answer(response, 200, { name: leader.name ?? '', last_update: leader.lastUpdate })
  }

  #role(response: ServerResponse, primary: boolean): void {
    const { candidate, status } = this.#options
    const matches = candidate.leading() === primary
    answer(response, matches && (primary || candidate.standing) ? 200 : 503, status.leader(), this.#index())
  }

  async #members(response: ServerResponse): Promise<void> {
    const { candidate, peers } = this.#options
    if (candidate.target === undefined) return answer(response, 503, { error: 'no Flink cluster is known here yet' })
    const members = (await peers.list()).map(({ identity: _, ...member }) => member)
    answer(response, 200, members)
  }

  async #jobs(response: ServerResponse): Promise<void> {
    const { candidate, client } = this.#options
    const { target } = candidate
    const lock = candidate.cached?.object
    if (target === undefined) return answer(response, 503, { error: 'no Flink cluster is known here yet' })
    const read = async (id: string): Promise<ConfigMap | undefined> => {
      const path = `${configMapsPath(target.namespace)}/${target.clusterId}-${id}${JOB_SUFFIX}`
      const { status, body } = await client.request('GET', path, { timeoutMs: 5_000 })
      return status === 200 ? (body as ConfigMap) : undefined
    }
    try {
      const documents = await Promise.all(jobIds(lock).map(async id => jobDocument(id, lock, await read(id))))
      answer(response, 200, documents)
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error
      answer(response, 503, { error: error.message })
    }
  }

  /** Alive: the loop runs (it is answering) and no overdue term is believed in. */
  #health(response: ServerResponse): void {
    const { candidate, timings } = this.#options
    const believes = candidate.leading()
    const overdue = believes && candidate.renewalAgeMs() > timings.leaseMs
    // A leader hears of each of its own renewals; long silence while it leads is a loop that is stuck.
    const stuck = believes && candidate.silenceMs() > UNWELL_PERIODS * timings.retryMs
    const ok = !overdue && !stuck
    answer(response, ok ? 200 : 503, { ok, renewalAgeMs: Math.round(candidate.renewalAgeMs()) })
  }

  /** Ready: it knows the lock. Not leadership: a standby is ready. */
  #ready(response: ServerResponse): void {
    const { candidate } = this.#options
    const ready = candidate.target === undefined || candidate.cached !== undefined
    const role = candidate.leading() ? 'leader' : 'standby'
    answer(response, ready ? 200 : 503, { ready, role, standing: candidate.standing, identity: candidate.identity })
  }

  async #metrics(response: ServerResponse): Promise<void> {
    const { registry } = this.#options.metrics
    answer(response, 200, await registry.metrics(), { 'content-type': registry.contentType })
  }

  async #switchover(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { candidate, peers, timings } = this.#options
    if (request.method !== 'POST') return answer(response, 405, { error: 'POST is needed' }, { allow: 'POST' })
    const body = await readJson(request)
    if (!body.ok) return answer(response, body.status, { error: body.message })
    const wanted = (body.value as { candidate?: unknown } | null)?.candidate ?? null
    if (wanted !== null && typeof wanted !== 'string')
      return answer(response, 400, { error: 'candidate: the name of a pod or null is needed' })
    if (!candidate.leading()) return answer(response, 409, { error: 'this pod does not lead' })
    const members = await peers.list()
    const others = members.filter(member => member.healthy && member.identity !== candidate.identity)
    const chosen = wanted === null ? others[0] : others.find(member => member.name === wanted)
    if (chosen === undefined)
      return answer(response, 412, {
        error: wanted === null ? 'no healthy candidate' : `candidate is "${wanted}": no healthy candidate of that name`,
      })
    if (!candidate.leading()) return answer(response, 409, { error: 'this pod does not lead' })
    candidate.withdraw('switchover', chosen.identity)
    const taken = await this.#takenBy(chosen.identity, timings.retryMs)
    // Our own JVM is a standby from now on.
    candidate.stand()
    answer(response, taken ? 200 : 202, { leader: taken ? podOf(chosen.identity) : null, candidate: chosen.name })
  }

  #takenBy(identity: string, timeoutMs: number): Promise<boolean> {
    const { candidate, clock } = this.#options
    return new Promise(resolve => {
      const check = (): void => {
        if (holderOf(candidate.lock) === identity) done(true)
      }
      const done = (taken: boolean): void => {
        off()
        cancel()
        resolve(taken)
      }
      const off = candidate.onChange(check)
      const cancel = clock.after(timeoutMs, () => done(false))
      check()
    })
  }
}

const durationMs = (text: string): number | undefined => {
  const match = /^(\d{1,7}(?:\.\d{1,3})?)(ms|s|m)?$/.exec(text)
  const unit = { ms: 1, s: 1_000, m: 60_000 }[match?.[2] ?? 's'] ?? 1_000
  return match?.[1] === undefined ? undefined : Number(match[1]) * unit
}
