// What the reconciler may do to one object, how it says so, and when it may try again.
import type { EventReason } from '../shared/names.ts'
import type { Regarding } from './events.ts'
import type { Meta, Workload } from './workload.ts'

/** What somebody else has to put right. */
export const FINDING_REASONS = ['NameTaken', 'HaConfigMapOwned'] as const satisfies readonly EventReason[]
export type FindingReason = (typeof FINDING_REASONS)[number]
/** Why something was done: also the reason of the Event. */
export type ChangeReason = Exclude<EventReason, FindingReason | 'NotInjected' | 'ReconcileFailed'>

/** One write: a `create` of `body`, a merge patch that names the version, or a `delete` under preconditions. */
export type Change = {
  verb: 'create' | 'patch' | 'delete'
  path: string
  body: object
  regarding: Regarding
  reason: ChangeReason
  note: string
  /** Those that it names anew: each has to be there still when it is done. */
  owners?: readonly Workload[]
}
export type Finding = { regarding: Regarding; reason: FindingReason; note: string }

const PLURALS = {
  Deployment: ['apps/v1', 'deployments'],
  StatefulSet: ['apps/v1', 'statefulsets'],
  Job: ['batch/v1', 'jobs'],
  Pod: ['v1', 'pods'],
  Service: ['v1', 'services'],
  ConfigMap: ['v1', 'configmaps'],
  RoleBinding: ['rbac.authorization.k8s.io/v1', 'rolebindings'],
} as const
export type Kind = keyof typeof PLURALS

/** Of a namespace, or of all of them. */
export const collectionOf = (kind: Kind, namespace?: string): string => {
  const [apiVersion, plural] = PLURALS[kind]
  const root = `/${apiVersion === 'v1' ? 'api' : 'apis'}/${apiVersion}`
  return namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${namespace}/${plural}`
}

export const regardingOf = (kind: Kind, namespace: string, { name, uid }: Meta): Regarding => ({
  apiVersion: PLURALS[kind][0],
  kind,
  namespace,
  name,
  ...(uid !== undefined && { uid }),
})

/** Only what was judged is deleted: nothing of the same name that was made since, and nothing that has changed since. */
export const deletionOf = (
  kind: Kind,
  namespace: string,
  metadata: Meta,
  reason: ChangeReason,
  why: string,
): Change => ({
  verb: 'delete',
  path: `${collectionOf(kind, namespace)}/${metadata.name}`,
  body: { preconditions: { uid: metadata.uid, resourceVersion: metadata.resourceVersion } },
  regarding: regardingOf(kind, namespace, metadata),
  reason,
  note: `${kind} ${metadata.name}: ${why}`,
})

const METHODS = { create: 'POST', patch: 'PATCH', delete: 'DELETE' } as const

/** How it is asked for. */
export const requestOf = ({ verb, path, body }: Change) => {
  const contentType = verb === 'patch' ? 'application/merge-patch+json' : 'application/json'
  return { method: METHODS[verb], path, body, contentType }
}

/** The same for what is decided again of the same object; a `create`'s path does not name it. */
const keyOf = ({ verb, path, body }: Change): string => {
  const { metadata } = body as { metadata?: { name?: string } }
  return `${verb} ${path} ${verb === 'create' ? metadata?.name : ''}`
}

const FIRST_BACKOFF_MS = 1_000
/** Whoever waits for one change, and has put right what kept it from being done, waits no longer than this. */
export const MAX_BACKOFF_MS = 15_000

/** When what failed may be tried again: each change by itself, so that what cannot be done holds up nothing that can. */
export class Retries {
  #failed = new Map<string, { failures: number; notBeforeMs: number }>()

  isDue(change: Change, nowMs: number): boolean {
    return nowMs >= (this.#failed.get(keyOf(change))?.notBeforeMs ?? 0)
  }
  /** How often it failed in a row. */
  failures(change: Change): number {
    return this.#failed.get(keyOf(change))?.failures ?? 0
  }
  /** `chance`: from 0 to 1, so that not everything that failed together is tried together. */
  failed(change: Change, nowMs: number, chance: number): void {
    const failures = this.failures(change)
    const delayMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures, 10)) * (0.5 + chance / 2)
    this.#failed.set(keyOf(change), { failures: failures + 1, notBeforeMs: nowMs + delayMs })
  }
  /** What is done, or no longer to be done, is forgotten. */
  keep(failing: readonly Change[]): void {
    const keys = new Set(failing.map(keyOf))
    for (const key of this.#failed.keys()) if (!keys.has(key)) this.#failed.delete(key)
  }
  /** When the first of them may be tried again; undefined: nothing waits. */
  nextMs(): number | undefined {
    const times = [...this.#failed.values()].map(({ notBeforeMs }) => notBeforeMs)
    return times.length === 0 ? undefined : Math.min(...times)
  }
}
