// Cancellable waiting: whoever sleeps here is woken when its owner ends, and nothing fires later.

export class Timers {
  readonly #sleepers = new Map<NodeJS.Timeout, () => void>()
  #ended = false

  get ended(): boolean {
    return this.#ended
  }

  /** Resolves after the time, or at once when ended: the sleeper then has to look at `ended`. */
  sleep(ms: number): Promise<void> {
    if (this.#ended) return Promise.resolve()
    return new Promise(resolve => {
      const timer = setTimeout(
        () => {
          this.#sleepers.delete(timer)
          resolve()
        },
        Math.max(0, ms),
      )
      this.#sleepers.set(timer, resolve)
    })
  }

  /** Calls back once, unless ended before; returns the cancellation. */
  after(ms: number, run: () => void): () => void {
    if (this.#ended) return () => {}
    const timer = setTimeout(() => {
      this.#sleepers.delete(timer)
      run()
    }, ms)
    this.#sleepers.set(timer, () => {})
    return () => {
      clearTimeout(timer)
      this.#sleepers.delete(timer)
    }
  }

  end(): void {
    this.#ended = true
    for (const [timer, wake] of this.#sleepers) {
      clearTimeout(timer)
      wake()
    }
    this.#sleepers.clear()
  }
}
