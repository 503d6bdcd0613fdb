// The texts that Flink's HA client writes and how strictly it reads them: leader record, labels, keys, state pointers.
// Written apart from the product's own code on purpose: each checks the other.
import { ANNOTATION_LEADER, FLINK_TYPE_LABEL, JOB_SUFFIX, LEADER_KEY_PREFIX, LOCK_SUFFIX } from '../../shared/names.ts'
import type { DialectRules } from './flink-dialect.ts'

export type ConfigMap = {
  apiVersion?: string
  kind?: string
  metadata: {
    name: string
    namespace?: string
    resourceVersion?: string
    labels?: { [name: string]: string }
    annotations?: { [name: string]: string }
    [field: string]: unknown
  }
  data?: { [key: string]: string }
}

/** `LeaderElectionRecord` of fabric8. Times stay text: a renewal repeats the acquire time to the digit. */
export type FlinkRecord = {
  holderIdentity: string
  acquireTime: string
  renewTime: string
  leaderTransitions: number
}

export const lockName = (clusterId: string): string => `${clusterId}${LOCK_SUFFIX}`
export const jobConfigMapName = (clusterId: string, jobId: string): string => `${clusterId}-${jobId}${JOB_SUFFIX}`
export const leaderKey = (component: string): string => `${LEADER_KEY_PREFIX}${component}`
export const checkpointKey = (id: number): string => `checkpointID-${String(id).padStart(19, '0')}`
export const COUNTER_KEY = 'counter'
const CHECKPOINT_KEY = /^checkpointID-(\d{19})$/

export const haLabels = (rules: DialectRules, clusterId: string): { [name: string]: string } => ({
  app: clusterId,
  ...(rules.hasTypeLabel ? { 'configmap-type': 'high-availability' } : {}),
  [FLINK_TYPE_LABEL.name]: FLINK_TYPE_LABEL.value,
})

/** Java's `ZonedDateTime` as fabric8 prints it: always six digits and `Z`. */
export const formatTime = (epochMs: number): string => {
  const micros = Math.floor(epochMs * 1000)
  const digits = String(((micros % 1_000_000) + 1_000_000) % 1_000_000).padStart(6, '0')
  return `${new Date(Math.floor(micros / 1000)).toISOString().slice(0, 19)}.${digits}Z`
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/
const ISO_LEASE = /^PT(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?$/
const RECORD_FIELDS = new Set(['holderIdentity', 'leaseDuration', 'acquireTime', 'renewTime', 'leaderTransitions'])

export const formatRecord = (rules: DialectRules, record: FlinkRecord, leaseMs: number): string => {
  const seconds = leaseMs / 1000
  const lease = rules.isoLease ? `"PT${seconds}S"` : seconds.toFixed(9)
  const text = (value: string): string => JSON.stringify(value)
  return `{"holderIdentity":${text(record.holderIdentity)},"leaseDuration":${lease},"acquireTime":${text(record.acquireTime)},"renewTime":${text(record.renewTime)},"leaderTransitions":${record.leaderTransitions}}`
}

/**
 * Undefined for what fabric8 cannot read: an unknown field (such as client-go's `leaseDurationSeconds`), other than six
 * fractional digits, no `leaseDuration`. Flink then takes the lock for absent and sends POST for ever.
 */
export const readRecord = (configMap: ConfigMap): FlinkRecord | undefined => {
  const text = configMap.metadata.annotations?.[ANNOTATION_LEADER]
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const fields = value as { [name: string]: unknown }
  if (Object.keys(fields).some(name => !RECORD_FIELDS.has(name))) return undefined
  const { holderIdentity = null, leaseDuration, acquireTime, renewTime, leaderTransitions = 0 } = fields
  if (holderIdentity !== null && typeof holderIdentity !== 'string') return undefined
  const leaseReadable =
    typeof leaseDuration === 'number' || (typeof leaseDuration === 'string' && ISO_LEASE.test(leaseDuration))
  if (!leaseReadable || !isTime(acquireTime) || !isTime(renewTime)) return undefined
  if (!Number.isInteger(leaderTransitions)) return undefined
  return {
    holderIdentity: holderIdentity ?? '',
    acquireTime,
    renewTime,
    leaderTransitions: leaderTransitions as number,
  }
}

const isTime = (value: unknown): value is string => typeof value === 'string' && TIME.test(value)

/** The test that all of Flink but the elector uses: the annotation's text contains the lock identity. */
export const showsLeadership = (configMap: ConfigMap, identity: string): boolean =>
  configMap.metadata.annotations?.[ANNOTATION_LEADER]?.includes(identity) ?? false

/** `<session>,<address>`, split at the first comma; undefined is "no leader". */
export const readLeaderValue = (value: string): { session: string; address: string } | undefined => {
  const comma = value.indexOf(',')
  return comma <= 0 ? undefined : { session: value.slice(0, comma), address: value.slice(comma + 1) }
}

/** Random, as `UUID.randomUUID()`. */
export const uuidOf = (random: () => number): string => {
  const hex = hexOf(random, 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
}

export const hexOf = (random: () => number, bytes: number): string => {
  let hex = ''
  while (hex.length < 2 * bytes)
    hex += Math.floor(random() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0')
  return hex.slice(0, 2 * bytes)
}

/** Stands for a serialized `StateHandleWithDeleteMarker`: same beginning, size and alphabet, but it is not Java. */
export const statePointer = (path: string, marked: boolean): string => {
  const head = Buffer.from('\xac\xed\x00\x05sr\x00corg.apache.flink.kubernetes.highavailability.', 'latin1')
  const body = Buffer.from(JSON.stringify({ path, marked }))
  return Buffer.concat([head, body, Buffer.alloc(Math.max(0, 678 - head.length - body.length), 0x20)]).toString(
    'base64',
  )
}

export const isMarked = (pointer: string): boolean =>
  Buffer.from(pointer, 'base64').toString('latin1').includes('"marked":true')

export const marked = (pointer: string): string => {
  const path = /"path":"([^"]*)"/.exec(Buffer.from(pointer, 'base64').toString('latin1'))?.[1] ?? ''
  return statePointer(path, true)
}

/** Ids of the checkpoints that a recovering JobManager would see, oldest first. */
export const readCheckpointIds = (configMap: ConfigMap): number[] =>
  Object.entries(configMap.data ?? {})
    .filter(([key, value]) => CHECKPOINT_KEY.test(key) && !isMarked(value))
    .map(([key]) => Number(CHECKPOINT_KEY.exec(key)?.[1]))
    .sort((a, b) => a - b)

/** The next checkpoint id. */
export const readCounter = (configMap: ConfigMap): number => Number(configMap.data?.[COUNTER_KEY] ?? '1')
