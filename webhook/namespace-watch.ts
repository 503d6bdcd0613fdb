// All that the reconciler knows of one namespace, kept up to date. A watch for each kind in each namespace with Flink clusters of
// ours: these are few, and watches of whole clusters would carry every Deployment and Pod of everybody else.
import type { Clock } from '../shared/clock.ts'
import { Informer, selecting } from '../shared/informer.ts'
import { ACCEPT_METADATA_LIST, type KubeClient } from '../shared/kube-client.ts'
import { type KubeObject, messageOf } from '../shared/list-watch.ts'
import { attempt, type WriteOutcome } from '../shared/lock-writes.ts'
import type { Log } from '../shared/log.ts'
import { FLINK_TYPE_LABEL, LABEL_COMPONENT } from '../shared/names.ts'
import { collectionOf, type Kind } from './change.ts'
import type { Observed } from './reconcile.ts'
import {
  type InjectedPod,
  injectedPodOf,
  type Meta,
  metaOf,
  type ServiceFacts,
  serviceOf,
  type Workload,
  type WorkloadKind,
  workloadOf,
} from './workload.ts'

export type NamespaceWatchOptions = {
  client: KubeClient
  clock: Clock
  log: Log
  namespace: string
  /** Something may have to be done. */
  onChange: () => void
}

type Failed = Exclude<WriteOutcome, { result: 'done' }>

export const JOB_MANAGERS = selecting(`${LABEL_COMPONENT}=jobmanager`)
/**
 * Flink's native mode puts the first label on what it makes, and on the HA ConfigMaps in every mode; Flink 1 the second one on
 * the latter. These change with each renewal of a leader: they are not followed but listed now and then. What else has the
 * first label has an owner from Flink. HA ConfigMaps that have neither are followed like any other.
 */
const [NATIVE, HA] = [`${FLINK_TYPE_LABEL.name}=${FLINK_TYPE_LABEL.value}`, 'configmap-type=high-availability']
const FLINKS_OWN = [selecting(NATIVE), selecting(`${HA},${NATIVE.replace('=', '!=')}`)]
const NOT_FLINKS_OWN = selecting([NATIVE, HA].map(label => label.replace('=', '!=')).join())
const REQUEST_TIMEOUT_MS = 10_000

export class NamespaceWatch {
  readonly namespace: string
  #options: NamespaceWatchOptions
  #workloads: Informer<Workload>[]
  #pods: Informer<InjectedPod>
  #services: Informer<ServiceFacts>
  #configMaps: Informer<{ metadata: Meta }>
  /** Rights over ConfigMaps may have been taken from us: then these are left out, until they can be listed again. */
  #withoutConfigMaps = false
  #isStopped = false

  constructor(options: NamespaceWatchOptions) {
    this.#options = options
    this.namespace = options.namespace
    const kinds: WorkloadKind[] = ['Deployment', 'StatefulSet', 'Job']
    this.#workloads = kinds.map(kind => this.#follow(kind, object => workloadOf(kind, object)))
    this.#pods = this.#follow('Pod', injectedPodOf, { query: JOB_MANAGERS })
    this.#services = this.#follow('Service', serviceOf)
    this.#configMaps = this.#followConfigMaps()
  }

  #followConfigMaps(): Informer<{ metadata: Meta }> {
    return this.#follow('ConfigMap', object => ({ metadata: metaOf(object) }), {
      query: NOT_FLINKS_OWN,
      metadataOnly: true,
      onForbidden: problem => {
        if (this.#withoutConfigMaps) return
        const { log, namespace, onChange } = this.#options
        log.warn({ namespace, problem }, 'ConfigMaps cannot be followed: Flink’s configuration gets no owner')
        this.#withoutConfigMaps = true
        onChange()
      },
    })
  }

  #follow<T extends KubeObject>(
    kind: Kind,
    keep: (object: KubeObject) => T,
    extra: { query?: string; metadataOnly?: boolean; onForbidden?: (problem: string) => void } = {},
  ): Informer<T> {
    const { client, clock, log, namespace, onChange } = this.#options
    return new Informer<T>({
      client,
      clock,
      collection: collectionOf(kind, namespace),
      keep,
      // A pod's probes and a workload's counts change all the time; what is kept of them does not.
      onChange: (after, before) => {
        if (!isSame(after, before)) onChange()
      },
      onProblem: problem => log.warn({ namespace, kind, problem }, 'lost sight of a namespace, trying again'),
      ...extra,
    })
  }

  start(): void {
    for (const informer of this.#informers()) {
      informer.start()
      void informer.synced.then(this.#options.onChange)
    }
  }
  stop(): void {
    this.#isStopped = true
    for (const informer of this.#informers()) informer.stop()
  }
  /** Asks again for what was forbidden: a right may be there by now, or its lack may have been a moment of a binding's change. */
  retryForbidden(): void {
    if (!this.#withoutConfigMaps || this.#isStopped) return
    this.#configMaps.stop()
    const again = this.#followConfigMaps()
    this.#configMaps = again
    again.start()
    void again.synced.then(() => {
      this.#withoutConfigMaps = false
      this.#options.onChange()
    })
  }
  /** Nothing is decided on half of a namespace. */
  isSynced(): boolean {
    return this.#informers().every(informer => informer.isSynced() || this.#isLeftOut(informer))
  }

  observed(): Omit<Observed, 'asks' | 'roleBindings'> {
    return {
      namespace: this.namespace,
      workloads: this.#workloads.flatMap(informer => informer.all()),
      pods: this.#pods.all(),
      services: this.#services.all(),
      configMaps: this.#withoutConfigMaps ? [] : this.#configMaps.all().map(({ metadata }) => metadata),
    }
  }

  /** The HA ConfigMaps that are not followed as they are now, as far as we may read them. @throws Error */
  async listHaConfigMaps(): Promise<Meta[]> {
    return (await Promise.all(FLINKS_OWN.map(query => this.#listConfigMaps(query)))).flat()
  }

  async #listConfigMaps(query: string): Promise<Meta[]> {
    const path = `${collectionOf('ConfigMap', this.namespace)}?${query}`
    const accept = ACCEPT_METADATA_LIST
    const { status, body } = await this.#options.client.request('GET', path, { accept, timeoutMs: REQUEST_TIMEOUT_MS })
    if (status !== 200) throw new Error(`list of ConfigMaps answered ${status}: ${messageOf(body)}`)
    return ((body as { items?: KubeObject[] }).items ?? []).map(metaOf)
  }

  /**
   * Why these cannot become owners now; undefined: they can. Read live, for our own sight may be old: the garbage collector
   * deletes an object whose owner is not there under this uid, a new object with the name of an old one too. Who goes after
   * this answer takes along what was just given to him, as he would have a moment later.
   */
  async ownerProblem(owners: readonly Workload[]): Promise<Failed | undefined> {
    for (const { kind, metadata } of owners) {
      const query = `fieldSelector=${encodeURIComponent(`metadata.name=${metadata.name}`)}`
      const path = `${collectionOf(kind, this.namespace)}?${query}`
      const accept = ACCEPT_METADATA_LIST
      const read = await attempt(this.#options.client.request('GET', path, { accept, timeoutMs: REQUEST_TIMEOUT_MS }))
      if (read.result !== 'done') return read
      const present = (read.body as { items?: KubeObject[] }).items?.map(metaOf)[0]
      if (present?.uid !== metadata.uid || present?.deletionTimestamp !== undefined)
        return {
          result: 'conflict',
          status: 404,
          body: undefined,
          message: `its owner, ${kind} ${metadata.name} with uid ${metadata.uid}, is gone or going`,
          retryAfterMs: undefined,
        }
    }
    return undefined
  }

  #informers() {
    return [...this.#workloads, this.#pods, this.#services, this.#configMaps]
  }
  #isLeftOut(informer: unknown): boolean {
    return this.#withoutConfigMaps && informer === this.#configMaps
  }
}

/** But for the version, which each write of whatever else changes. */
const isSame = (a: KubeObject | undefined, b: KubeObject | undefined): boolean => textOf(a) === textOf(b)
const textOf = (object: KubeObject | undefined): string =>
  object === undefined ? '' : JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion: '' } })
