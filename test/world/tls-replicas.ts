// An embedded API with our webhook configuration, and replicas that keep their certificates with it, on a virtual clock.
// The API's clock is the virtual one as well; a replica's own may differ.
import { KubeClient, type KubeResponse, type RequestInput } from '../../shared/kube-client.ts'
import type { Log } from '../../shared/log.ts'
import { BuiltinTls } from '../../webhook/tls-builtin.ts'
import type { Content } from '../../webhook/tls-content.ts'
import { contentOf, type Secret } from '../../webhook/tls-secret.ts'
import { type KubeObject, resourceOf } from './kube-resources.ts'
import { KubeServer, type SeenRequest } from './kube-server.ts'
import { VirtualClock } from './virtual-clock.ts'

export const NAMESPACE = 'flink-ha'
export const CONFIGURATION = 'flink-ha'
export const SECRET = 'flink-ha-tls'
export const NAMES = ['flink-ha-webhook.flink-ha.svc', 'flink-ha-webhook.flink-ha'] as const
export const DAY_MS = 86_400_000

/** Rounds of the event loop without any request after which the network is taken for quiet. */
const QUIET_ROUNDS = 100
/** And after which a request that is not answered yet is never going to be. */
const LOST_ROUNDS = 1_000
const MAX_ROUNDS = 200_000

/** Its answers carry the date of a virtual clock. */
export class DatedClient extends KubeClient {
  #dateMs: () => number

  constructor(url: string, name: string, dateMs: () => number) {
    super({ url, userAgent: name, monoMs: dateMs })
    this.#dateMs = dateMs
  }

  override async request(method: string, path: string, input: RequestInput): Promise<KubeResponse> {
    const answer = await super.request(method, path, input)
    return { ...answer, headers: { ...answer.headers, date: new Date(this.#dateMs()).toUTCString() } }
  }
}

/** Keeps what was logged. */
export class KeptLog implements Log {
  readonly lines: { level: string; message: string }[] = []
  debug(_: object, message: string): void {
    this.lines.push({ level: 'debug', message })
  }
  info(_: object, message: string): void {
    this.lines.push({ level: 'info', message })
  }
  warn(_: object, message: string): void {
    this.lines.push({ level: 'warn', message })
  }
  error(_: object, message: string): void {
    this.lines.push({ level: 'error', message })
  }
  /** How many lines of these levels or this text there are. */
  count(text: string | RegExp): number {
    return this.lines.filter(({ level, message }) => level === text || message.match(text) !== null).length
  }
}

export class TlsReplica {
  readonly name: string
  readonly log = new KeptLog()
  readonly tls: BuiltinTls
  /** What was served, oldest first. */
  readonly served: string[] = []
  leads = false
  skewMs = 0
  readonly client: KubeClient

  constructor(world: TlsWorld, name: string) {
    this.name = name
    const { clock } = world
    this.client = new DatedClient(world.server.url, name, clock.wallMs)
    this.tls = new BuiltinTls({
      client: this.client,
      clock,
      log: this.log,
      wallMs: () => clock.wallMs() + this.skewMs,
      leading: () => this.leads,
      namespace: NAMESPACE,
      secretName: SECRET,
      webhookConfiguration: CONFIGURATION,
      names: NAMES,
    })
    this.tls.onChange(({ certPem }) => this.served.push(certPem))
  }

  get certPem(): string | undefined {
    return this.tls.current()?.certPem
  }
  stop(): void {
    this.tls.stop()
    this.client.close()
  }
}

export class TlsWorld {
  readonly server = new KubeServer({ namespaces: [NAMESPACE] })
  readonly clock: VirtualClock
  replicas: TlsReplica[] = []

  constructor(clock = new VirtualClock()) {
    this.clock = clock
  }

  async listen(): Promise<void> {
    await this.server.listen()
  }
  replica(name: string, leads = false): TlsReplica {
    const replica = new TlsReplica(this, name)
    replica.leads = leads
    this.replicas.push(replica)
    return replica
  }
  async close(): Promise<void> {
    for (const replica of this.replicas) replica.stop()
    await this.server.close()
  }

  /** Two webhooks, as installed: without any bundle. */
  configure(annotations: { [name: string]: string } = {}): void {
    const service = { namespace: NAMESPACE, name: 'flink-ha-webhook', path: '/mutate' }
    const webhook = { clientConfig: { service }, sideEffects: 'NoneOnDryRun', admissionReviewVersions: ['v1'] }
    this.server.store.create(resourceOf('mutatingwebhookconfigurations'), '', {
      metadata: { name: CONFIGURATION, annotations },
      webhooks: [
        { name: 'inject.flink-ha.io', ...webhook },
        { name: 'ask.inject.flink-ha.io', ...webhook },
      ],
    })
  }
  get configuration(): KubeObject {
    return this.server.store.get(resourceOf('mutatingwebhookconfigurations'), '', CONFIGURATION)
  }
  /** The bundle of each webhook, in PEM. */
  get bundles(): string[] {
    const { webhooks } = this.configuration as unknown as { webhooks: { clientConfig: { caBundle?: string } }[] }
    return webhooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString('utf8'))
  }
  get secret(): Secret | undefined {
    return this.server.store.find(resourceOf('secrets'), NAMESPACE, SECRET) as Secret | undefined
  }
  get content(): Content {
    if (this.secret === undefined) throw new Error('there is no Secret')
    return contentOf(this.secret)
  }
  /** Writes that were answered with success. */
  writes(by: string): string[] {
    const isWrite = ({ method, status, userAgent }: SeenRequest): boolean =>
      method !== 'GET' && status >= 200 && status < 300 && userAgent === by
    return this.server.requests.filter(isWrite).map(({ method, path }) => `${method} ${path.split('/').at(-1)}`)
  }

  #unanswered(): number {
    return this.server.requests.filter(({ status }) => status === 0).length
  }

  /** Lets the network come to rest. */
  async rest(): Promise<void> {
    let seen = -1
    for (let quiet = 0; quiet < (this.#unanswered() > 0 ? LOST_ROUNDS : QUIET_ROUNDS); quiet++) {
      if (this.server.requests.length !== seen || this.replicas.some(({ tls }) => tls.working)) quiet = 0
      seen = this.server.requests.length
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  /** @throws Error when it does not come true */
  async until(isTrue: () => boolean, what: string): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      if (isTrue()) return
      await new Promise(resolve => setImmediate(resolve))
    }
    throw new Error(`${what}: did not come true`)
  }
  /** Time passes; what it brings about is done, with watches that broke opened again. */
  async live(ms: number): Promise<void> {
    this.clock.jump(ms)
    await this.rest()
    // Twice the look: one for what is due, one for what that brings.
    for (let round = 0; round < 4; round++) {
      this.clock.advance(5_000)
      await this.rest()
    }
  }
}
