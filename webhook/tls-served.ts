// The key pair that is being served, and the rule by which another one takes its place.
import type { Log } from '../shared/log.ts'
import { checkPair, type PairFiles } from './tls-check.ts'

/** `caPem`: the bundle for the API server, '' when somebody else keeps it. `notAfterMs`: the certificate's end. */
export type KeyPair = PairFiles & { notAfterMs: number }

export type ServedOptions = { names: readonly string[]; wallMs: () => number; log: Log }

export class ServedPair {
  #options: ServedOptions
  #current: KeyPair | undefined
  #listeners: ((pair: KeyPair) => void)[] = []
  #said = ''
  /** Resolves when there is something to serve, or at `stop`. */
  readonly first: Promise<void>
  #settle: () => void = () => {}

  constructor(options: ServedOptions) {
    this.#options = options
    this.first = new Promise(resolve => {
      this.#settle = resolve
    })
  }

  get current(): KeyPair | undefined {
    return this.#current
  }
  onChange(listener: (pair: KeyPair) => void): void {
    this.#listeners.push(listener)
  }
  stop(): void {
    this.#settle()
  }

  /**
   * Takes the pair when it is better than, or as good as, the one that is served. One that TLS cannot use is never taken.
   * One that clients would refuse (expired, another name, an unknown signer) does not replace a good one, but is better
   * than none: it may be our clock that is wrong; what the API server then tells its user ("certificate has expired")
   * names the cause, where a closed port would not; and health and metrics are there to say the same.
   */
  offer({ certPem, keyPem, caPem }: PairFiles): void {
    const { names, wallMs, log } = this.#options
    const before = this.#current
    const check = checkPair({ certPem, keyPem, caPem }, names, wallMs())
    const isSame = before?.certPem === certPem && before.keyPem === keyPem && before.caPem === caPem
    const isTaken = check.broken.length === 0 && (check.refused.length === 0 || isSame || !this.isGood())
    this.#say([...check.broken, ...check.refused], isTaken)
    if (!isTaken || isSame) return
    const pair: KeyPair = { certPem, keyPem, caPem, notAfterMs: check.notAfterMs }
    this.#current = pair
    log.info({ notAfter: new Date(pair.notAfterMs).toISOString() }, 'a TLS key pair is served')
    this.#settle()
    for (const listener of this.#listeners) this.#tell(listener, pair)
  }

  /** Whether clients take what is served, as far as we can tell. */
  isGood(): boolean {
    if (this.#current === undefined) return false
    const { broken, refused } = checkPair(this.#current, this.#options.names, this.#options.wallMs())
    return broken.length === 0 && refused.length === 0
  }

  #tell(listener: (pair: KeyPair) => void, pair: KeyPair): void {
    try {
      listener(pair)
    } catch (error) {
      this.#options.log.error({ error: (error as Error).message }, 'the TLS key pair was not taken over')
    }
  }

  /** The same words once, not at each look. */
  #say(problems: readonly string[], isTaken: boolean): void {
    const words = problems.join('; ')
    if (words === this.#said) return
    this.#said = words
    if (words === '') return
    const outcome = isTaken ? 'it is served, for want of a better one' : 'it is not used'
    this.#options.log.error({ problems }, `the TLS key pair is not good; ${outcome}: ${words}`)
  }
}
