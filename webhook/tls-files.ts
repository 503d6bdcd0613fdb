// Mode `files`: a pair that others keep (cert-manager, a given Secret) in a mounted folder, read again every few seconds.
// Watching the file system tells nothing that reading does not, and misses what the kubelet does on some of them.
//
// A pair of another CA is served only when the webhook configuration trusts it, also by a replica that starts: the one that
// leads may have the old files for minutes yet. It publishes both CAs first, and what it found published when it began to
// lead; the old ones stay for a day, as another replica may be minutes behind.
import { readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../shared/clock.ts'
import type { KubeClient } from '../shared/kube-client.ts'
import type { Log } from '../shared/log.ts'
import { checkPair, type PairFiles, unionOf } from './tls-check.ts'
import { OVERLAP_MS } from './tls-plan.ts'
import { BundlePublisher } from './tls-publisher.ts'
import { KEYS } from './tls-secret.ts'
import { type KeyPair, ServedPair } from './tls-served.ts'

export type FilesOptions = {
  client: KubeClient
  clock: Clock
  log: Log
  wallMs: () => number
  leading: () => boolean
  dir: string
  webhookConfiguration: string
  /** What clients call the server by. */
  name: string
}

/** The kubelet takes up to two minutes to bring a changed Secret here; a few seconds more do not matter. */
const POLL_MS = 5_000
/** API servers see a changed configuration within a second or two. */
const SPREAD_MS = 5_000
/** A configuration that does not trust the new pair by now is not going to: somebody else must have the bundle in hand. */
const MAX_HOLD_MS = 300_000

/** Whether we lead: since when, and the bundles that were published by then; undefined until the configuration was seen. */
type Lead = { sinceMs: number; foundPem: string | undefined }
/** A good pair that waits for the configuration to trust it. */
type Held = { files: PairFiles; sinceMs: number; trustedSinceMs: number | undefined; isTold: boolean }

export class FilesTls {
  #options: FilesOptions
  #served: ServedPair
  #publisher: BundlePublisher
  /** As they were read last. */
  #files: PairFiles | undefined
  #held: Held | undefined
  #lead: Lead | undefined
  /** The bundle of the pair before, and until when it stays published. */
  #previous: { caPem: string; untilMs: number } | undefined
  #stopped = false
  #cancelPoll: () => void = () => {}
  #said = ''

  constructor(options: FilesOptions) {
    this.#options = options
    const { client, clock, log, name, wallMs, leading, webhookConfiguration } = options
    this.#served = new ServedPair({ names: [name], wallMs, log })
    this.#publisher = new BundlePublisher({
      client,
      clock,
      log,
      name: webhookConfiguration,
      mayWrite: leading,
      // Before anything is written it is noted what the leader before us published: its pairs are still served.
      onSight: () => this.#turn(),
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
    void this.#poll()
    return this.#served.first
  }

  stop(): void {
    this.#stopped = true
    this.#cancelPoll()
    this.#publisher.stop()
    this.#served.stop()
  }

  async #poll(): Promise<void> {
    const files = await this.#read()
    if (this.#stopped) return
    this.#files = files
    this.#turn()
    this.#publisher.look()
    this.#cancelPoll = this.#options.clock.after(POLL_MS, () => void this.#poll())
  }

  /** The files were read, or the configuration was seen. */
  #turn(): void {
    if (this.#stopped) return
    this.#noteLead()
    if (this.#files !== undefined) this.#consider(this.#files)
    this.#publisher.want(this.#bundle())
  }

  #noteLead(): void {
    const { clock, leading } = this.#options
    if (!leading()) {
      this.#lead = undefined
      return
    }
    this.#lead ??= { sinceMs: clock.monoMs(), foundPem: undefined }
    this.#lead.foundPem ??= this.#publisher.bundles()?.join('')
  }

  #consider(files: PairFiles): void {
    const { clock, name, wallMs } = this.#options
    const current = this.#served.current
    const { broken, refused } = checkPair(files, [name], wallMs())
    const isGood = broken.length === 0 && refused.length === 0
    const isFirst = current === undefined
    // What clients refuse anyway need not be kept.
    const isSuccessor = !isFirst && this.#served.isGood() && current.certPem !== files.certPem
    if (!isGood || !(isFirst || isSuccessor)) {
      this.#held = undefined
      this.#served.offer(files)
      return
    }
    const nowMs = clock.monoMs()
    const held = this.#hold(files, nowMs)
    if (!(isFirst ? this.#isRipeAsFirst(held, nowMs) : this.#isRipe(held, nowMs))) return
    this.#held = undefined
    if (current !== undefined) this.#previous = { caPem: current.caPem, untilMs: nowMs + OVERLAP_MS }
    this.#served.offer(files)
  }

  #hold(files: PairFiles, nowMs: number): Held {
    const { log, dir } = this.#options
    const before = this.#held?.files.certPem === files.certPem ? this.#held : undefined
    const isTrusted = this.#isTrusted(files)
    const isTold = before?.isTold === true || (this.#publisher.bundles() !== undefined && !isTrusted)
    if (isTold && before?.isTold !== true)
      log.info({ dir }, 'a TLS key pair waits until the webhook configuration trusts it')
    this.#held = {
      files,
      sinceMs: before?.sinceMs ?? nowMs,
      trustedSinceMs: isTrusted ? (before?.trustedSinceMs ?? nowMs) : undefined,
      isTold,
    }
    return this.#held
  }

  /** Until we are ready, API servers call the others: a pair that they do not trust yet would only draw calls to fail. */
  #isRipeAsFirst(held: Held, nowMs: number): boolean {
    if (!this.#publisher.isKnown) return nowMs - held.sinceMs >= MAX_HOLD_MS
    // No spread to wait for: API servers hear of the bundle as soon as we do, and of us only when we are ready.
    if (held.trustedSinceMs !== undefined) return true
    // Nobody else is going to publish it.
    if (this.#lead !== undefined && nowMs - Math.max(held.sinceMs, this.#lead.sinceMs) >= SPREAD_MS) return true
    return this.#isRipe(held, nowMs)
  }

  #isRipe({ sinceMs, trustedSinceMs }: Held, nowMs: number): boolean {
    // Not there, or not for us to see: nothing to wait for.
    if (this.#publisher.bundles() === undefined) return true
    if (trustedSinceMs !== undefined && nowMs - trustedSinceMs >= SPREAD_MS) return true
    return nowMs - sinceMs >= MAX_HOLD_MS
  }

  #isTrusted({ certPem, keyPem }: PairFiles): boolean {
    const { name, wallMs } = this.#options
    const bundles = this.#publisher.bundles()
    // One that is empty, as in a fresh installation, trusts nobody yet, whatever is served.
    return (
      bundles?.every(caPem => checkPair({ certPem, keyPem, caPem }, [name], wallMs()).refused.length === 0) ?? false
    )
  }

  /** The newest first. Where no bundle was given, somebody else keeps it. */
  #bundle(): string {
    const { clock, wallMs } = this.#options
    const newest = (this.#held?.files ?? this.#served.current)?.caPem ?? ''
    if (newest === '') return ''
    const previous = this.#previous !== undefined && clock.monoMs() < this.#previous.untilMs ? this.#previous.caPem : ''
    const lead = this.#lead
    const found = lead !== undefined && clock.monoMs() - lead.sinceMs < OVERLAP_MS ? (lead.foundPem ?? '') : ''
    return unionOf([newest, this.#served.current?.caPem ?? '', previous, found], wallMs())
  }

  async #read(): Promise<PairFiles | undefined> {
    const { dir } = this.#options
    try {
      // The kubelet replaces all files at once by moving this link: through it they are of one version.
      const from = await realpath(join(dir, '..data')).catch(() => dir)
      const certPem = await readFile(join(from, KEYS.certPem), 'utf8')
      const keyPem = await readFile(join(from, KEYS.keyPem), 'utf8')
      const caPem = await readFile(join(from, KEYS.caPem), 'utf8').catch(withoutMissing)
      this.#said = ''
      return { certPem, keyPem, caPem }
    } catch (error) {
      this.#say(`the TLS files cannot be read: ${(error as Error).message}`)
      return undefined
    }
  }

  /** The same words once, not at each look. */
  #say(message: string): void {
    if (message === this.#said) return
    this.#said = message
    this.#options.log.error({ dir: this.#options.dir }, message)
  }
}

/** A bundle need not be there: then it is for others to tell the API server whom to trust. */
const withoutMissing = (error: NodeJS.ErrnoException): string => {
  if (error.code === 'ENOENT') return ''
  throw error
}
