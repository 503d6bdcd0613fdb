// A JobManager's HA client as the ConfigMap API sees it: elector, leader keys, job store, informer. Sends the requests that
// flink-dist was recorded to send, and nothing else.
import type { FlinkEventBody } from './flink-dialect.ts'
import { Elector } from './flink-elector.ts'
import { JobStore } from './flink-jobs.ts'
import type { FlinkProcessOptions } from './flink-process.ts'
import { FlinkProcess } from './flink-process.ts'
import type { ConfigMap } from './flink-records.ts'
import { leaderKey, showsLeadership, uuidOf } from './flink-records.ts'
import { HaStore } from './flink-store.ts'

export type { Dialect, FlinkEvent, Periods } from './flink-dialect.ts'

export type FlinkClientOptions = FlinkProcessOptions & {
  /** The lock identity; Flink draws a new one for every process. */
  identity?: string
  /** host:port of the RPC addresses in the leader keys. */
  rpcAddress: string
  restPort?: number
  /** A stopping leader takes the lock back after releasing it. Without effect in 1.17, which does not release. */
  reacquiresOnClose?: boolean
  /** Milliseconds since the epoch: Flink judges expiry by it. */
  wallNow?: () => number
}

type Term = { session: string; ended: boolean }

export class FlinkClient extends FlinkProcess {
  readonly identity: string
  readonly #options: FlinkClientOptions
  readonly #elector: Elector
  readonly #store: HaStore
  readonly #jobs: JobStore
  /** Leader keys that we have confirmed in this term; the informer repairs them. */
  readonly #confirmed = new Map<string, string>()
  #term: Term | undefined
  #operations: Promise<void> = Promise.resolve()
  #closing = false
  #rpcIds = 0

  constructor(options: FlinkClientOptions) {
    super(options)
    const { clusterId, namespace } = options
    const { http, rules, periods, random, time } = this
    this.#options = options
    this.identity = options.identity ?? uuidOf(random)
    const { identity } = this
    const emit = (event: FlinkEventBody): void => this.emit(event)
    this.#store = new HaStore({ http, clusterId, namespace, identity, rules })
    this.#jobs = new JobStore({ store: this.#store, planPrefix: rules.planPrefix, emit, random })
    this.#elector = new Elector({
      http,
      clusterId,
      namespace,
      identity,
      rules,
      periods,
      random,
      time,
      wallNow: options.wallNow ?? time.wallMs,
      reacquiresOnClose: options.reacquiresOnClose ?? true,
      emit,
      onGranted: firstRenewal => this.#granted(firstRenewal),
      onRevoked: () => this.#revoked(),
    })
  }

  /** The session id of the present term, or undefined. */
  get session(): string | undefined {
    return this.#term?.session
  }

  /** Jobs started or recovered by this process and not cancelled. */
  get jobIds(): string[] {
    return this.#jobs.ids
  }

  /** The newest checkpoint that the job has in the store; 0 when there is none. */
  retained(jobId: string): number {
    return this.#jobs.retained(jobId)
  }

  override async start(): Promise<boolean> {
    const started = await super.start()
    if (started) this.#elector.start()
    return started
  }

  /** Submits a job: plan pointer, job ConfigMap, leader key of its JobMaster. False when that was refused. */
  async startJob(jobId: string): Promise<boolean> {
    const term = this.#term
    if (term === undefined || !(await this.#jobs.storePlan(jobId))) return false
    if ((await this.#jobs.open(jobId)) === undefined) return false
    await this.#store.read(this.#store.lock)
    return this.#confirm(term, `job-${jobId}`, this.#rpcUrl('jobmanager'))
  }

  /** Completes a checkpoint and returns its id; undefined when a write failed. Not stopped by a lost leadership. */
  checkpoint(jobId: string): Promise<number | undefined> {
    return this.#jobs.checkpoint(jobId)
  }

  async cancelJob(jobId: string): Promise<void> {
    this.#confirmed.delete(`job-${jobId}`)
    await this.#jobs.cancel(jobId)
  }

  /** As SIGTERM: leader keys removed one by one, elector stopped, sockets closed. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    if (this.#term !== undefined) this.#term.ended = true
    this.#term = undefined
    await this.#operations
    const components = [...this.#confirmed.keys()].reverse()
    this.#confirmed.clear()
    for (const component of components) {
      if (!this.rules.renewsByPut) await this.#store.read(this.#store.lock)
      await this.#store.update(this.#store.lock, data => {
        delete data[leaderKey(component)]
        return true
      })
    }
    await this.#elector.stop()
    this.kill()
  }

  override kill(): void {
    this.#closing = true
    if (this.#term !== undefined) this.#term.ended = true
    this.#term = undefined
    this.#elector.kill()
    super.kill()
  }

  #granted(firstRenewal: Promise<void>): void {
    if (this.#closing) return
    const term: Term = { session: uuidOf(this.random), ended: false }
    this.#term = term
    this.#confirmed.clear()
    this.emit({ type: 'granted', session: term.session })
    this.#enqueue(term, () => this.#lead(term, firstRenewal))
  }

  #revoked(): void {
    if (this.#term === undefined) return
    const { session } = this.#term
    this.#term.ended = true
    this.#term = undefined
    this.#confirmed.clear()
    this.emit({ type: 'revoked', session })
  }

  /** Flink's election service works on one thread: one operation after the other. */
  #enqueue(term: Term, operation: () => Promise<void>): void {
    this.#operations = this.#operations.then(() => (term.ended || this.#closing ? undefined : operation()))
  }

  async #lead(term: Term, firstRenewal: Promise<void>): Promise<void> {
    const host = this.#options.rpcAddress.replace(/:\d+$/, '')
    const id = ++this.#rpcIds
    await Promise.race([firstRenewal, this.timers.sleep(this.periods.grantMs)])
    await this.#confirm(term, 'restserver', `http://${host}:${this.#options.restPort ?? 8081}`)
    await this.#confirm(term, 'resourcemanager', this.#rpcUrl('resourcemanager', id))
    const recovered = await this.#recoverJobs(term)
    if (recovered === undefined) return
    await this.#confirm(term, 'dispatcher', this.#rpcUrl('dispatcher', id))
    for (const jobId of recovered) {
      if (term.ended) return
      await this.#confirm(term, `job-${jobId}`, this.#rpcUrl('jobmanager'))
    }
    if (!term.ended) this.emit({ type: 'leading', session: term.session, jobs: recovered })
  }

  /** Undefined when the term ended, or when the store could not be read: that ends Flink's process. */
  async #recoverJobs(term: Term): Promise<string[] | undefined> {
    // Flink's `DefaultDispatcherRunner` waits for the end of the last term's process before it begins the next.
    await this.#jobs.settled()
    const planned = await this.#jobs.plans()
    const jobIds = planned === 'failed' ? [] : planned
    let ok = planned !== 'failed'
    for (const jobId of jobIds) ok = ok && !term.ended && (await this.#jobs.recover(jobId))
    if (term.ended) return undefined
    if (ok) return jobIds
    this.#fatal('jobs could not be recovered from the HA store')
    return undefined
  }

  /** hasLeadership, then the key. Confirmed before it is written: an informer event in between writes it again. */
  async #confirm(term: Term, component: string, address: string): Promise<boolean> {
    if (term.ended) return false
    this.#confirmed.set(component, `${term.session},${address}`)
    const leadership = await this.#store.leadership()
    if (leadership === 'missing') this.#fatal('the lock does not exist')
    if (leadership !== 'yes' || term.ended) return false
    return this.#publish(term, component)
  }

  async #publish(term: Term, component: string): Promise<boolean> {
    const value = this.#confirmed.get(component)
    if (value === undefined || term.ended) return false
    const written = await this.#store.update(this.#store.lock, data => {
      data[leaderKey(component)] = value
      return true
    })
    if (written === 'written') this.emit({ type: 'published', component })
    return written === 'written'
  }

  protected override onLock(change: 'added' | 'modified' | 'deleted', configMap: ConfigMap): void {
    // Only the lock that names this process concerns it; a standby does not mind that the lock goes.
    if (this.#closing || !showsLeadership(configMap, this.identity)) return
    if (change === 'deleted') this.#fatal('the lock was deleted')
    const term = this.#term
    if (change !== 'modified' || term === undefined) return
    for (const [component, value] of this.#confirmed) {
      if (configMap.data?.[leaderKey(component)] === value) continue
      this.#enqueue(term, async () => {
        await this.#publish(term, component)
      })
    }
  }

  #fatal(why: string): void {
    if (!this.#closing) this.emit({ type: 'fatal', why, exitCode: 2 })
  }

  #rpcUrl(endpoint: string, id = ++this.#rpcIds): string {
    return `${this.rules.rpcScheme}://flink@${this.#options.rpcAddress}/user/rpc/${endpoint}_${id}`
  }
}
