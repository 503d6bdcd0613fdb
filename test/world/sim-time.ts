// The one time of a simulation, and its chance. Events wait in a heap, by time and then in the order in which they were
// made; between two of them everything that the code awaits has come to rest.

export type Job = { readonly atMs: number; readonly order: number; run: (() => void) | undefined }

/** So many events are run in one turn of the event loop: microtasks run dry between any two immediates, and that is cheap. */
const BATCH = 128
const MIN_SWEPT = 128

export class SimTime {
  nowMs = 0
  /** Events that were run. */
  events = 0
  #heap: Job[] = []
  #order = 0
  #sweepAt = MIN_SWEPT

  at(atMs: number, run: () => void): Job {
    const job = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run }
    if (this.#heap.length >= this.#sweepAt) this.#sweep()
    this.#heap.push(job)
    this.#up(this.#heap.length - 1)
    return job
  }
  after(delayMs: number, run: () => void): Job {
    return this.at(this.nowMs + delayMs, run)
  }

  /** Runs until this time, or until `goOn` says no; that is asked when an event and all that it caused is over. */
  run(untilMs: number, goOn: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let waiting = 0
      let over = false
      const turn = (): void => {
        waiting--
        if (over) return
        try {
          over = !goOn() || !this.#next(untilMs)
        } catch (error) {
          over = true
          reject(error)
        }
        if (over) resolve()
        else if (waiting === 0) schedule()
      }
      const schedule = (): void => {
        for (; waiting < BATCH; waiting++) setImmediate(turn)
      }
      schedule()
    })
  }

  #next(untilMs: number): boolean {
    for (;;) {
      const job = this.#heap[0]
      if (job === undefined || job.atMs > untilMs) {
        this.nowMs = untilMs
        return false
      }
      this.#pop()
      if (job.run === undefined) continue
      this.nowMs = job.atMs
      this.events++
      job.run()
      return true
    }
  }

  /** Most timers are cancelled long before they are due. */
  #sweep(): void {
    this.#heap = this.#heap.filter(job => job.run !== undefined)
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at--) this.#down(at)
    this.#sweepAt = Math.max(MIN_SWEPT, 2 * this.#heap.length)
  }

  #pop(): void {
    const last = this.#heap.pop() as Job
    if (this.#heap.length === 0) return
    this.#heap[0] = last
    this.#down(0)
  }

  #up(from: number): void {
    const heap = this.#heap
    const job = heap[from] as Job
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Job
      if (!isBefore(job, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = job
  }

  #down(from: number): void {
    const heap = this.#heap
    const job = heap[from] as Job
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Job, heap[child] as Job)) child++
      const below = heap[child] as Job
      if (!isBefore(below, job)) break
      heap[at] = below
      at = child
    }
    heap[at] = job
  }
}

const isBefore = (a: Job, b: Job): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

export type Chance = () => number

/** A small, good, seeded generator (mulberry32). */
export const seeded = (seed: number): Chance => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A stream of chance of its own for each purpose, so that one that draws more or less does not move the others. */
export const seededFor = (seed: number, purpose: string): Chance => {
  let hash = seed ^ 0x9e3779b9
  for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193)
  const chance = seeded(hash)
  chance()
  return chance
}
