// The terms that this sidecar has seen, newest last: from the lock alone, so that each pod can tell.
import { holderOf, type Lock } from '../shared/election.ts'
import { ANNOTATION_REASON } from '../shared/names.ts'
import { formatTime } from '../shared/record.ts'
import { podOf } from './leader.ts'

export type Term = {
  name: string
  token: number
  /** RFC 3339, by this machine's clock. */
  from: string
  to: string | null
  /** Why it ended: the releasing sidecar's word, or `expired` when somebody else had to take the lock. */
  reason: string | null
}

const MAX_TERMS = 100

export class History {
  #terms: (Term & { holder: string })[] = []
  #lastChange: string | null = null

  get terms(): Term[] {
    return this.#terms.map(({ holder: _, ...term }) => term)
  }
  /** Time of the last change of leader; null before the first. */
  get lastChange(): string | null {
    return this.#lastChange
  }

  see(lock: Lock, annotations: { [name: string]: string }, wallUs: number): void {
    const holder = holderOf(lock)
    const current = this.#terms.at(-1)
    const open = current?.to === null ? current : undefined
    if (open !== undefined && open.holder === holder && open.token === lock.token) return
    if (open === undefined && holder === '') return
    const now = formatTime(wallUs)
    this.#lastChange = now
    if (open !== undefined) {
      open.to = now
      open.reason =
        holder === '' ? (annotations[ANNOTATION_REASON] ?? (lock.exists ? 'released' : 'lock-deleted')) : 'expired'
    }
    if (holder === '') return
    this.#terms.push({ holder, name: podOf(holder), token: lock.token, from: now, to: null, reason: null })
    if (this.#terms.length > MAX_TERMS) this.#terms.shift()
  }
}
