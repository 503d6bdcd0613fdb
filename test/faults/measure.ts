// What a round comes to: from what was seen from outside to figures. Pure.
import { flinkSpans, REVOKED, servedSpans, validSpans } from './believers.ts'
import type { Evidence } from './evidence.ts'
import { coveredMs, overlaps, type Span, without } from './spans.ts'
import { type Accepted, breaches, foreignWrites, takeovers, type Version } from './store.ts'

export type Seen = {
  evidence: Evidence
  versions: readonly Version[]
  /** Accepted writes by the audit log; undefined without one. */
  accepted: readonly Accepted[] | undefined
  jobId: string
  /** The pod that was struck, and what became of its JVM. */
  leader: string
  jvm: 'ended' | 'frozen' | undefined
  atMs: number
  healedMs: number
  toMs: number
}

export type Figures = {
  /** From the fault to the first grant after it; undefined if the leader stayed. */
  grantedMs: number | undefined
  /** Who was granted leadership after the fault, in order. */
  granted: string[]
  /** From the healing until a JVM believed to lead; 0 if one did all the time. */
  backMs: number
  /** No JVM that runs believed to lead. */
  leaderlessMs: number
  /** From the old leader's revocation to the other's grant, both as Flink logged them: negative is too late, null never. */
  toldMs: number | null | undefined
  /** Two pods' `GET /leader` said "I do", both in force. */
  validOverlapMs: number
  /** Two JVMs that ran believed to lead. */
  flinkOverlapMs: number
  /** Flink's REST told of two masters of one job. */
  servedOverlapMs: number
  restarts: number
  restartsAfterHeal: number
  /** The longest time without a sign of life of the job, which gives one a second. */
  silentMs: number
  /** Checkpoints that were completed before a takeover and are newer than the one that it went on from; breaches in the store. */
  lost: string[]
  /** Checkpoints that a deposed leader completed. */
  stray: number[]
  /** Writes of a deposed leader to a job's ConfigMap that the API server accepted; undefined without an audit log. */
  foreign: number | undefined
  /** What the job itself says that it lost or saw twice. */
  tickerLost: string[]
}

const sumMs = (spans: readonly { fromMs: number; toMs: number }[]): number =>
  spans.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)

export const measure = (seen: Seen): Figures => {
  const { evidence, atMs, healedMs, toMs, leader, jobId } = seen
  const isWithin = (span: { atMs: number }): boolean => span.atMs >= atMs && span.atMs <= toMs
  const within = (spans: readonly Span[]): Span[] => spans.filter(span => span.toMs > atMs)
  const flink = within(running(flinkSpans(evidence, toMs), seen))
  const taken = takeovers(evidence.logged, atMs, toMs)
  const job = evidence.logged.filter(({ box }) => box === 'taskmanager')
  const restored = job.filter(one => isWithin(one) && one.line.includes('ticker restored'))
  const lost = taken.flatMap(({ pod, restored, completed }) =>
    restored !== undefined && restored < completed
      ? [`${pod} went on from ${restored}, ${completed} was completed`]
      : [],
  )
  return {
    grantedMs: taken[0] && taken[0].grantedMs - atMs,
    granted: taken.map(({ pod }) => pod),
    backMs: Math.max(0, Math.min(...flink.filter(span => span.toMs > healedMs).map(span => span.fromMs)) - healedMs),
    leaderlessMs: toMs - atMs - coveredMs(flink, atMs, toMs),
    toldMs: toldMs(seen, taken.find(({ pod }) => pod !== leader)?.grantedMs),
    validOverlapMs: sumMs(overlaps(within(validSpans(evidence.told)))),
    flinkOverlapMs: sumMs(overlaps(flink)),
    servedOverlapMs: sumMs(overlaps(within(servedSpans(evidence.served, jobId)))),
    restarts: restored.length,
    restartsAfterHeal: restored.filter(one => one.atMs > healedMs).length,
    silentMs: longestGapMs(job.map(one => one.atMs).filter(at => at >= atMs - 2_000 && at <= toMs)),
    lost: [
      ...lost,
      ...breaches(seen.versions)
        .filter(isWithin)
        .map(({ what }) => what),
    ],
    stray: taken.flatMap(({ stray }) => stray),
    foreign: seen.accepted && foreignWrites(seen.accepted, evidence.logged).filter(isWithin).length,
    tickerLost: job.filter(one => isWithin(one) && one.line.includes('ticker LOST')).map(({ line }) => line),
  }
}

/** A JVM believes nothing when it stands still or has ended. */
const running = (spans: readonly Span[], { leader, jvm, atMs, healedMs }: Seen): Span[] => {
  if (jvm === 'frozen') return without(spans, [{ who: leader, fromMs: atMs, toMs: healedMs }])
  if (jvm === undefined) return [...spans]
  return spans.map(span =>
    span.who === leader && span.fromMs < atMs ? { ...span, toMs: Math.min(span.toMs, atMs) } : span,
  )
}

const toldMs = ({ evidence, leader, atMs }: Seen, grantedMs: number | undefined): number | null | undefined => {
  if (grantedMs === undefined) return undefined
  const told = evidence.logged.find(one => one.pod === leader && one.atMs >= atMs && REVOKED.test(one.line))
  return told === undefined ? null : grantedMs - told.atMs
}

const longestGapMs = (times: readonly number[]): number =>
  Math.max(0, ...times.toSorted((a, b) => a - b).map((at, i, all) => at - (all[i - 1] ?? at)))
