// Cancellable waiting: whoever sleeps here is woken when its owner ends, and nothing fires later.

/** Where a process has its time from: the machine's, or a simulation's. */
export type TimeSource = {
  monoMs: () => number
  /** Milliseconds since the epoch. */
  wallMs: () => number
  /** Calls back once, later; the returned function cancels. */
  after: (delayMs: number, run: () => void) => () => void
}

export const realTime: TimeSource = {
  monoMs: () => performance.now(),
  wallMs: () => performance.timeOrigin + performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs)
    return () => clearTimeout(timer)
  },
}

export class Timers {
  readonly #time: TimeSource
  /** Each with what cancels its timer. */
  readonly #sleepers = new Map<() => void, () => void>()
  #ended = false

  constructor(time: TimeSource) {
    this.#time = time
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Resolves after the time, or at once when ended: the sleeper then has to look at `ended`. */
  sleep(ms: number): Promise<void> {
    if (this.#ended) return Promise.resolve()
    return new Promise(resolve => {
      const wake = (): void => {
        this.#sleepers.delete(wake)
        resolve()
      }
      this.#sleepers.set(wake, this.#time.after(Math.max(0, ms), wake))
    })
  }

  /** Calls back once, unless ended before; returns the cancellation. */
  after(ms: number, run: () => void): () => void {
    if (this.#ended) return () => {}
    const cancel = this.#time.after(ms, () => {
      this.#sleepers.delete(silent)
      run()
    })
    const silent = (): void => {}
    this.#sleepers.set(silent, cancel)
    return () => {
      cancel()
      this.#sleepers.delete(silent)
    }
  }

  end(): void {
    this.#ended = true
    const sleepers = [...this.#sleepers]
    this.#sleepers.clear()
    for (const [wake, cancel] of sleepers) {
      cancel()
      wake()
    }
  }
}
