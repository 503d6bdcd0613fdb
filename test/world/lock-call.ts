// One call on a lock: who asked what, when, and what came of it.

export type LockOp =
  | { kind: 'read' }
  | { kind: 'create'; record: string }
  /** Compare-and-set on `version`. */
  | { kind: 'write'; version: string; record: string }
  | { kind: 'delete' }

export type LockOutcome =
  /** Of a read. Without a record it is missing, and the version is that of the collection. */
  | { result: 'seen'; version: string; record: string | undefined }
  /** Accepted, with the version that it made; a write that changed nothing keeps the version that it was on. */
  | { result: 'made'; version: string }
  /** 4xx: certainly not made. */
  | { result: 'refused' }
  /** Time-out, 5xx, lost answer: maybe made, maybe later. */
  | { result: 'unknown' }

/** `returnedMs`: Infinity when it never did. */
export type LockCall = { by: string; calledMs: number; returnedMs: number; op: LockOp; outcome: LockOutcome }

export const describe = ({ by, calledMs, returnedMs, op, outcome }: LockCall): string => {
  const on = op.kind === 'write' ? ` on ${op.version || 'no version'}` : ''
  const record = op.kind === 'write' || op.kind === 'create' ? ` of ${short(op.record)}` : ''
  return `${by} from ${calledMs} to ${returnedMs} ms: ${op.kind}${record}${on}, ${described(outcome)}`
}

const described = (outcome: LockOutcome): string => {
  if (outcome.result === 'seen')
    return outcome.record === undefined
      ? `missing at ${outcome.version}`
      : `seen ${short(outcome.record)} at ${outcome.version}`
  return outcome.result === 'made' ? `made ${outcome.version}` : outcome.result
}

const short = (record: string): string => JSON.stringify(record.length > 60 ? `${record.slice(0, 60)}…` : record)
