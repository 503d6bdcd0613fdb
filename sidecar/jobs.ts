/**
 * The running-jobs registry: `GET /jobs` and `GET /problems`. The lock is in memory; the jobs' ConfigMaps are listed by their
 * metadata, read a few at a time, each let go as soon as its few facts are taken, and only while somebody asks: each may be
 * up to 1 MiB, and this process sits in every JobManager pod.
 */
import { ACCEPT_METADATA_LIST, type ApiClient } from '../shared/kube-client.ts'
import type { ConfigMap } from '../shared/lock.ts'
import type { Candidate } from './candidate.ts'
import { foreignProblems, type JobDocument, jobDocument, lockEntries, type Problem } from './ha-data.ts'
import { haNameOf, haSelector, jobConfigMapName } from './ha-names.ts'
import { JobNames } from './job-names.ts'
import { configMapsPath, type LockTarget } from './lock-store.ts'
import type { Status } from './status.ts'

export type Registered = { jobs: JobDocument[]; problems: Problem[] }

const AT_A_TIME = 4
const TIMEOUT_MS = 5_000

export class Jobs {
  #candidate: Candidate
  #status: Status
  #client: Pick<ApiClient, 'request'>
  #names = new JobNames()
  #underWay: Promise<Registered> | undefined

  constructor(candidate: Candidate, status: Status, client: Pick<ApiClient, 'request'>) {
    this.#candidate = candidate
    this.#status = status
    this.#client = client
  }

  /** One reading for all that ask meanwhile. @throws Unreachable */
  read(target: LockTarget): Promise<Registered> {
    this.#underWay ??= this.#read(target).finally(() => {
      this.#underWay = undefined
    })
    return this.#underWay
  }

  async #read(target: LockTarget): Promise<Registered> {
    const lock = lockEntries(this.#candidate.cached?.object)
    const stored = await this.#stored(target)
    // Of a leader that is known to lead: a key in the lock may be what a dead one left.
    const { restserver, jobs: leaders } = this.#status.leader().components
    const ids = [...new Set([...lock.planned, ...lock.led.keys(), ...stored.ids])].sort()
    const names = this.#names.of(ids, restserver?.address)
    const documents = await inTurns(ids, async id => {
      const object = await this.#job(target, id)
      const leader = Object.hasOwn(leaders, id) ? (leaders[id] ?? null) : null
      return jobDocument({ id, name: null, leader, object }, lock)
    })
    const known = await names
    const jobs = documents.map(document => ({ ...document, name: known.get(document.id) ?? null }))
    const ofJobs = jobs.flatMap(({ problems }) => problems.filter(problem => !lock.problems.includes(problem)))
    return { jobs, problems: [...stored.problems, ...lock.problems, ...ofJobs] }
  }

  /** What there is by its labels. Whoever may not list has what the lock tells. */
  async #stored({ namespace, clusterId }: LockTarget): Promise<{ ids: string[]; problems: Problem[] }> {
    const path = `${configMapsPath(namespace)}?labelSelector=${encodeURIComponent(haSelector(clusterId))}`
    const { status, body } = await this.#client.request('GET', path, {
      accept: ACCEPT_METADATA_LIST,
      timeoutMs: TIMEOUT_MS,
    })
    const items = status === 200 ? ((body as { items?: ConfigMap[] } | undefined)?.items ?? []) : []
    return {
      ids: items.flatMap(({ metadata }) => haNameOf(metadata)?.jobId ?? []),
      problems: foreignProblems(clusterId, items),
    }
  }

  async #job({ namespace, clusterId }: LockTarget, id: string): Promise<ConfigMap | undefined> {
    const path = `${configMapsPath(namespace)}/${jobConfigMapName(clusterId, id)}`
    const { status, body } = await this.#client.request('GET', path, { timeoutMs: TIMEOUT_MS })
    return status === 200 ? (body as ConfigMap) : undefined
  }
}

/** In the order of the items, a few at a time. */
const inTurns = async <T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = []
  const next = items.entries()
  const work = async (): Promise<void> => {
    for (const [index, item] of next) results[index] = await act(item)
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, work))
  return results
}
