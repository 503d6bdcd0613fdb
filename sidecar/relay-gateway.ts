/**
 * The ConfigMap part of the Kubernetes API as a TaskManager uses it: LIST and WATCH of the lock, from memory. Read-only, and
 * nothing but the leader keys of the one cluster. While nobody is reachable the last known view is served on: no watch is ended
 * for it, none is told of a deletion.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import { isClusterId } from '../shared/cluster-id.ts'
import type { ConfigMap } from '../shared/lock.ts'
import { LOCK_SUFFIX } from '../shared/names.ts'
import { RULES } from '../shared/settings.ts'
import { answer, refuse, type Scope } from './http.ts'
import type { Relay } from './relay.ts'
import type { RelayMetrics } from './relay-metrics.ts'
import { type ConfigMapRoute, configMapRoute } from './route.ts'
import { inNamespace } from './view.ts'
import { Watchers } from './watchers.ts'

export type RelayGatewayOptions = {
  relay: Relay
  clock: Clock
  metrics: RelayMetrics
  /** How long a read waits for the first sight of the lock. */
  holdMs?: number
}

/** Flink's request time-out is 10 s per try. */
const HOLD_MS = 8_000

type Asked = ConfigMapRoute & { selected: string | undefined; labels: string[] }

export class RelayGateway {
  readonly watchers: Watchers
  #options: RelayGatewayOptions

  constructor(options: RelayGatewayOptions) {
    this.#options = options
    const { relay, clock, metrics } = options
    this.watchers = new Watchers({ candidate: relay, clock, metrics, view: () => relay.cached?.object })
    relay.onChange(() => this.watchers.changed())
  }

  /** The path is known to begin with /api/ or /apis/. */
  async handle(request: IncomingMessage, response: ServerResponse, url: URL, scope: Scope): Promise<void> {
    const named = configMapRoute(url.pathname)
    if (named === undefined)
      return this.#refuse(request, response, 404, 'only the ConfigMap of a Flink cluster’s leaders is served here')
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return this.#refuse(request, response, 405, 'a TaskManager’s sidecar is read-only')
    const asked = askedOf(named, url.searchParams)
    // What comes in on the pod port is somebody else's: it is answered, but nothing is learned of it.
    if (scope === 'local') this.#learn(asked, url.searchParams)
    const problem = this.#outside(asked)
    if (problem !== undefined) return this.#refuse(request, response, 403, problem)
    if (asked.name !== undefined) return await this.#get(request, response, asked)
    if (['true', '1'].includes(url.searchParams.get('watch') ?? '')) {
      this.#options.metrics.gateway.inc({ verb: 'watch', outcome: '200' })
      this.watchers.add(response, url.searchParams, scope, asked.namespace)
      return
    }
    await this.#list(request, response, asked)
  }

  /** The cluster that Flink's first request names, and the version that it has seen of an earlier process of this relay. */
  #learn(asked: Asked, query: URLSearchParams): void {
    const { relay } = this.#options
    const named = asked.name ?? asked.selected ?? ''
    const labelled = asked.labels.find(label => label.startsWith('app='))?.slice('app='.length)
    const clusterId = named.endsWith(LOCK_SUFFIX) ? named.slice(0, -LOCK_SUFFIX.length) : labelled
    // They become parts of a host's name and of paths.
    const [namespaces] = RULES.namespace
    if (clusterId && isClusterId(clusterId) && namespaces.test(asked.namespace))
      relay.attach(asked.namespace, clusterId)
    if (relay.cached === undefined) relay.askedFrom(query.get('resourceVersion') ?? '')
  }

  /** Why a request is none of ours, if so. */
  #outside(asked: Asked): string | undefined {
    const { target } = this.#options.relay
    if (target === undefined) return 'no Flink cluster is known here yet: its lock has to be asked for first'
    const lock = `${target.clusterId}${LOCK_SUFFIX}`
    const named = asked.name ?? asked.selected
    if (named !== undefined)
      return named === lock ? undefined : `configmaps "${named}" is not served here: only "${lock}" is`
    if (asked.labels.includes(`app=${target.clusterId}`)) return undefined
    return 'a list or watch has to name the lock or the labels of this Flink cluster'
  }

  async #get(request: IncomingMessage, response: ServerResponse, asked: Asked): Promise<void> {
    // What nobody told cannot be said to be missing: a native elector that is answered 404 would make it.
    if (!(await this.#known(response)))
      return this.#refuse(request, response, 503, 'no JobManager has told of the lock yet', asked.name)
    const object = this.#options.relay.cached?.object
    if (object === undefined) return this.#refuse(request, response, 404, 'configmaps not found', asked.name)
    this.#answer(request, response, inNamespace<ConfigMap>(object, asked.namespace))
  }

  /**
   * Flink's process exits when its first list fails: 1.17 at once, later ones after ten tries (fabric8's
   * `kubernetes.request.retry.backoffLimit`). So a TaskManager that comes before the JobManagers is given what an API server gives
   * before the lock was made: an empty list, and the addition in its watch. Version 0 comes before every other.
   */
  async #list(request: IncomingMessage, response: ServerResponse, asked: Asked): Promise<void> {
    await this.#known(response)
    const { cached } = this.#options.relay
    const items = cached?.object === undefined ? [] : [inNamespace<ConfigMap>(cached.object, asked.namespace)]
    const metadata = { resourceVersion: cached?.version ?? '0' }
    this.#answer(request, response, { kind: 'ConfigMapList', apiVersion: 'v1', metadata, items })
  }

  /** Waits for the first sight of the lock, as long as Flink waits for an answer. */
  async #known(response: ServerResponse): Promise<boolean> {
    const { relay, clock, holdMs = HOLD_MS } = this.#options
    if (relay.cached !== undefined) return true
    return await new Promise<boolean>(resolve => {
      const off = relay.onChange(() => {
        if (relay.cached !== undefined) done(true)
      })
      const cancel = clock.after(holdMs, () => done(false))
      const gone = (): void => done(false)
      const done = (known: boolean): void => {
        cancel()
        off()
        response.off('close', gone)
        resolve(known)
      }
      response.once('close', gone)
    })
  }

  #answer(request: IncomingMessage, response: ServerResponse, body: unknown): void {
    this.#count(request, 200)
    answer(response, 200, body)
  }
  #refuse(request: IncomingMessage, response: ServerResponse, status: number, message: string, name?: string): void {
    this.#count(request, status)
    refuse(response, status, message, name)
  }
  #count(request: IncomingMessage, status: number): void {
    const verb = (request.method ?? '').toLowerCase()
    this.#options.metrics.gateway.inc({ verb: VERBS.includes(verb) ? verb : 'other', outcome: String(status) })
  }
}

const VERBS = ['get', 'head', 'post', 'put', 'patch', 'delete']

const askedOf = (named: ConfigMapRoute, query: URLSearchParams): Asked => ({
  ...named,
  selected: /^metadata\.name=(.+)$/.exec(query.get('fieldSelector') ?? '')?.[1],
  labels: (query.get('labelSelector') ?? '').split(','),
})
