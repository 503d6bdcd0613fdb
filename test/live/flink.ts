// A running session cluster: who leads, how the job does, and what Flink's own log says.
import { get } from 'node:http'
import { LEADER_KEY_PREFIX, LOCK_SUFFIX, PORT_POD } from '../../shared/names.ts'
import { kubectl, type Namespace, nowMs, type Pod, until } from './cluster.ts'
import { access, CLUSTER_ID, jobManagers, type Setup, services, taskManager } from './manifests.ts'

export { CLUSTER_ID, flinkImage } from './manifests.ts'

const JAR = process.env['FLINK_HA_LIVE_JAR'] ?? '/opt/flink/examples/streaming/Ticker.jar'
const START_TIMEOUT_MS = 240_000

/** `DefaultDispatcherRunner`: the leader's dispatcher is being made. */
export const GRANTED = /DispatcherRunner.*was granted leadership/
export const REVOKED = /was revoked leadership|lost leadership|leadership.*revoked/i
/** `CheckpointCoordinator`: logged after the checkpoint is in the store, and before a restore. */
export const COMPLETED = /Completed checkpoint (\d+) for job/
export const RESTORING = /Restoring job \S+ from Checkpoint (\d+)/
/** `ExecutionGraph`: "Source (1/1) (<attempt>) switched from INITIALIZING to RUNNING." */
export const TASK_SWITCHED = /ExecutionGraph.*\((\w+)\) switched from ([A-Z]+) to ([A-Z]+)/

export const aNode = async (): Promise<string> => {
  const { items } = JSON.parse(await kubectl(['get', 'nodes', '-o', 'json'])) as {
    items: { metadata: { name: string }; status: { conditions: { type: string; status: string }[] } }[]
  }
  const node = items.find(n => n.status.conditions.some(c => c.type === 'Ready' && c.status === 'True'))
  if (node === undefined) throw new Error('no node is ready')
  return node.metadata.name
}

/** Keys of the lock by which a job comes back, of Flink 1.x and of 2.x. */
export const STORED_PLAN = /^(jobGraph|executionPlan)-/

type JobOverview = { jid: string; state: string; 'start-time': number; tasks: { total: number; running: number } }

const isRunning = ({ state, tasks }: JobOverview): boolean =>
  state === 'RUNNING' && tasks.total > 0 && tasks.running === tasks.total

export class FlinkCluster {
  readonly namespace: Namespace
  readonly node: string
  readonly setup: Setup

  constructor(namespace: Namespace, node: string, setup: Setup) {
    this.namespace = namespace
    this.node = node
    this.setup = setup
  }

  /** Flink's, in a pod of this component. */
  container(component: 'jobmanager' | 'taskmanager'): string {
    return this.setup.container ?? component
  }

  async deploy(): Promise<void> {
    const { namespace, node, setup } = this
    if (setup.objects !== undefined) return await namespace.apply(setup.objects)
    await namespace.apply([
      ...access,
      ...(setup.mode === 'flink-ha' ? services : []),
      jobManagers(namespace.name, node, setup),
      taskManager(namespace.name, node, setup),
    ])
  }

  /** Takes the cluster away or brings it back; its job is in the HA store meanwhile. */
  async scale(on: boolean): Promise<void> {
    const { namespace } = this
    const prefix = this.setup.objects === undefined ? '' : 'flink-'
    await namespace.kubectl(['scale', `deployment/${prefix}jobmanager`, `--replicas=${on ? 2 : 0}`])
    await namespace.kubectl(['scale', `deployment/${prefix}taskmanager`, `--replicas=${on ? 1 : 0}`])
    if (on) return
    await until(
      'the end of all pods',
      120_000,
      async () => (await namespace.pods('app=flink')).length === 0 || undefined,
    )
  }

  async jobManagers(): Promise<Pod[]> {
    return (await this.namespace.pods('component=jobmanager')).filter(pod => !pod.deleting)
  }
  async taskManagers(): Promise<Pod[]> {
    return (await this.namespace.pods('component=taskmanager')).filter(pod => !pod.deleting)
  }

  /** The pod whose REST address the lock's data names. */
  async leader(): Promise<Pod> {
    return await until('a leader with a published address', START_TIMEOUT_MS, () => this.leaderNow())
  }

  async leaderNow(): Promise<Pod | undefined> {
    const lock = await this.namespace.configMap(`${CLUSTER_ID}${LOCK_SUFFIX}`)
    const host = /,https?:\/\/([^:/]+):/.exec(lock?.data?.[`${LEADER_KEY_PREFIX}restserver`] ?? '')?.[1]
    return host === undefined ? undefined : (await this.jobManagers()).find(pod => pod.ip === host)
  }

  /** The other JobManager, once its Flink is there to take over. */
  async standby(leader: Pod): Promise<Pod> {
    return await until('a standby that can take over', START_TIMEOUT_MS, async () => {
      const pod = (await this.jobManagers()).find(({ name, ready }) => name !== leader.name && ready)
      if (pod === undefined) return undefined
      // Without a leader's view it may answer 503, but it answers.
      await rest(this.namespace, pod, '/config')
      if (this.setup.mode === 'builtin') return pod
      const { standing } = (await rest(this.namespace, pod, '/readyz', PORT_POD)) as { standing?: boolean }
      return standing === true ? pod : undefined
    })
  }

  /** Ticker, by default endless: `programArgs` are its last number, and the number at which it fails. */
  async submit(leader: Pod, programArgs: readonly number[] = []): Promise<string> {
    const look = async () => (await this.submission(leader, programArgs)).jobid
    return await until('the job to be submitted', START_TIMEOUT_MS, look, 1_000)
  }

  /** What Flink answers when it is asked once to run Ticker. */
  async submission(leader: Pod, programArgs: readonly number[] = []): Promise<{ jobid?: string; errors?: string[] }> {
    const asked = `-H 'content-type: application/json' -d '${JSON.stringify({ programArgsList: programArgs.map(String) })}'`
    const upload = await this.#curl(leader, `-X POST -F jarfile=@${JAR}`, '/jars/upload')
    const { filename } = upload as { filename: string }
    return (await this.#curl(leader, `-X POST ${asked}`, `/jars/${filename.split('/').at(-1)}/run`)) as object
  }

  async cancel(leader: Pod, jobId: string): Promise<void> {
    await this.#curl(leader, '-X PATCH', `/jobs/${jobId}?mode=cancel`)
  }

  async #curl(pod: Pod, options: string, path: string): Promise<unknown> {
    const command = `curl -s ${options} 'http://${pod.ip}:8081${path}'`
    return JSON.parse(
      await this.namespace.kubectl(['exec', pod.name, '-c', this.container('jobmanager'), '--', 'sh', '-c', command]),
    )
  }

  /** undefined: the leader knows no such job. */
  async state(leader: Pod, jobId: string): Promise<string | undefined> {
    return (await this.#overview(leader, jobId))?.state
  }

  /** The job of an application cluster. */
  async onlyJob(leader: Pod): Promise<string> {
    return await until('the application’s job', START_TIMEOUT_MS, async () => {
      const { jobs } = (await rest(this.namespace, leader, '/jobs/overview')) as { jobs: JobOverview[] }
      return jobs[0]?.jid
    })
  }

  async #overview(pod: Pod, jobId: string): Promise<JobOverview | undefined> {
    // Alone among the job's pages it is not cached by Flink (`/jobs/<id>` is, for 3 s).
    const { jobs } = (await rest(this.namespace, pod, '/jobs/overview')) as { jobs: JobOverview[] }
    return jobs.find(({ jid }) => jid === jobId)
  }

  async tasks(pod: Pod, jobId: string): Promise<number> {
    return (await this.#overview(pod, jobId))?.tasks.total ?? 0
  }

  /** When all tasks were seen RUNNING. `startedAfterMs`, by the node's clock: not in the old leader's view of the job. */
  async running(pod: Pod, jobId: string, timeoutMs: number, startedAfterMs = 0): Promise<number> {
    return await until(`job ${jobId} running as ${pod.name} tells`, timeoutMs, async () => {
      const job = await this.#overview(pod, jobId)
      if (job === undefined || job['start-time'] < startedAfterMs) return undefined
      return isRunning(job) ? nowMs() : undefined
    })
  }

  /** When all tasks of so many jobs were seen RUNNING. */
  async allRunning(pod: Pod, jobs: number, timeoutMs: number): Promise<number> {
    return await until(`${jobs} jobs running as ${pod.name} tells`, timeoutMs, async () => {
      const overview = (await rest(this.namespace, pod, '/jobs/overview')) as { jobs: JobOverview[] }
      return overview.jobs.filter(isRunning).length === jobs ? nowMs() : undefined
    })
  }

  /** Changes when another leader takes the job over, and when the job restarts. */
  async incarnation(pod: Pod, jobId: string): Promise<string> {
    const job = (await rest(this.namespace, pod, `/jobs/${jobId}`)) as {
      'start-time': number
      timestamps: { RUNNING: number; RESTARTING: number }
      vertices: { name: string; 'start-time': number }[]
    }
    const tasks = job.vertices.map(vertex => vertex['start-time']).join()
    return `started ${job['start-time']}, running ${job.timestamps.RUNNING}, restarting ${job.timestamps.RESTARTING}, tasks ${tasks}`
  }

  /** Completed checkpoints since the present leader took over. */
  async completed(pod: Pod, jobId: string): Promise<number> {
    const { counts } = (await rest(this.namespace, pod, `/jobs/${jobId}/checkpoints`)) as {
      counts: { completed: number }
    }
    return counts.completed
  }

  async checkpoints(pod: Pod, jobId: string, more: number, timeoutMs = 120_000): Promise<void> {
    const before = await until('the count of checkpoints', timeoutMs, () => this.completed(pod, jobId))
    await until(`${more} more checkpoints`, timeoutMs, async () => (await this.completed(pod, jobId)) >= before + more)
  }

  /** The checkpoint that this JobManager's job was first restored from; 0: it logged none. */
  async restored(pod: Pod): Promise<number> {
    const lines = await this.namespace.logs(pod.name, this.container('jobmanager'))
    return Number(lines.flatMap(({ line }) => RESTORING.exec(line)?.[1] ?? [])[0] ?? 0)
  }

  /** Where the job's own count missed or repeated a number. */
  async lost(): Promise<string[]> {
    const lines: string[] = []
    for (const pod of await this.taskManagers())
      for (const previous of [false, true])
        for (const { line } of await this.namespace.logs(pod.name, this.container('taskmanager'), previous))
          if (line.includes('ticker LOST')) lines.push(`${pod.name}: ${line}`)
    return lines
  }
}

let direct: boolean | undefined

/** What a pod's endpoint answers: asked directly where pods can be reached, else through the API server. */
export const rest = async (namespace: Namespace, pod: Pod, path: string, port = 8081): Promise<unknown> => {
  if (direct !== false) {
    try {
      const value = await getJson(pod.ip, port, path)
      direct = true
      return value
    } catch (error) {
      if (direct === true || (error as NodeJS.ErrnoException).code === 'ECONNREFUSED') throw error
    }
  }
  const text = await namespace.kubectl(['get', '--raw', proxyPath(namespace, pod, path, port)])
  direct = false
  return JSON.parse(text)
}

export const proxyPath = (namespace: Namespace, pod: { name: string }, path: string, port: number): string =>
  `/api/v1/namespaces/${namespace.name}/pods/${pod.name}:${port}/proxy${path}`

const getJson = (host: string, port: number, path: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const request = get({ host, port, path, timeout: 2_000, agent: false }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', chunk => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () => {
        try {
          resolve(JSON.parse(text))
        } catch (error) {
          reject(error)
        }
      })
    })
    request.on('timeout', () => request.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })))
    request.on('error', reject)
  })
