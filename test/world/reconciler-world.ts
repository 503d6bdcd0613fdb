// Replicas of the reconciler on an embedded API, and what a user does beside them.
import { KubeClient } from '../../shared/kube-client.ts'
import type { Log } from '../../shared/log.ts'
import { Events } from '../../webhook/events.ts'
import { Reconciler } from '../../webhook/reconciler.ts'
import { type KubeObject, resourceOf } from './kube-resources.ts'
import { KubeServer } from './kube-server.ts'
import { SteppedClock } from './stepped-clock.ts'

const LABEL = 'flink-ha.io/injection'

export class ReconcilerWorld {
  readonly server = new KubeServer({ namespaces: ['flink', 'other', 'flink-ha'] })
  readonly clock = new SteppedClock()
  readonly warnings: string[] = []
  #clients: KubeClient[] = []
  #reconcilers: Reconciler[] = []

  /** Starts a replica. */
  replica(leading = { now: true }, name = 'one'): Reconciler {
    const { clock } = this
    const client = new KubeClient({ url: this.server.url, userAgent: `test ${name}`, monoMs: clock.monoMs })
    const warn = (fields: object, message: string): void =>
      void this.warnings.push(`${message} ${JSON.stringify(fields)}`)
    const log: Log = { debug() {}, info() {}, warn, error: warn }
    const events = new Events({ client, clock, log, instance: name })
    const options = { client, clock, log, leading: () => leading.now, namespace: 'flink-ha', events, random: () => 0.5 }
    const reconciler = new Reconciler(options)
    this.#clients.push(client)
    this.#reconcilers.push(reconciler)
    reconciler.start()
    return reconciler
  }
  async close(): Promise<void> {
    for (const reconciler of this.#reconcilers) reconciler.stop()
    for (const client of this.#clients) client.close()
    await this.server.close()
  }

  label(namespace: string, value: string | null = 'enabled'): void {
    this.server.store.patch(resourceOf('namespaces'), '', namespace, 'merge', {
      metadata: { labels: { [LABEL]: value } },
    })
  }
  create(plural: string, object: object, namespace = 'flink'): KubeObject {
    return this.server.store.create(resourceOf(plural), namespace, object)
  }
  patch(plural: string, name: string, patch: object): KubeObject {
    return this.server.store.patch(resourceOf(plural), 'flink', name, 'merge', patch)
  }
  delete(plural: string, name: string, namespace = 'flink'): void {
    this.server.store.delete(resourceOf(plural), namespace, name)
  }
  find(plural: string, name: string, namespace = 'flink'): KubeObject | undefined {
    return this.server.store.find(resourceOf(plural), namespace, name)
  }
  owners(plural: string, name: string): string[] {
    return (this.find(plural, name)?.metadata.ownerReferences ?? []).map(owner => `${owner.kind} ${owner.name}`)
  }
  names(plural: string, namespace = 'flink'): string[] {
    return this.server.store.list(resourceOf(plural), namespace).map(({ metadata }) => metadata.name)
  }
  events(): string[] {
    return this.server.store.list(resourceOf('events'), 'flink').map(event => String(event['reason']))
  }
  until(isSo: () => boolean, what: string): Promise<void> {
    return this.clock.until(isSo, what)
  }
  /** All writes but those of Events. */
  writes(): string[] {
    return this.server.requests
      .filter(({ verb, path }) => ['create', 'patch', 'delete', 'update'].includes(verb) && !path.endsWith('/events'))
      .map(({ verb, path }) => `${verb} ${path}`)
  }
}
