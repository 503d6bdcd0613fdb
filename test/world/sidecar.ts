// A whole sidecar in process, on ports of its own, against an embedded API: the parts that `sidecar/main.ts` puts together.
import type { Server } from 'node:http'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { KubeClient } from '../../shared/kube-client.ts'
import type { Log } from '../../shared/log.ts'
import type { Timings } from '../../shared/timings.ts'
import { Candidate } from '../../sidecar/candidate.ts'
import { Endpoint } from '../../sidecar/endpoint.ts'
import { Gateway } from '../../sidecar/gateway.ts'
import { makeMetrics } from '../../sidecar/metrics.ts'
import { Peers } from '../../sidecar/peers.ts'
import { serve } from '../../sidecar/server.ts'
import type { Signer } from '../../sidecar/signer.ts'
import { Status } from '../../sidecar/status.ts'

export const NAMESPACE = 'ns'
export const CLUSTER_ID = 'c'
export const LOCK = 'c-cluster-config-map'
/** Short enough for a test, long enough for a busy machine. */
export const TEST_TIMINGS: Timings = { leaseMs: 3_000, renewDeadlineMs: 2_000, retryMs: 500 }

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

export type TestSidecarOptions = {
  apiUrl: string
  name: string
  jvmPort: number
  timings?: Timings
  lockKind?: 'configmap' | 'lease'
  learn?: boolean
  log?: Log
  /** When given, failsafe is on. */
  signer?: Signer
  clock?: Clock
}

export class TestSidecar {
  readonly candidate: Candidate
  readonly gateway: Gateway
  readonly status: Status
  readonly metrics: ReturnType<typeof makeMetrics>
  #client: KubeClient
  #endpoint: Endpoint
  #servers: Server[] = []
  #learn: boolean
  url = ''
  podUrl = ''

  constructor(options: TestSidecarOptions) {
    const clock = options.clock ?? systemClock
    const timings = options.timings ?? TEST_TIMINGS
    const client = new KubeClient({ url: options.apiUrl, userAgent: `test ${options.name}`, monoMs: clock.monoMs })
    this.metrics = makeMetrics(
      () => LOCK,
      () => ({
        leading: this.candidate.leading(),
        renewalAgeSeconds: this.candidate.renewalAgeMs() / 1000,
        validitySeconds: this.candidate.validForMs() / 1000,
        token: this.candidate.token,
        jvmPhase: this.candidate.jvm.phase,
        watchers: this.gateway.watchers.size,
        lockBytes: 0,
        vouchedFor: this.candidate.vouchedFor(),
      }),
    )
    const log = options.log ?? silent
    const { metrics } = this
    this.candidate = new Candidate({
      identity: `${options.name}_uid`,
      lockKind: options.lockKind ?? 'configmap',
      timings,
      jvmAddress: { host: '127.0.0.1', port: options.jvmPort },
      address: () => (this.podUrl === '' ? '' : this.podUrl.slice('http://'.length)),
      client,
      clock,
      log,
      metrics,
      signer: options.signer,
    })
    const { candidate } = this
    this.#learn = options.learn ?? false
    const known = this.#learn ? undefined : NAMESPACE
    this.gateway = new Gateway({
      candidate,
      client,
      clock,
      log,
      metrics,
      namespace: known,
      clusterId: this.#learn ? undefined : CLUSTER_ID,
      retryMs: timings.retryMs,
    })
    this.status = new Status(candidate, 1_000, clock.after)
    const peers = new Peers(candidate)
    this.#endpoint = new Endpoint({
      candidate,
      status: this.status,
      gateway: this.gateway,
      peers,
      client,
      clock,
      metrics,
      timings,
    })
    this.#client = client
  }

  async start(): Promise<void> {
    const parts = { endpoint: this.#endpoint, gateway: this.gateway, log: silent }
    const local = await serve({ scope: 'local', host: '127.0.0.1', port: 0, ...parts })
    const pod = await serve({ scope: 'pod', host: '127.0.0.1', port: 0, ...parts })
    this.url = `http://127.0.0.1:${local.port}`
    this.podUrl = `http://127.0.0.1:${pod.port}`
    this.#servers = [local.server, pod.server]
    if (!this.#learn) this.candidate.attach(NAMESPACE, CLUSTER_ID)
  }

  /** As SIGKILL would: nothing is released. */
  async crash(): Promise<void> {
    this.candidate.abandon()
    await this.#close()
  }
  async stop(): Promise<void> {
    await this.candidate.stop('shutdown', 1_000)
    await this.#close()
  }
  async #close(): Promise<void> {
    this.status.stop()
    for (const server of this.#servers) {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    }
    this.#client.close()
  }
}
