// What a JobMaster and the Dispatcher keep in the HA store: plan pointers in the lock, counter and checkpoints per job.
// One checkpoint is retained. Writes to a job's ConfigMap are not guarded by leadership, as in Flink.
import type { FlinkEventBody } from './flink-dialect.ts'
import {
  COUNTER_KEY,
  checkpointKey,
  hexOf,
  isMarked,
  leaderKey,
  marked,
  readCheckpointIds,
  readCounter,
  statePointer,
} from './flink-records.ts'
import type { HaStore } from './flink-store.ts'

/** How often Flink tries to get or create a job's ConfigMap. */
const OPEN_TRIES = 10

export type JobState = { counter: number; retained: number[] }

export type JobStoreOptions = {
  store: HaStore
  planPrefix: string
  emit: (event: FlinkEventBody) => void
  random: () => number
}

export class JobStore {
  readonly #store: HaStore
  readonly #planPrefix: string
  readonly #emit: (event: FlinkEventBody) => void
  readonly #random: () => number
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #jobs = new Map<string, JobState>()

  constructor(options: JobStoreOptions) {
    this.#store = options.store
    this.#planPrefix = options.planPrefix
    this.#emit = options.emit
    this.#random = options.random
  }

  get ids(): string[] {
    return [...this.#jobs.keys()]
  }

  /** Id of the newest checkpoint; 0 when there is none. */
  retained(jobId: string): number {
    return this.#jobs.get(jobId)?.retained.at(-1) ?? 0
  }

  /** Ids of the jobs whose plan is in the lock. */
  async plans(): Promise<string[] | 'failed'> {
    const found = await this.#store.read(this.#store.lock)
    if (found === 'failed' || found === 'missing') return 'failed'
    return Object.entries(found.data ?? {})
      .filter(([key, value]) => key.startsWith(this.#planPrefix) && !isMarked(value))
      .map(([key]) => key.slice(this.#planPrefix.length))
  }

  /** Reads one plan (a GET of the lock) and opens its job. */
  async recover(jobId: string): Promise<boolean> {
    await this.#store.read(this.#store.lock)
    const state = await this.open(jobId)
    if (state === undefined) return false
    this.#emit({ type: 'recovered', jobId, counter: state.counter, checkpointId: state.retained.at(-1) ?? null })
    return true
  }

  /** Stores the plan; the JobMaster's own part is `open`. */
  async storePlan(jobId: string): Promise<boolean> {
    await this.#store.read(this.#store.lock)
    const key = `${this.#planPrefix}${jobId}`
    const path = `file:/flink/ha/default/submittedPlan${hexOf(this.#random, 6)}`
    const written = await this.#store.update(this.#store.lock, data => {
      data[key] = statePointer(path, false)
      return true
    })
    return written === 'written'
  }

  /** Get or create, then the reads of the checkpoint store and of the counter. */
  async open(jobId: string): Promise<JobState | undefined> {
    const name = this.#store.jobName(jobId)
    for (let tries = 0; tries < OPEN_TRIES; tries++) {
      const found = await this.#store.read(name)
      if (found === 'failed') continue
      if (found === 'missing' && !(await this.#store.createJob(jobId))) continue
      await this.#store.read(name)
      await this.#store.read(name)
      const last = await this.#store.read(name)
      if (last === 'failed' || last === 'missing') continue
      const state = { counter: readCounter(last), retained: readCheckpointIds(last) }
      this.#jobs.set(jobId, state)
      return state
    }
    return undefined
  }

  /** When no checkpoint is under way any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  /** Undefined when it failed. */
  async checkpoint(jobId: string): Promise<number | undefined> {
    const done = this.#checkpoint(jobId)
    this.#underWay.add(done)
    const id = await done
    this.#underWay.delete(done)
    return id
  }

  /** Counter, add, tombstone, remove: 4 x (GET + PUT) once there is an older checkpoint. */
  async #checkpoint(jobId: string): Promise<number | undefined> {
    const name = this.#store.jobName(jobId)
    const state = this.#jobs.get(jobId)
    if (state === undefined) return undefined
    let id = 0
    const counted = await this.#store.update(name, data => {
      id = Number(data[COUNTER_KEY] ?? '1')
      data[COUNTER_KEY] = String(id + 1)
      return true
    })
    if (counted !== 'written') return undefined
    const pointer = statePointer(`file:/flink/ha/default/completedCheckpoint${hexOf(this.#random, 6)}`, false)
    const added = await this.#store.update(name, data => {
      const known = data[checkpointKey(id)]
      // Flink refuses a checkpoint whose key is taken, unless what is there is equal or marked.
      if (known !== undefined && known !== pointer && !isMarked(known)) return false
      data[checkpointKey(id)] = pointer
      return true
    })
    if (added !== 'written') return undefined
    state.counter = id + 1
    state.retained.push(id)
    this.#emit({ type: 'checkpoint', jobId, id })
    while (state.retained.length > 1) await this.#removeCheckpoint(name, state.retained.shift() ?? 0)
    return id
  }

  /** Global clean-up of a cancelled job. The leader key goes first, the ConfigMap itself beside the last lock write. */
  async cancel(jobId: string): Promise<void> {
    const name = this.#store.jobName(jobId)
    const { lock } = this.#store
    await this.#store.read(name)
    await this.#store.read(lock)
    for (const id of this.#jobs.get(jobId)?.retained ?? []) await this.#removeCheckpoint(name, id)
    await this.#store.update(name, data => {
      for (const key of Object.keys(data)) if (key.startsWith('checkpointID-')) delete data[key]
      return true
    })
    await this.#store.update(name, data => {
      delete data[COUNTER_KEY]
      return true
    })
    await this.#store.update(lock, data => {
      delete data[leaderKey(`job-${jobId}`)]
      return true
    })
    const plan = `${this.#planPrefix}${jobId}`
    await this.#store.update(lock, data => mark(data, plan))
    const removed = this.#store.update(lock, data => {
      delete data[plan]
      return true
    })
    await Promise.all([removed, this.#store.deleteJob(jobId)])
    this.#jobs.delete(jobId)
  }

  async #removeCheckpoint(name: string, id: number): Promise<void> {
    const key = checkpointKey(id)
    await this.#store.update(name, data => mark(data, key))
    await this.#store.update(name, data => {
      delete data[key]
      return true
    })
  }
}

/** First half of the two-phase removal: the value stays, with the flag that hides it from readers. */
const mark = (data: { [key: string]: string }, key: string): boolean => {
  const value = data[key]
  if (value === undefined) return false
  data[key] = marked(value)
  return true
}
