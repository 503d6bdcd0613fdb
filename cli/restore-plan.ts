/**
 * What a restore would do to each object. Pure. What Flink left is put back as it was; what the election left is not: the lock
 * comes back released, in a record that native Flink can read, without the addresses of leaders that are gone, and neither its
 * fencing token nor its count of leaders ever goes back behind what anybody has seen.
 */
import type { Lock } from '../shared/election.ts'
import { type ConfigMap, type Lease, leaseSpec, lockOfConfigMap, lockOfLease, tokenIn } from '../shared/lock.ts'
import { ANNOTATION_LEADER, ANNOTATION_TOKEN, DOMAIN, LEADER_KEY_PREFIX } from '../shared/names.ts'
import { formatRecord, formatTime } from '../shared/record.ts'
import { haNameOf } from '../sidecar/ha-names.ts'
import type { Backup } from './backup-file.ts'

export type Present = { configMaps: ReadonlyMap<string, ConfigMap>; lease: Lease | undefined }
export type Restore = {
  kind: 'ConfigMap' | 'Lease'
  name: string
  verb: 'create' | 'replace' | 'none'
  /** As it will be written; a replacement names uid and version of what was read. */
  body: object
  /** One line for each key that differs. */
  differences: string[]
}

/** A released record states a second (fabric8 `LeaderElector.release`). */
const RELEASED_LEASE_MS = 1_000

/** In the order in which it is to be done: the jobs, then the lock, so that nobody finds half of it. */
export const planRestore = (backup: Backup, present: Present, namespace: string, nowUs: number): Restore[] => {
  const election = electionOf(backup, present, nowUs)
  const isLock = ({ metadata }: ConfigMap): boolean => haNameOf(metadata)?.jobId === undefined
  const ordered = [...backup.configMaps.filter(one => !isLock(one)), ...backup.configMaps.filter(isLock)]
  const maps = ordered.map(saved => {
    const current = present.configMaps.get(saved.metadata.name)
    const wanted = isLock(saved) ? lockWanted(saved, election) : jobWanted(saved, current)
    return restoreOf(wanted, current, namespace, isLock(saved))
  })
  return backup.lease === undefined ? maps : [...maps, leaseOf(backup.lease, present.lease, namespace, election)]
}

type Election = { token: number; transitions: number; raw: string; isLease: boolean }

const electionOf = ({ configMaps, lease }: Backup, present: Present, nowUs: number): Election => {
  const maps = [...configMaps, ...present.configMaps.values()]
  const leases = [lease, present.lease]
  const locks = [...maps.map(one => lockOfConfigMap(one, '')), ...leases.map(one => lockOfLease(one, ''))]
  const token = Math.max(...locks.map(lock => lock.token))
  const transitions = Math.max(...locks.map(lock => lock.record?.transitions ?? 0))
  const now = formatTime(nowUs)
  const released = { holder: '', leaseMs: RELEASED_LEASE_MS, acquireTime: now, renewTime: now, transitions }
  return { token, transitions, raw: formatRecord(released), isLease: lease !== undefined }
}

const tokenMark = (token: number): { [name: string]: string } =>
  token === 0 ? {} : { [ANNOTATION_TOKEN]: String(token) }

/** Of ours nothing else is put back: candidates, promises and reasons were of pods that are gone. */
const foreignMarks = ({ metadata: { annotations } }: ConfigMap): { [name: string]: string } =>
  Object.fromEntries(
    Object.entries(annotations ?? {}).filter(([name]) => name !== ANNOTATION_LEADER && !name.startsWith(`${DOMAIN}/`)),
  )

const lockWanted = (saved: ConfigMap, { token, raw, isLease }: Election): ConfigMap => ({
  ...saved,
  metadata: {
    ...saved.metadata,
    annotations: {
      ...foreignMarks(saved),
      // Beside a Lease the ConfigMap has no record.
      ...(isLease && saved.metadata.annotations?.[ANNOTATION_LEADER] === undefined ? {} : { [ANNOTATION_LEADER]: raw }),
      ...tokenMark(token),
    },
  },
  data: withoutLeaders(saved),
})

const jobWanted = (saved: ConfigMap, current: ConfigMap | undefined): ConfigMap => {
  const token = Math.max(tokenIn(saved.metadata), current === undefined ? 0 : tokenIn(current.metadata))
  return { ...saved, metadata: { ...saved.metadata, annotations: { ...foreignMarks(saved), ...tokenMark(token) } } }
}

const withoutLeaders = ({ data = {} }: ConfigMap): { [key: string]: string } =>
  Object.fromEntries(Object.entries(data).filter(([key]) => !key.startsWith(LEADER_KEY_PREFIX)))

const restoreOf = (wanted: ConfigMap, current: ConfigMap | undefined, namespace: string, isLock: boolean): Restore => {
  const { name, labels = {}, annotations = {} } = wanted.metadata
  const content = {
    data: wanted.data ?? {},
    ...(wanted['binaryData'] !== undefined && { binaryData: wanted['binaryData'] }),
  }
  const head = { apiVersion: 'v1', kind: 'ConfigMap' }
  if (current === undefined) {
    const body = { ...head, metadata: { name, namespace, labels, annotations }, ...content }
    return { kind: 'ConfigMap', name, verb: 'create', body, differences: [] }
  }
  const differences = [
    // A dead leader's addresses are no difference.
    ...changes('', isLock ? withoutLeaders(current) : (current.data ?? {}), wanted.data ?? {}),
    ...changes('binary ', binaryOf(current), binaryOf(wanted)),
    ...changes('label ', current.metadata.labels ?? {}, labels),
    ...behind(tokenIn(current.metadata), tokenIn(wanted.metadata)),
    ...(isLock
      ? unreadable(lockOfConfigMap(current, ''), current.metadata.annotations?.[ANNOTATION_LEADER] ?? '')
      : []),
  ]
  // Uid and version of what was read make it a compare-and-set.
  const body = { ...head, metadata: { ...current.metadata, labels, annotations }, ...content }
  return { kind: 'ConfigMap', name, verb: differences.length === 0 ? 'none' : 'replace', body, differences }
}

const binaryOf = (object: ConfigMap): { [key: string]: string } =>
  (object['binaryData'] ?? {}) as { [key: string]: string }

const behind = (current: number, wanted: number): string[] =>
  current >= wanted ? [] : [`~ fencing token ${current} → ${wanted}`]

/** Nobody could take such a lock over as a record that was released. */
const unreadable = ({ record }: Lock, written: string): string[] =>
  record !== undefined || written === '' ? [] : [`~ record ${shortened(written)} cannot be read`]

const leaseOf = (
  saved: Lease,
  current: Lease | undefined,
  namespace: string,
  { token, transitions, raw }: Election,
): Restore => {
  const { name, labels = {} } = saved.metadata
  const made = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, labels, annotations: tokenMark(token) },
    spec: leaseSpec(raw),
  }
  if (current === undefined) {
    const body = { ...made, metadata: { ...made.metadata, namespace } }
    return { kind: 'Lease', name, verb: 'create', body, differences: [] }
  }
  const differences = [
    ...behind(tokenIn(current.metadata), token),
    ...unreadable(lockOfLease(current, ''), current.spec?.holderIdentity ?? ''),
    ...((current.spec?.leaseTransitions ?? 0) >= transitions ? [] : [`~ leaseTransitions → ${transitions}`]),
  ]
  const body = { ...made, metadata: { ...current.metadata, labels, annotations: tokenMark(token) } }
  return { kind: 'Lease', name, verb: differences.length === 0 ? 'none' : 'replace', body, differences }
}

type Texts = { readonly [key: string]: string }

/** `+` comes, `-` goes, `~` changes. */
const changes = (what: string, before: Texts, after: Texts): string[] => {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
  return keys.flatMap(key => {
    const [old, next] = [own(before, key), own(after, key)]
    if (old === next) return []
    if (old === undefined) return [`+ ${what}${key} ${shortened(next ?? '')}`]
    return next === undefined
      ? [`- ${what}${key} ${shortened(old)}`]
      : [`~ ${what}${key} ${shortened(old)} → ${shortened(next)}`]
  })
}

const own = (texts: Texts, key: string): string | undefined => (Object.hasOwn(texts, key) ? texts[key] : undefined)

/** The first bytes of all pointers are the same: the last ones tell them apart. */
const shortened = (value: string): string =>
  value.length <= 40
    ? JSON.stringify(value)
    : `(${value.length} characters, …${JSON.stringify(value.slice(-12)).slice(1)})`
