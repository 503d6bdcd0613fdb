// No completed checkpoint is lost or overwritten by an older term, no id is given twice, and whoever takes over goes on from
// the newest: what the job's ConfigMap was really made to hold.
import { checkpointKey, isMarked, marked as withMark } from './flink-records.ts'
import type { Change } from './kube-history.ts'
import type { KubeObject } from './kube-resources.ts'
import type { ApiCall } from './sim-api.ts'
import type { Violate } from './sim-check-leaders.ts'
import type { Ledger } from './sim-ledger.ts'

/** Says which session of which JVM wrote it; put there by the simulated JVM's socket, and stored as any annotation. */
export const ANNOTATION_WRITER = 'simulation/session'

const CHECKPOINT = /^checkpointID-(\d{19})$/

export class StoreCheck {
  readonly #ledger: Ledger
  readonly #violate: Violate
  /** Newest term whose write of a job's ConfigMap was accepted, and newest that has read one for its recovery. */
  #newestWriter = 0
  #counter = 0
  readonly #pointers = new Map<string, string>()
  readonly #marked = new Map<string, boolean>()
  /** The newest checkpoint that a JVM was told to be stored. */
  #newestStored = 0
  #newestThere = 0
  /** From which checkpoint the newest term went on, and its token. */
  #restored = 0
  #restoredBy = 0

  constructor(ledger: Ledger, violate: Violate) {
    this.#ledger = ledger
    this.#violate = violate
  }

  get stored(): number {
    return this.#newestStored
  }

  jobChanged(change: Change, call: ApiCall | undefined): void {
    if (change.type === 'DELETED') return this.#violate('store', 'the job’s ConfigMap was deleted')
    const { object } = change
    this.#judgeWriter(call)
    const data = (object['data'] ?? {}) as { [key: string]: string }
    this.#judgeCounter(Number(data['counter'] ?? '1'))
    this.#judgeCheckpoints(data)
  }

  /** A sidecar's own writes, such as a term's stamp, are signed by nobody. */
  #judgeWriter(call: ApiCall | undefined): void {
    const body = call?.body as Partial<KubeObject> | undefined
    const session = body?.metadata?.annotations?.[ANNOTATION_WRITER] ?? ''
    const token = this.#ledger.sessions.get(session)
    if (token === undefined) return
    if (token < this.#newestWriter)
      this.#violate('fence', `term ${token} wrote to the job after term ${this.#newestWriter} had`)
    if (token < this.#restoredBy)
      this.#violate('fence', `term ${token} wrote to the job after term ${this.#restoredBy} had recovered it`)
    this.#newestWriter = Math.max(this.#newestWriter, token)
  }

  #judgeCounter(counter: number): void {
    if (counter < this.#counter) this.#violate('store', `the counter went back from ${this.#counter} to ${counter}`)
    this.#counter = Math.max(this.#counter, counter)
  }

  #judgeCheckpoints(data: { [key: string]: string }): void {
    let newest = 0
    for (const [key, value] of Object.entries(data)) {
      const id = Number(CHECKPOINT.exec(key)?.[1] ?? 0)
      if (id === 0) continue
      const known = this.#pointers.get(key)
      if (known === value) {
        if (this.#marked.get(key) !== true) newest = Math.max(newest, id)
        continue
      }
      const marked = isMarked(value)
      // With and without the mark of its removal it is the same one.
      if (known !== undefined && withMark(known) !== withMark(value))
        this.#violate('store', `checkpoint ${id} was overwritten`)
      this.#pointers.set(key, value)
      this.#marked.set(key, marked)
      if (!marked) newest = Math.max(newest, id)
    }
    this.#newestThere = newest
    if (newest < this.#newestStored)
      this.#violate('store', `checkpoint ${this.#newestStored} was lost: the newest is ${newest}`)
  }

  /** A JVM was told that its checkpoint is stored. */
  completed(id: number, session: string): void {
    if (!this.#pointers.has(checkpointKey(id))) this.#violate('store', `checkpoint ${id} is not there`)
    const token = this.#ledger.sessions.get(session) ?? 0
    // What was there when the other recovered may be told late.
    if (token < this.#restoredBy && id > this.#restored)
      this.#violate(
        'store',
        `checkpoint ${id} of term ${token} was stored after term ${this.#restoredBy} had recovered`,
      )
    this.#newestStored = Math.max(this.#newestStored, id)
  }

  /** A JVM goes on with the job from this checkpoint; 0: from none. */
  restored(id: number, session: string): void {
    const newest = Math.max(this.#newestStored, this.#newestThere)
    if (id !== newest) this.#violate('store', `the job goes on from checkpoint ${id}, and ${newest} was completed`)
    this.#restored = id
    this.#restoredBy = Math.max(this.#restoredBy, this.#ledger.sessions.get(session) ?? 0)
  }
}
