// How the reconciler says what it does: each thing to the log, and as an Event on the object that it is about.
import type { WriteOutcome } from '../shared/lock-writes.ts'
import type { Log } from '../shared/log.ts'
import type { Change, Finding } from './change.ts'
import type { Events } from './events.ts'

/** A conflict means that a watch is behind by a moment; after so many failures in a row it means something else. */
const CONFLICTS = 3
const MAX_FOUND = 1_000

export class Reporter {
  #log: Log
  #events: Events
  /** What was logged already. */
  #found = new Set<string>()

  constructor(log: Log, events: Events) {
    this.#log = log
    this.#events = events
  }

  done({ verb, regarding, reason, note }: Change): void {
    this.#log.info({ namespace: regarding.namespace, verb, reason, note }, 'reconciled')
    this.#events.record({ regarding, type: 'Normal', reason, action: 'Reconcile', note })
  }

  /** `failures`: of this change, in a row, before. */
  failed(change: Change, outcome: Exclude<WriteOutcome, { result: 'done' }>, failures: number): void {
    const { regarding, reason } = change
    const { result, message } = outcome
    const fields = { namespace: regarding.namespace, reason, note: change.note, result, message }
    if (result === 'conflict' && failures < CONFLICTS) return this.#log.debug(fields, 'not reconciled yet')
    this.#log.warn(fields, 'cannot be reconciled, trying again')
    // The API server that did not answer would not take an Event either.
    if (result === 'unreachable') return
    const note = `not done: ${change.note}. The API server says: ${message}`
    this.#events.record({ regarding, type: 'Warning', reason: 'ReconcileFailed', action: 'Reconcile', note })
  }

  /** Logged once, however often it is found again. Its Event is written anew when the API server has forgotten it. */
  found({ regarding, reason, note }: Finding): void {
    this.#events.record({ regarding, type: 'Warning', reason, action: 'Reconcile', note })
    const key = JSON.stringify([regarding, reason, note])
    if (this.#found.has(key)) return
    if (this.#found.size >= MAX_FOUND) this.#found.clear()
    this.#found.add(key)
    this.#log.warn({ namespace: regarding.namespace, reason }, note)
  }
}
