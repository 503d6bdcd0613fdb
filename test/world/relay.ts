// A whole relay in process, on ports of its own, in front of sidecars that may come and go: the parts that
// `sidecar/relay-main.ts` puts together. And sidecars that are none.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { type Clock, systemClock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import { LeaderIndex } from '../../sidecar/leader-index.ts'
import { Relay } from '../../sidecar/relay.ts'
import { RelayEndpoint } from '../../sidecar/relay-endpoint.ts'
import { RelayGateway } from '../../sidecar/relay-gateway.ts'
import { makeRelayMetrics, type RelayMetrics } from '../../sidecar/relay-metrics.ts'
import { serve } from '../../sidecar/server.ts'
import { CLUSTER_ID, NAMESPACE } from './sidecar.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

export type TestRelayOptions = {
  /** Base URLs of the peers' pod ports, asked at each look-up. */
  peers: () => readonly string[]
  learn?: boolean
  clock?: Clock
  holdMs?: number
  /** Its local port; any when missing. */
  port?: number
}

export class TestRelay {
  readonly relay: Relay
  readonly gateway: RelayGateway
  readonly status: LeaderIndex
  readonly metrics: RelayMetrics
  #endpoint: RelayEndpoint
  #servers: Server[] = []
  #known: boolean
  #port: number
  url = ''
  podUrl = ''

  constructor(options: TestRelayOptions) {
    const clock = options.clock ?? systemClock
    this.metrics = makeRelayMetrics(() => ({
      connected: this.relay.connected,
      ageSeconds: this.relay.leader().ageSeconds ?? Number.NaN,
      validitySeconds: this.relay.validForMs() / 1000,
      token: this.relay.token,
      watchers: this.gateway.watchers.size,
    }))
    const { metrics } = this
    this.#known = options.learn !== true
    this.#port = options.port ?? 0
    this.relay = new Relay({
      namespace: NAMESPACE,
      clusterId: this.#known ? CLUSTER_ID : undefined,
      lookUp: async () => options.peers().map(url => url.slice('http://'.length)),
      userAgent: 'test relay',
      clock,
      log: silent,
      metrics,
    })
    const { relay } = this
    const source = { leader: () => relay.leader(), validForMs: () => relay.validForMs(), target: () => relay.target }
    this.status = new LeaderIndex(source, 1_000, clock.after)
    relay.onChange(() => this.status.changed())
    this.gateway = new RelayGateway({
      relay,
      clock,
      metrics,
      ...(options.holdMs !== undefined && { holdMs: options.holdMs }),
    })
    this.#endpoint = new RelayEndpoint({ relay, status: this.status, clock, metrics })
  }

  async start(): Promise<void> {
    const parts = { endpoint: this.#endpoint, gateway: this.gateway, log: silent }
    const local = await serve({ scope: 'local', host: '127.0.0.1', port: this.#port, ...parts })
    const pod = await serve({ scope: 'pod', host: '127.0.0.1', port: 0, ...parts })
    this.url = `http://127.0.0.1:${local.port}`
    this.podUrl = `http://127.0.0.1:${pod.port}`
    this.#servers = [local.server, pod.server]
    if (this.#known) this.relay.attach(undefined, undefined)
  }

  async stop(): Promise<void> {
    this.relay.stop()
    this.status.stop()
    for (const server of this.#servers) {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    }
  }
}

/** Takes connections and says nothing. */
export class SilentPeer {
  #sockets = new Set<Socket>()
  #server = createTcpServer(socket => {
    this.connections++
    this.#sockets.add(socket)
    socket.on('error', () => {})
  })
  connections = 0

  /** Its base URL. */
  async start(): Promise<string> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }
}

/** Answers each request as it is told to, such as with the leader of another term. */
export class FalsePeer {
  #answer: (request: IncomingMessage, response: ServerResponse) => void
  #server = createServer((request, response) => {
    this.asked.push(request.url ?? '')
    this.#answer(request, response)
  })
  readonly asked: string[] = []

  constructor(answer: (request: IncomingMessage, response: ServerResponse) => void) {
    this.#answer = answer
  }

  /** Its base URL. */
  async start(): Promise<string> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }
  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }
}
