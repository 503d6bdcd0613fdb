// Who believed to lead, and when, from three signs. Pure. Each span holds only what is certain: it begins when an answer had
// come and ends when the last one was asked for, so an overlap is one, whatever the network and the prober took.
import type { Ended, Evidence, Logged, Served, Told } from './evidence.ts'
import { grouped, type Span } from './spans.ts'

/** The leader's dispatcher is made (Flink `DefaultDispatcherRunner`): from here on this JVM acts as the leader. */
export const GRANTED = /DispatcherRunner was granted leadership/
/** It is stopped, or the whole JVM begins to stop itself, as on SIGTERM: from here on it does not. */
export const REVOKED = /DispatcherRunner was revoked the leadership|Shutting \S+ClusterEntrypoint down/

/**
 * Valid believers: `GET /leader` says that this pod leads and for how long that can be relied on. A pod that answers no more,
 * frozen or cut off, is believed until that time is over, because whoever heard its last answer goes by it.
 */
export const validSpans = (told: readonly Told[]): Span[] =>
  [...grouped(told, ({ pod }) => pod).values()].flatMap(validSpansOf)

const validSpansOf = (told: readonly Told[]): Span[] => {
  const spans: Span[] = []
  let span: Span | undefined
  let last: Told | undefined
  let silent = false
  const close = (toMs: number): void => {
    if (span !== undefined && toMs > span.fromMs) spans.push({ ...span, toMs })
    span = undefined
  }
  const validUntil = (one: Told): number => one.sentMs + one.validMs
  for (const one of told) {
    if (one.leads && one.validMs > 0) {
      if (span !== undefined && last !== undefined && validUntil(last) < one.sentMs) close(validUntil(last))
      span ??= { who: one.pod, fromMs: one.gotMs, toMs: one.gotMs }
      last = one
      silent = false
    } else if (isSilent(one)) silent = true
    else if (last !== undefined) close(silent ? Math.min(validUntil(last), one.sentMs) : last.sentMs)
  }
  if (last !== undefined) close(silent ? Math.min(validUntil(last), told.at(-1)!.gotMs) : last.sentMs)
  return spans
}

/** Nobody said that it does not lead: no answer, as of a process that stands still. A refused port is one: nobody is there. */
const isSilent = ({ error }: Told): boolean => error !== '' && error !== 'ECONNREFUSED' && error !== 'ECONNRESET'

/** A JVM believes from its grant to its revocation or to the end of its life. */
export const flinkSpans = ({ logged, ended }: Pick<Evidence, 'logged' | 'ended'>, untilMs: number): Span[] => {
  const lines = logged.filter(({ box }) => box === 'jobmanager')
  const lives = grouped(lines, ({ pod, life }) => `${pod} ${life}`)
  return [...lives.values()].flatMap(life => flinkSpansOf(life, endOf(life[0]!, ended) ?? untilMs))
}

const endOf = ({ pod, life }: Logged, ended: readonly Ended[]): number | undefined =>
  ended.find(one => one.pod === pod && one.life === life && one.box === 'jobmanager')?.atMs

const flinkSpansOf = (lines: readonly Logged[], endMs: number): Span[] => {
  const spans: Span[] = []
  for (const { pod, atMs, line } of lines) {
    if (GRANTED.test(line)) spans.push({ who: pod, fromMs: atMs, toMs: endMs })
    else if (REVOKED.test(line) && spans.length > 0) spans.at(-1)!.toMs = Math.min(spans.at(-1)!.toMs, atMs)
  }
  return spans
}

/**
 * Job masters as Flink's REST tells them. A JobManager that believes to lead asks its own dispatcher, any other one the leader
 * that it knows of; a job's start is that of its present job master. So one job told as RUNNING with two starts at the same
 * time is one job with two masters. (That a JobManager answers at all is no sign: standbys do too.)
 */
export const servedSpans = (served: readonly Served[], jobId: string): Span[] =>
  [...grouped(served, ({ pod }) => pod).values()].flatMap(ofPod => {
    const spans: Span[] = []
    let start = 0
    for (const { jobs, sentMs, gotMs } of ofPod) {
      const job = jobs.find(({ jid, state }) => jid === jobId && state === 'RUNNING')
      if (job === undefined) start = 0
      else if (job.start === start) spans.at(-1)!.toMs = sentMs
      else {
        start = job.start
        spans.push({ who: String(start), fromMs: gotMs, toMs: gotMs })
      }
    }
    return spans.filter(({ fromMs, toMs }) => toMs > fromMs)
  })
