// The leader record: every format that may be found in a lock, and the one that is written.
// Written so that an unmodified Flink of any version can read it (fabric8's reader is strict: exactly six fractional
// digits, no unknown field, `leaseDuration` required), because during a rolling update it is a candidate too.

/** A leader record as found. Durations in milliseconds; times stay text, because wall clocks never decide. */
export type LeaderRecord = {
  /** Who holds the lock; "" is vacant (released as "", null or without the field). */
  holder: string
  leaseMs: number
  acquireTime: string
  renewTime: string
  transitions: number
}

/** Longest lease that a record may ask a follower to wait for: a hostile one must not block a cluster for ever. */
export const MAX_LEASE_MS = 600_000
const MAX_RECORD_CHARS = 4_096
const ISO_DURATION = /^PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?$/

/**
 * Reads a record: Flink 1.x (`"leaseDuration":15.000000000`), Flink 2.x (`"PT15S"`) and client-go
 * (`"leaseDurationSeconds":15`). Undefined when it is none of them.
 */
export const parseRecord = (text: string | undefined): LeaderRecord | undefined => {
  if (text === undefined || text.length > MAX_RECORD_CHARS) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const field = value as { [name: string]: unknown }
  const holder = field['holderIdentity'] ?? ''
  if (typeof holder !== 'string') return undefined
  const leaseMs = durationMs(field['leaseDuration'] ?? field['leaseDurationSeconds'])
  if (leaseMs === undefined) return undefined
  const transitions = field['leaderTransitions'] ?? field['leaseTransitions']
  return {
    holder,
    leaseMs: Math.min(leaseMs, MAX_LEASE_MS),
    acquireTime: typeof field['acquireTime'] === 'string' ? field['acquireTime'] : '',
    renewTime: typeof field['renewTime'] === 'string' ? field['renewTime'] : '',
    transitions: Number.isSafeInteger(transitions) && (transitions as number) >= 0 ? (transitions as number) : 0,
  }
}

const durationMs = (value: unknown): number | undefined => {
  if (typeof value === 'number') return Number.isFinite(value) && value > 0 ? value * 1000 : undefined
  if (typeof value !== 'string') return undefined
  const match = ISO_DURATION.exec(value)
  if (match === null) return undefined
  const [hours, minutes, seconds] = [match[1], match[2], match[3]].map(part => Number(part ?? 0)) as [
    number,
    number,
    number,
  ]
  const ms = ((hours * 60 + minutes) * 60 + seconds) * 1000
  return ms > 0 ? ms : undefined
}

/** How a Flink version spells the lease duration: `number` 1.x, `iso` 2.x. Each reads both. */
export type DurationSpelling = 'number' | 'iso'

/** The record as text, as fabric8 writes it. */
export const formatRecord = (record: LeaderRecord, spelling: DurationSpelling = 'number'): string => {
  const seconds = record.leaseMs / 1000
  const duration = spelling === 'iso' ? `"PT${seconds}S"` : seconds.toFixed(9)
  const text = (value: string): string => JSON.stringify(value)
  return `{"holderIdentity":${text(record.holder)},"leaseDuration":${duration},"acquireTime":${text(record.acquireTime)},"renewTime":${text(record.renewTime)},"leaderTransitions":${record.transitions}}`
}

/** Microseconds since the epoch as fabric8 and `metav1.MicroTime` write them: six fractional digits and Z. */
export const formatTime = (epochUs: number): string => {
  const ms = Math.floor(epochUs / 1000)
  return `${new Date(ms).toISOString().slice(0, -1)}${String(Math.floor(epochUs - ms * 1000)).padStart(3, '0')}Z`
}
