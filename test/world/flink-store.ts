// `FlinkKubeClient` on the HA ConfigMaps: every change is GET, PUT with the version read, and up to 15 more tries at once.
import type { DialectRules } from './flink-dialect.ts'
import type { FlinkHttp } from './flink-http.ts'
import type { ConfigMap } from './flink-records.ts'
import { haLabels, jobConfigMapName, lockName, showsLeadership } from './flink-records.ts'

/** `kubernetes.transactional-operation.max-retries`. */
const MAX_RETRIES = 15

export type Written = 'written' | 'not-leader' | 'unchanged' | 'missing' | 'failed'
export type Data = { [key: string]: string }
/** Changes the data in place; false means that nothing is to be written. */
export type Change = (data: Data) => boolean

export type StoreOptions = {
  http: FlinkHttp
  clusterId: string
  namespace: string
  identity: string
  rules: DialectRules
}

export class HaStore {
  readonly lock: string
  readonly #options: StoreOptions

  constructor(options: StoreOptions) {
    this.#options = options
    this.lock = lockName(options.clusterId)
  }

  jobName(jobId: string): string {
    return jobConfigMapName(this.#options.clusterId, jobId)
  }

  async read(name: string): Promise<ConfigMap | 'missing' | 'failed'> {
    const reply = await this.#options.http.get(name)
    if (reply.status === 404) return 'missing'
    return reply.status === 200 ? (reply.body as ConfigMap) : 'failed'
  }

  /** One GET of the lock. A missing lock means to Flink that somebody interfered, and ends its process. */
  async leadership(): Promise<'yes' | 'no' | 'missing'> {
    const found = await this.read(this.lock)
    if (found === 'missing') return 'missing'
    return found !== 'failed' && showsLeadership(found, this.#options.identity) ? 'yes' : 'no'
  }

  /** Writes to the lock are made only while its annotation shows us; those to a job's ConfigMap are not guarded. */
  async update(name: string, change: Change): Promise<Written> {
    for (let retries = 0; retries <= MAX_RETRIES; retries++) {
      const found = await this.read(name)
      if (found === 'missing') return 'missing'
      if (found === 'failed') continue
      const isLock = name === this.lock
      if (isLock && !showsLeadership(found, this.#options.identity)) return 'not-leader'
      const data = { ...found.data }
      if (!change(data)) return 'unchanged'
      const metadata = isLock ? { ...found.metadata, labels: this.#labels(found) } : found.metadata
      if ((await this.#options.http.replace({ ...found, metadata, data })).status === 200) return 'written'
    }
    return 'failed'
  }

  async createJob(jobId: string): Promise<boolean> {
    const { http, clusterId, namespace, rules } = this.#options
    const reply = await http.create({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { labels: haLabels(rules, clusterId), name: this.jobName(jobId), namespace },
    })
    return reply.status === 201
  }

  async deleteJob(jobId: string): Promise<void> {
    await this.#options.http.delete(this.jobName(jobId))
  }

  #labels(found: ConfigMap): { [name: string]: string } {
    return { ...found.metadata.labels, ...haLabels(this.#options.rules, this.#options.clusterId) }
  }
}
