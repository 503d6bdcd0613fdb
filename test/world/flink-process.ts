// What a JobManager and a TaskManager of Flink have in common towards the ConfigMap API: sockets, the informer on the HA
// ConfigMaps, and the leaders seen by it.
import type { Dialect, FlinkEvent, FlinkEventBody, Periods } from './flink-dialect.ts'
import { DIALECTS, defaultPeriods } from './flink-dialect.ts'
import { FlinkHttp, type Wire, type WireOptions } from './flink-http.ts'
import { Informer } from './flink-informer.ts'
import type { ConfigMap } from './flink-records.ts'
import { leaderKey, lockName, readLeaderValue } from './flink-records.ts'
import { FlinkSockets } from './flink-sockets.ts'
import { realTime, Timers, type TimeSource } from './flink-timers.ts'

export type FlinkProcessOptions = Partial<Periods> & {
  /** Base URL of the API, such as http://127.0.0.1:4040. */
  master: string
  clusterId: string
  namespace: string
  dialect: Dialect
  /** Sent as `Authorization: Bearer`, as Flink does when a service account is mounted. */
  token?: string
  random?: () => number
  onEvent?: (event: FlinkEvent) => void
  /** Time and network: those of the machine when missing. */
  time?: TimeSource
  wire?: (options: WireOptions) => Wire
}

/** What both kinds of process have: sockets, informer, and the leaders it has seen. */
export class FlinkProcess {
  protected readonly rules
  protected readonly periods: Periods
  protected readonly http: FlinkHttp
  protected readonly time: TimeSource
  protected readonly timers: Timers
  protected readonly random: () => number
  readonly #informer: Informer
  readonly #seen = new Map<string, string>()
  readonly #lock: string
  readonly #onEvent: (event: FlinkEvent) => void
  #started = false

  constructor(options: FlinkProcessOptions) {
    const { master, clusterId, namespace, dialect, token, wire } = options
    this.time = options.time ?? realTime
    this.timers = new Timers(this.time)
    this.rules = DIALECTS[dialect]
    this.periods = { ...defaultPeriods(dialect), ...options }
    this.random = options.random ?? Math.random
    this.#onEvent = options.onEvent ?? (() => {})
    this.#lock = lockName(clusterId)
    const { rules, periods, timers, random } = this
    const emit = (event: FlinkEventBody): void => this.emit(event)
    const connected: WireOptions = { periods, timers, token }
    this.http = new FlinkHttp({
      wire: wire?.(connected) ?? new FlinkSockets({ ...connected, master }),
      namespace,
      rules,
      periods,
      timers,
      onRefused: (status, method, path) => emit({ type: 'refused', status, method, path }),
    })
    this.#informer = new Informer({
      http: this.http,
      clusterId,
      rules,
      periods,
      timers,
      random,
      emit,
      onObject: (change, configMap) => {
        if (configMap.metadata.name !== this.#lock) return
        if (change !== 'deleted') this.#noteLeaders(configMap)
        this.onLock(change, configMap)
      },
    })
  }

  /** False when the first LIST failed: Flink's process ends with code 1 then, and says so in a 'fatal' event. */
  async start(): Promise<boolean> {
    if (this.#started) throw new Error('a Flink process starts once')
    this.#started = true
    if (await this.#informer.start()) return true
    this.emit({ type: 'fatal', why: 'the first LIST failed', exitCode: 1 })
    return false
  }

  /** As SIGKILL: all sockets at once, nothing after that. */
  kill(): void {
    this.timers.end()
    this.#informer.close()
    this.http.end()
  }

  protected emit(event: FlinkEventBody): void {
    if (!this.timers.ended) this.#onEvent({ ...event, atMs: this.time.wallMs() })
  }

  protected onLock(_change: 'added' | 'modified' | 'deleted', _configMap: ConfigMap): void {}

  #noteLeaders(configMap: ConfigMap): void {
    const data = configMap.data ?? {}
    const prefix = leaderKey('')
    for (const [key, value] of Object.entries(data)) {
      if (!key.startsWith(prefix) || this.#seen.get(key) === value) continue
      this.#seen.set(key, value)
      const leader = readLeaderValue(value)
      const component = key.slice(prefix.length)
      this.emit({
        type: 'leader-seen',
        component,
        session: leader?.session ?? null,
        address: leader?.address ?? null,
      })
    }
    for (const key of [...this.#seen.keys()]) {
      if (data[key] !== undefined) continue
      this.#seen.delete(key)
      this.emit({ type: 'leader-seen', component: key.slice(prefix.length), session: null, address: null })
    }
  }
}
