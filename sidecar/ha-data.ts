/**
 * What a cluster's HA ConfigMaps say: keys, counters, sizes. The Java bytes of a state pointer are never parsed, they could be
 * anybody's: whether a pointer is one is judged by its first bytes, and whether it is marked for deletion is not known here.
 *
 * What does not fit, a key that Flink does not write or a value that it could not read, is reported and stepped over. It is
 * somebody else's to remove.
 */
import type { ConfigMap } from '../shared/lock.ts'
import { LEADER_KEY_PREFIX } from '../shared/names.ts'
import { printable } from '../shared/settings.ts'
import { foreignReason, haNameOf, JOB_ID } from './ha-names.ts'
import { type Component, parseComponent } from './leader.ts'
import { dataBytes, MAX_DATA_BYTES } from './size-limit.ts'

/** `key` "": the ConfigMap as a whole. */
export type Problem = { configMap: string; key: string; problem: string }

/**
 * As far as the HA store tells. `led`: a leader told its address. `recovering`: its plan is stored, nobody leads it (yet).
 * `leftover`: a ConfigMap of a job that has neither.
 */
export type JobState = 'led' | 'recovering' | 'leftover'

export type JobDocument = {
  id: string
  /** As Flink tells it; null when it does not. */
  name: string | null
  state: JobState
  leader: Component | null
  /** Whether a plan is stored, so that the job comes back after a change of leader. */
  planStored: boolean
  /** Id that the next checkpoint gets; null when not known here. */
  checkpointCounter: number | null
  /** Newest first. */
  checkpoints: number[]
  /** Of the data in the job's ConfigMap. */
  bytes: number
  /** Of what it may hold. */
  sizePercent: number
  problems: Problem[]
}

const PLAN = /^(?:jobGraph|executionPlan)-(.*)$/
const APPLICATION = /^application-[0-9a-f]{32}$/
const CHECKPOINT = /^checkpointID-(\d{19})$/
const COMPONENTS = ['dispatcher', 'resourcemanager', 'restserver']
/** Base64 of a Java serialization stream's header, 0xACED0005. */
const JAVA_STREAM = 'rO0AB'
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/
/** More of one ConfigMap are counted, not told. */
const MAX_PROBLEMS = 20

type Entries = { [key: string]: string }
type Note = (key: string, problem: string) => void

const isPointer = (value: string): boolean =>
  value.startsWith(JAVA_STREAM) && value.length % 4 === 0 && BASE64.test(value)

/** Problems of one ConfigMap, as many as anybody reads. */
const problemsOf = (object: ConfigMap, look: (entries: Entries, note: Note) => void): Problem[] => {
  const { name } = object.metadata
  const found: Problem[] = []
  let more = 0
  const note: Note = (key, problem) => {
    if (found.length < MAX_PROBLEMS) found.push({ configMap: name, key: printable(key), problem })
    else more += 1
  }
  look(object.data ?? {}, note)
  for (const key of Object.keys((object['binaryData'] ?? {}) as Entries)) note(key, 'Flink writes no binary data')
  if (more > 0) found.push({ configMap: name, key: '', problem: `${more} more entries are foreign or damaged` })
  return found
}

const UNKNOWN = 'Flink has no such key here'
const notPointer = (value: string): string =>
  `its value is "${printable(value.slice(0, 40))}": a state pointer is needed (Base64 of a Java stream, ${JAVA_STREAM}…)`

/** Plans that are stored, and leader keys. `led`: by job id. */
export type LockEntries = { planned: Set<string>; led: Map<string, Component>; problems: Problem[] }

export const lockEntries = (lock: ConfigMap | undefined): LockEntries => {
  const planned = new Set<string>()
  const led = new Map<string, Component>()
  if (lock === undefined) return { planned, led, problems: [] }
  const problems = problemsOf(lock, (entries, note) => {
    for (const [key, value] of Object.entries(entries)) {
      const jobId = PLAN.exec(key)?.[1]
      if (key.startsWith(LEADER_KEY_PREFIX)) readLeaderKey(key, value, led, note)
      else if (jobId === undefined && !APPLICATION.test(key)) note(key, UNKNOWN)
      else if (jobId !== undefined && !JOB_ID.test(jobId)) note(key, 'a job id of 32 hexadecimal digits is needed')
      else if (!isPointer(value)) note(key, notPointer(value))
      else if (jobId !== undefined) planned.add(jobId)
    }
  })
  return { planned, led, problems }
}

const readLeaderKey = (key: string, value: string, led: Map<string, Component>, note: Note): void => {
  const name = key.slice(LEADER_KEY_PREFIX.length)
  const jobId = name.startsWith('job-') ? name.slice('job-'.length) : undefined
  if (!COMPONENTS.includes(name) && (jobId === undefined || !JOB_ID.test(jobId))) return note(key, UNKNOWN)
  const component = parseComponent(value)
  if (component === undefined)
    return note(key, `its value is "${printable(value)}": "<session id>,<address>" is needed`)
  if (jobId !== undefined) led.set(jobId, component)
}

export type JobEntries = { counter: number | null; checkpoints: number[]; problems: Problem[] }

export const jobEntries = (object: ConfigMap | undefined): JobEntries => {
  let counter: number | null = null
  const checkpoints: number[] = []
  if (object === undefined) return { counter, checkpoints, problems: [] }
  const problems = problemsOf(object, (entries, note) => {
    for (const [key, value] of Object.entries(entries)) {
      const id = Number(CHECKPOINT.exec(key)?.[1] ?? Number.NaN)
      if (key === 'counter') {
        if (/^\d{1,19}$/.test(value) && Number.isSafeInteger(Number(value))) counter = Number(value)
        else note(key, `its value is "${printable(value)}": the number of the next checkpoint is needed`)
      } else if (!Number.isSafeInteger(id)) note(key, UNKNOWN)
      else if (isPointer(value)) checkpoints.push(id)
      else note(key, notPointer(value))
    }
  })
  return { counter, checkpoints: checkpoints.sort((a, b) => b - a), problems }
}

/** `leader`: as known to be valid by whoever asks; a key in the lock may be a dead leader's. */
export type JobSight = { id: string; name: string | null; leader: Component | null; object: ConfigMap | undefined }

export const jobDocument = ({ id, name, leader, object }: JobSight, lock: LockEntries): JobDocument => {
  const planStored = lock.planned.has(id)
  const { counter, checkpoints, problems } = jobEntries(object)
  const { bytes, sizePercent } = sizeOf(object)
  return {
    id,
    name,
    state: leader !== null ? 'led' : planStored ? 'recovering' : 'leftover',
    leader,
    planStored,
    checkpointCounter: counter,
    checkpoints,
    bytes,
    sizePercent,
    problems: [...lock.problems.filter(({ key }) => key.endsWith(`-${id}`)), ...problems],
  }
}

export const sizeOf = (object: ConfigMap | undefined): { bytes: number; sizePercent: number } => {
  const bytes = dataBytes(object)
  return { bytes, sizePercent: Math.round((bytes * 1_000) / MAX_DATA_BYTES) / 10 }
}

export type HaData = {
  lock: ConfigMap | undefined
  /** By job id. */
  jobMaps: Map<string, ConfigMap>
  jobs: JobDocument[]
  /** Of the lock, of the jobs, and of ConfigMaps that only look like this cluster's. */
  problems: Problem[]
}

/** Of one cluster, out of whatever ConfigMaps there are. */
export const haDataOf = (clusterId: string, configMaps: readonly ConfigMap[]): HaData => {
  const own = configMaps.filter(({ metadata }) => haNameOf(metadata)?.clusterId === clusterId)
  const lock = own.find(({ metadata }) => haNameOf(metadata)?.jobId === undefined)
  const jobMaps = new Map(
    own.flatMap(one => (one === lock ? [] : [[haNameOf(one.metadata)?.jobId ?? '', one] as const])),
  )
  const inLock = lockEntries(lock)
  const ids = [...new Set([...inLock.planned, ...inLock.led.keys(), ...jobMaps.keys()])].sort()
  const jobs = ids.map(id =>
    jobDocument({ id, name: null, leader: inLock.led.get(id) ?? null, object: jobMaps.get(id) }, inLock),
  )
  const ofJobs = [...jobMaps.values()].flatMap(one => jobEntries(one).problems)
  return { lock, jobMaps, jobs, problems: [...foreignProblems(clusterId, configMaps), ...inLock.problems, ...ofJobs] }
}

export const foreignProblems = (clusterId: string, configMaps: readonly Pick<ConfigMap, 'metadata'>[]): Problem[] =>
  configMaps.flatMap(({ metadata }) => {
    const problem = foreignReason(clusterId, metadata)
    return problem === undefined ? [] : [{ configMap: metadata.name, key: '', problem }]
  })
