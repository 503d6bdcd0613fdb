/**
 * The shell around the two pure cores (election and JVM): the one place where events come in, one at a time, where state
 * changes, and where actions are performed. Everything else asks it: what is the lock, do we lead, write this.
 */
import type { Clock } from '../shared/clock.ts'
import {
  type Action,
  type Election,
  type Event,
  holderOf,
  type Lock,
  makeElection,
  type Reason,
  type State,
  type Write,
} from '../shared/election.ts'
import { Inbox } from '../shared/inbox.ts'
import { ACCEPT_METADATA, type ApiClient } from '../shared/kube-client.ts'
import { ListWatch, type Sight } from '../shared/list-watch.ts'
import { type ConfigMap, haLabels, type Lease, lockOfConfigMap, lockOfLease } from '../shared/lock.ts'
import { attempt, leasesPath, type WriteOutcome } from '../shared/lock-writes.ts'
import type { Log } from '../shared/log.ts'
import {
  ANNOTATION_CANDIDATES,
  ANNOTATION_JVM,
  ANNOTATION_TOKEN,
  LEADER_KEY_PREFIX,
  LOCK_SUFFIX,
} from '../shared/names.ts'
import { isStale } from '../shared/resource-version.ts'
import type { Timings } from '../shared/timings.ts'
import { type Cached, cachedAfter } from './cached.ts'
import { Failsafe } from './failsafe.ts'
import type { PostQuestion } from './failsafe-post.ts'
import { History } from './history.ts'
import { initialJvm, type JvmAction, type JvmEvent, type JvmState, jvmWakeAtMs, stepJvm } from './jvm.ts'
import { parseComponent, rpcEndpoint } from './leader.ts'
import {
  configMapsPath,
  type LockTarget,
  leaseName,
  removeLeaseLock,
  writeConfigMapLock,
  writeLeaseLock,
} from './lock-store.ts'
import { applyPatch, type DataPatch } from './lock-write.ts'
import type { Metrics } from './metrics.ts'
import type { AskRole } from './peers.ts'
import { type ProbePort, probePort } from './port-probe.ts'
import { Pulse } from './pulse.ts'
import type { Signer } from './signer.ts'
import { type Joined, joinedWith, parseKey, Standbys } from './standbys.ts'

export type CandidateOptions = {
  identity: string
  lockKind: 'configmap' | 'lease'
  timings: Timings
  jvmAddress: { host: string; port: number }
  /** `host:port` of our pod port, as others reach it; "" while not known. */
  address: () => string
  client: ApiClient
  clock: Clock
  log: Log
  metrics: Metrics
  /** When given, failsafe is on. */
  signer?: Signer | undefined
  /** Chance and the ways to others: those of the machine when missing. */
  random?: () => number
  probePort?: ProbePort
  askRole?: AskRole
  postQuestion?: PostQuestion
}

export type DataOutcome =
  | { result: 'done'; object: ConfigMap }
  | { result: 'stale' }
  | { result: 'not-leading' }
  | { result: 'failed'; status: number; body: unknown; message: string }

type PendingData = { patch: DataPatch; since: string; tries: number; resolve: (outcome: DataOutcome) => void }

const STAMP_AGAIN_MS = 500
/** A data write that lost the race against a renewal or a third party is tried again this often. */
const DATA_TRIES = 5
const REMOVE_TRIES = 5

export class Candidate {
  readonly identity: string
  readonly history = new History()
  /** Undefined: off. */
  readonly failsafe: Failsafe | undefined
  #options: CandidateOptions
  #election: Election
  #state: State
  #jvm: JvmState = initialJvm
  #target: LockTarget | undefined
  #cached: Cached | undefined
  #watches: ListWatch<{ metadata: ConfigMap['metadata'] }>[] = []
  #inbox: Inbox<() => void>
  #pending = new Map<number, PendingData>()
  #nextData = 1
  #leaderSeenMs: number | undefined
  #termVersion = ''
  #endedLateMs = 0
  /** Of the lock, whatever kind of object it is. */
  #annotations: { [name: string]: string } = {}
  #retired = false
  #stopped = false
  #lastSeenAtMs = 0
  /** Since when the record is as it is, at the latest: earlier than the election may count from. */
  #recordSinceMs = 0
  readonly #pulse: Pulse
  #standbys: Standbys
  #joining = false
  /** Token that the ConfigMap beside a Lease is stamped with. */
  #stamped: number | undefined
  #stamping = false

  constructor(options: CandidateOptions) {
    this.#options = options
    this.identity = options.identity
    const { signer, timings } = options
    this.#election = makeElection(options.identity, timings, { failsafe: signer !== undefined })
    this.failsafe =
      signer &&
      new Failsafe({
        ...options,
        signer,
        timeoutMs: timings.retryMs,
        joined: () => this.joined,
        dispatch: event => this.#dispatch(event),
      })
    this.#state = this.#election.initial
    this.#pulse = new Pulse(options.clock)
    this.#standbys = new Standbys(options.clock, options.identity, options.askRole)
    this.#inbox = new Inbox({
      clock: options.clock,
      take: run => run(),
      wakeAtMs: () => Math.min(this.#election.wakeAtMs(this.#state), jvmWakeAtMs(this.#jvm)),
      wake: () => {
        this.jvmEvent({ type: 'tick' })
        this.#dispatch({ type: 'tick' })
      },
    })
    this.#inbox.onTaken(() => void this.#join())
  }

  /** Called after every change of role, lock or data. */
  onChange(listener: () => void): () => void {
    return this.#inbox.onTaken(listener)
  }

  /** Resolves with the next call of such a listener. */
  nextChange(): Promise<void> {
    return new Promise(resolve => {
      const off = this.onChange(() => {
        off()
        resolve()
      })
    })
  }

  get target(): LockTarget | undefined {
    return this.#target
  }
  get cached(): Cached | undefined {
    return this.#cached
  }
  /** Whether the lock was seen, and the ConfigMap that goes with it. */
  get synced(): boolean {
    return this.#cached !== undefined && this.#state.lock !== undefined
  }
  get lock(): Lock | undefined {
    return this.#state.lock
  }
  get jvm(): JvmState {
    return this.#jvm
  }
  /** Fencing token of the current or last term that was seen. */
  get token(): number {
    return this.leading() ? this.#state.token : (this.#state.lock?.token ?? 0)
  }
  /** The version that our term began with: what was read before it was read under another term. */
  get termVersion(): string {
    return this.#termVersion
  }
  /** How late this process noticed that its last term was over: more than a moment, and it was stopped meanwhile. */
  get endedLateMs(): number {
    return this.#endedLateMs
  }
  get standing(): boolean {
    return this.#state.standing
  }

  /** Whether we lead at this very moment: the clock is asked each time, also after a pause of the process. */
  leading(): boolean {
    return this.#options.clock.monoMs() < this.#election.validUntilMs(this.#state)
  }
  /** Whether we lead with a ConfigMap to show for it. */
  ready(): boolean {
    const stamped = this.#options.lockKind === 'configmap' || this.#stamped === this.#state.token
    return this.leading() && this.#cached?.object !== undefined && stamped
  }
  validForMs(): number {
    return Math.max(0, this.#election.validUntilMs(this.#state) - this.#options.clock.monoMs())
  }
  renewalAgeMs(): number {
    const held = this.#state.heldSinceMs
    return this.leading() && held !== undefined ? this.#options.clock.monoMs() - held : 0
  }
  /** Whether we lead by the promise of the others alone: no write was acknowledged since. */
  vouchedFor(): boolean {
    return this.leading() && isVouchedFor(this.#state)
  }
  /** Since the sending of what our term counts from. */
  provenAgeMs(): number {
    const { heldSinceMs = 0, vouching } = this.#state
    return this.leading() ? this.#options.clock.monoMs() - Math.max(heldSinceMs, vouching.sinceMs) : 0
  }
  /** How long the record that we see can still be somebody's valid term, at most: what `/leader` may rely on. */
  recordValidForMs(): number {
    const { lock } = this.#state
    if (lock?.record === undefined || lock.record.holder === '') return 0
    return Math.max(0, this.#recordSinceMs + lock.record.leaseMs - this.#options.clock.monoMs())
  }
  /** Since the API server last told us anything of the lock. */
  silenceMs(): number {
    return this.#options.clock.monoMs() - this.#lastSeenAtMs
  }

  /** Begins to follow a lock: at the start if it is known, else as soon as Flink names it. */
  attach(namespace: string, clusterId: string): void {
    if (this.#target !== undefined || this.#stopped) return
    this.#target = { namespace, clusterId, name: `${clusterId}${LOCK_SUFFIX}` }
    this.#pulse.start()
    const { client, clock, metrics, log, lockKind, random = Math.random } = this.#options
    log.info({ namespace, clusterId }, 'following the lock')
    const onProblem = (problem: string): void => {
      metrics.watchProblems.inc()
      log.warn({ problem }, 'lost sight of the lock, trying again')
    }
    const follow = <T extends { metadata: ConfigMap['metadata'] }>(
      collection: string,
      name: string,
      onSight: (sight: Sight<T>) => void,
    ): void => {
      const watch = new ListWatch<T>({ client, clock, collection, name, onSight, onProblem, random })
      this.#watches.push(watch as unknown as ListWatch<{ metadata: ConfigMap['metadata'] }>)
      void watch.run()
    }
    follow<ConfigMap>(configMapsPath(namespace), this.#target.name, sight => this.#seeConfigMap(sight))
    if (lockKind === 'lease')
      follow<Lease>(leasesPath(namespace), leaseName(clusterId), sight => {
        this.#seeLock(
          { type: 'lock-seen', lock: lockOfLease(sight.object, sight.version), read: sight.listed },
          sight.object,
        )
      })
  }

  /**
   * The JVM is removing the lock, at the end of its cluster (`cleanupAllData`). The sight of that may come before the answer: it
   * must not be taken for somebody else's deletion, after which the lock is made anew.
   */
  removing = false

  /** Where a Lease is the lock it goes after the ConfigMap, unless it has become somebody else's. */
  async removeLease(): Promise<void> {
    const { client, lockKind, log } = this.#options
    if (lockKind !== 'lease' || this.#target === undefined) return
    for (let tries = 0; tries < REMOVE_TRIES; tries++) {
      const { lock } = this.#state
      const holder = holderOf(lock)
      if (lock?.exists !== true || (holder !== '' && holder !== this.identity)) return
      const status = await removeLeaseLock(client, this.#target, lock.version)
      if (status >= 400 && status !== 409) log.warn({ status }, 'the Lease cannot be removed')
      if (status !== 409) return
      // Our own release, most of the time.
      if (this.#state.lock === lock) await this.nextChange()
    }
  }

  jvmEvent(event: JvmEvent): void {
    // A process that was stopped finds the JVM's questions before its own timers.
    if (this.#state.role === 'leader' && !this.leading()) this.#dispatch({ type: 'tick' })
    this.#inbox.push(() => this.#stepJvm(event))
  }

  /** Gives the term up, now, for a reason; with a successor, others hold back for him. */
  withdraw(reason: Reason, successor = this.#standbys.successor): void {
    this.#dispatch({ type: 'withdraw', reason, successor })
  }
  /** Stands again after a switchover, if there still is a JVM to stand for. */
  stand(): void {
    if (this.#jvm.phase === 'standing' && !this.#retired) this.#dispatch({ type: 'stand' })
  }
  /** Gives the term up and never stands again: this pod is coming to its end. */
  retire(reason: Reason): void {
    if (this.#retired) return
    this.#retired = true
    this.withdraw(reason)
  }

  /** Writes data to the lock's ConfigMap under the real record, if it is still what it was at `since`. */
  async writeData(patch: DataPatch, since: string): Promise<DataOutcome> {
    if (this.#options.lockKind === 'lease') return await this.#writeDataBeside(patch, since)
    return await new Promise(resolve => {
      const data = this.#nextData++
      this.#pending.set(data, { patch, since, tries: 0, resolve })
      this.#dispatch({ type: 'data-write', data })
    })
  }

  /** Releases, waits for that as long as it may be of use, and stops. */
  async stop(reason: Reason, timeoutMs: number): Promise<void> {
    this.retire(reason)
    await new Promise<void>(resolve => {
      const done = (): void => {
        if (this.#state.lock?.record?.holder !== this.identity) resolve()
      }
      this.onChange(done)
      this.#options.clock.after(timeoutMs, resolve)
      done()
    })
    this.abandon()
  }

  /** Stops without a word: the lease then has to run out. */
  abandon(): void {
    this.#stopped = true
    this.#inbox.stop()
    this.#pulse.stop()
    this.#standbys.stop()
    for (const watch of this.#watches) watch.stop()
  }

  #dispatch(event: Event): void {
    this.#inbox.push(() => this.#step(event))
  }

  #step(event: Event): void {
    const { clock } = this.#options
    const { state, actions } = this.#election.step(this.#state, event, {
      monoMs: clock.monoMs(),
      wallUs: clock.wallUs(),
    })
    this.#observe(this.#state, state)
    if (this.#state.role === 'leader' && state.role !== 'leader')
      this.#endedLateMs = clock.monoMs() - this.#election.validUntilMs(this.#state)
    this.#state = state
    for (const action of actions) this.#perform(action)
  }

  #stepJvm(event: JvmEvent): void {
    const { state, actions } = stepJvm(this.#jvm, event, this.#options.clock.monoMs())
    if (state.phase !== this.#jvm.phase)
      this.#options.log.info({ from: this.#jvm.phase, to: state.phase, sockets: state.sockets }, 'jvm')
    this.#jvm = state
    for (const action of actions) this.#performJvm(action)
  }

  #performJvm(action: JvmAction): void {
    if (action.type === 'stand') {
      if (!this.#retired) this.#dispatch({ type: 'stand' })
    } else if (action.type === 'withdraw') this.withdraw(action.reason)
    else void this.#probe()
  }

  #observe(before: State, after: State): void {
    this.#lastSeenAtMs = after.lock === before.lock ? this.#lastSeenAtMs : this.#options.clock.monoMs()
    if (after.lockSinceMs !== before.lockSinceMs) this.#recordSinceMs = this.#pulse.heardAtMs()
    const [was, is] = [before.lock?.record?.holder ?? '', after.lock?.record?.holder ?? '']
    if (before.lock !== undefined && was !== '' && was !== is) this.#leaderSeenMs = this.#options.clock.monoMs()
    if (after.lock !== undefined && after.lock !== before.lock)
      this.history.see(after.lock, this.#annotations, this.#options.clock.wallUs())
    // A restarted sidecar finds its own record: is the JVM still there that it was granted to?
    if (before.lock === undefined && is === this.identity)
      this.jvmEvent({ type: 'expect', identity: this.#annotations[ANNOTATION_JVM] ?? '' })
    else if (is !== this.identity && this.#jvm.expected !== '') this.jvmEvent({ type: 'not-ours' })
    const vouched = isVouchedFor(after)
    if (vouched === isVouchedFor(before)) return
    const sinceWriteMs = Math.round(this.#options.clock.monoMs() - (before.heldSinceMs ?? 0))
    if (vouched) this.#options.log.warn({ sinceWriteMs }, 'failsafe: leading by the promise of all other candidates')
    else this.#options.log.info({ sinceWriteMs, role: after.role }, 'failsafe: over')
  }

  #perform(action: Action): void {
    const { log, metrics, clock } = this.#options
    switch (action.type) {
      case 'lead': {
        this.#termVersion = action.resumed ? '' : (this.#state.lock?.version ?? '')
        metrics.terms.inc({ event: 'begun', reason: action.resumed ? 'resumed' : 'elected' })
        if (this.#leaderSeenMs !== undefined)
          metrics.failoverSeconds.observe((clock.monoMs() - this.#leaderSeenMs) / 1000)
        this.#leaderSeenMs = undefined
        log.info({ token: action.token, resumed: action.resumed }, 'leading')
        this.jvmEvent({ type: 'leading', leading: true, resumed: action.resumed })
        this.#standbys.start(
          () => this.joined,
          this.#options.timings.retryMs,
          () => this.#notePeers(),
        )
        if (this.#options.lockKind === 'lease') void this.#stamp()
        return
      }
      case 'yield':
        metrics.terms.inc({ event: 'ended', reason: action.reason })
        log.info({ token: this.#state.token, reason: action.reason }, 'no longer leading')
        this.jvmEvent({ type: 'leading', leading: false, resumed: false })
        this.#standbys.stop()
        return
      case 'data-refused':
        this.#settleData(action.data, { result: 'not-leading' })
        return
      case 'read-lock':
        metrics.slowPath.inc({ name: this.#target?.name ?? '' })
        void this.#read()
        return
      case 'ask-promises':
        void this.failsafe?.ask(action)
        return
      case 'promise':
        this.failsafe?.decided(action.id, action.given)
        return
      case 'write-lock':
        void this.#write(action.write)
    }
  }

  async #read(): Promise<void> {
    // In the order of the watches: the lock's own is the last.
    const watch = this.#watches.at(-1)
    try {
      await watch?.list()
    } catch (error) {
      this.#options.log.warn({ problem: String(error) }, 'the lock cannot be read')
      this.#dispatch({ type: 'read-failed' })
    }
  }

  async #write(write: Write): Promise<void> {
    const { client, timings, lockKind, metrics, log, clock } = this.#options
    const target = this.#target
    if (target === undefined) return
    const pending = write.data === undefined ? undefined : this.#pending.get(write.data)
    const stale = pending !== undefined && pending.since !== this.#cached?.dataSince
    const data = pending === undefined || stale ? {} : pending.patch
    const current = this.#cached?.object
    const timeoutMs = Math.min(timings.retryMs, timings.renewDeadlineMs / 3)
    const jvm = this.#jvm.identity
    // A leader joins as well, by the way: whoever is deposed later has nothing to write.
    const address = this.#address()
    const joins = address !== '' && write.kind !== 'release'
    const candidates = joins ? joinedWith(this.joined, this.identity, address) : undefined
    if (stale) this.#settleData(write.data, { result: 'stale' })
    const outcome =
      lockKind === 'configmap'
        ? await writeConfigMapLock(client, target, write, { jvm, data, current, candidates, timeoutMs })
        : await writeLeaseLock(client, target, write, { jvm, timeoutMs })
    metrics.upstream.inc({ kind: write.kind, outcome: outcome.result })
    const tookMs = clock.monoMs() - write.sentAtMs
    if (write.kind === 'renew') metrics.renewSeconds.observe(tookMs / 1000)
    else log.info({ kind: write.kind, result: outcome.result, token: write.token, tookMs: Math.round(tookMs) }, 'lock')
    if (outcome.result === 'done') this.#written(write, outcome, current, stale ? {} : data)
    else this.#notWritten(write, outcome, stale)
  }

  #written(
    write: Write,
    outcome: WriteOutcome & { result: 'done' },
    base: ConfigMap | undefined,
    data: DataPatch,
  ): void {
    if (this.#options.lockKind === 'lease') {
      const object = outcome.body as Lease
      this.#seeLock({ type: 'write-done', id: write.id, lock: lockOfLease(object, '') }, object)
      return
    }
    // The answer holds the metadata alone; the data is what the version that we replaced had, and our change.
    const object: ConfigMap = { ...base, apiVersion: 'v1', kind: 'ConfigMap', metadata: outcome.metadata }
    if (base?.data !== undefined || Object.keys(data).length > 0) object.data = applyPatch(base?.data ?? {}, data)
    const lock = lockOfConfigMap(object, '')
    this.#seeLock({ type: 'write-done', id: write.id, lock }, object, () => this.#cache(object, lock.version))
    this.#settleData(write.data, { result: 'done', object })
  }

  #notWritten(write: Write, outcome: Exclude<WriteOutcome, { result: 'done' }>, stale: boolean): void {
    const { result, message, retryAfterMs } = outcome
    if (result !== 'conflict') this.#options.log.warn({ kind: write.kind, result, message }, 'lock write failed')
    const failed = { type: 'write-failed' as const, id: write.id, why: result }
    this.#dispatch(retryAfterMs === undefined ? failed : { ...failed, retryAfterMs })
    const pending = write.data === undefined || stale ? undefined : this.#pending.get(write.data)
    if (pending === undefined || write.data === undefined) return
    pending.tries++
    // Only what was certainly not made may be sent again without being asked.
    const again = (result === 'conflict' || outcome.status === 429) && pending.tries < DATA_TRIES
    if (again) this.#dispatch({ type: 'data-write', data: write.data })
    else this.#settleData(write.data, { result: 'failed', status: outcome.status, body: outcome.body, message })
  }

  #settleData(data: number | undefined, outcome: DataOutcome): void {
    if (data === undefined) return
    this.#pending.get(data)?.resolve(outcome)
    this.#pending.delete(data)
  }

  /** With a Lease as lock the ConfigMap is written by itself: compare-and-set, under a term that is valid now. */
  async #writeDataBeside(patch: DataPatch, since: string): Promise<DataOutcome> {
    const cached = this.#cached
    const target = this.#target
    if (target === undefined || !this.leading()) return { result: 'not-leading' }
    if (cached?.object === undefined || cached.dataSince !== since) return { result: 'stale' }
    const { resourceVersion } = cached.object.metadata
    const outcome = await this.#patchConfigMap(target, { metadata: { resourceVersion }, data: patch })
    if (outcome.result === 'conflict') return { result: 'stale' }
    if (outcome.result !== 'done') return { result: 'failed', ...pick(outcome) }
    const object = { ...cached.object, metadata: outcome.metadata, data: applyPatch(cached.object.data ?? {}, patch) }
    this.#inbox.push(() => this.#cache(object, outcome.metadata.resourceVersion ?? ''))
    return { result: 'done', object }
  }

  /** Changes the ConfigMap beside the election's own writes; the answer holds the metadata alone. */
  async #patchConfigMap(target: LockTarget, body: object): Promise<WriteOutcome> {
    const path = `${configMapsPath(target.namespace)}/${target.name}`
    const { client, timings } = this.#options
    return await attempt(
      client.request('PATCH', path, {
        body,
        contentType: 'application/merge-patch+json',
        accept: ACCEPT_METADATA,
        timeoutMs: timings.retryMs,
      }),
    )
  }

  /** Who joined, as the lock told last. */
  get joined(): Joined {
    return this.#cached?.joined ?? {}
  }

  #address(): string {
    const address = this.#options.address()
    return address === '' || this.failsafe === undefined ? address : `${address}#${this.failsafe.key}`
  }

  /** Who can be asked: who joined with a key, but for those that did not answer the last time, and would not then either. */
  #notePeers(): void {
    if (this.failsafe === undefined) return
    const joined = Object.entries(this.joined)
    const members = joined
      .filter(([id, told]) => id !== this.identity && parseKey(told) !== undefined && !this.#standbys.mute(id))
      .map(([id]) => id)
    if (members.join() !== this.#state.peers.join()) this.#dispatch({ type: 'peers', members })
  }

  /** A standby makes itself known in the lock, once: then the leader can hand over to it by name. */
  async #join(): Promise<void> {
    const { log, timings, clock } = this.#options
    const address = this.#address()
    const [target, object] = [this.#target, this.#cached?.object]
    // A leader joins by its writes of the lock, unless that is a Lease: there only failsafe needs it to.
    const joinsAnyway = this.#options.lockKind === 'configmap' || this.failsafe === undefined
    const idle = !this.#state.standing || (this.leading() && joinsAnyway) || holderOf(this.#state.lock) === ''
    if (address === '' || target === undefined || object === undefined || idle || this.#joining) return
    const candidates = joinedWith(this.joined, this.identity, address)
    if (candidates === undefined) return
    this.#joining = true
    const metadata = {
      resourceVersion: object.metadata.resourceVersion,
      annotations: { [ANNOTATION_CANDIDATES]: candidates },
    }
    const outcome = await this.#patchConfigMap(target, { metadata })
    if (outcome.result !== 'done') log.debug({ message: outcome.message }, 'not joined yet')
    // Not again before its own sight of it had time to come.
    clock.after(timings.retryMs, () => {
      this.#joining = false
    })
  }

  /**
   * With a Lease as lock the ConfigMap knows nothing of terms: it is made if it is missing, and stamped with the term's
   * token, so that what was read before the stamp fails its compare-and-set.
   */
  async #stamp(): Promise<void> {
    if (this.#stamping) return
    this.#stamping = true
    while (this.leading() && this.#stamped !== this.#state.token) {
      const outcome = await this.#tryStamp(this.#state.token)
      if (outcome.result === 'done') continue
      this.#options.log.warn({ message: outcome.message }, 'the ConfigMap cannot be stamped, trying again')
      await new Promise<void>(resolve => this.#options.clock.after(STAMP_AGAIN_MS, resolve))
    }
    this.#stamping = false
  }

  async #tryStamp(token: number): Promise<WriteOutcome> {
    const { client, timings } = this.#options
    const { namespace, name, clusterId } = this.#target as LockTarget
    const path = configMapsPath(namespace)
    const annotations = { [ANNOTATION_TOKEN]: String(token) }
    const timeoutMs = timings.retryMs
    const object = this.#cached?.object
    const made = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: haLabels(clusterId), annotations } }
    const outcome =
      object === undefined
        ? await attempt(client.request('POST', path, { body: made, timeoutMs }))
        : await attempt(
            client.request('PATCH', `${path}/${name}`, {
              body: { metadata: { resourceVersion: object.metadata.resourceVersion, annotations } },
              contentType: 'application/merge-patch+json',
              timeoutMs,
            }),
          )
    if (outcome.result !== 'done') return outcome
    const stampedAt = outcome.metadata.resourceVersion ?? ''
    this.#inbox.push(() => {
      this.#cache(outcome.body as ConfigMap, stampedAt)
      // It may have been deleted meanwhile.
      if (this.#state.token !== token || this.#cached?.object === undefined) return
      this.#stamped = token
      this.#termVersion = stampedAt
    })
    return outcome
  }

  #seeConfigMap({ object, version, listed }: Sight<ConfigMap>): void {
    if (object === undefined && this.removing) this.jvmEvent({ type: 'stopped' })
    const keep = (): void => this.#cache(object, version)
    if (this.#options.lockKind === 'lease') this.#inbox.push(keep)
    else this.#seeLock({ type: 'lock-seen', lock: lockOfConfigMap(object, version), read: listed }, object, keep)
  }

  /** A sight of the lock, which may be old news, in one piece with what stands beside its record: nobody is told half of it. */
  #seeLock(event: Event & { lock: Lock }, object: ConfigMap | Lease | undefined, keep = () => {}): void {
    this.#inbox.push(() => {
      keep()
      const known = this.#state.lock
      if (known === undefined || !isStale(known.version, event.lock.version))
        this.#annotations = object?.metadata.annotations ?? {}
      this.#step(event)
    })
  }

  #cache(object: ConfigMap | undefined, version: string): void {
    const before = this.#cached
    if (before !== undefined && isStale(before.version, version)) return
    this.#cached = cachedAfter(before, object, version)
    // Beside a Lease the ConfigMap is not the election's to make: without it there is nothing to show for the term.
    if (object === undefined) this.#stamped = undefined
    this.#notePeers()
    if (!this.leading()) return
    this.#standbys.notice()
    if (this.#options.lockKind === 'lease' && object === undefined) void this.#stamp()
  }

  async #probe(): Promise<void> {
    const { probePort: probe = probePort } = this.#options
    this.jvmEvent({ type: await probe(this.#rpcAddress()) })
  }

  #rpcAddress(): { host: string; port: number } {
    const given = this.#options.jvmAddress
    if (this.#state.lock?.record?.holder !== this.identity) return given
    const value = this.#cached?.object?.data?.[`${LEADER_KEY_PREFIX}dispatcher`]
    const published = value === undefined ? undefined : rpcEndpoint(parseComponent(value)?.address ?? '')
    // The published address may be another pod's: the last leader's, before our own JVM has published.
    return published === undefined ? given : { host: given.host, port: published.port }
  }
}

const isVouchedFor = (s: State): boolean =>
  s.role === 'leader' && s.vouching.sinceMs > (s.heldSinceMs ?? Number.POSITIVE_INFINITY)

const pick = (outcome: Exclude<WriteOutcome, { result: 'done' }>) => ({
  status: outcome.status,
  body: outcome.body,
  message: outcome.message,
})
