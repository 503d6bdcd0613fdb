// A sidecar as `sidecar/main.ts` puts it together, on a process, network and clock of the simulation.
import type { Log } from '../../shared/log.ts'
import type { Timings } from '../../shared/timings.ts'
import { Candidate } from '../../sidecar/candidate.ts'
import { Endpoint } from '../../sidecar/endpoint.ts'
import type { PostQuestion } from '../../sidecar/failsafe-post.ts'
import { Gateway } from '../../sidecar/gateway.ts'
import type { Metrics } from '../../sidecar/metrics.ts'
import { type AskRole, Peers } from '../../sidecar/peers.ts'
import type { Signer } from '../../sidecar/signer.ts'
import { Status } from '../../sidecar/status.ts'
import type { SimApiClient } from './sim-client.ts'
import { SidecarPort } from './sim-port.ts'
import { EPOCH_MS, type SimProcess } from './sim-process.ts'
import type { Chance } from './sim-time.ts'

export const NAMESPACE = 'ns'
export const CLUSTER_ID = 'c'
export const LOCK = 'c-cluster-config-map'

const nothing = (): void => {}
export const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
/** Counts nothing: metrics are not what is looked at. */
export const noMetrics = new Proxy({}, { get: () => ({ inc: nothing, observe: nothing, set: nothing }) }) as Metrics

export type SimSidecarOptions = {
  process: SimProcess
  client: SimApiClient
  chance: Chance
  timings: Timings
  identity: string
  /** `host:port` of the pod port. */
  address: string
  log: Log
  probePort: () => Promise<'port-open' | 'port-refused'>
  askRole: AskRole
  postQuestion: PostQuestion
  /** When given, failsafe is on. */
  signer: Signer | undefined
  /** What no handler caught. */
  onProblem: (problem: unknown) => void
}

export class SimSidecar {
  readonly process: SimProcess
  readonly candidate: Candidate
  readonly status: Status
  readonly port: SidecarPort
  readonly #gateway: Gateway
  readonly #endpoint: Endpoint

  constructor(options: SimSidecarOptions) {
    const { process, client, chance, timings, identity, address, log, probePort, askRole, postQuestion, signer } =
      options
    const metrics = noMetrics
    const clock = process
    this.process = process
    this.candidate = new Candidate({
      identity,
      lockKind: 'configmap',
      timings,
      jvmAddress: { host: '127.0.0.1', port: 6123 },
      address: () => address,
      client,
      clock,
      log,
      metrics,
      random: chance,
      probePort,
      askRole,
      postQuestion,
      signer,
    })
    const { candidate } = this
    this.#gateway = new Gateway({
      candidate,
      client,
      clock,
      log,
      metrics,
      namespace: NAMESPACE,
      clusterId: CLUSTER_ID,
      retryMs: timings.retryMs,
    })
    const gateway = this.#gateway
    this.status = new Status(candidate, EPOCH_MS + process.machine.time.nowMs, clock.after)
    const peers = new Peers(candidate, askRole)
    this.#endpoint = new Endpoint({ candidate, status: this.status, gateway, peers, client, clock, metrics, timings })
    this.port = new SidecarPort(process, { endpoint: this.#endpoint, gateway }, options.onProblem)
    candidate.attach(NAMESPACE, CLUSTER_ID)
  }

  /** As SIGTERM; resolves when the process may end. */
  async stop(): Promise<void> {
    await this.candidate.stop('shutdown', 3_000)
    this.#gateway.watchers.end()
    this.#endpoint.end()
    this.status.stop()
  }
}
