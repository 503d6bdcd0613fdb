/**
 * Makes "label the namespace" enough, and undoes it when the label goes: the shell around `reconcile.ts`. Acts only while it
 * leads, one change at a time; each is a compare-and-set, a create of what has a fixed name, or a delete of the very object
 * that was judged, so that one which arrives late, from a leader that was, does no harm.
 *
 * Level-triggered: a change of anything in a namespace only marks it; what is to be done is decided from what is there then.
 * So nothing is lost by a missed event, an error, a restart or a change of leader.
 */
import type { Clock } from '../shared/clock.ts'
import { Informer, selecting } from '../shared/informer.ts'
import type { KubeClient } from '../shared/kube-client.ts'
import type { KubeObject } from '../shared/list-watch.ts'
import { attempt } from '../shared/lock-writes.ts'
import type { Log } from '../shared/log.ts'
import { LABEL_INJECTION, LABEL_MANAGED_BY } from '../shared/names.ts'
import {
  type Change,
  collectionOf,
  FINDING_REASONS,
  type Finding,
  type FindingReason,
  MAX_BACKOFF_MS,
  Retries,
  requestOf,
} from './change.ts'
import { MANAGED_BY } from './cluster-objects.ts'
import { isReservedNamespace } from './decide.ts'
import type { Events } from './events.ts'
import { JOB_MANAGERS, NamespaceWatch } from './namespace-watch.ts'
import { memberOf } from './pod.ts'
import { findOwnedHaConfigMaps, planOf } from './reconcile.ts'
import { Reporter } from './reporter.ts'
import { isWithUs, type Meta, metaOf, type RoleBindingFacts, roleBindingOf } from './workload.ts'

export type ReconcilerOptions = {
  client: KubeClient
  clock: Clock
  log: Log
  /** Asked all the time, and before each write. */
  leading: () => boolean
  /** Our own, which is left alone. */
  namespace: string
  events: Events
  random?: () => number
}

/** What follows what, such as a Deployment its Service, comes within this time and is looked at together. */
const DEBOUNCE_MS = 100
const LEADING_MS = 1_000
/** Everything is looked at again, whatever the watches said. */
const RESYNC_MS = 600_000
const REQUEST_TIMEOUT_MS = 10_000

/** A namespace that we work in, and when next. */
type Work = {
  watch: NamespaceWatch
  cancel: () => void
  /** Infinity: not before something changes. */
  dueMs: number
  retries: Retries
  /** Whether the HA ConfigMaps are to be looked at. */
  isHaDue: boolean
  /** What the last looks found, at all that is followed and at the HA ConfigMaps. */
  found: { followed: readonly Finding[]; ha: readonly Finding[] }
}

const NOTHING = { followed: [], ha: [] }
export type Findings = { [reason in FindingReason]: number }

/** While leading: what is watched. */
type Watches = {
  namespaces: Informer<{ metadata: Meta }>
  /** Those that are ours, everywhere: what is left of a label that is gone. */
  services: Informer<{ metadata: Meta }>
  roleBindings: Informer<RoleBindingFacts>
  /** All JobManagers': those that have or ask for a sidecar make a namespace ours that is not labelled. */
  pods: Informer<{ metadata: Meta }>
  works: Map<string, Work>
}

export class Reconciler {
  #options: ReconcilerOptions
  #isStarted = false
  #watches: Watches | undefined
  #cancels: (() => void)[] = []
  #isBusy = false
  #reporter: Reporter

  constructor(options: ReconcilerOptions) {
    this.#options = options
    this.#reporter = new Reporter(options.log, options.events)
  }

  /** Works while it leads, until `stop`. */
  start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    this.#every(LEADING_MS, () => this.#followLeadership())
    this.#every(RESYNC_MS, () => this.#resync())
    this.#followLeadership()
  }

  /** How much there is that somebody has to put right, as last seen; nothing while it does not lead. */
  findings(): Findings {
    const found = [...(this.#watches?.works.values() ?? [])].flatMap(({ found }) => [...found.followed, ...found.ha])
    const count = (reason: FindingReason): number => found.filter(finding => finding.reason === reason).length
    return Object.fromEntries(FINDING_REASONS.map(reason => [reason, count(reason)])) as Findings
  }

  stop(): void {
    this.#isStarted = false
    for (const cancel of this.#cancels.splice(0)) cancel()
    this.#close()
  }

  #every(periodMs: number, run: () => void): void {
    const { clock } = this.#options
    const cancel = clock.after(periodMs, () => {
      this.#cancels = this.#cancels.filter(other => other !== cancel)
      run()
      if (this.#isStarted) this.#every(periodMs, run)
    })
    this.#cancels.push(cancel)
  }

  #followLeadership(): void {
    const leading = this.#options.leading()
    if (leading && this.#watches === undefined) this.#open()
    if (!leading) this.#close()
  }

  #open(): void {
    const { log } = this.#options
    log.info({}, 'reconciling')
    const query = selecting(`${LABEL_MANAGED_BY}=${MANAGED_BY}`)
    const ofPods = { metadataOnly: true, query: JOB_MANAGERS, judge: isWithUs }
    const keepMeta = (object: KubeObject): { metadata: Meta } => ({ metadata: metaOf(object) })
    const watches: Watches = {
      namespaces: this.#follow('/api/v1/namespaces', keepMeta, { metadataOnly: true }, ({ name }) => name),
      services: this.#follow(collectionOf('Service'), keepMeta, { metadataOnly: true, query }),
      roleBindings: this.#follow(collectionOf('RoleBinding'), roleBindingOf, { query }),
      pods: this.#follow(collectionOf('Pod'), keepMeta, ofPods),
      works: new Map(),
    }
    this.#watches = watches
    for (const informer of informersOf(watches)) {
      informer.start()
      void informer.synced.then(() => this.#adjustAll())
    }
  }

  #follow<T extends { metadata: Meta }>(
    collection: string,
    keep: (object: KubeObject) => T,
    { judge, ...extra }: { query?: string; metadataOnly?: boolean; judge?: (object: T) => boolean },
    namespaceOf: (metadata: Meta) => string = ({ namespace }) => namespace ?? '',
  ): Informer<T> {
    const { client, clock, log } = this.#options
    return new Informer<T>({
      client,
      clock,
      collection,
      keep,
      onChange: (after, before) => {
        // Of what changes all the time, only a change of this answer is news.
        const answers = [after, before].map(object => object !== undefined && judge?.(object))
        if (judge !== undefined && answers[0] === answers[1]) return
        const { metadata } = (after ?? before) as T
        this.#adjust(namespaceOf(metadata))
      },
      onProblem: problem => log.warn({ collection, problem }, 'lost sight of the cluster, trying again'),
      ...extra,
    })
  }

  #close(): void {
    const watches = this.#watches
    if (watches === undefined) return
    this.#watches = undefined
    for (const informer of informersOf(watches)) informer.stop()
    for (const work of watches.works.values()) this.#end(work)
  }

  #end(work: Work): void {
    work.cancel()
    work.watch.stop()
  }

  #adjustAll(): void {
    const watches = this.#watches
    if (watches === undefined) return
    for (const { metadata } of watches.namespaces.all()) this.#adjust(metadata.name)
  }

  /** Begins or ends to work in a namespace, and has it looked at. */
  #adjust(namespace: string): void {
    const watches = this.#watches
    // On half of the picture a namespace without its label looks like one that lost it.
    if (watches === undefined || !informersOf(watches).every(informer => informer.isSynced())) return
    const known = watches.works.get(namespace)
    if (!this.#isOfInterest(watches, namespace)) {
      if (known !== undefined) this.#end(known)
      watches.works.delete(namespace)
      return
    }
    if (known !== undefined) return this.#mark(known)
    const { client, clock, log } = this.#options
    const onChange = (): void => this.#mark(work)
    const watch = new NamespaceWatch({ client, clock, log, namespace, onChange })
    const work: Work = {
      watch,
      cancel: () => {},
      dueMs: Infinity,
      retries: new Retries(),
      isHaDue: true,
      found: NOTHING,
    }
    watches.works.set(namespace, work)
    watch.start()
  }

  #isOfInterest(watches: Watches, name: string): boolean {
    const namespace = watches.namespaces.get('', name)?.metadata
    // One that is being deleted takes everything along by itself.
    if (namespace === undefined || namespace.deletionTimestamp !== undefined) return false
    if (isReservedNamespace(name, this.#options.namespace)) return false
    const ours = [...watches.services.all(), ...watches.roleBindings.all(), ...watches.pods.all().filter(isWithUs)]
    return asks(namespace) || ours.some(({ metadata }) => metadata.namespace === name)
  }

  #mark(work: Work, delayMs = DEBOUNCE_MS): void {
    const { clock } = this.#options
    const dueMs = clock.monoMs() + delayMs
    if (work.dueMs <= dueMs) return
    work.cancel()
    work.dueMs = dueMs
    work.cancel = clock.after(delayMs, () => void this.#drain(work))
  }

  /** One namespace at a time; one that comes meanwhile waits. */
  async #drain(work: Work): Promise<void> {
    work.dueMs = Infinity
    if (this.#isBusy) return this.#mark(work)
    this.#isBusy = true
    try {
      await this.#reconcile(work)
    } catch (error) {
      // Nothing of this may end the process, which has pods to admit.
      this.#options.log.error({ namespace: work.watch.namespace, problem: String(error) }, 'reconciling failed')
      this.#mark(work, MAX_BACKOFF_MS)
    } finally {
      this.#isBusy = false
    }
  }

  /** Whether we still may, and still have to. */
  #isCurrent(work: Work): boolean {
    return this.#options.leading() && this.#watches?.works.get(work.watch.namespace) === work
  }

  async #reconcile(work: Work): Promise<void> {
    const { namespace } = work.watch
    if (!this.#isCurrent(work) || !work.watch.isSynced()) return
    const watches = this.#watches as Watches
    const roleBindings = watches.roleBindings.all().filter(({ metadata }) => metadata.namespace === namespace)
    const isAsking = asks(watches.namespaces.get('', namespace)?.metadata)
    const { changes, findings } = planOf({ ...work.watch.observed(), asks: isAsking, roleBindings })
    if (!isAsking) work.isHaDue = true
    work.found = { followed: findings, ha: isAsking ? work.found.ha : [] }
    for (const finding of findings) this.#reporter.found(finding)
    await this.#performAll(changes, work)
    if (isAsking && this.#isCurrent(work)) await this.#lookAtHaConfigMaps(work)
  }

  async #performAll(changes: readonly Change[], work: Work): Promise<void> {
    const { clock, random = Math.random } = this.#options
    const failing: Change[] = []
    for (const change of changes) {
      const isDue = work.retries.isDue(change, clock.monoMs())
      if (isDue && !this.#isCurrent(work)) return
      if (isDue && (await this.#perform(change, work))) continue
      failing.push(change)
      if (isDue) work.retries.failed(change, clock.monoMs(), random())
    }
    work.retries.keep(failing)
    const nextMs = work.retries.nextMs()
    if (nextMs !== undefined) this.#mark(work, Math.max(DEBOUNCE_MS, nextMs - clock.monoMs()))
  }

  async #perform(change: Change, work: Work): Promise<boolean> {
    const { client } = this.#options
    const { verb, owners = [] } = change
    const { method, path, ...request } = requestOf(change)
    const problem = await work.watch.ownerProblem(owners)
    if (!this.#isCurrent(work)) return false
    const timeoutMs = REQUEST_TIMEOUT_MS
    const outcome = problem ?? (await attempt(client.request(method, path, { ...request, timeoutMs })))
    const isDone = outcome.result === 'done'
    if (isDone) this.#reporter.done(change)
    // What is to be deleted is gone.
    else if (verb !== 'delete' || outcome.status !== 404)
      this.#reporter.failed(change, outcome, work.retries.failures(change))
    return isDone || (verb === 'delete' && outcome.status === 404)
  }

  async #lookAtHaConfigMaps(work: Work): Promise<void> {
    if (!work.isHaDue) return
    work.isHaDue = false
    const { namespace } = work.watch
    try {
      const findings = findOwnedHaConfigMaps(namespace, await work.watch.listHaConfigMaps())
      work.found = { ...work.found, ha: findings }
      for (const finding of findings) this.#reporter.found(finding)
    } catch (error) {
      this.#options.log.debug({ namespace, problem: String(error) }, 'the HA ConfigMaps cannot be listed')
    }
  }

  #resync(): void {
    for (const work of this.#watches?.works.values() ?? []) {
      work.isHaDue = true
      work.watch.retryForbidden()
      this.#mark(work)
    }
  }
}

const asks = (namespace: Meta | undefined): boolean => memberOf(namespace?.labels, LABEL_INJECTION) === 'enabled'
const informersOf = (watches: Watches) => [watches.namespaces, watches.services, watches.roleBindings, watches.pods]
