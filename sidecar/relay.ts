/**
 * The shell around `relay-core.ts`: events come in here, one at a time, and actions are performed. Everything else asks it: who
 * leads, what is the ConfigMap. A TaskManager's relay has no credential and asks the API server nothing.
 */
import type { Clock } from '../shared/clock.ts'
import { Inbox } from '../shared/inbox.ts'
import { KubeClient, type KubeResponse } from '../shared/kube-client.ts'
import type { Log } from '../shared/log.ts'
import { type Cached, cachedAfter } from './cached.ts'
import type { LeaderDocument } from './leader.ts'
import {
  initialRelay,
  type Leave,
  type RelayAction,
  type RelayEvent,
  type RelayState,
  relayWakeAtMs,
  stepRelay,
} from './relay-core.ts'
import { relayLeader, relayValidForMs } from './relay-leader.ts'
import { RelayLink, type RelayLinkOptions, type RelayTarget } from './relay-link.ts'
import type { RelayMetrics } from './relay-metrics.ts'

export type RelayOptions = {
  /** Where JobManagers are looked for; undefined: learned from Flink. */
  namespace: string | undefined
  clusterId: string | undefined
  /** The addresses `host:port` of the JobManagers' sidecars. */
  lookUp: (target: RelayTarget) => Promise<readonly string[]>
  userAgent: string
  clock: Clock
  log: Log
  metrics: Pick<RelayMetrics, 'left'>
  random?: () => number
  /** A client of the sidecar at this address; one on real sockets when missing. */
  clientOf?: (peer: string) => RelayLinkOptions['client']
}

export class Relay {
  #options: RelayOptions
  #state: RelayState = initialRelay
  #target: RelayTarget | undefined
  #link: { id: number; link: RelayLink; believed: boolean } | undefined
  #lookUpFailed = false
  #cached: Cached | undefined
  #inbox: Inbox<RelayEvent>
  #stopped = false

  constructor(options: RelayOptions) {
    this.#options = options
    this.#inbox = new Inbox({
      clock: options.clock,
      take: event => this.#step(event),
      wakeAtMs: () => relayWakeAtMs(this.#state),
      wake: () => this.#dispatch({ type: 'tick' }),
    })
  }

  /** Called after every change of the leader or of the ConfigMap, and after each word of the followed sidecar. */
  onChange(listener: () => void): () => void {
    return this.#inbox.onTaken(listener)
  }

  get target(): RelayTarget | undefined {
    return this.#target
  }
  /** The ConfigMap as last seen; undefined before the first sight. */
  get cached(): Cached | undefined {
    return this.#cached
  }
  /** Whether a JobManager's sidecar is followed and has told something. */
  get connected(): boolean {
    return this.#state.followed?.toldMs !== undefined
  }
  /** Fencing token of the newest term that was told. */
  get token(): number {
    return this.#state.newest.token
  }

  leader(): LeaderDocument {
    return relayLeader(this.#state, this.#options.clock.monoMs())
  }
  validForMs(): number {
    return relayValidForMs(this.#state, this.#options.clock.monoMs())
  }

  /** The cluster's id and namespace: given, or named by Flink's first request, whichever comes first. */
  attach(namespace: string | undefined, clusterId: string | undefined): void {
    const target = { namespace: this.#options.namespace ?? namespace, clusterId: this.#options.clusterId ?? clusterId }
    if (this.#target !== undefined || this.#stopped) return
    if (target.namespace === undefined || target.clusterId === undefined) return
    this.#target = { namespace: target.namespace, clusterId: target.clusterId }
    this.#options.log.info(this.#target, 'following the JobManagers of this cluster')
    this.#dispatch({ type: 'start', clusterId: target.clusterId })
  }

  /** A local reader goes on from this version. */
  askedFrom(version: string): void {
    this.#dispatch({ type: 'asked-from', version })
  }

  /** What the followed sidecar answers to this path; undefined when none is followed. @throws Unreachable */
  async ask(path: string): Promise<KubeResponse | undefined> {
    return this.connected ? await this.#link?.link.ask(path) : undefined
  }

  stop(): void {
    this.#stopped = true
    this.#inbox.stop()
    this.#link?.link.close()
  }

  #dispatch(event: RelayEvent): void {
    if (!this.#stopped) this.#inbox.push(event)
  }

  #step(event: RelayEvent): void {
    const { clock, random = Math.random } = this.#options
    const { state, actions } = stepRelay(this.#state, event, { monoMs: clock.monoMs(), chance: random() })
    this.#observe(this.#state, state)
    this.#state = state
    for (const action of actions) this.#perform(action)
  }

  #observe(before: RelayState, after: RelayState): void {
    const [was, is] = [before.leader, after.leader]
    if (was?.name === is?.name && was?.token === is?.token) return
    this.#options.log.info({ leader: is?.name ?? null, token: is?.token ?? 0 }, 'leader')
  }

  #perform(action: RelayAction): void {
    switch (action.type) {
      case 'look-up':
        void this.#lookUp()
        return
      case 'follow':
        this.#follow(action.id, action.peer)
        return
      case 'watch':
        this.#believe()
        return
      case 'leave':
        this.#leave(action.peer, action.why)
        return
      case 'show':
        this.#cached = cachedAfter(this.#cached, action.object, action.version)
    }
  }

  #believe(): void {
    if (this.#link === undefined) return
    this.#link.believed = true
    this.#link.link.watch()
    this.#options.log.info({ peer: this.#link.link.peer }, 'following')
  }

  #leave(peer: string, reason: Leave): void {
    const { log, metrics } = this.#options
    metrics.left.inc({ reason })
    // While nobody is there, each try fails: once a try is enough to be counted, not to be told.
    if (this.#link?.believed === true) log.info({ peer, reason }, 'no longer following')
    else log.debug({ peer, reason }, 'not followed')
    this.#link?.link.close()
    this.#link = undefined
  }

  async #lookUp(): Promise<void> {
    const { lookUp, log, random = Math.random } = this.#options
    if (this.#target === undefined) return
    let peers: readonly string[] = []
    try {
      peers = await lookUp(this.#target)
      this.#lookUpFailed = false
    } catch (error) {
      if (!this.#lookUpFailed) log.warn({ problem: String(error) }, 'the JobManagers cannot be looked up, trying on')
      this.#lookUpFailed = true
    }
    const drawn = peers.map(peer => ({ peer, at: random() }))
    // Each relay in an order of its own, so that they do not all lean on the same one.
    this.#dispatch({ type: 'looked-up', peers: drawn.sort((a, b) => a.at - b.at).map(({ peer }) => peer) })
  }

  #follow(id: number, peer: string): void {
    const { clock, userAgent, log, random = Math.random } = this.#options
    const clientOf =
      this.#options.clientOf ??
      ((at: string) => new KubeClient({ url: `http://${at}`, userAgent, monoMs: clock.monoMs }))
    if (this.#target === undefined) return
    log.debug({ peer }, 'trying')
    const link = new RelayLink({
      peer,
      target: this.#target,
      clock,
      client: clientOf(peer),
      random,
      onTold: leader => this.#dispatch({ type: 'told', id, leader }),
      onBeat: validForMs => this.#dispatch({ type: 'beat', id, validForMs }),
      onSight: (object, version) => this.#dispatch({ type: 'sight', id, object, version }),
      onLost: (why, problem) => {
        log.debug({ peer, why, problem }, 'lost')
        this.#dispatch({ type: 'lost', id, why })
      },
    })
    this.#link = { id, link, believed: false }
    void link.open()
  }
}
