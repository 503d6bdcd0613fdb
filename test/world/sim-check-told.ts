// What readers are told: a name only while its term can be valid, a token that never falls.
import type { LeaderDocument } from '../../sidecar/leader.ts'
import type { Violate } from './sim-check-leaders.ts'
import type { Ledger } from './sim-ledger.ts'
import type { SimPod } from './sim-pod.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRelay } from './sim-relay.ts'
import type { SimTime } from './sim-time.ts'

/** Of one process's clock against the true one, and of a timer. */
const DRIFT = 0.03
const SLACK_MS = 50

export class ToldCheck {
  readonly #time: SimTime
  readonly #ledger: Ledger
  readonly #violate: Violate
  readonly #tokens = new Map<string, number>()
  /** The lock as each sidecar sees it, and since when it does. */
  readonly #sights = new Map<string, { lock: unknown; raw: string; sinceMs: number }>()

  constructor(time: SimTime, ledger: Ledger, violate: Violate) {
    this.#time = time
    this.#ledger = ledger
    this.#violate = violate
  }

  /** A sidecar's process has done something: it may have seen a new record. */
  ran(pod: SimPod): void {
    const { sidecar } = pod
    if (sidecar === undefined) return
    const { lock } = sidecar.candidate
    const sight = this.#sights.get(sidecar.process.name)
    if (sight?.lock === lock) return
    const raw = lock?.raw ?? ''
    const sinceMs = sight?.raw === raw && raw !== '' ? sight.sinceMs : this.#time.nowMs
    this.#sights.set(sidecar.process.name, { lock, raw, sinceMs })
  }

  /** Its leader asked it for a promise: that is as good as a sight of its record. */
  asked(process: SimProcess): void {
    const sight = this.#sights.get(process.name)
    if (sight !== undefined) sight.sinceMs = this.#time.nowMs
  }

  /** `GET /leader` of a sidecar. */
  pod(pod: SimPod): void {
    const { sidecar } = pod
    if (sidecar === undefined || sidecar.process.paused) return
    const told = sidecar.status.leader()
    this.#judge(sidecar.process.name, told)
    const { candidate } = sidecar
    if (told.isLeader && (!candidate.leading() || told.name !== pod.name))
      this.#violate('told', `${pod.name} says that it leads, and tells ${told.name}`)
    const leaseMs = candidate.lock?.record?.leaseMs ?? 0
    const seenForMs = this.#time.nowMs - (this.#sights.get(sidecar.process.name)?.sinceMs ?? 0)
    // How long a leader may speak of itself is looked at where terms are.
    if (told.name !== null && !told.isLeader && seenForMs > leaseMs * (1 + DRIFT) + SLACK_MS)
      this.#violate('told', `${pod.name} tells ${told.name}, whose record it saw ${Math.round(seenForMs)} ms ago`)
  }

  relay(relay: SimRelay): void {
    if (relay.relay === undefined || relay.process === undefined || relay.process.paused) return
    // A relay that starts again knows nothing of what it told before.
    this.#judge(relay.process.name, relay.relay.leader())
  }

  #judge(reader: string, told: LeaderDocument): void {
    const { name, token } = told
    if (name === null) {
      if (token !== 0) this.#violate('told', `${reader} tells nobody, with token ${token}`)
      return
    }
    if (!(told.validForMs > 0)) this.#violate('told', `${reader} tells ${name} for no time`)
    const term = this.#ledger.terms.get(token)
    // A native elector knows no tokens.
    const isPod = name.startsWith('jm-')
    if (isPod && term !== undefined && term.name !== name)
      this.#violate('told', `${reader} tells ${name} with token ${token} of ${term.name}`)
    if (isPod && term === undefined) this.#wrote(reader, name, token)
    if (!isPod) return
    const last = this.#tokens.get(reader) ?? 0
    if (token < last) this.#violate('S2', `${reader} tells token ${token} after ${last}`)
    this.#tokens.set(reader, token)
  }

  /** A term that no sidecar has begun yet: its record was written, and its writer has not heard of it. */
  #wrote(reader: string, name: string, token: number): void {
    for (const holder of this.#ledger.lastRecordMs.keys()) if (holder.startsWith(`${name}_`)) return
    this.#violate('told', `${reader} tells ${name} with token ${token}, which never held the lock`)
  }
}
