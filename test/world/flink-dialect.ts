// What differs between the Flink versions on the wire, the periods of Flink's HA client, and the events it reports.
// Numbers were recorded from flink-dist 1.17.2, 1.20.5 and 2.3.0; tests replace the periods by small ones.

/** 1.17 has fabric8 5.12; 1.18 to 1.20 are one dialect; 2.x spells the lease differently and has fewer labels. */
export type Dialect = '1.17' | '1.20' | '2.3'

export type DialectRules = {
  /** Retries of one call by the HTTP layer, after time-outs, broken connections, 429 and 5xx. */
  httpRetries: number
  /** LIST and WATCH select the cluster's HA labels (1.17) instead of the lock's name. */
  listsByLabel: boolean
  /** The elector replaces the whole object, data included, instead of patching the metadata. */
  renewsByPut: boolean
  /** A standby draws its polling period once per process instead of once per attempt. */
  oneJitterPerProcess: boolean
  /** A vacant record (holder "") is taken at once; fabric8 5.12 looks at the renew time alone. */
  takesVacant: boolean
  /** The elector writes holder "" when it is stopped or steps down. */
  releases: boolean
  /** `configmap-type: high-availability` is among the labels. */
  hasTypeLabel: boolean
  /** Spelling of `leaseDuration`. */
  isoLease: boolean
  /** Prefix of the keys that point to stored job graphs or execution plans. */
  planPrefix: string
  /** Scheme of RPC addresses. */
  rpcScheme: string
}

const FABRIC8_6 = {
  httpRetries: 10,
  listsByLabel: false,
  renewsByPut: false,
  oneJitterPerProcess: false,
  takesVacant: true,
  releases: true,
  rpcScheme: 'pekko.tcp',
}

export const DIALECTS: { readonly [dialect in Dialect]: DialectRules } = {
  '1.17': {
    httpRetries: 0,
    listsByLabel: true,
    renewsByPut: true,
    oneJitterPerProcess: true,
    takesVacant: false,
    releases: false,
    hasTypeLabel: true,
    isoLease: false,
    planPrefix: 'jobGraph-',
    rpcScheme: 'akka.tcp',
  },
  '1.20': { ...FABRIC8_6, hasTypeLabel: true, isoLease: false, planPrefix: 'jobGraph-' },
  '2.3': { ...FABRIC8_6, hasTypeLabel: false, isoLease: true, planPrefix: 'executionPlan-' },
}

export type Periods = {
  retryPeriodMs: number
  leaseMs: number
  renewDeadlineMs: number
  /** Of one try, from connecting to the end of the answer; not of watches. */
  requestTimeoutMs: number
  /** First pause between two tries of one call; doubles up to 32 times itself. */
  backoffMs: number
  /** From the end of a watch to the next. */
  rewatchMs: number
  /** From an ERROR event of a watch to the new LIST. */
  relistMs: number
  /** From an answer 200 to the WebSocket attempt until its socket is closed and the plain GET is sent. */
  fallbackMs: number
  pingMs: number
  /** The client ends its own watches after this time to twice this time. */
  watchMs: number
  /** An unused pooled socket is closed after this time. */
  idleSocketMs: number
  /** The components begin after the first renewal of the term, or at the latest so long after the grant. */
  grantMs: number
  /** From the release of a stopping leader to its taking the lock back. */
  reacquireMs: number
}

export const defaultPeriods = (dialect: Dialect): Periods => ({
  retryPeriodMs: 5_000,
  leaseMs: 15_000,
  renewDeadlineMs: 15_000,
  requestTimeoutMs: 10_000,
  backoffMs: 100,
  rewatchMs: 1_000,
  relistMs: dialect === '1.17' ? 100 : 1_000,
  fallbackMs: 100,
  pingMs: 30_000,
  watchMs: 300_000,
  idleSocketMs: 300_000,
  grantMs: 200,
  reacquireMs: 4,
})

export type FlinkEventBody =
  | { type: 'listed'; resourceVersion: string; items: number }
  | { type: 'watching'; over: 'websocket' | 'http'; resourceVersion: string }
  /** A standby looked at the lock; `holder` is undefined when there is no readable record. */
  | { type: 'polled'; status: number; holder: string | undefined }
  | { type: 'granted'; session: string }
  /** The grant is complete: leader keys published, jobs recovered. */
  | { type: 'leading'; session: string; jobs: string[] }
  | { type: 'revoked'; session: string }
  | { type: 'renewed' }
  | { type: 'published'; component: string }
  /** The informer saw a leader key appear, change, or (address null) go. */
  | { type: 'leader-seen'; component: string; session: string | null; address: string | null }
  | { type: 'recovered'; jobId: string; counter: number; checkpointId: number | null }
  | { type: 'checkpoint'; jobId: string; id: number }
  /** An answer of 400 or above, except a 404 to a GET; status 0 is a call that got no answer at all. */
  | { type: 'refused'; status: number; method: string; path: string }
  /** Flink ends its process with this code. */
  | { type: 'fatal'; why: string; exitCode: number }

export type FlinkEvent = FlinkEventBody & {
  /** Milliseconds since the epoch, with a fraction. */
  atMs: number
}
