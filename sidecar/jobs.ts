/**
 * The running-jobs registry: `GET /jobs` and `GET /problems`. The lock is in memory; the jobs' ConfigMaps are listed by their
 * metadata, read a few at a time, each let go as soon as its few facts are taken, and only while somebody asks: each may be
 * up to 1 MiB, and this process sits in every JobManager pod.
 */
import type { Clock } from '../shared/clock.ts'
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
const KEPT_MS = 1_000

export class Jobs {
  #candidate: Candidate
  #status: Status
  #client: Pick<ApiClient, 'request'>
  #names = new JobNames()
  #clock: Pick<Clock, 'after'>
  #lately: Promise<Registered> | undefined

  constructor(candidate: Candidate, status: Status, client: Pick<ApiClient, 'request'>, clock: Pick<Clock, 'after'>) {
    this.#candidate = candidate
    this.#status = status
    this.#client = client
    this.#clock = clock
  }

  /** One reading for all that ask meanwhile, and a second after it: anybody may ask. @throws Unreachable */
  read(target: LockTarget): Promise<Registered> {
    const forget = (): void => {
      this.#lately = undefined
    }
    this.#lately ??= this.#read(target).then(
      found => {
        this.#clock.after(KEPT_MS, forget)
        return found
      },
      (error: unknown) => {
        forget()
        throw error
      },
    )
    return this.#lately
  }

  async #read(target: LockTarget): Promise<Registered> {
    const lock = lockEntries(this.#candidate.cached?.object)
    const stored = await this.#stored(target)
    // Of a leader that is known to lead: a key in the lock may be what a dead one left.
    const { restserver, jobs: leaders } = this.#status.leader().components
    const ids = [...new Set([...lock.planned, ...lock.led.keys(), ...stored.ids])].sort()
    const [known, documents] = await Promise.all([
      this.#names.of(ids, restserver?.address),
      inTurns(ids, async id => {
        const { object, problems } = await this.#job(target, id)
        const leader = Object.hasOwn(leaders, id) ? (leaders[id] ?? null) : null
        const document = jobDocument({ id, name: null, leader, object }, lock)
        return { ...document, problems: [...problems, ...document.problems] }
      }),
    ])
    const jobs = documents.map(document => ({ ...document, name: known.get(document.id) ?? null }))
    const ofJobs = jobs.flatMap(({ problems }) => problems.filter(problem => !lock.problems.includes(problem)))
    return { jobs, problems: [...stored.problems, ...lock.problems, ...ofJobs] }
  }

  /** What there is by its labels. Whoever may not list has what the lock tells, and is told so. */
  async #stored({ namespace, clusterId }: LockTarget): Promise<{ ids: string[]; problems: Problem[] }> {
    const path = `${configMapsPath(namespace)}?labelSelector=${encodeURIComponent(haSelector(clusterId))}`
    const { status, body } = await this.#client.request('GET', path, {
      accept: ACCEPT_METADATA_LIST,
      timeoutMs: TIMEOUT_MS,
    })
    const items = status === 200 ? ((body as { items?: ConfigMap[] } | undefined)?.items ?? []) : []
    return {
      ids: items.flatMap(({ metadata }) => haNameOf(metadata)?.jobId ?? []),
      problems: [...unread(status, ''), ...foreignProblems(clusterId, items)],
    }
  }

  async #job(
    { namespace, clusterId }: LockTarget,
    id: string,
  ): Promise<{ object: ConfigMap | undefined; problems: Problem[] }> {
    const name = jobConfigMapName(clusterId, id)
    const { status, body } = await this.#client.request('GET', `${configMapsPath(namespace)}/${name}`, {
      timeoutMs: TIMEOUT_MS,
    })
    if (status === 200) return { object: body as ConfigMap, problems: [] }
    return { object: undefined, problems: status === 404 ? [] : unread(status, name) }
  }
}

/** What is not known is not taken for absent. */
const unread = (status: number, configMap: string): Problem[] =>
  status === 200 ? [] : [{ configMap, key: '', problem: `it is not read: the API server answered ${status}` }]

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
