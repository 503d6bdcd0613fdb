// A JobManager's process in a simulation: the model of Flink's client with one job, whose checkpoints complete every few
// seconds for as long as it believes to lead.
import { FlinkClient } from './flink-client.ts'
import type { Dialect, FlinkEvent } from './flink-dialect.ts'
import { ANNOTATION_WRITER } from './sim-check-store.ts'
import type { Link } from './sim-network.ts'
import type { SidecarPort } from './sim-port.ts'
import type { SimProcess } from './sim-process.ts'
import { CLUSTER_ID, NAMESPACE } from './sim-sidecar.ts'
import type { Chance } from './sim-time.ts'
import { SidecarWire } from './sim-wire.ts'

export const JOB = '0123456789abcdef0123456789abcdef'

export type SimJvmOptions = {
  process: SimProcess
  chance: Chance
  dialect: Dialect
  host: string
  /** To its own sidecar. */
  link: Link
  port: () => SidecarPort | undefined
  onEvent: (event: FlinkEvent) => void
  onCheckpoint: (id: number, session: string) => void
  /** The job goes on from this checkpoint; 0 when there is none. */
  onRestored: (id: number, session: string) => void
}

export class SimJvm {
  readonly process: SimProcess
  readonly client: FlinkClient
  readonly #options: SimJvmOptions
  readonly #chance: Chance
  /** The last that was granted: what a thread of an ended term still does is of the next, which waits for it. */
  #session = ''

  constructor(options: SimJvmOptions) {
    const { process, chance, dialect, host, link, port, onEvent } = options
    this.process = process
    this.#options = options
    this.#chance = chance
    let wire: SidecarWire | undefined
    this.client = new FlinkClient({
      master: 'http://127.0.0.1:4040',
      clusterId: CLUSTER_ID,
      namespace: NAMESPACE,
      dialect,
      rpcAddress: `${host}:6123`,
      random: chance,
      time: process,
      wire: connected => {
        wire = new SidecarWire(process, link, port, connected, body => this.#signed(body))
        return wire
      },
      onEvent: event => {
        onEvent(event)
        if (event.type === 'granted') this.#session = event.session
        if (event.type === 'checkpoint') options.onCheckpoint(event.id, this.#session)
        if (event.type === 'leading') void this.#runJob(event.session, event.jobs.includes(JOB))
      },
    })
    process.onKill(() => {
      wire?.reset(chance)
      this.client.kill()
    })
  }

  /** Starts the job unless it was recovered, then completes checkpoints for as long as the term lasts. */
  async #runJob(session: string, recovered: boolean): Promise<void> {
    const { client, process } = this
    // Whoever submits it tries again.
    while (!recovered && process.alive && client.session === session && !(await client.startJob(JOB)))
      await new Promise<void>(resolve => process.after(2_000, resolve))
    if (client.session === session) this.#options.onRestored(client.retained(JOB), session)
    while (process.alive && client.session === session) {
      await new Promise<void>(resolve => process.after(3_000 + this.#chance() * 9_000, resolve))
      if (client.session !== session) return
      await client.checkpoint(JOB)
    }
  }

  /** A write of a job's ConfigMap says which session it is of. */
  #signed(body: unknown): unknown {
    const object = body as { metadata?: { name?: string; annotations?: object } } | undefined
    if (object?.metadata?.name?.includes(JOB) !== true) return body
    const annotations = { ...object.metadata.annotations, [ANNOTATION_WRITER]: this.#session }
    return { ...object, metadata: { ...object.metadata, annotations } }
  }
}
