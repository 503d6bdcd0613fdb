/**
 * The ConfigMap part of the Kubernetes API, as Flink's client (fabric8) uses it, with a virtual lock in it. Serves the
 * ConfigMaps of one cluster and nothing else: user code in the main container must not read, through us, what it has no
 * credential for. Reads come from the cache while we lead: the holder of a valid term is the only writer, and each write
 * is a compare-and-set. No write is passed on without a valid term that this very JVM was granted.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import { holderOf } from '../shared/election.ts'
import type { ApiClient } from '../shared/kube-client.ts'
import type { ConfigMap } from '../shared/lock.ts'
import type { Log } from '../shared/log.ts'
import { JOB_SUFFIX, LEADER_KEY_PREFIX, LOCK_SUFFIX } from '../shared/names.ts'
import { compareVersions } from '../shared/resource-version.ts'
import { Burst } from './burst.ts'
import type { Candidate } from './candidate.ts'
import { answer, failure, isFlink, readJson, refuse, type Scope } from './http.ts'
import { type JobMethod, JobStore } from './job-store.ts'
import { ANY_JVM } from './jvm.ts'
import { configMapsPath } from './lock-store.ts'
import { applyPatch, type Claim, decideLockWrite, type LockWrite } from './lock-write.ts'
import type { Metrics } from './metrics.ts'
import { hasCredential, passOn } from './pass-through.ts'
import { type ConfigMapRoute, configMapRoute } from './route.ts'
import { oversize } from './size-limit.ts'
import { type Answer, askUpstream } from './upstream.ts'
import { inNamespace, leaderKeysOnly, placeholderLock, virtualRecord, withRecord } from './view.ts'
import { Watchers } from './watchers.ts'

export type GatewayOptions = {
  candidate: Candidate
  client: ApiClient
  clock: Clock
  log: Log
  metrics: Metrics
  /** Undefined: learned from Flink. */
  namespace: string | undefined
  clusterId: string | undefined
  /** The election's: a leader writes once in this period. */
  retryMs: number
}

/** Flink's request time-out is 10 s per try. */
const HOLD_MS = 8_000
/** A leading JVM asks for the lock this often: Flink's default `retry-period`, a third of its lease. */
const tickMs = (leaseMs: number): number => Math.max(5_000, leaseMs / 3)
/** A process that notices a deadline so late was stopped. */
const STALL_MS = 1_000
/** Flink's request time-out and then some: what it asks after that, it asks again. */
const TOLD_MS = 12_000
/** The lock's version changes with each renewal. */
const DELETE_TRIES = 10
type Route = ConfigMapRoute & { query: URLSearchParams }

export class Gateway {
  readonly watchers: Watchers
  #options: GatewayOptions
  /** What the JVM last wrote of its virtual record, to be shown back the same way. */
  #claim: Claim | undefined
  /** The term in which this JVM claimed: without one, nothing that it sends belongs to our term. */
  #claimedToken: number | undefined
  /**
   * The term in which this JVM published an address of its own. Before that it removes what the last leader left as soon as an
   * event names itself (`DefaultLeaderElectionService` rewrites what it has not confirmed), and is not closing.
   */
  #publishedToken: number | undefined
  /** Whether the JVM was last told, or may still believe (of an earlier sidecar), that it leads: then it is told at once. */
  #believes = true
  /** Until when an answer is not taken for told: see `#changed`. */
  #believesUntilMs = 0
  /** When a JVM that believed to lead was first told that it does not; until it claims again. */
  #toldLostMs: number | undefined
  #held = new Set<() => void>()
  #resuming = new Set<() => void>()
  /** 1.17 selects by label, has no retries, and must not be answered 503. */
  #oldDialect = false
  #heldOnce = false
  #toldNamespace = false
  #jobs: JobStore
  #burst: Burst

  constructor(options: GatewayOptions) {
    this.#options = options
    const { candidate, clock, metrics } = options
    const [view, published] = [(scope: Scope) => this.#shown(scope), () => this.#published()]
    this.#burst = new Burst(clock, () => this.watchers.changed())
    const held = () => this.#burst.holds
    this.watchers = new Watchers({ candidate, clock, metrics, view, published, held })
    this.#jobs = new JobStore({
      client: options.client,
      namespace: () => candidate.target?.namespace ?? '',
      term: () => (this.#granted() ? candidate.token : undefined),
      monoMs: clock.monoMs,
      onFenced: () => metrics.fenced.inc({ kind: 'job' }),
      onOversize: () => metrics.oversize.inc({ kind: 'job' }),
    })
    candidate.onChange(() => this.#changed())
  }

  /** The path is known to begin with /api/ or /apis/. */
  async handle(request: IncomingMessage, response: ServerResponse, url: URL, scope: Scope): Promise<void> {
    const named = configMapRoute(url.pathname)
    if (named === undefined)
      return scope === 'local' && hasCredential(request)
        ? await this.#passOn(request, response)
        : this.#count(request, response, 404, 'only the ConfigMaps of a Flink cluster are served here')
    const route = { ...named, query: url.searchParams }
    const byFlink = scope === 'local' && isFlink(request)
    if (byFlink) this.#mark(request)
    if (scope === 'local') this.#learn(route)
    const problem = this.#outside(route)
    // What may be HA data, of whatever cluster, never gets past the fence with a credential of the JVM's own, above all not
    // while a restarted sidecar does not know yet whose it is.
    const passes = scope === 'local' && route.name !== undefined && !route.name.endsWith(JOB_SUFFIX)
    if (problem !== undefined && passes && hasCredential(request)) return await this.#passOn(request, response)
    if (problem !== undefined) return this.#count(request, response, 403, problem, route.name)
    this.#tellNamespace(route)
    if (request.method === 'GET' || request.method === 'HEAD')
      await this.#read(request, response, route, scope, byFlink)
    else if (scope === 'pod') this.#count(request, response, 405, 'this port is read-only')
    else await this.#write(request, response, route)
  }

  #count(request: IncomingMessage, response: ServerResponse, status: number, message: string, name?: string): void {
    this.#options.metrics.gateway.inc({ verb: verbOf(request), outcome: String(status) })
    refuse(response, status, message, name)
  }
  async #passOn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const status = await passOn(this.#options.client, request, response)
    this.#options.metrics.gateway.inc({ verb: verbOf(request), outcome: `passed on ${status}` })
  }
  #answer(request: IncomingMessage, response: ServerResponse, status: number, body: unknown): void {
    this.#options.metrics.gateway.inc({ verb: verbOf(request), outcome: String(status) })
    const namespace = namespaceAsked(request)
    answer(response, status, namespace === undefined ? body : inNamespace(body, namespace))
  }

  #answerAs(request: IncomingMessage, response: ServerResponse, { status, body }: Answer): void {
    this.#answer(request, response, status, body)
  }

  /** A connection that carries Flink's requests: its closing is a sign of the JVM's death. */
  #mark(request: IncomingMessage): void {
    const socket = request.socket as IncomingMessage['socket'] & { carriesFlink?: true }
    if (socket.carriesFlink) return
    socket.carriesFlink = true
    const { candidate } = this.#options
    candidate.jvmEvent({ type: 'socket-opened' })
    socket.once('close', () => candidate.jvmEvent({ type: 'socket-closed' }))
  }

  /** The cluster's id and namespace from the first request that names them. */
  #learn(route: Route): void {
    const { candidate, namespace, clusterId } = this.#options
    if (candidate.target !== undefined) return
    const named = route.name ?? /^metadata\.name=(.+)$/.exec(route.query.get('fieldSelector') ?? '')?.[1] ?? ''
    const labelled = /(?:^|,)app=([^,]+)/.exec(route.query.get('labelSelector') ?? '')?.[1]
    const learned = named.endsWith(LOCK_SUFFIX) ? named.slice(0, -LOCK_SUFFIX.length) : labelled
    const id = clusterId ?? learned
    if (id) candidate.attach(namespace ?? route.namespace, id)
  }

  /** Why a request is none of ours, if so. */
  #outside(route: Route): string | undefined {
    const { target } = this.#options.candidate
    if (target === undefined) return 'no Flink cluster is known here yet: its lock has to be asked for first'
    const name = route.name
    if (name === undefined) return undefined
    // What is no object's name could be more than a name in a path.
    const isName = /^[-.a-z0-9]+$/.test(name)
    if (isName && name.startsWith(`${target.clusterId}-`) && name.endsWith(JOB_SUFFIX)) return undefined
    return `configmaps "${name}" is not of the Flink cluster "${target.clusterId}"`
  }

  /**
   * Whatever namespace Flink names, it is answered with the pod's own: `kubernetes.namespace` is "default" unless it was set
   * (Flink `KubernetesConfigOptions.NAMESPACE`), which in a pod of another namespace nobody can have meant.
   */
  #tellNamespace(route: Route): void {
    const { candidate, log } = this.#options
    const kept = candidate.target?.namespace
    if (route.namespace === kept || this.#toldNamespace) return
    this.#toldNamespace = true
    log.warn(
      { named: route.namespace, kept },
      'Flink names another namespace (kubernetes.namespace): its HA data is kept here',
    )
  }

  #isLock(name: string | undefined): boolean {
    return name === this.#options.candidate.target?.name
  }

  #changed(): void {
    const { candidate, clock } = this.#options
    if (!candidate.ready()) {
      // Whoever was stopped finds questions that nobody waits for any more: an answer to those is not taken for told.
      if (this.#claimedToken !== undefined && candidate.endedLateMs > STALL_MS) {
        this.#believes = true
        this.#believesUntilMs = clock.monoMs() + TOLD_MS
      }
      this.#claimedToken = undefined
    }
    // A term that is gone on with after a restart was claimed before it.
    else if (candidate.jvm.expected !== '' && candidate.jvm.expected === candidate.jvm.identity)
      this.#claimedToken = this.#publishedToken = candidate.token
    this.#jobs.forget()
    for (const release of [...this.#held]) release()
    for (const go of [...this.#resuming]) go()
    this.watchers.changed()
  }

  /** Whether a term of an earlier process of this sidecar is about to be gone on with. */
  #expecting(): boolean {
    const { candidate } = this.#options
    return candidate.jvm.expected !== '' && !candidate.ready()
  }

  /** A JVM that outlived its sidecar is not refused in the moment before the term is gone on with. */
  async #resumed(): Promise<void> {
    const { candidate, clock } = this.#options
    if (!this.#expecting()) return
    // Whatever it asks, it lives; that is what the term was waiting for.
    candidate.jvmEvent({ type: 'elector-heard' })
    await new Promise<void>(resolve => {
      const go = (): void => {
        if (this.#expecting() && clock.monoMs() < untilMs) return
        cancel()
        this.#resuming.delete(go)
        resolve()
      }
      const untilMs = clock.monoMs() + HOLD_MS
      const cancel = clock.after(HOLD_MS + 1, go)
      this.#resuming.add(go)
      go()
    })
  }

  /** Whether the JVM may write now. */
  #granted(): boolean {
    const { candidate } = this.#options
    return candidate.leading() && this.#claimedToken === candidate.token
  }

  #published(): boolean {
    return this.#granted() && this.#publishedToken === this.#options.candidate.token
  }

  // ---- reading ----

  async #read(
    request: IncomingMessage,
    response: ServerResponse,
    route: Route,
    scope: Scope,
    byFlink: boolean,
  ): Promise<void> {
    const { candidate } = this.#options
    if (route.name !== undefined && this.#isLock(route.name)) {
      if (byFlink) candidate.jvmEvent({ type: 'elector-heard' })
      return await this.#readLock(request, response, scope, byFlink)
    }
    if (route.name !== undefined) {
      if (scope === 'pod') return this.#count(request, response, 403, 'only the leader keys leave the pod', route.name)
      return this.#answerAs(request, response, await this.#jobs.read(route.name))
    }
    const selector = route.query.get('fieldSelector')
    const wanted = /^metadata\.name=(.+)$/.exec(selector ?? '')?.[1]
    const labels = route.query.get('labelSelector')
    if (wanted === undefined && !(labels ?? '').split(',').includes(`app=${candidate.target?.clusterId}`))
      return this.#count(
        request,
        response,
        403,
        'a list or watch has to name the lock or the labels of this Flink cluster',
      )
    if (wanted !== undefined && !this.#isLock(wanted))
      return this.#count(request, response, 403, `configmaps "${wanted}" cannot be listed or watched here`)
    if (byFlink && wanted === undefined) this.#oldDialect = true
    if (!(await this.#synced())) return this.#count(request, response, 503, 'the lock has not been read yet')
    if (route.query.get('watch') === 'true' || route.query.get('watch') === '1') {
      // A JVM that outlived its sidecar takes its watch up again within a second or so; a new one lists first.
      if (byFlink && this.#expecting()) candidate.jvmEvent({ type: 'elector-heard' })
      this.#options.metrics.gateway.inc({ verb: 'watch', outcome: '200' })
      this.watchers.add(response, route.query, scope, route.namespace)
      return
    }
    if (byFlink) {
      candidate.jvmEvent({ type: 'listed' })
      // It just started: there is nothing that it could believe.
      if (candidate.jvm.expected === '') this.#believes = false
    }
    const object = this.#shown(scope)
    const metadata = { resourceVersion: candidate.cached?.version ?? '' }
    const items = object === undefined ? [] : [object]
    this.#answer(request, response, 200, { kind: 'ConfigMapList', apiVersion: 'v1', metadata, items })
  }

  /** Waits for the first sight of the lock, as long as Flink waits for an answer. */
  async #synced(): Promise<boolean> {
    const { candidate, clock } = this.#options
    if (candidate.synced) return true
    return await new Promise<boolean>(resolve => {
      const off = candidate.onChange(() => {
        if (candidate.synced) done(true)
      })
      const cancel = clock.after(HOLD_MS, () => done(false))
      const done = (seen: boolean): void => {
        cancel()
        off()
        resolve(seen)
      }
    })
  }

  /** The lock as a reader of this scope is shown it; undefined when there is none. */
  #shown(scope: Scope): ConfigMap | undefined {
    const { candidate } = this.#options
    const object = candidate.cached?.object
    if (object === undefined) return undefined
    if (scope === 'local') return withRecord(object, this.#record())
    return leaderKeysOnly(withRecord(object, candidate.lock?.raw ?? ''))
  }

  #record(): string {
    const { candidate, clock } = this.#options
    const claim = this.#claim
    return virtualRecord(
      {
        holder: this.#holder(),
        leaseMs: claim?.record.leaseMs ?? candidate.jvm.leaseMs,
        acquireTime: claim?.record.acquireTime ?? '',
        transitions: claim?.record.transitions ?? candidate.lock?.record?.transitions ?? 0,
        spelling: claim?.spelling ?? 'number',
      },
      clock.wallUs(),
    )
  }

  #holder(): string {
    const { candidate } = this.#options
    if (this.#granted() && candidate.ready()) return candidate.jvm.identity
    // Whoever may believe in an ended term is shown another holder first: Flink 1.17 takes a vacant lock in a renewal and goes on.
    if (candidate.ready()) return this.#believes ? candidate.identity : ''
    const real = candidate.lock?.record?.holder ?? ''
    // A vacant lock is nothing for Flink to take: the sidecar stands for it, and until it leads, somebody else holds it.
    return real === '' ? candidate.identity : real
  }

  async #readLock(request: IncomingMessage, response: ServerResponse, scope: Scope, byFlink: boolean): Promise<void> {
    const { candidate } = this.#options
    if (!(await this.#synced())) return this.#count(request, response, 503, 'the lock has not been read yet')
    if (scope === 'pod' || !byFlink) {
      const object = this.#shown(scope)
      if (object === undefined)
        return this.#count(request, response, 404, 'configmaps not found', candidate.target?.name)
      return this.#answer(request, response, 200, object)
    }
    // Whoever may believe to lead is told at once; whoever only waits for leadership is answered when there is news.
    await this.#resumed()
    const isTold = this.#believes || this.#mayNotHaveHeard() || candidate.jvm.phase === 'stopped'
    if (candidate.ready() ? !this.#inDoubt() : isTold) return this.#tell(request, response)
    this.#hold(request, response)
  }

  /**
   * Whether our term may end before the JVM asks again, because a renewal is overdue. It is answered then as soon as that is
   * decided: an answer now would leave it in the belief that it leads until its next question, when another may lead.
   */
  #inDoubt(): boolean {
    const { candidate, retryMs } = this.#options
    return candidate.validForMs() < tickMs(candidate.jvm.leaseMs) && candidate.renewalAgeMs() > 1.5 * retryMs
  }

  #tell(request: IncomingMessage, response: ServerResponse): void {
    const { candidate } = this.#options
    const target = candidate.target
    if (target === undefined) return
    const version = candidate.cached?.version ?? ''
    const object =
      this.#shown('local') ??
      withRecord(placeholderLock(target.namespace, target.name, target.clusterId, version), this.#record())
    this.#believes = this.#granted() || this.#hasToHear()
    this.#answer(request, response, 200, object)
  }

  /**
   * Whether a JVM that believed to lead has yet to see another holder. Flink from 1.18 on notices a vacancy as well; 1.17 does
   * not, and is shown another for as long as its elector may not have asked.
   */
  #hasToHear(): boolean {
    const { clock } = this.#options
    if (!this.#believes) return false
    if (clock.monoMs() < this.#believesUntilMs) return true
    this.#toldLostMs ??= clock.monoMs()
    return this.#oldDialect && this.#mayNotHaveHeard()
  }

  /**
   * Whether it may have been another thread than the elector that was told (`hasLeadership` asks for the lock, too). For longer
   * than a period of the elector's renewals no question is held: one of an elector that believes on would be among them.
   */
  #mayNotHaveHeard(): boolean {
    const { clock, candidate } = this.#options
    return this.#toldLostMs !== undefined && clock.monoMs() < this.#toldLostMs + 1.2 * tickMs(candidate.jvm.leaseMs)
  }

  #hold(request: IncomingMessage, response: ServerResponse): void {
    const { clock, candidate } = this.#options
    const believed = this.#believes
    const release = (): void => {
      const waits = candidate.ready() ? this.#inDoubt() : !believed
      if (waits && !response.destroyed && clock.monoMs() < untilMs) return
      done()
      if (response.destroyed) return
      const waited = !candidate.ready() && !believed
      // Flink asks again 100 ms after a 503, but only 5 to 11 s after the *asking* of what was answered. One 503 in
      // between, and that time has passed when the answer comes: there is then nearly always a question in flight.
      if (waited && !this.#oldDialect && !this.#heldOnce) {
        this.#heldOnce = true
        this.#count(request, response, 503, 'no leadership yet, ask again')
        return
      }
      this.#heldOnce = false
      this.#tell(request, response)
    }
    const untilMs = clock.monoMs() + HOLD_MS
    const cancel = clock.after(HOLD_MS + 1, () => release())
    const done = (): void => {
      cancel()
      this.#held.delete(release)
    }
    this.#held.add(release)
    response.once('close', done)
    release()
  }

  // ---- writing ----

  async #write(request: IncomingMessage, response: ServerResponse, route: Route): Promise<void> {
    const { method = '' } = request
    if (!['POST', 'PUT', 'PATCH', 'DELETE'].includes(method))
      return this.#count(request, response, 405, `${method} is not served`)
    const body = await readJson(request)
    if (!body.ok) return this.#count(request, response, body.status, body.message, route.name)
    if ((method === 'POST') !== (route.name === undefined))
      return this.#count(request, response, 405, `${method} is not served on this path`)
    const name = route.name ?? nameIn(body.value)
    const problem = this.#outside({ ...route, name })
    if (problem !== undefined || name === undefined)
      return this.#count(request, response, name === undefined ? 422 : 403, problem ?? 'metadata.name is missing', name)
    // Who leads is not known before the lock was read: a JVM that outlived its sidecar is not refused for that.
    if (!(await this.#synced())) return this.#count(request, response, 503, 'the lock has not been read yet', name)
    await this.#resumed()
    if (!this.#isLock(name)) return await this.#writeJob(request, response, name, body.value)
    if (method === 'POST') return this.#count(request, response, 409, `configmaps "${name}" already exists`, name)
    if (method === 'DELETE') return await this.#deleteLock(request, response, name)
    await this.#writeLock(request, response, method as 'PUT' | 'PATCH', body.value)
  }

  /** A write of the JVM that must not be made: the answer that makes Flink look at the lock again. */
  #fence(request: IncomingMessage, response: ServerResponse, kind: string, why: string, name: string): void {
    this.#options.metrics.fenced.inc({ kind })
    this.#options.log.debug({ kind, why }, 'write refused')
    this.#count(request, response, 409, `Operation cannot be fulfilled on configmaps "${name}": ${why}`, name)
  }

  async #writeLock(
    request: IncomingMessage,
    response: ServerResponse,
    method: 'PUT' | 'PATCH',
    body: unknown,
  ): Promise<void> {
    const { candidate } = this.#options
    candidate.jvmEvent({ type: 'elector-heard' })
    const cached = candidate.cached
    const name = candidate.target?.name ?? ''
    const contentType = request.headers['content-type'] ?? ''
    const current = cached?.object
    const decision: LockWrite =
      current === undefined || cached === undefined
        ? { kind: 'stale' }
        : decideLockWrite({ method, contentType, body, current, dataSince: cached.dataSince })
    if (decision.kind === 'bad') return this.#count(request, response, decision.status, decision.message, name)
    if (decision.kind === 'release') return this.#released(request, response, body, name)
    if (!candidate.ready()) return this.#fence(request, response, 'lock', 'this pod does not lead', name)
    if (decision.kind === 'stale')
      return this.#count(request, response, 409, `configmaps "${name}" has been modified`, name)
    const refused = this.#take(decision.claim, versionIn(body))
    if (refused !== undefined) return this.#fence(request, response, 'claim', refused, name)
    this.#burst.write()
    if (decision.kind === 'data')
      return await this.#writeLockData(request, response, decision, cached?.dataSince ?? '', name)
    this.#answer(request, response, 200, this.#shown('local'))
  }

  /** Takes a claim or renewal; undefined when it stands, else why it does not. */
  #take(claim: Claim | undefined, version: string): string | undefined {
    const { candidate } = this.#options
    const { jvm, termVersion } = candidate
    const identity = claim?.record.holder ?? ''
    // Data without a readable record, or a record of nobody: only under a grant that stands already.
    if (claim === undefined || identity === '') return this.#granted() ? undefined : 'leadership has not been claimed'
    if (jvm.phase === 'stopped') return 'this JVM gave up leadership for good'
    if (jvm.expected !== '' && jvm.expected !== ANY_JVM && identity !== jvm.expected) {
      candidate.jvmEvent({ type: 'listed' })
      return 'the term was granted to another JVM'
    }
    if (jvm.identity !== '' && identity !== jvm.identity && this.#granted())
      return `leadership is claimed by "${jvm.identity}" already`
    // What was read before this term says nothing in it: a JVM that slept through somebody else's term has to see that
    // it lost leadership before it may claim it again, else it would go on with the old term's jobs.
    if (!this.#granted() && termVersion !== '') {
      if ((compareVersions(version, termVersion) ?? -1) < 0) return 'the lock was read before this term'
      if (this.#believes) return 'the end of the last term has not been seen'
    }
    this.#claim = claim
    this.#believes = true
    this.#toldLostMs = undefined
    candidate.jvmEvent({ type: 'claimed', identity, leaseMs: claim.record.leaseMs })
    this.#claimedToken = candidate.token
    this.#jobs.forget()
    return undefined
  }

  #released(request: IncomingMessage, response: ServerResponse, body: unknown, name: string): void {
    const { candidate, log } = this.#options
    // Only the JVM that leads can give leadership up.
    if (!this.#granted()) {
      this.#fence(request, response, 'claim', 'this pod does not lead', name)
      return
    }
    log.info({ version: versionIn(body) }, 'Flink gave up leadership')
    this.#believes = false
    candidate.jvmEvent({ type: 'stopped' })
    this.#tell(request, response)
  }

  async #writeLockData(
    request: IncomingMessage,
    response: ServerResponse,
    decision: LockWrite & { kind: 'data' },
    since: string,
    name: string,
  ): Promise<void> {
    const { candidate, metrics } = this.#options
    const data = candidate.cached?.object?.data ?? {}
    // Leader keys are written as long as Kubernetes takes them: without them nobody could lead.
    const grows = Object.entries(decision.patch).some(
      ([key, value]) => value !== null && !key.startsWith(LEADER_KEY_PREFIX),
    )
    const problem = grows ? oversize({ data }, { data: applyPatch(data, decision.patch) }) : undefined
    if (problem !== undefined) {
      metrics.oversize.inc({ kind: 'lock' })
      return this.#count(request, response, 413, `configmaps "${name}": ${problem}`, name)
    }
    const { token } = candidate
    const outcome = await candidate.writeData(decision.patch, since)
    if (outcome.result === 'not-leading')
      return this.#fence(request, response, 'lock', 'this pod no longer leads', name)
    if (outcome.result === 'stale')
      return this.#count(request, response, 409, `configmaps "${name}" has been modified`, name)
    if (outcome.result === 'failed') {
      const status = outcome.status >= 400 ? outcome.status : 503
      const isStatus = typeof outcome.body === 'object' && outcome.body !== null
      return this.#answer(request, response, status, isStatus ? outcome.body : failure(status, outcome.message))
    }
    if (decision.publishes) this.#publishedToken = token
    this.#answer(request, response, 200, withRecord(outcome.object, this.#record()))
    // The last of the process's own keys is gone: it is closing, and a standby can have the term now.
    if (decision.stops && this.#publishedToken === token) candidate.jvmEvent({ type: 'stopped' })
  }

  /**
   * Flink takes its leader keys back before it removes the lock, or has its own pod deleted (native mode), and with either we give the
   * term up. As long as nobody has taken the lock since, the removal is the end of that very term.
   */
  #mayRemove(): boolean {
    if (this.#granted()) return true
    const { lock, identity } = this.#options.candidate
    const holder = holderOf(lock)
    return lock?.token === this.#publishedToken && (holder === '' || holder === identity)
  }

  async #deleteLock(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    const { candidate, client } = this.#options
    const path = `${configMapsPath(candidate.target?.namespace ?? '')}/${name}`
    let answer: Answer
    let tries = 0
    do {
      if (tries > 0) await candidate.nextChange()
      if (candidate.cached !== undefined && candidate.cached.object === undefined) {
        if (candidate.removing) await candidate.removeLease()
        return this.#count(request, response, 404, `configmaps "${name}" not found`, name)
      }
      if (!this.#mayRemove()) return this.#fence(request, response, 'lock', 'this pod does not lead', name)
      // By version, as every write of a term: one that comes late finds the next term's.
      const { uid, resourceVersion } = candidate.cached?.object?.metadata ?? {}
      const options = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } }
      candidate.removing = true
      answer = await askUpstream(client, 'DELETE', path, options)
      // Without an answer it may yet be seen.
      candidate.removing = answer.status >= 500
    } while (answer.status === 409 && ++tries < DELETE_TRIES)
    // The cluster is at its end (`cleanupAllData`): nobody is to stand for it again.
    if (answer.status < 300 || answer.status === 404) {
      candidate.jvmEvent({ type: 'stopped' })
      await candidate.removeLease()
    }
    this.#answerAs(request, response, answer)
  }

  async #writeJob(request: IncomingMessage, response: ServerResponse, name: string, body: unknown): Promise<void> {
    const kept = inNamespace(body, this.#options.candidate.target?.namespace ?? '')
    const contentType = request.headers['content-type'] ?? 'application/json'
    this.#answerAs(request, response, await this.#jobs.write(request.method as JobMethod, name, kept, contentType))
  }
}

const namespaceAsked = (request: IncomingMessage): string | undefined =>
  configMapRoute(new URL(request.url ?? '/', 'http://flink-ha').pathname)?.namespace

const nameIn = (body: unknown): string | undefined => {
  const name = (body as { metadata?: { name?: unknown } } | null)?.metadata?.name
  return typeof name === 'string' ? name : undefined
}

const versionIn = (body: unknown): string => {
  const version = (body as { metadata?: { resourceVersion?: unknown } } | null)?.metadata?.resourceVersion
  return typeof version === 'string' ? version : ''
}

const verbOf = (request: IncomingMessage): string => (request.method ?? '').toLowerCase()
