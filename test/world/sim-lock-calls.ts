// The history of the lock as its callers know it, for the judge of linearizability.
import type { KubeResponse } from '../../shared/kube-client.ts'
import type { KubeObject } from './kube-resources.ts'
import { checkLockHistory, type LockCall, type LockOp, type LockOutcome } from './lock-history.ts'
import type { ApiCall } from './sim-api.ts'
import { rawIn, rawOf } from './sim-ledger.ts'
import { LOCK } from './sim-sidecar.ts'
import type { SimTime } from './sim-time.ts'

type Body = { metadata?: { resourceVersion?: string }; items?: KubeObject[] } & Partial<KubeObject>

export class LockCalls {
  readonly #time: SimTime
  readonly #calls: LockCall[] = []
  /** What the lock says at each version: a write that leaves the record alone writes what was there. */
  readonly #records = new Map<string, string>()

  constructor(time: SimTime) {
    this.#time = time
  }

  changed(object: KubeObject): void {
    this.#records.set(object.metadata.resourceVersion ?? '', rawOf(object))
  }

  /** A call is sent; the returned function is told what comes of it. */
  sent(call: ApiCall): (result: KubeResponse | undefined) => void {
    const op = this.#opOf(call)
    if (op === undefined) return () => {}
    const known: LockCall = {
      by: call.by,
      calledMs: this.#time.nowMs,
      returnedMs: Number.POSITIVE_INFINITY,
      op,
      outcome: { result: 'unknown' },
    }
    this.#calls.push(known)
    return result => {
      known.returnedMs = this.#time.nowMs
      if (result !== undefined) known.outcome = outcomeOf(op, result)
    }
  }

  /** Why nothing explains this history; undefined when something does. */
  verdict(): string | undefined {
    const verdict = checkLockHistory(this.#calls)
    return verdict.ok ? undefined : verdict.why
  }

  #opOf(call: ApiCall): LockOp | undefined {
    const raw = rawIn(call)
    const { resourceVersion, name } =
      (call.body as { metadata?: { resourceVersion?: string; name?: string } })?.metadata ?? {}
    if (call.method === 'POST') return name === LOCK ? { kind: 'create', record: raw ?? '' } : undefined
    if (!call.path.includes(LOCK)) return undefined
    if (call.method === 'GET') return { kind: 'read' }
    if (call.method === 'DELETE') return { kind: 'delete' }
    const version = resourceVersion ?? ''
    return { kind: 'write', version, record: raw ?? this.#records.get(version) ?? '' }
  }
}

const outcomeOf = (op: LockOp, { status, headers, body }: KubeResponse): LockOutcome => {
  // Done twice on the way: the second answer says nothing of the first.
  if (status >= 500 || headers['simulation-twice'] !== undefined) return { result: 'unknown' }
  if (op.kind !== 'read') {
    if (status >= 400) return { result: 'refused' }
    return { result: 'made', version: (body as Body).metadata?.resourceVersion ?? '' }
  }
  const { items, metadata } = body as Body
  if (items === undefined && status === 200)
    return { result: 'seen', version: metadata?.resourceVersion ?? '', record: rawOf(body as KubeObject) }
  const item = items?.[0]
  if (item !== undefined) return { result: 'seen', version: item.metadata.resourceVersion ?? '', record: rawOf(item) }
  // A 404 does not say at which version it is missing.
  if (items === undefined || status !== 200) return { result: 'refused' }
  return { result: 'seen', version: metadata?.resourceVersion ?? '', record: undefined }
}
