// The sidecar's metrics: client-go's names where they exist, `flink_ha_*` otherwise. Labels are bounded.
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export type Metrics = ReturnType<typeof makeMetrics>

/** Set by the caller when scraped, so that a wedged loop cannot leave a pretty value behind. */
export type Readings = {
  leading: boolean
  renewalAgeSeconds: number
  validitySeconds: number
  token: number
  jvmPhase: string
  watchers: number
  lockBytes: number
  vouchedFor: boolean
}

export const makeMetrics = (name: () => string, read: () => Readings, registry = new Registry()) => {
  const registers = [registry]
  const gauge = (metric: string, help: string, of: (readings: Readings) => number): void => {
    new Gauge({
      name: metric,
      help,
      registers,
      collect() {
        this.set(of(read()))
      },
    })
  }
  new Gauge({
    name: 'leader_election_master_status',
    help: 'Whether this candidate leads: 1 or 0.',
    labelNames: ['name'],
    registers,
    collect() {
      this.reset()
      this.set({ name: name() }, read().leading ? 1 : 0)
    },
  })
  gauge('flink_ha_renewal_age_seconds', 'Since the sending of the last acknowledged write; 0 on a follower.', r =>
    finite(r.renewalAgeSeconds),
  )
  gauge('flink_ha_term_validity_seconds', 'How long the term is still valid; 0 on a follower.', r => r.validitySeconds)
  gauge('flink_ha_term_token', 'Fencing token of the current or last term that was seen.', r => r.token)
  gauge('flink_ha_watchers', 'Open watches and event streams.', r => r.watchers)
  gauge('flink_ha_lock_bytes', 'Size of the data in the lock; a ConfigMap holds 1048576.', r => r.lockBytes)
  gauge('flink_ha_failsafe_active', 'Whether we lead by the promise of the others alone: 1 or 0.', r =>
    r.vouchedFor ? 1 : 0,
  )
  new Gauge({
    name: 'flink_ha_jvm_state',
    help: 'The local JVM: 1 for the phase that it is in.',
    labelNames: ['phase'],
    registers,
    collect() {
      for (const phase of ['absent', 'standing', 'doubtful', 'silent', 'stopped'])
        this.set({ phase }, read().jvmPhase === phase ? 1 : 0)
    },
  })
  const counter = <L extends string>(metric: string, help: string, labelNames: L[]): Counter<L> =>
    new Counter({ name: metric, help, labelNames, registers })
  return {
    registry,
    slowPath: counter('leader_election_slowpath_total', 'Lock writes that needed the lock to be read again first.', [
      'name',
    ]),
    terms: counter('flink_ha_terms_total', 'Terms begun and ended; a term that begins has the reason "elected".', [
      'event',
      'reason',
    ]),
    fenced: counter('flink_ha_fenced_writes_total', 'Writes of the JVM that were refused for want of a valid term.', [
      'kind',
    ]),
    oversize: counter(
      'flink_ha_oversize_writes_total',
      'Writes of the JVM that would have made a ConfigMap too large.',
      ['kind'],
    ),
    gateway: counter('flink_ha_gateway_requests_total', 'Requests of the ConfigMap API by verb and outcome.', [
      'verb',
      'outcome',
    ]),
    upstream: counter('flink_ha_api_writes_total', 'Writes sent to the API server by kind and outcome.', [
      'kind',
      'outcome',
    ]),
    watchProblems: counter('flink_ha_watch_problems_total', 'Lists and watches of the lock that failed or broke.', []),
    failsafeRounds: counter(
      'flink_ha_failsafe_rounds_total',
      'Rounds in which a leader asked all other candidates to wait: promised, refused or unanswered.',
      ['outcome'],
    ),
    failsafeQuestions: counter(
      'flink_ha_failsafe_questions_total',
      'Questions of a leader to this candidate: promised, refused, unauthenticated or malformed.',
      ['outcome'],
    ),
    cutOff: counter('flink_ha_streams_cut_off_total', 'Streams whose reader did not read.', []),
    renewSeconds: new Histogram({
      name: 'flink_ha_renew_seconds',
      help: 'How long the API server took to answer a renewal.',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
    failoverSeconds: new Histogram({
      name: 'flink_ha_failover_seconds',
      help: 'From the last sight of a leader, its release or expiry, to our own term.',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    }),
  }
}

const finite = (value: number): number => (Number.isFinite(value) ? value : 0)
