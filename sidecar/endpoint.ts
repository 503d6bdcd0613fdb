/**
 * The endpoint for people, TaskManagers, probes and Prometheus. The local port serves everything; the pod port the same,
 * read-only, but for a leader's question to a candidate (failsafe). Unknown paths are 404, never somebody else's answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import { holderOf } from '../shared/election.ts'
import { type ApiClient, Unreachable } from '../shared/kube-client.ts'
import type { Timings } from '../shared/timings.ts'
import type { Candidate } from './candidate.ts'
import type { Gateway } from './gateway.ts'
import { answer, readJson, type Scope } from './http.ts'
import { Jobs, type Registered } from './jobs.ts'
import { isDeposed } from './jvm.ts'
import { podOf } from './leader.ts'
import { dispatch, type Handler, type Handlers, LeaderEndpoint } from './leader-endpoint.ts'
import type { Metrics } from './metrics.ts'
import type { Peers } from './peers.ts'
import type { Status } from './status.ts'

export type EndpointOptions = {
  candidate: Candidate
  status: Status
  gateway: Gateway
  peers: Peers
  client: ApiClient
  clock: Clock
  metrics: Metrics
  timings: Timings
}

/** Retry periods after which a loop that did not hear of the lock is unwell. */
const UNWELL_PERIODS = 30

export class Endpoint {
  #options: EndpointOptions
  #leader: LeaderEndpoint
  #jobs: Jobs
  #handlers: Handlers

  constructor(options: EndpointOptions) {
    this.#options = options
    const { status, clock, metrics } = options
    this.#leader = new LeaderEndpoint({ status, clock, onCutOff: () => metrics.cutOff.inc() })
    this.#jobs = new Jobs(options.candidate, status, options.client, options.clock)
    const role =
      (wanted: boolean): Handler =>
      (_, response) =>
        this.#role(response, wanted)
    this.#handlers = {
      ...this.#leader.handlers,
      '/primary': role(true),
      '/replica': role(false),
      '/members': (_, response) => this.#members(response),
      '/history': (_, response) => answer(response, 200, options.candidate.history.terms),
      '/jobs': (_, response) => this.#registry(response, ({ jobs }) => jobs),
      '/problems': (_, response) => this.#registry(response, ({ problems }) => problems),
      '/healthz': (_, response) => this.#health(response),
      '/jvm': (_, response) => this.#jvm(response),
      '/readyz': (_, response) => this.#ready(response),
      '/metrics': (_, response) => this.#metrics(response),
    }
  }

  get openStreams(): number {
    return this.#leader.openStreams
  }

  async handle(request: IncomingMessage, response: ServerResponse, url: URL, scope: Scope): Promise<void> {
    const { failsafe } = this.#options.candidate
    if (url.pathname === '/switchover' && scope === 'local') return await this.#switchover(request, response)
    if (url.pathname === '/failsafe' && scope === 'pod' && failsafe) return await failsafe.handle(request, response)
    await dispatch(this.#handlers, request, response, url)
  }

  /** Ends what is open, properly, so that readers come back to whoever is next. */
  end(): void {
    this.#leader.end()
  }

  #role(response: ServerResponse, primary: boolean): void {
    const { candidate } = this.#options
    const matches = candidate.leading() === primary
    this.#leader.answer(response, matches && (primary || candidate.standing) ? 200 : 503)
  }

  async #members(response: ServerResponse): Promise<void> {
    const { candidate, peers } = this.#options
    if (candidate.target === undefined) return answer(response, 503, { error: 'no Flink cluster is known here yet' })
    const members = (await peers.list()).map(({ identity: _, ...member }) => member)
    answer(response, 200, members)
  }

  async #registry(response: ServerResponse, pick: (registered: Registered) => unknown): Promise<void> {
    const { target } = this.#options.candidate
    if (target === undefined) return answer(response, 503, { error: 'no Flink cluster is known here yet' })
    try {
      answer(response, 200, pick(await this.#jobs.read(target)))
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error
      answer(response, 503, { error: error.message })
    }
  }

  /** Alive: the loop runs (it is answering) and no overdue term is believed in. */
  #health(response: ServerResponse): void {
    const { candidate, timings } = this.#options
    const believes = candidate.leading()
    const overdue = believes && candidate.provenAgeMs() > timings.leaseMs
    // A leader hears of each of its own renewals; long silence while it leads is a loop that is stuck. With failsafe it
    // hears of the others' promises instead.
    const stuck = believes && !candidate.vouchedFor() && candidate.silenceMs() > UNWELL_PERIODS * timings.retryMs
    const ok = !overdue && !stuck
    answer(response, ok ? 200 : 503, { ok, renewalAgeMs: Math.round(candidate.renewalAgeMs()) })
  }

  /**
   * Of the JVM, for the liveness probe of its container: 503 while it is silent and its term was ended over its head. A JVM
   * that thaws after a minute, in the belief that it leads, disturbs the next leader's TaskManagers by its overdue
   * heartbeats (Flink `TaskExecutor.disconnectJobManager` does not ask which leader says so): it has to end before.
   */
  #jvm(response: ServerResponse): void {
    const { candidate, clock } = this.#options
    const { phase } = candidate.jvm
    const deposed = isDeposed(candidate.jvm, clock.monoMs())
    answer(response, deposed ? 503 : 200, { phase, deposed })
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
