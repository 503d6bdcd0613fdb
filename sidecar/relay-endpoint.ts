/**
 * A relay's endpoint: who leads, as a candidate's endpoint tells it, from memory. What only a JobManager's sidecar knows is
 * asked of the one that is followed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import { type KubeResponse, Unreachable } from '../shared/kube-client.ts'
import { answer } from './http.ts'
import { dispatch, type Handler, type Handlers, LeaderEndpoint } from './leader-endpoint.ts'
import type { LeaderIndex } from './leader-index.ts'
import type { Relay } from './relay.ts'
import type { RelayMetrics } from './relay-metrics.ts'

export type RelayEndpointOptions = { relay: Relay; status: LeaderIndex; clock: Clock; metrics: RelayMetrics }

export class RelayEndpoint {
  #options: RelayEndpointOptions
  #leader: LeaderEndpoint
  #handlers: Handlers

  constructor(options: RelayEndpointOptions) {
    this.#options = options
    const { status, clock, metrics } = options
    this.#leader = new LeaderEndpoint({ status, clock, onCutOff: () => metrics.cutOff.inc() })
    // A TaskManager neither leads nor stands by.
    const neither: Handler = (_, response) => this.#leader.answer(response, 503)
    const passOn: Handler = (_, response, url) => this.#passOn(response, url.pathname)
    this.#handlers = {
      ...this.#leader.handlers,
      '/primary': neither,
      '/replica': neither,
      '/members': passOn,
      '/history': passOn,
      '/jobs': passOn,
      '/problems': passOn,
      '/healthz': (_, response) => answer(response, 200, { ok: true }),
      '/readyz': (_, response) => this.#ready(response),
      '/metrics': (_, response) => this.#metrics(response),
    }
  }

  get openStreams(): number {
    return this.#leader.openStreams
  }

  async handle(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    await dispatch(this.#handlers, request, response, url)
  }

  /** Ends what is open, properly. */
  end(): void {
    this.#leader.end()
  }

  async #passOn(response: ServerResponse, path: string): Promise<void> {
    const { relay } = this.#options
    if (relay.target === undefined) return answer(response, 503, { error: 'no Flink cluster is known here yet' })
    let told: KubeResponse | undefined
    try {
      told = await relay.ask(path)
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error
    }
    if (told !== undefined) return answer(response, told.status, told.body)
    const { ageSeconds } = relay.leader()
    answer(response, 503, { error: 'no JobManager’s sidecar can be reached', ageSeconds })
  }

  /** Ready: it knows the lock, or has not been asked for one. Whether anybody can be reached now is not its health. */
  #ready(response: ServerResponse): void {
    const { relay } = this.#options
    const ready = relay.target === undefined || relay.cached !== undefined
    answer(response, ready ? 200 : 503, { ready, role: 'relay', connected: relay.connected })
  }

  async #metrics(response: ServerResponse): Promise<void> {
    const { registry } = this.#options.metrics
    answer(response, 200, await registry.metrics(), { 'content-type': registry.contentType })
  }
}
