// The only place that knows the time. Decisions use `monoMs`; `wallUs` is only written down for others to read.

export type Clock = {
  /** Milliseconds of a clock that never steps; it goes on while the process is stopped. */
  monoMs: () => number
  /** Microseconds since the epoch, as the machine believes. */
  wallUs: () => number
  /** Calls back once, later; the returned function cancels. */
  after: (delayMs: number, run: () => void) => () => void
}

export const systemClock: Clock = {
  monoMs: () => performance.now(),
  wallUs: () => Math.floor((Date.now() + (performance.now() % 1)) * 1000),
  after: (delayMs, run) => {
    // Node turns a delay that does not fit 31 bits into 1 ms.
    const timer = setTimeout(run, Math.min(delayMs, 0x7fff_ffff))
    return () => clearTimeout(timer)
  },
}
