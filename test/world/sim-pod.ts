// A JobManager's pod in a simulation: a sidecar and a JVM on one machine, each of which ends and comes back by itself.

import type { KubeResponse } from '../../shared/kube-client.ts'
import type { Timings } from '../../shared/timings.ts'
import type { Dialect, FlinkEvent } from './flink-dialect.ts'
import type { ApiCall, SimApi } from './sim-api.ts'
import { SimApiClient, SimPeerClient } from './sim-client.ts'
import { SimJvm } from './sim-jvm.ts'
import { Link, type Network } from './sim-network.ts'
import type { SidecarPort } from './sim-port.ts'
import { Machine, SimProcess } from './sim-process.ts'
import { SimSidecar, silent } from './sim-sidecar.ts'
import { simSigner } from './sim-signer.ts'
import { type Chance, type SimTime, seededFor } from './sim-time.ts'

const LOCAL_MS = 0.3
const ASK_TIMEOUT_MS = 1_000

/** Who wants to know what happens in a pod. */
export type Watchdog = {
  onRan: (pod: SimPod) => void
  onLog: (pod: SimPod, message: string, fields: object) => void
  onCall: (pod: SimPod, call: ApiCall) => (result: KubeResponse | undefined) => void
  onJvm: (pod: SimPod, jvm: SimJvm, event: FlinkEvent) => void
  /** One of failsafe leaves; the returned function is told whether it was promised. */
  onQuestion: (process: SimProcess, body: string) => (promised: boolean) => void
  /** Such a question is heard by this process. */
  onAsked: (process: SimProcess) => void
  onCheckpoint: (id: number, session: string) => void
  onRestored: (id: number, session: string) => void
  onProblem: (problem: unknown) => void
}

export type SimPodOptions = {
  index: number
  seed: number
  time: SimTime
  api: SimApi
  network: Network
  timings: Timings
  failsafe: boolean
  dialect: Dialect
  wallOffsetMs: number
  /** By the host part of an address. */
  podAt: (host: string) => SimPod | undefined
  watchdog: Watchdog
}

export class SimPod {
  readonly index: number
  readonly machine: Machine
  name = ''
  identity = ''
  host = ''
  sidecar: SimSidecar | undefined
  jvm: SimJvm | undefined
  readonly #options: SimPodOptions
  readonly #chance: Chance
  readonly #local: Link
  #births = 0
  #present = false
  #deleted = 0
  /** Of this pod's object: a new one makes what was planned for the old one void. */
  #generation = 0

  constructor(options: SimPodOptions) {
    const { index, seed, time, wallOffsetMs } = options
    this.#options = options
    this.index = index
    this.#chance = seededFor(seed, `pod ${index}`)
    const chance = this.#chance
    this.machine = new Machine(time, { rate: 1 + (chance() - 0.5) * 0.04, monoMs: chance() * 1e7, wallOffsetMs })
    this.#local = new Link(time, chance, LOCAL_MS)
  }

  /** The link's end that is this pod's. */
  get end(): string {
    return `pod-${this.index}`
  }

  /** A new pod in this place, with a new name. */
  begin(): void {
    if (this.#present) return
    this.#present = true
    this.#generation++
    this.name = `jm-${this.index}-${this.#generation}`
    this.identity = `${this.name}_uid-${this.index}-${this.#generation}`
    this.host = `10.0.${this.#generation}.${this.index + 1}`
    this.startSidecar()
    this.after(this.#chance() * 2_000, () => this.startJvm())
  }

  /** Only if this pod is still the same then. */
  after(delayMs: number, run: () => void): void {
    const generation = this.#generation
    this.#options.time.after(delayMs, () => this.#generation === generation && run())
  }

  /** The whole pod is gone at once, as with its node. */
  vanish(): void {
    this.#present = false
    this.#generation++
    this.crashJvm()
    this.crashSidecar()
  }

  /** `kubectl delete pod`: the preStop hook, then the JVM, then the sidecar; and a new pod. */
  delete(): void {
    if (this.#deleted === this.#generation) return
    this.#deleted = this.#generation
    const [sidecar, jvm] = [this.sidecar, this.jvm]
    const chance = this.#chance
    sidecar?.process.deliver(() => sidecar.candidate.retire('pod-deleted'))
    this.after(chance() * 1_000, () => jvm?.process.deliver(() => void jvm.client.close()))
    this.after(1_000 + chance() * 4_000, () => this.crashJvm())
    this.after(5_000 + chance() * 500, () => {
      if (sidecar === undefined || this.sidecar !== sidecar) return
      sidecar.process.deliver(() => void sidecar.stop())
    })
    this.after(9_000, () => {
      this.vanish()
      this.begin()
    })
  }

  /** The container of the JVM is stopped and started again. */
  stopJvm(): void {
    const { jvm } = this
    if (jvm === undefined) return
    jvm.process.deliver(() => void jvm.client.close())
    this.after(500 + this.#chance() * 3_000, () => {
      if (this.jvm === jvm) this.crashJvm()
    })
  }

  /** `POST /switchover` on the local port, as a person sends it. */
  switchOver(): void {
    const { sidecar } = this
    if (sidecar === undefined) return
    const chance = seededFor(this.#options.seed, `${this.name} person ${++this.#births}`)
    const person = new SimProcess(`${this.name}/person`, this.machine, chance, () => {})
    const connection = sidecar.port.connect(person, this.#local)
    const ignore = (): void => {}
    const body = JSON.stringify({ candidate: null })
    const asked = { method: 'POST', url: '/switchover', headers: { 'content-type': 'application/json' }, body }
    connection.ask('local', asked, { whole: ignore, head: ignore, chunk: ignore, end: ignore, cut: ignore })
  }

  /** Whatever is missing is started, whatever is stopped goes on. */
  heal(): void {
    this.sidecar?.process.resume()
    this.jvm?.process.resume()
    this.begin()
    this.startSidecar()
    this.startJvm()
  }

  crashSidecar(): void {
    this.sidecar?.process.kill()
    this.sidecar = undefined
  }
  crashJvm(): void {
    this.jvm?.process.kill()
    this.jvm = undefined
  }

  startSidecar(): void {
    if (this.sidecar !== undefined || !this.#present) return
    const { api, network, timings, failsafe, watchdog, seed } = this.#options
    const name = `${this.name}/sidecar-${++this.#births}`
    const chance = seededFor(seed, name)
    const process = new SimProcess(name, this.machine, chance, () => watchdog.onRan(this))
    const client = new SimApiClient(process, api, network.link(this.end, 'api'), call => watchdog.onCall(this, call))
    this.sidecar = new SimSidecar({
      process,
      client,
      chance,
      timings,
      identity: this.identity,
      address: `${this.host}:4041`,
      log: { ...silent, info: (fields, message) => watchdog.onLog(this, message, fields) },
      probePort: () => this.#probe(process),
      askRole: (host, port, identity) => this.#askRole(process, host, port, identity),
      postQuestion: ({ host }, body, { timeoutMs }) => this.#postQuestion(process, host, body, timeoutMs),
      signer: failsafe ? simSigner(chance) : undefined,
      onProblem: watchdog.onProblem,
    })
  }

  startJvm(): void {
    if (this.jvm !== undefined || !this.#present) return
    const { dialect, seed, watchdog } = this.#options
    const name = `${this.name}/jvm-${++this.#births}`
    const chance = seededFor(seed, name)
    const process = new SimProcess(name, this.machine, chance, () => {})
    const jvm: SimJvm = new SimJvm({
      process,
      chance,
      dialect,
      host: this.host,
      link: this.#local,
      port: () => this.sidecar?.port,
      onEvent: event => watchdog.onJvm(this, jvm, event),
      onCheckpoint: watchdog.onCheckpoint,
      onRestored: watchdog.onRestored,
    })
    this.jvm = jvm
    void jvm.client.start()
  }

  #probe(process: SimProcess): Promise<'port-open' | 'port-refused'> {
    return new Promise(resolve => {
      this.#local.send(() => {
        const answer = this.jvm === undefined ? 'port-refused' : 'port-open'
        process.deliver(() => resolve(answer))
      })
    })
  }

  #peer(process: SimProcess, host: string): SimPeerClient {
    const peer = this.#options.podAt(host)
    const link = this.#options.network.link(this.end, peer?.end ?? 'nowhere')
    return new SimPeerClient(process, link, () => peer?.sidecar?.port)
  }

  async #postQuestion(process: SimProcess, host: string, body: string, timeoutMs: number) {
    const { watchdog } = this.#options
    const onAnswered = watchdog.onQuestion(process, body)
    const asked = { method: 'POST', url: '/failsafe', headers: { 'content-type': 'application/json' }, body }
    const heard = (port: SidecarPort): void => watchdog.onAsked(port.process)
    const answer = await this.#peer(process, host).exchange(asked, timeoutMs, heard)
    onAnswered(answer.status === 200)
    return answer
  }

  async #askRole(process: SimProcess, host: string, _port: number, identity: string) {
    try {
      const { status, body } = await this.#peer(process, host).request('GET', '/readyz', { timeoutMs: ASK_TIMEOUT_MS })
      const told = body as { identity: string; role: 'leader' | 'standby'; standing: boolean }
      return told.identity === identity ? { role: told.role, healthy: status === 200 && told.standing } : undefined
    } catch {
      return undefined
    }
  }
}
