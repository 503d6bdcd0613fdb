// Kubernetes objects as election locks, and back: the only file that knows where in an object a lock's fields are.
import type { Lock, Write } from './election.ts'
import { UNREADABLE_ROSTER } from './failsafe.ts'
import {
  ANNOTATION_CANDIDATES,
  ANNOTATION_FAILSAFE,
  ANNOTATION_JVM,
  ANNOTATION_LEADER,
  ANNOTATION_REASON,
  ANNOTATION_SUCCESSOR,
  ANNOTATION_TOKEN,
  FLINK_TYPE_LABEL,
} from './names.ts'
import { formatRecord, type LeaderRecord, parseRecord } from './record.ts'

export type Metadata = {
  name: string
  namespace?: string
  resourceVersion?: string
  uid?: string
  labels?: { [name: string]: string }
  annotations?: { [name: string]: string }
  [field: string]: unknown
}
export type ConfigMap = {
  apiVersion?: string
  kind?: string
  metadata: Metadata
  data?: { [key: string]: string }
  [field: string]: unknown
}
/** `coordination.k8s.io/v1`, the fields that matter here. */
export type Lease = {
  apiVersion?: string
  kind?: string
  metadata: Metadata
  spec?: {
    holderIdentity?: string | null
    leaseDurationSeconds?: number | null
    acquireTime?: string | null
    renewTime?: string | null
    leaseTransitions?: number | null
  }
}

const absent = (version: string): Lock => ({
  version,
  exists: false,
  raw: '',
  record: undefined,
  token: 0,
  successor: '',
  roster: [],
})

/** More cannot have been written: a leader keeps no more standbys than this. */
const MAX_ROSTER = 64

const parseRoster = (text: string | undefined): readonly string[] => {
  if (text === undefined) return []
  try {
    const value: unknown = JSON.parse(text)
    const fits = Array.isArray(value) && value.length > 0 && value.length <= MAX_ROSTER
    return fits && value.every(one => typeof one === 'string') ? value : UNREADABLE_ROSTER
  } catch {
    return UNREADABLE_ROSTER
  }
}

/** Above it no version was ever, and no token of ours can be: somebody else wrote that. Tokens go on from the version then. */
const MAX_TOKEN = 2 ** 52

/** The fencing token on an object; 0 when there is none, or none that a term can have had. */
export const tokenIn = (metadata: Metadata): number => {
  const token = Number(metadata.annotations?.[ANNOTATION_TOKEN] ?? 0)
  return Number.isInteger(token) && token > 0 && token <= MAX_TOKEN ? token : 0
}

const fromMetadata = (metadata: Metadata, raw: string, record: LeaderRecord | undefined): Lock => ({
  version: metadata.resourceVersion ?? '',
  exists: true,
  raw,
  record,
  token: tokenIn(metadata),
  successor: metadata.annotations?.[ANNOTATION_SUCCESSOR] ?? '',
  roster: parseRoster(metadata.annotations?.[ANNOTATION_FAILSAFE]),
})

/** `version`: of the collection, for when the object is missing. */
export const lockOfConfigMap = (object: ConfigMap | undefined, version: string): Lock => {
  if (object === undefined) return absent(version)
  const raw = object.metadata.annotations?.[ANNOTATION_LEADER] ?? ''
  return fromMetadata(object.metadata, raw, parseRecord(raw))
}

export const lockOfLease = (object: Lease | undefined, version: string): Lock => {
  if (object === undefined) return absent(version)
  const { spec } = object
  const record: LeaderRecord | undefined =
    spec === undefined
      ? undefined
      : parseRecord(
          JSON.stringify({
            holderIdentity: spec.holderIdentity ?? '',
            leaseDurationSeconds: spec.leaseDurationSeconds,
            acquireTime: spec.acquireTime ?? '',
            renewTime: spec.renewTime ?? '',
            leaseTransitions: spec.leaseTransitions,
          }),
        )
  return fromMetadata(object.metadata, record === undefined ? '' : formatRecord(record), record)
}

/** What a write puts beside the record; null removes. */
const besides = (write: Write, jvm: string): { [name: string]: string | null } => ({
  [ANNOTATION_TOKEN]: write.token === 0 ? null : String(write.token),
  [ANNOTATION_JVM]: write.kind === 'release' || jvm === '' ? null : jvm,
  [ANNOTATION_REASON]: write.reason === '' ? null : write.reason,
  [ANNOTATION_SUCCESSOR]: write.successor === '' ? null : write.successor,
  ...(write.roster !== undefined && {
    [ANNOTATION_FAILSAFE]: write.roster.length === 0 ? null : JSON.stringify(write.roster),
  }),
})

const withoutNulls = (values: { [name: string]: string | null }): { [name: string]: string } =>
  Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null))

/** The labels that Flink puts on its HA ConfigMaps; 1.x also selects by the last one. */
export const haLabels = (clusterId: string): { [name: string]: string } => ({
  app: clusterId,
  [FLINK_TYPE_LABEL.name]: FLINK_TYPE_LABEL.value,
  'configmap-type': 'high-availability',
})

/** Body of the POST that makes a lock. */
export const newConfigMapLock = (write: Write, name: string, clusterId: string): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name,
    labels: haLabels(clusterId),
    annotations: { [ANNOTATION_LEADER]: write.raw, ...withoutNulls(besides(write, '')) },
  },
})

/** Body of the merge patch (RFC 7386) of a write; `resourceVersion` makes it a compare-and-set. */
export const configMapPatch = (
  write: Write,
  jvm: string,
  labels: { [name: string]: string },
  data: { [key: string]: string | null },
  candidates: string | undefined,
) => ({
  metadata: {
    resourceVersion: write.version,
    labels,
    annotations: {
      [ANNOTATION_LEADER]: write.raw,
      ...besides(write, jvm),
      ...(candidates !== undefined && { [ANNOTATION_CANDIDATES]: candidates }),
    },
  },
  ...(Object.keys(data).length > 0 && { data }),
})

export const leaseSpec = (raw: string): NonNullable<Lease['spec']> => {
  const record = parseRecord(raw)
  return {
    holderIdentity: record?.holder ?? '',
    // The API takes whole seconds, at least one.
    leaseDurationSeconds: Math.max(1, Math.ceil((record?.leaseMs ?? 1000) / 1000)),
    acquireTime: record?.acquireTime ?? null,
    renewTime: record?.renewTime ?? null,
    leaseTransitions: record?.transitions ?? 0,
  }
}

export const newLeaseLock = (write: Write, name: string, labels: { [name: string]: string }): Lease => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name, labels, annotations: withoutNulls(besides(write, '')) },
  spec: leaseSpec(write.raw),
})

export const leasePatch = (write: Write, jvm: string) => ({
  metadata: { resourceVersion: write.version, annotations: besides(write, jvm) },
  spec: leaseSpec(write.raw),
})
