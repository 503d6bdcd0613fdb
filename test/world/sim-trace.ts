// The last events of a simulation, for whoever has to find out why it failed. Costs nothing while nobody asks for it.
import type { SimTime } from './sim-time.ts'

const KEPT = Number(process.env['FLINK_HA_TRACE'] ?? 60)

export class Trace {
  readonly #time: SimTime
  readonly #wanted: boolean
  #lines: string[] = []

  constructor(time: SimTime, wanted: boolean) {
    this.#time = time
    this.#wanted = wanted
  }

  add(line: () => string): void {
    if (!this.#wanted) return
    this.#lines.push(`${this.#time.nowMs.toFixed(1).padStart(10)} ${line()}`)
    if (this.#lines.length > KEPT) this.#lines.shift()
  }

  get lines(): readonly string[] {
    return this.#lines
  }
}
