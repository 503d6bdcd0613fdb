// fabric8's LeaderElector as Flink runs it: one contest after the other, each with a polling half and a renewing half.
// It decides by the wall clock and by the renew time in the record; that is the behaviour, not an oversight.
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import type { DialectRules, FlinkEventBody, Periods } from './flink-dialect.ts'
import type { FlinkHttp } from './flink-http.ts'
import type { ConfigMap, FlinkRecord } from './flink-records.ts'
import { formatRecord, formatTime, haLabels, lockName, readRecord } from './flink-records.ts'
import { Timers, type TimeSource } from './flink-timers.ts'

export type ElectorOptions = {
  http: FlinkHttp
  clusterId: string
  namespace: string
  identity: string
  rules: DialectRules
  periods: Periods
  random: () => number
  time: TimeSource
  wallNow: () => number
  reacquiresOnClose: boolean
  emit: (event: FlinkEventBody) => void
  /** The promise resolves after the first renewal of the term, which begins at once. */
  onGranted: (firstRenewal: Promise<void>) => void
  onRevoked: () => void
}

/** held: the lock is ours; other: it is somebody's; failed: a call failed, nothing is known. */
type Attempt = 'held' | 'other' | 'failed'

export class Elector {
  readonly #options: ElectorOptions
  readonly #name: string
  readonly #fixedPollMs: number
  #contest: Timers
  #observedHolder: string | undefined
  #leading = false
  #stopping = false
  #endFirstRenewal = (): void => {}
  #tick: Promise<Attempt> | undefined

  constructor(options: ElectorOptions) {
    this.#options = options
    this.#contest = new Timers(options.time)
    this.#name = lockName(options.clusterId)
    this.#fixedPollMs = this.#jitteredMs()
  }

  start(): void {
    void this.#contend(this.#contest)
  }

  /** Graceful: gives the lock up as the version does, and takes it back as some do. */
  async stop(): Promise<void> {
    const { identity, rules, periods, reacquiresOnClose, time } = this.#options
    this.#stopping = true
    this.#contest.end()
    await this.#tick
    if (!rules.releases || this.#observedHolder !== identity) return
    await this.#release()
    if (!reacquiresOnClose) return
    // Flink restarts the elector from the callback of its own stop, and only then shuts the executor down.
    await new Promise<void>(resolve => time.after(periods.reacquireMs, resolve))
    await this.#tryAcquireOrRenew()
  }

  /** At once and silently. */
  kill(): void {
    this.#stopping = true
    this.#contest.end()
  }

  #jitteredMs(): number {
    return this.#options.periods.retryPeriodMs * (1 + 1.2 * this.#options.random())
  }

  /** Both halves are scheduled from the planned start of the previous run, so missed runs follow in a burst. */
  async #contend(contest: Timers): Promise<void> {
    const { rules, time } = this.#options
    let next = time.monoMs()
    while ((await this.#run()) !== 'held') {
      next += rules.oneJitterPerProcess ? this.#fixedPollMs : this.#jitteredMs()
      await contest.sleep(next - time.monoMs())
      if (contest.ended) return
    }
    if (contest.ended) return
    if (rules.renewsByPut) this.#grant()
    await this.#renewWhileHeld(contest)
    if (contest.ended) return
    if (this.#leading) {
      if (rules.releases) await this.#release()
      this.#revoke()
    }
    if (this.#stopping) return
    this.#observedHolder = undefined
    this.#contest = new Timers(time)
    void this.#contend(this.#contest)
  }

  async #renewWhileHeld(contest: Timers): Promise<void> {
    const { rules, periods, wallNow, time } = this.#options
    let renewBy = wallNow() + periods.renewDeadlineMs
    let next = time.monoMs()
    for (;;) {
      // fabric8 5.12 limits each run; 6 and 7 count from the last success, and look only when a run begins.
      if (!rules.renewsByPut && wallNow() > renewBy) return
      const run = this.#run()
      const result = rules.renewsByPut ? await Promise.race([run, this.#deadline(contest)]) : await run
      this.#endFirstRenewal()
      if (contest.ended || result === 'other' || result === 'late') return
      if (result === 'held') renewBy = wallNow() + periods.renewDeadlineMs
      next += periods.retryPeriodMs
      await contest.sleep(next - time.monoMs())
      if (contest.ended) return
    }
  }

  async #deadline(contest: Timers): Promise<'late'> {
    await contest.sleep(this.#options.periods.renewDeadlineMs)
    return 'late'
  }

  #run(): Promise<Attempt> {
    this.#tick = this.#tryAcquireOrRenew()
    return this.#tick
  }

  async #tryAcquireOrRenew(): Promise<Attempt> {
    const { http, identity, rules, periods, wallNow, emit } = this.#options
    const reply = await http.get(this.#name)
    const found = reply.status === 200 ? (reply.body as ConfigMap) : undefined
    const record = found === undefined ? undefined : readRecord(found)
    if (!this.#leading && !this.#stopping) {
      emit({ type: 'polled', status: reply.status, holder: record?.holderIdentity })
    }
    if (found === undefined && reply.status !== 404) return 'failed'
    if (found === undefined || record === undefined) return this.#create()
    this.#observe(record.holderIdentity)
    const mine = record.holderIdentity === identity
    const vacant = rules.takesVacant && record.holderIdentity === ''
    const expired = Date.parse(record.renewTime) + periods.leaseMs <= wallNow()
    if (!mine && !vacant && !expired) return 'other'
    const now = formatTime(wallNow())
    const written = await this.#write(found, {
      holderIdentity: identity,
      acquireTime: mine ? record.acquireTime : now,
      renewTime: now,
      leaderTransitions: nextTransitions(rules, record, mine),
    })
    if (!written) return 'failed'
    this.#observe(identity)
    if (!this.#stopping) emit({ type: 'renewed' })
    return 'held'
  }

  async #create(): Promise<Attempt> {
    const { http, clusterId, namespace, identity, rules, periods, wallNow } = this.#options
    const now = formatTime(wallNow())
    const record = { holderIdentity: identity, acquireTime: now, renewTime: now, leaderTransitions: 0 }
    const reply = await http.create({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        annotations: { [ANNOTATION_LEADER]: formatRecord(rules, record, periods.leaseMs) },
        // fabric8 5.12 knows no labels here; Flink's first data write adds them.
        ...(rules.renewsByPut ? {} : { labels: haLabels(rules, clusterId) }),
        name: this.#name,
        namespace,
      },
    })
    if (reply.status !== 201) return 'failed'
    this.#observe(identity)
    return 'held'
  }

  async #write(found: ConfigMap, record: FlinkRecord, leaseMs = this.#options.periods.leaseMs): Promise<boolean> {
    const { http, clusterId, namespace, rules } = this.#options
    const annotations = { [ANNOTATION_LEADER]: formatRecord(rules, record, leaseMs) }
    const resourceVersion = found.metadata.resourceVersion
    if (rules.renewsByPut) {
      const again = await http.get(this.#name)
      if (again.status !== 200) return false
      const whole = again.body as ConfigMap
      const metadata = { ...whole.metadata, annotations: { ...whole.metadata.annotations, ...annotations } }
      if (resourceVersion !== undefined) metadata.resourceVersion = resourceVersion
      return (await http.replace({ ...whole, metadata })).status === 200
    }
    const labels = haLabels(rules, clusterId)
    const metadata = { annotations, labels, name: this.#name, namespace, resourceVersion }
    return (await http.patch(this.#name, { apiVersion: 'v1', kind: 'ConfigMap', metadata })).status === 200
  }

  async #release(): Promise<void> {
    const { http, identity, wallNow } = this.#options
    const reply = await http.get(this.#name)
    const found = reply.status === 200 ? (reply.body as ConfigMap) : undefined
    const record = found === undefined ? undefined : readRecord(found)
    if (found === undefined || record?.holderIdentity !== identity) return
    const now = formatTime(wallNow())
    const { leaderTransitions } = record
    await this.#write(found, { holderIdentity: '', acquireTime: now, renewTime: now, leaderTransitions }, 1_000)
  }

  /** Grant and loss follow from the holder of the records read and written (fabric8 6 and 7). */
  #observe(holder: string): void {
    if (this.#options.rules.renewsByPut || holder === this.#observedHolder) return
    const before = this.#observedHolder
    this.#observedHolder = holder
    if (before === this.#options.identity) this.#revoke()
    else if (holder === this.#options.identity) this.#grant()
  }

  #grant(): void {
    if (this.#leading || this.#stopping) return
    this.#leading = true
    this.#options.onGranted(
      new Promise(resolve => {
        this.#endFirstRenewal = resolve
      }),
    )
  }

  #revoke(): void {
    if (!this.#leading) return
    this.#leading = false
    if (!this.#stopping) this.#options.onRevoked()
  }
}

const nextTransitions = (rules: DialectRules, { leaderTransitions }: FlinkRecord, mine: boolean): number => {
  // fabric8 5.12 has it the wrong way round: it counts renewals, and a change of holder sets 0.
  if (rules.renewsByPut) return mine ? leaderTransitions + 1 : 0
  return mine ? leaderTransitions : leaderTransitions + 1
}
