// The three durations of an election and the inequality between them that makes it safe.

/** All in milliseconds of a monotonic clock. */
export type Timings = {
  /** A follower takes over when it has itself watched the same record for as long as this. */
  leaseMs: number
  /** A leader yields this long after the sending of its last acknowledged write. */
  renewDeadlineMs: number
  /** A leader writes once in this period. */
  retryMs: number
}

export const PROFILES = {
  fast: { leaseMs: 4_000, renewDeadlineMs: 2_500, retryMs: 1_000 },
  // 8 s, not 7: an API server that is away for 5 s just before a renewal leaves 2 + 5 s plus one round trip.
  default: { leaseMs: 10_000, renewDeadlineMs: 8_000, retryMs: 2_000 },
  tolerant: { leaseMs: 60_000, renewDeadlineMs: 40_000, retryMs: 10_000 },
} as const satisfies Record<string, Timings>

export type ProfileName = keyof typeof PROFILES

/** Share by which the rates of two monotonic clocks may differ; crystal clocks differ by less than 0.1 %. */
export const DRIFT = 0.05
/** Time for a leader that reached its deadline to stop: one late timer, one answer to Flink. */
const STOP_MS = 500

/**
 * The problems of a set of durations, each naming the field, the value and what would be right.
 *
 * Why the first inequality makes the election safe: a leader's term ends, by its own clock, `renewDeadlineMs` after the
 * *sending* of a write; a follower takes over, by its own clock, `leaseMs` after the *sight* of it, which is later. So the
 * old term has ended before the new one begins as long as the two clocks' rates differ by less than the gap.
 */
export const timingProblems = (t: Timings): string[] => {
  const problems: string[] = []
  const whole = (name: string, value: number): void => {
    if (!Number.isFinite(value) || value < 100) problems.push(`${name} is ${value} ms: at least 100 ms is needed`)
  }
  whole('lease-duration', t.leaseMs)
  whole('renew-deadline', t.renewDeadlineMs)
  whole('retry-period', t.retryMs)
  if (problems.length > 0) return problems
  const latest = Math.floor(t.leaseMs * (1 - 2 * DRIFT) - STOP_MS)
  if (t.renewDeadlineMs > latest)
    problems.push(
      `renew-deadline is ${t.renewDeadlineMs} ms: with a lease-duration of ${t.leaseMs} ms at most ${latest} ms is safe`,
    )
  if (t.renewDeadlineMs < 2 * t.retryMs)
    problems.push(
      `retry-period is ${t.retryMs} ms: with a renew-deadline of ${t.renewDeadlineMs} ms at most ${Math.floor(t.renewDeadlineMs / 2)} ms leaves room for two tries`,
    )
  return problems
}
