// Mode `builtin`: the CA and the server certificate are in one Secret, which every replica follows and serves from. One
// writer: the leading replica, or one that has nothing to serve at all. Every write is a compare-and-set on the version that
// was read just before, so two that believe themselves the writer cannot undo each other.
import type { Clock } from '../shared/clock.ts'
import type { KubeClient, KubeResponse } from '../shared/kube-client.ts'
import { ListWatch, messageOf, type Sight } from '../shared/list-watch.ts'
import type { Log } from '../shared/log.ts'
import { isStale } from '../shared/resource-version.ts'
import { type Content, carryOut, holdingsOf } from './tls-content.ts'
import { plan, type Step } from './tls-plan.ts'
import { BundlePublisher } from './tls-publisher.ts'
import { contentOf, newSecret, type Secret, secretWith } from './tls-secret.ts'
import { type KeyPair, ServedPair } from './tls-served.ts'

export type BuiltinOptions = {
  client: KubeClient
  clock: Clock
  log: Log
  wallMs: () => number
  leading: () => boolean
  namespace: string
  secretName: string
  webhookConfiguration: string
  /** The first one is what clients call the server by. */
  names: readonly [string, ...string[]]
}

const TIMEOUT_MS = 5_000
/** How often it is asked whether something is due; no request is made for the question. */
const LOOK_MS = 5_000
/** Steps and lost races in one go; what is left over waits for the next look. */
const MAX_TURNS = 4
/** From here on the difference between our clock and the API server's is worth a word. */
const NOTABLE_SKEW_MS = 60_000

type Judged = { step: Step; content: Content | undefined }

export class BuiltinTls {
  #options: BuiltinOptions
  #served: ServedPair
  #publisher: BundlePublisher
  #watch: ListWatch<Secret>
  /** Undefined until the API has answered once; then the Secret, or that there is none. */
  #seen: { secret: Secret | undefined; version: string } | undefined
  /** The last content that was good, with the CA's key: what a deleted Secret is made of again. */
  #remembered: Content | undefined
  /** We made the Secret while nobody led, and nobody has published its bundle yet. */
  #madeFirst = false
  #toldSkew = false
  #working = false
  #stopped = false
  #cancelLook: () => void = () => {}
  #said = ''

  constructor(options: BuiltinOptions) {
    this.#options = options
    const { client, clock, log, names, wallMs, namespace, secretName, webhookConfiguration: name } = options
    this.#served = new ServedPair({ names: [names[0]], wallMs, log })
    // Before anybody leads for the first time, who made the Secret publishes its bundle.
    const mayPublish = (): boolean => options.leading() || this.#madeFirst
    this.#publisher = new BundlePublisher({ client, clock, log, name, mayWrite: mayPublish })
    this.#watch = new ListWatch<Secret>({
      client,
      clock,
      collection: this.#collection,
      name: secretName,
      onSight: sight => this.#see(sight),
      onProblem: problem => this.#say(`Secret ${namespace}/${secretName} cannot be watched: ${problem}`),
    })
  }

  current(): KeyPair | undefined {
    return this.#served.current
  }
  onChange(listener: (pair: KeyPair) => void): void {
    this.#served.onChange(listener)
  }

  /** Resolves when there is a pair to serve. */
  start(): Promise<void> {
    this.#publisher.start()
    void this.#watch.run()
    this.#cancelLook = this.#options.clock.after(LOOK_MS, () => this.#look())
    return this.#served.first
  }

  stop(): void {
    this.#stopped = true
    this.#cancelLook()
    this.#watch.stop()
    this.#publisher.stop()
    this.#served.stop()
  }

  /** Whether a step is being carried out. */
  get working(): boolean {
    return this.#working
  }

  get #collection(): string {
    return `/api/v1/namespaces/${this.#options.namespace}/secrets`
  }

  /** Time has passed: a certificate may be due, another replica's may be valid by now, or we lead. */
  #look(): void {
    this.#cancelLook = this.#options.clock.after(LOOK_MS, () => this.#look())
    const bundle = this.#remembered?.caPem ?? ''
    if (this.#options.leading() || this.#publisher.knownForMs(bundle) !== undefined) this.#madeFirst = false
    this.#serve()
    void this.#work()
    this.#publisher.look()
  }

  #see({ object, version, listed }: Sight<Secret>): void {
    // Our own write's answer may overtake the watch.
    if (!listed && this.#seen !== undefined && isStale(this.#seen.version, version)) return
    this.#take(object, version)
    void this.#work()
  }

  #take(secret: Secret | undefined, version: string): void {
    this.#seen = { secret, version }
    if (secret !== undefined) {
      const content = contentOf(secret)
      const { kind } = holdingsOf(content, this.#options.names[0])
      if (kind === 'ours') this.#remembered = content
      if (kind === 'given') this.#remembered = undefined
      // The bundle first: what is served is signed by a CA that is in it.
      if (kind !== 'spoilt') this.#publisher.want(content.caPem)
    }
    this.#serve()
  }

  #serve(): void {
    const secret = this.#seen?.secret
    if (secret !== undefined) this.#served.offer(contentOf(secret))
  }

  #judge(secret: Secret | undefined, nowMs: number): Judged {
    const name = this.#options.names[0]
    const content = secret && contentOf(secret)
    const held = content && holdingsOf(content, name)
    const remembered = this.#remembered
    const lost = (held === undefined || held.kind === 'spoilt') && remembered !== undefined
    if (lost)
      return {
        step: plan({ held: holdingsOf(remembered, name), lost, nowMs, knownForMs: undefined }),
        content: remembered,
      }
    return { step: plan({ held, lost, nowMs, knownForMs: this.#publisher.knownForMs(content?.caPem ?? '') }), content }
  }

  #mayWrite(): boolean {
    return !this.#stopped && (this.#options.leading() || this.#served.current === undefined)
  }

  /** Does what is due, once it is certain that it is: the Secret is read again, and the API server's clock counts. */
  async #work(): Promise<void> {
    if (this.#working || this.#seen === undefined || !this.#mayWrite()) return
    if (this.#judge(this.#seen.secret, this.#options.wallMs()).step.do === 'use') return
    this.#working = true
    try {
      for (let turn = 0; turn < MAX_TURNS && this.#mayWrite(); turn++) if (await this.#turn()) break
      this.#said = ''
    } catch (error) {
      this.#say((error as Error).message)
    } finally {
      this.#working = false
    }
  }

  /** True when nothing is left to do. */
  async #turn(): Promise<boolean> {
    const { client, names, log, secretName } = this.#options
    const answer = await client.request('GET', `${this.#collection}/${secretName}`, { timeoutMs: TIMEOUT_MS })
    if (answer.status !== 200 && answer.status !== 404) throw refusal('read', answer)
    const secret = answer.status === 200 ? (answer.body as Secret) : undefined
    const nowMs = this.#timeOf(answer)
    const { step, content } = this.#judge(secret, nowMs)
    if (step.do === 'use') {
      if (secret !== undefined) this.#take(secret, secret.metadata.resourceVersion ?? '')
      return true
    }
    log.info({ step: step.do, secret: secretName }, `TLS: ${step.why}`)
    const next = await carryOut(step, content, names, nowMs)
    const written = await this.#write(secret, next)
    if (written === undefined) return false
    this.#madeFirst = secret === undefined && !this.#options.leading()
    this.#take(written, written.metadata.resourceVersion ?? '')
    this.#publisher.look()
    return false
  }

  /** Undefined when somebody else was first. */
  async #write(secret: Secret | undefined, content: Content): Promise<Secret | undefined> {
    const { client, secretName } = this.#options
    const answer =
      secret === undefined
        ? await client.request('POST', this.#collection, {
            body: newSecret(secretName, content),
            timeoutMs: TIMEOUT_MS,
          })
        : await client.request('PUT', `${this.#collection}/${secretName}`, {
            body: secretWith(secret, content),
            timeoutMs: TIMEOUT_MS,
          })
    if (answer.status === 200 || answer.status === 201) return answer.body as Secret
    if (answer.status === 409 || answer.status === 404) return undefined
    throw refusal('written', answer)
  }

  /** The API server is the client that judges our certificates, so its clock dates them. */
  #timeOf({ headers }: KubeResponse): number {
    const { wallMs, log } = this.#options
    const theirsMs = Date.parse(headers.date ?? '')
    if (Number.isNaN(theirsMs)) return wallMs()
    const skewMs = theirsMs - wallMs()
    if (Math.abs(skewMs) > NOTABLE_SKEW_MS && !this.#toldSkew) {
      this.#toldSkew = true
      log.warn({ skewMs }, 'our clock differs from the API server’s, by which certificates are dated')
    }
    return theirsMs
  }

  /** The same words once, not at each try. */
  #say(message: string): void {
    if (message === this.#said) return
    this.#said = message
    this.#options.log.error({ secret: this.#options.secretName }, `TLS: ${message}`)
  }
}

const refusal = (what: 'read' | 'written', { status, body }: KubeResponse): Error =>
  new Error(`the Secret cannot be ${what}: ${status} ${messageOf(body)}`)
