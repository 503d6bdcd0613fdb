// What really happened in a simulation, written down as it happens and apart from the code: which writes of the lock were
// made, whose terms begun and ended, and which session of which JVM belongs to which term.
import { ANNOTATION_FAILSAFE, ANNOTATION_LEADER } from '../../shared/names.ts'
import { type LeaderRecord, parseRecord } from '../../shared/record.ts'
import type { KubeObject } from './kube-resources.ts'
import type { ApiCall } from './sim-api.ts'
import type { SimPod } from './sim-pod.ts'

export type Term = { token: number; identity: string; name: string; beganMs: number; endedMs: number | undefined }
/** A write of the lock that was sent: by whom, on which version, and when by his own clock. */
export type LockWrite = { by: string; pod: SimPod; raw: string; sentMonoMs: number; sentMs: number }
/** A record as it was in the lock. */
export type Era = { raw: string; record: LeaderRecord | undefined; sinceMs: number }

export class Ledger {
  readonly terms = new Map<number, Term>()
  /** Of the newest term that began. */
  newestToken = 0
  /** By the name of the sidecar's process: when the newest of its writes that made it holder was sent, by its clock. */
  readonly heldSinceMs = new Map<string, number>()
  /** By the JVM's session: the token of the term in which it was granted. */
  readonly sessions = new Map<string, number>()
  /** Writes on their way or made, by what they write; their records are all different. */
  readonly writes = new Map<string, LockWrite>()
  /** Whom the holder says that it would ask to wait, itself among them. */
  roster: readonly string[] = []
  era: Era = { raw: '', record: undefined, sinceMs: 0 }
  /** When a record of this holder was last put into the lock. */
  readonly lastRecordMs = new Map<string, number>()

  begin(term: Term): void {
    this.terms.set(term.token, term)
    this.newestToken = Math.max(this.newestToken, term.token)
  }
}

/** The record that a call puts into the lock; undefined when it is none. */
export const rawIn = (call: ApiCall): string | undefined => {
  const metadata = (call.body as { metadata?: { annotations?: { [name: string]: string } } } | undefined)?.metadata
  return metadata?.annotations?.[ANNOTATION_LEADER]
}

export const rawOf = (object: KubeObject | undefined): string => object?.metadata.annotations?.[ANNOTATION_LEADER] ?? ''

export const rosterOf = (object: KubeObject): readonly string[] => {
  try {
    const roster: unknown = JSON.parse(object.metadata.annotations?.[ANNOTATION_FAILSAFE] ?? '[]')
    return Array.isArray(roster) ? roster : []
  } catch {
    return []
  }
}

export const eraOf = (raw: string, sinceMs: number): Era => ({ raw, record: parseRecord(raw), sinceMs })
