// A TaskManager's relay as `sidecar/relay-main.ts` puts it together, in a simulation, with a TaskManager that reads from it.
import { LeaderIndex } from '../../sidecar/leader-index.ts'
import { Relay } from '../../sidecar/relay.ts'
import { RelayEndpoint } from '../../sidecar/relay-endpoint.ts'
import { RelayGateway } from '../../sidecar/relay-gateway.ts'
import type { RelayMetrics } from '../../sidecar/relay-metrics.ts'
import type { Dialect, FlinkEvent } from './flink-dialect.ts'
import { FlinkTaskManagerClient } from './flink-taskmanager.ts'
import { SimPeerClient } from './sim-client.ts'
import { Link, type Network } from './sim-network.ts'
import type { SimPod } from './sim-pod.ts'
import { SidecarPort } from './sim-port.ts'
import { EPOCH_MS, Machine, SimProcess } from './sim-process.ts'
import { CLUSTER_ID, NAMESPACE, noMetrics, silent } from './sim-sidecar.ts'
import { type Chance, type SimTime, seededFor } from './sim-time.ts'
import { SidecarWire } from './sim-wire.ts'

export type SimRelayOptions = {
  index: number
  seed: number
  time: SimTime
  network: Network
  dialect: Dialect
  pods: readonly SimPod[]
  onRan: (relay: SimRelay) => void
  onTaskManager: (relay: SimRelay, event: FlinkEvent) => void
  onProblem: (problem: unknown) => void
}

export class SimRelay {
  readonly index: number
  readonly machine: Machine
  process: SimProcess | undefined
  relay: Relay | undefined
  readonly #options: SimRelayOptions
  readonly #chance: Chance
  #status: LeaderIndex | undefined
  #port: SidecarPort | undefined
  #reader: SimProcess | undefined
  #births = 0

  constructor(options: SimRelayOptions) {
    const { index, seed, time } = options
    this.index = index
    this.#options = options
    this.#chance = seededFor(seed, `relay ${index}`)
    const rate = 1 + (this.#chance() - 0.5) * 0.04
    this.machine = new Machine(time, { rate, monoMs: this.#chance() * 1e7, wallOffsetMs: 0 })
  }

  get end(): string {
    return `relay-${this.index}`
  }

  start(): void {
    if (this.process !== undefined) return
    const { seed, network, pods, onRan, onProblem } = this.#options
    const name = `${this.end}/relay-${++this.#births}`
    const chance = seededFor(seed, name)
    const process = new SimProcess(name, this.machine, chance, () => onRan(this))
    const addressOf = (pod: SimPod): string => `${pod.host}:4041`
    const clientOf = (peer: string): SimPeerClient => {
      const pod = pods.find(known => addressOf(known) === peer)
      return new SimPeerClient(process, network.link(this.end, pod?.end ?? 'nowhere'), () =>
        pod !== undefined && addressOf(pod) === peer ? pod.sidecar?.port : undefined,
      )
    }
    const metrics = noMetrics as unknown as RelayMetrics
    const relay = new Relay({
      namespace: NAMESPACE,
      clusterId: CLUSTER_ID,
      lookUp: async () => pods.filter(pod => pod.sidecar !== undefined).map(addressOf),
      userAgent: 'simulated relay',
      clock: process,
      log: silent,
      metrics,
      random: chance,
      clientOf,
    })
    const source = { leader: () => relay.leader(), validForMs: () => relay.validForMs(), target: () => relay.target }
    const status = new LeaderIndex(source, EPOCH_MS + this.machine.time.nowMs, process.after)
    relay.onChange(() => status.changed())
    const gateway = new RelayGateway({ relay, clock: process, metrics })
    const endpoint = new RelayEndpoint({ relay, status, clock: process, metrics })
    this.#port = new SidecarPort(process, { endpoint, gateway }, onProblem)
    this.process = process
    this.relay = relay
    this.#status = status
    relay.attach(undefined, undefined)
  }

  crash(): void {
    this.process?.kill()
    this.relay?.stop()
    this.#status?.stop()
    this.process = undefined
    this.relay = undefined
    this.#port = undefined
  }

  heal(): void {
    this.process?.resume()
    this.start()
  }

  /** A TaskManager beside it, which outlives it. */
  startReader(): void {
    const { seed, dialect, onTaskManager } = this.#options
    const chance = seededFor(seed, `${this.end} reader`)
    const process = new SimProcess(`${this.end}/taskmanager`, this.machine, chance, () => {})
    const link = new Link(this.machine.time, chance, 0.3)
    this.#reader = process
    const client = new FlinkTaskManagerClient({
      master: 'http://127.0.0.1:4040',
      clusterId: CLUSTER_ID,
      namespace: NAMESPACE,
      dialect,
      random: chance,
      time: process,
      wire: connected => new SidecarWire(this.#reader as SimProcess, link, () => this.#port, connected),
      onEvent: event => onTaskManager(this, event),
    })
    void client.start()
  }
}
