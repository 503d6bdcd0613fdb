// What the shells around the pure cores share: one event at a time, then the timer for exactly when the core wants to be woken, then
// whoever listens.
import type { Clock } from './clock.ts'

export type InboxOptions<Event> = {
  clock: Clock
  take: (event: Event) => void
  /** When `wake` is due if nothing comes before; Infinity: never. */
  wakeAtMs: () => number
  wake: () => void
}

export class Inbox<Event> {
  #options: InboxOptions<Event>
  #queue: Event[] = []
  #draining = false
  #cancelTimer: () => void = () => {}
  #listeners = new Set<() => void>()
  #stopped = false

  constructor(options: InboxOptions<Event>) {
    this.#options = options
  }

  /** Called each time when all that came was taken; the returned function ends that. */
  onTaken(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Taking an event may cause another, which waits for its turn. */
  push(event: Event): void {
    this.#queue.push(event)
    if (this.#draining) return
    this.#draining = true
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#options.take(next)
    } finally {
      this.#draining = false
    }
    this.#setTimer()
    for (const listener of [...this.#listeners]) listener()
  }

  /** What is pushed is still taken; nothing wakes it any more. */
  stop(): void {
    this.#stopped = true
    this.#cancelTimer()
  }

  #setTimer(): void {
    this.#cancelTimer()
    const { clock, wakeAtMs, wake } = this.#options
    const dueMs = wakeAtMs()
    if (this.#stopped || dueMs === Number.POSITIVE_INFINITY) return
    // Rounded up: a timer that fires a fraction early would find nothing to do and be set again.
    this.#cancelTimer = clock.after(Math.max(0, Math.ceil(dueMs - clock.monoMs())), wake)
  }
}
