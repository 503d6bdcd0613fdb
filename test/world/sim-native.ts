// A JobManager with Flink's built-in high availability in a simulation: fabric8's elector straight on the real lock, as
// during a rolling update. It runs no job: what it would write to a job's ConfigMap nothing fences.
import { DIALECTS, type Dialect, defaultPeriods } from './flink-dialect.ts'
import { Elector } from './flink-elector.ts'
import { FlinkHttp } from './flink-http.ts'
import { uuidOf } from './flink-records.ts'
import { Timers } from './flink-timers.ts'
import type { SimApi } from './sim-api.ts'
import type { Link } from './sim-network.ts'
import type { SimProcess } from './sim-process.ts'
import { CLUSTER_ID, NAMESPACE } from './sim-sidecar.ts'
import type { Chance } from './sim-time.ts'
import { ApiWire, type OnCall } from './sim-wire.ts'

export type SimNativeOptions = {
  process: SimProcess
  api: SimApi
  link: Link
  chance: Chance
  dialect: Dialect
  onCall: OnCall
  onGranted: () => void
}

export class SimNative {
  readonly identity: string
  readonly process: SimProcess
  /** Whether it was granted leadership and not told otherwise. */
  leading = false
  readonly #elector: Elector
  readonly #timers: Timers

  constructor({ process, api, link, chance, dialect, onCall, onGranted }: SimNativeOptions) {
    const rules = DIALECTS[dialect]
    const periods = defaultPeriods(dialect)
    this.process = process
    this.identity = uuidOf(chance)
    this.#timers = new Timers(process)
    const timers = this.#timers
    const wire = new ApiWire(process, api, link, { periods, timers, token: undefined }, onCall)
    const http = new FlinkHttp({ wire, namespace: NAMESPACE, rules, periods, timers, onRefused: () => {} })
    this.#elector = new Elector({
      http,
      clusterId: CLUSTER_ID,
      namespace: NAMESPACE,
      identity: this.identity,
      rules,
      periods,
      random: chance,
      time: process,
      wallNow: process.wallMs,
      reacquiresOnClose: chance() < 0.5,
      emit: () => {},
      onGranted: () => {
        this.leading = true
        onGranted()
      },
      onRevoked: () => {
        this.leading = false
      },
    })
    this.#elector.start()
  }

  /** As SIGTERM. */
  async stop(): Promise<void> {
    this.leading = false
    await this.#elector.stop()
    this.kill()
  }
  kill(): void {
    this.leading = false
    this.#elector.kill()
    this.#timers.end()
    this.process.kill()
  }
}
