// Keeps the CA bundle in the webhook configuration equal to the one that our certificate is signed by, and knows since when
// API servers can have seen it there.
import type { Clock } from '../shared/clock.ts'
import type { KubeClient } from '../shared/kube-client.ts'
import { ListWatch, messageOf, type Sight } from '../shared/list-watch.ts'
import type { Log } from '../shared/log.ts'
import { isStale } from '../shared/resource-version.ts'
import { bundleOf, bundlePatch, hasBundle, isKeptByOthers, type WebhookConfiguration } from './tls-bundle.ts'

export type PublisherOptions = {
  client: KubeClient
  clock: Clock
  log: Log
  /** Of the MutatingWebhookConfiguration. */
  name: string
  mayWrite: () => boolean
  /** Called at each sight of the configuration, or that there is none, before anything is written. */
  onSight?: () => void
}

const COLLECTION = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'
const TIMEOUT_MS = 5_000
/** Somebody who writes another bundle again and again is answered no faster than this. */
const PAUSE_MS = 1_000

export class BundlePublisher {
  #options: PublisherOptions
  #watch: ListWatch<WebhookConfiguration>
  #configuration: WebhookConfiguration | undefined
  #isKnown = false
  #version = ''
  #wanted = ''
  #knownSinceMs: number | undefined
  #writing = false
  #writtenAtMs = Number.NEGATIVE_INFINITY
  #said = ''

  constructor(options: PublisherOptions) {
    this.#options = options
    const { client, clock, name } = options
    this.#watch = new ListWatch<WebhookConfiguration>({
      client,
      clock,
      collection: COLLECTION,
      name,
      onSight: sight => this.#see(sight),
      onProblem: problem => this.#say('warn', `the webhook configuration cannot be watched: ${problem}`),
    })
  }

  start(): void {
    void this.#watch.run()
  }
  stop(): void {
    this.#watch.stop()
  }

  /** The bundle to publish; '' leaves the configuration alone. */
  want(bundlePem: string): void {
    if (bundlePem === this.#wanted) return
    this.#wanted = bundlePem
    this.#note()
    this.look()
  }

  /** How long the configuration has been seen with this bundle; undefined when it has another one or is missing. */
  knownForMs(bundlePem: string): number | undefined {
    if (this.#knownSinceMs === undefined || bundlePem !== this.#wanted) return undefined
    return this.#options.clock.monoMs() - this.#knownSinceMs
  }

  /** Whether the API has answered once, if only that there is no configuration. */
  get isKnown(): boolean {
    return this.#isKnown
  }

  /** What API servers trust, a bundle for each webhook; undefined when the configuration is missing or not known. */
  bundles(): string[] | undefined {
    const { webhooks = [] } = this.#configuration ?? {}
    return webhooks.length === 0 ? undefined : webhooks.map(bundleOf)
  }

  /** Writes, when there is something to write and it is for us to do. */
  look(): void {
    const { clock, mayWrite } = this.#options
    const configuration = this.#configuration
    if (this.#wanted === '' || this.#writing || configuration === undefined || !mayWrite()) return
    if (this.#knownSinceMs !== undefined || clock.monoMs() - this.#writtenAtMs < PAUSE_MS) return
    if (isKeptByOthers(configuration)) {
      this.#say('info', 'cert-manager keeps the CA bundle of the webhook configuration (annotation): it is left alone')
      return
    }
    if ((configuration.webhooks ?? []).length === 0) return
    this.#writing = true
    this.#writtenAtMs = clock.monoMs()
    void this.#write(configuration).finally(() => {
      this.#writing = false
    })
  }

  async #write(configuration: WebhookConfiguration): Promise<void> {
    const { client, log, name } = this.#options
    try {
      const { status, body } = await client.request('PATCH', `${COLLECTION}/${name}`, {
        body: bundlePatch(configuration, this.#wanted),
        contentType: 'application/json-patch+json',
        timeoutMs: TIMEOUT_MS,
      })
      // 404, 409: it is not as we believed; the watch shows how it is.
      if (status === 404 || status === 409) return
      if (status !== 200) throw new Error(`${status} ${messageOf(body)}`)
      const written = body as WebhookConfiguration
      log.info({ configuration: name }, 'the webhook configuration has the CA bundle')
      this.#said = ''
      this.#see({ object: written, version: written.metadata.resourceVersion ?? '', listed: false })
    } catch (error) {
      this.#say('error', `the CA bundle cannot be written to the webhook configuration: ${(error as Error).message}`)
    }
  }

  #see({ object, version, listed }: Sight<WebhookConfiguration>): void {
    // Our own write's answer may overtake the watch.
    if (!listed && isStale(this.#version, version)) return
    this.#version = version
    this.#configuration = object
    this.#isKnown = true
    if (object === undefined) this.#say('warn', `there is no MutatingWebhookConfiguration ${this.#options.name} (yet)`)
    this.#note()
    this.#options.onSight?.()
    this.look()
  }

  #note(): void {
    const has = this.#configuration !== undefined && this.#wanted !== '' && hasBundle(this.#configuration, this.#wanted)
    if (!has) this.#knownSinceMs = undefined
    else this.#knownSinceMs ??= this.#options.clock.monoMs()
  }

  /** The same words once, not at each try. */
  #say(level: 'info' | 'warn' | 'error', message: string): void {
    if (message === this.#said) return
    this.#said = message
    this.#options.log[level]({ configuration: this.#options.name }, message)
  }
}
