// HA data in words: the tables of `status`, `cleanup` and `backup`.
import type { ConfigMap } from '../shared/lock.ts'
import { printable } from '../shared/settings.ts'
import { type HaData, type JobDocument, lockEntries, type Problem, sizeOf } from '../sidecar/ha-data.ts'
import { sizeText, textTable } from './table.ts'

/** A host's name has up to 253 characters, and a path comes after it. */
const MAX_ADDRESS = 400

/** What a leader told, or who wrote that in its place. */
export const addressText = (address: string): string => printable(address, MAX_ADDRESS)

const JOBS_HEAD = ['job', 'name', 'state', 'leader', 'checkpoints', 'next', 'size']

export const jobsText = (jobs: readonly JobDocument[]): string =>
  jobs.length === 0 ? '' : textTable([JOBS_HEAD, ...jobs.map(jobRow)])

const jobRow = (job: JobDocument): string[] => [
  job.id,
  job.name === null ? '-' : printable(job.name),
  job.state,
  job.leader === null ? '-' : `${addressText(job.leader.address)} (session ${printable(job.leader.sessionId)})`,
  newestText(job.checkpoints),
  String(job.checkpointCounter ?? '-'),
  `${sizeText(job.bytes)} (${job.sizePercent} %)`,
]

const newestText = (checkpoints: readonly number[]): string =>
  checkpoints.length === 0 ? 'none' : `${checkpoints.slice(0, 3).join(', ')}${checkpoints.length > 3 ? ', …' : ''}`

export const problemLines = (problems: readonly Problem[]): string =>
  problems
    .map(({ configMap, key, problem }) => `${configMap}${key === '' ? '' : `, key ${key}`}: ${problem}\n`)
    .join('')

/** One row for each ConfigMap: name, size, what of. */
export const storeRows = ({ lock, jobs, jobMaps }: HaData): string[][] => [
  ...jobs.flatMap(job => {
    const object = jobMaps.get(job.id)
    return object === undefined ? [] : [[...sizeCells(object), `job ${job.id} (${job.state}), ${checkpointText(job)}`]]
  }),
  ...(lock === undefined ? [] : [[...sizeCells(lock), lockText(lock)]]),
]

const sizeCells = (object: ConfigMap): string[] => {
  const { bytes, sizePercent } = sizeOf(object)
  return [object.metadata.name, sizeText(bytes), `${sizePercent} %`]
}

const checkpointText = ({ checkpoints }: JobDocument): string =>
  checkpoints.length === 0 ? 'no checkpoint' : `newest checkpoint ${checkpoints[0]}`

const lockText = (lock: ConfigMap): string => {
  const plans = lockEntries(lock).planned.size
  return `the lock, plans of ${plans} job${plans === 1 ? '' : 's'}`
}
