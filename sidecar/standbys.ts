/**
 * The leader's standbys: who joined (an annotation of the lock, so only who may write the lock is listed), and who of them is
 * well at this moment (asked directly, pod to pod, once in a retry period: no request to the API server). A term that ends
 * is handed to one of them by name, in the same write that ends it.
 */
import type { Clock } from '../shared/clock.ts'
import type { ConfigMap } from '../shared/lock.ts'
import { ANNOTATION_CANDIDATES } from '../shared/names.ts'
import { type AskRole, askRole } from './peers.ts'

export type Address = { host: string; port: number }
export type Joined = { [identity: string]: string }

/** More candidates than this are not kept: a hostile annotation must not make us ask the whole network. */
const MAX_JOINED = 16

/** Address, and the key if there is one. */
const JOINED = /^([0-9a-fA-F.:]{2,45}):(\d{1,5})(?:#([\w-]{43}))?$/

/** The annotation as it stands. */
export const joinedIn = (object: ConfigMap | undefined): string | undefined =>
  object?.metadata.annotations?.[ANNOTATION_CANDIDATES]

/** Identities and addresses from the annotation; what cannot be read is nobody. */
export const parseJoined = (object: ConfigMap | undefined): Joined => {
  try {
    const value: unknown = JSON.parse(joinedIn(object) ?? '{}')
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
    const entries = Object.entries(value).filter(
      (entry): entry is [string, string] => parseAddress(entry[1]) !== undefined,
    )
    return Object.fromEntries(entries.slice(0, MAX_JOINED))
  } catch {
    return {}
  }
}

export const parseAddress = (value: unknown): Address | undefined => {
  const match = typeof value === 'string' ? JOINED.exec(value) : null
  const port = Number(match?.[2])
  // Node throws at a port that is none.
  return match?.[1] === undefined || port < 1 || port > 65_535 ? undefined : { host: match[1], port }
}

/** The public key of who joined with failsafe on. */
export const parseKey = (value: unknown): string | undefined =>
  typeof value === 'string' ? JOINED.exec(value)?.[3] : undefined

/** The annotation with us in it as the newest; undefined when it is right as it is. The oldest go when there are too many. */
export const joinedWith = (joined: Joined, identity: string, address: string): string | undefined => {
  if (joined[identity] === address) return undefined
  const others = Object.entries(joined).filter(([id]) => id !== identity)
  return JSON.stringify(Object.fromEntries([...others.slice(-(MAX_JOINED - 1)), [identity, address]]))
}

export class Standbys {
  #clock: Clock
  #identity: string
  #askRole: AskRole
  #well = new Map<string, boolean>()
  #mute = new Set<string>()
  #cancel: (() => void) | undefined
  #joined: (() => Joined) | undefined
  #known = ''
  #onAsked: () => void = () => {}

  constructor(clock: Clock, identity: string, ask: AskRole = askRole) {
    this.#clock = clock
    this.#identity = identity
    this.#askRole = ask
  }

  /** The one to hand over to: any that answered the last time that it stands; "" when there is none. */
  get successor(): string {
    for (const [identity, well] of this.#well) if (well) return identity
    return ''
  }
  /** Whether it did not answer when it was asked last. */
  mute(identity: string): boolean {
    return this.#mute.has(identity)
  }
  /** Asks now and then once in a period, until `stop`. */
  start(joined: () => Joined, periodMs: number, onAsked: () => void = () => {}): void {
    if (this.#cancel !== undefined) return
    this.#joined = joined
    this.#onAsked = onAsked
    const round = (): void => {
      this.#cancel = this.#clock.after(periodMs, round)
      void this.#ask(joined())
    }
    round()
  }

  /** Asks at once when somebody joined: he may be needed before the period is over. */
  notice(): void {
    if (this.#cancel === undefined || this.#joined === undefined) return
    const joined = this.#joined()
    const known = Object.keys(joined).join()
    if (known === this.#known) return
    this.#known = known
    void this.#ask(joined)
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#known = ''
    this.#well.clear()
    this.#mute.clear()
  }

  async #ask(joined: Joined): Promise<void> {
    for (const identity of this.#well.keys()) if (!(identity in joined)) this.#well.delete(identity)
    await Promise.all(
      Object.entries(joined).map(async ([identity, text]) => {
        const address = parseAddress(text)
        if (identity === this.#identity || address === undefined) return
        const told = await this.#askRole(address.host, address.port, identity)
        if (this.#cancel === undefined) return
        this.#well.set(identity, told?.healthy === true && told.role === 'standby')
        if (told === undefined) this.#mute.add(identity)
        else this.#mute.delete(identity)
      }),
    )
    if (this.#cancel !== undefined) this.#onAsked()
  }
}
