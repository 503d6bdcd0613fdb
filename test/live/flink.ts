// A session cluster as Flink's documentation describes it: two JobManagers, one TaskManager, high availability by
// ConfigMaps. `builtin` is that and no more; `flink-ha` is the same with one more variable and one more container.
import { get } from 'node:http'
import packageJson from '../../package.json' with { type: 'json' }
import { CONTAINER_SIDECAR, ENV_KUBERNETES_MASTER, LABEL_CLUSTER, PORT_LOCAL, PORT_POD } from '../../shared/names.ts'
import { epochMs, kubectl, type Namespace, nowMs, type Pod, sleep, until } from './cluster.ts'

export type Mode = 'builtin' | 'flink-ha'
export type Setup = {
  mode: Mode
  /** Flink's version: the image `docker.io/library/flink:<version>` has to be on the node. */
  flink: string
  profile?: string
  /** Where the sidecars find the API server, if not where every pod does. */
  apiServer?: string
  checkpointSeconds?: number
}

export const CLUSTER_ID = 'ticker'
export const IMAGE = process.env['FLINK_HA_IMAGE'] ?? `docker.io/flink-ha/flink-ha:${packageJson.version}`
export const flinkImage = (version: string): string => `docker.io/library/flink:${version}`
const JAR = process.env['FLINK_HA_LIVE_JAR'] ?? '/opt/flink/examples/streaming/Ticker.jar'
const ACCOUNT = 'flink'
const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'

const properties = (namespace: string, setup: Setup): string =>
  [
    `kubernetes.cluster-id: ${CLUSTER_ID}`,
    `kubernetes.namespace: ${namespace}`,
    'high-availability.type: kubernetes',
    'high-availability.storageDir: file:///flink-data/ha',
    `execution.checkpointing.interval: ${setup.checkpointSeconds ?? 2}s`,
    'execution.checkpointing.dir: file:///flink-data/checkpoints',
    'state.checkpoints.dir: file:///flink-data/checkpoints',
    'restart-strategy.type: fixed-delay',
    'restart-strategy.fixed-delay.attempts: 1000000',
    'restart-strategy.fixed-delay.delay: 100ms',
    'jobmanager.memory.process.size: 900m',
    'taskmanager.memory.process.size: 1024m',
    'taskmanager.numberOfTaskSlots: 2',
    '',
  ].join('\n')

const podIp = { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }
const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })

const storage = (namespace: string) => ({
  name: 'flink-data',
  hostPath: { path: `/tmp/flink-ha-live/${namespace}`, type: 'DirectoryOrCreate' },
})

/** The sidecar as the webhook will inject it. */
export const sidecarContainer = (setup: Setup) => ({
  name: CONTAINER_SIDECAR,
  image: IMAGE,
  imagePullPolicy: 'IfNotPresent',
  restartPolicy: 'Always',
  args: ['sidecar'],
  env: [
    field('FLINK_HA_NAMESPACE', 'metadata.namespace'),
    field('FLINK_HA_POD_NAME', 'metadata.name'),
    field('FLINK_HA_POD_UID', 'metadata.uid'),
    { name: 'FLINK_HA_CLUSTER_ID', value: CLUSTER_ID },
    ...(setup.profile === undefined ? [] : [{ name: 'FLINK_HA_PROFILE', value: setup.profile }]),
    ...(setup.apiServer === undefined
      ? []
      : [
          { name: 'FLINK_HA_API_SERVER', value: setup.apiServer },
          { name: 'FLINK_HA_TOKEN_FILE', value: `${TOKEN_PATH}/token` },
        ]),
  ],
  ports: [{ name: 'flink-ha', containerPort: PORT_POD }],
  startupProbe: { httpGet: { path: '/readyz', port: PORT_POD }, periodSeconds: 1, failureThreshold: 60 },
  livenessProbe: { httpGet: { path: '/healthz', port: PORT_POD }, periodSeconds: 10, failureThreshold: 3 },
  // Runs as soon as the pod is deleted: the term goes on while the JVM takes its time to end.
  lifecycle: { preStop: { exec: { command: ['/bin/sh', '-c', 'kill -USR2 1'] } } },
  resources: { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '128Mi' } },
  volumeMounts: [{ name: 'flink-ha-token', mountPath: TOKEN_PATH, readOnly: true }],
  securityContext: {
    runAsNonRoot: true,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  },
})

const tokenVolume = {
  name: 'flink-ha-token',
  projected: {
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    ],
  },
}

export const jobManagers = (namespace: string, node: string, setup: Setup, replicas = 2) => {
  const ours = setup.mode === 'flink-ha'
  const env = [podIp, { name: 'FLINK_PROPERTIES', value: properties(namespace, setup) }]
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'jobmanager' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'flink', component: 'jobmanager' } },
      template: {
        metadata: {
          labels: { app: 'flink', component: 'jobmanager', ...(ours && { [LABEL_CLUSTER]: CLUSTER_ID }) },
        },
        spec: {
          nodeName: node,
          serviceAccountName: ACCOUNT,
          ...(ours && { automountServiceAccountToken: false, initContainers: [sidecarContainer(setup)] }),
          containers: [
            {
              name: 'jobmanager',
              image: flinkImage(setup.flink),
              imagePullPolicy: 'IfNotPresent',
              args: ['jobmanager', '$(POD_IP)'],
              env: ours ? [...env, { name: ENV_KUBERNETES_MASTER, value: `http://127.0.0.1:${PORT_LOCAL}` }] : env,
              ports: [{ containerPort: 6123 }, { containerPort: 6124 }, { containerPort: 8081 }],
              volumeMounts: [{ name: 'flink-data', mountPath: '/flink-data' }],
            },
          ],
          volumes: [storage(namespace), ...(ours ? [tokenVolume] : [])],
        },
      },
    },
  }
}

export const taskManager = (namespace: string, node: string, setup: Setup) => {
  const ours = setup.mode === 'flink-ha'
  const env = [
    podIp,
    { name: 'FLINK_PROPERTIES', value: `${properties(namespace, setup)}taskmanager.host: $(POD_IP)\n` },
  ]
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'taskmanager' },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'flink', component: 'taskmanager' } },
      template: {
        metadata: { labels: { app: 'flink', component: 'taskmanager' } },
        spec: {
          nodeName: node,
          terminationGracePeriodSeconds: 1,
          ...(ours ? { automountServiceAccountToken: false } : { serviceAccountName: ACCOUNT }),
          containers: [
            {
              name: 'taskmanager',
              image: flinkImage(setup.flink),
              imagePullPolicy: 'IfNotPresent',
              args: ['taskmanager'],
              env: ours ? [...env, { name: ENV_KUBERNETES_MASTER, value: `http://jobmanager-ha:${PORT_POD}` }] : env,
              volumeMounts: [{ name: 'flink-data', mountPath: '/flink-data' }],
            },
          ],
          volumes: [storage(namespace)],
        },
      },
    },
  }
}

const access = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: ACCOUNT } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: ACCOUNT },
    rules: [
      {
        apiGroups: [''],
        resources: ['configmaps'],
        verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
      },
      { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'patch'] },
    ],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: ACCOUNT },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: ACCOUNT },
    subjects: [{ kind: 'ServiceAccount', name: ACCOUNT }],
  },
]

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'jobmanager-ha' },
  spec: {
    selector: { app: 'flink', component: 'jobmanager' },
    publishNotReadyAddresses: true,
    ports: [{ name: 'flink-ha', port: PORT_POD }],
  },
}

export const aNode = async (): Promise<string> => {
  const text = await kubectl(['get', 'nodes', '-o', 'json'])
  const nodes = (
    JSON.parse(text) as {
      items: { metadata: { name: string }; status: { conditions: { type: string; status: string }[] } }[]
    }
  ).items
  const node = nodes.find(n => n.status.conditions.some(c => c.type === 'Ready' && c.status === 'True'))
  if (node === undefined) throw new Error('no node is ready')
  return node.metadata.name
}

export type JobState = { state: string; vertices: string[]; restored: number | undefined; completed: number }

export class FlinkCluster {
  readonly namespace: Namespace
  readonly node: string
  readonly setup: Setup

  constructor(namespace: Namespace, node: string, setup: Setup) {
    this.namespace = namespace
    this.node = node
    this.setup = setup
  }

  async deploy(): Promise<void> {
    const { namespace, node, setup } = this
    await namespace.apply([
      ...access,
      ...(setup.mode === 'flink-ha' ? [service] : []),
      jobManagers(namespace.name, node, setup),
      taskManager(namespace.name, node, setup),
    ])
  }

  async jobManagers(): Promise<Pod[]> {
    return (await this.namespace.pods('app=flink,component=jobmanager')).filter(pod => !pod.deleting)
  }
  async taskManagers(): Promise<Pod[]> {
    return (await this.namespace.pods('app=flink,component=taskmanager')).filter(pod => !pod.deleting)
  }

  /** The pod whose REST address the lock's data names. */
  async leader(): Promise<Pod> {
    return await until('a leader with a published address', 180_000, async () => {
      const lock = await this.namespace.configMap(`${CLUSTER_ID}-cluster-config-map`)
      const host = /,https?:\/\/([^:/]+):/.exec(lock?.data?.['org.apache.flink.k8s.leader.restserver'] ?? '')?.[1]
      return host === undefined ? undefined : (await this.jobManagers()).find(pod => pod.ip === host)
    })
  }

  async standby(leader: Pod): Promise<Pod> {
    return await until('a ready standby', 180_000, async () =>
      (await this.jobManagers()).find(pod => pod.name !== leader.name && pod.ready),
    )
  }

  async submit(leader: Pod): Promise<string> {
    const upload = `curl -s -X POST -F jarfile=@${JAR} http://${leader.ip}:8081/jars/upload`
    return await until(
      'the job to be submitted',
      120_000,
      async () => {
        const exec = (command: string): Promise<string> =>
          this.namespace.kubectl(['exec', leader.name, '-c', 'jobmanager', '--', 'sh', '-c', command])
        const { filename } = JSON.parse(await exec(upload)) as { filename: string }
        const jar = filename.split('/').at(-1)
        const ran = JSON.parse(await exec(`curl -s -X POST http://${leader.ip}:8081/jars/${jar}/run -d '{}'`)) as {
          jobid?: string
        }
        return ran.jobid
      },
      1_000,
    )
  }

  /** The job as one JobManager's REST endpoint tells. @throws Error when it does not */
  async job(pod: Pod, jobId: string): Promise<JobState> {
    const job = (await rest(this.namespace, pod, `/jobs/${jobId}`)) as { state: string; vertices: { status: string }[] }
    const checkpoints = (await rest(this.namespace, pod, `/jobs/${jobId}/checkpoints`)) as {
      latest?: { restored?: { id: number } | null }
      counts?: { completed: number }
    }
    return {
      state: job.state,
      vertices: job.vertices.map(vertex => vertex.status),
      restored: checkpoints.latest?.restored?.id,
      completed: checkpoints.counts?.completed ?? 0,
    }
  }

  /** When all tasks were first seen RUNNING, asked each 50 ms. */
  async running(pod: Pod, jobId: string, timeoutMs: number): Promise<number> {
    return await until(
      `job ${jobId} running as ${pod.name} tells`,
      timeoutMs,
      async () => {
        const job = (await rest(this.namespace, pod, `/jobs/${jobId}`)) as {
          state: string
          vertices: { status: string }[]
        }
        return job.state === 'RUNNING' && job.vertices.length > 0 && job.vertices.every(v => v.status === 'RUNNING')
          ? nowMs()
          : undefined
      },
      50,
    )
  }

  async checkpoints(pod: Pod, jobId: string, atLeast: number): Promise<void> {
    await until(
      `${atLeast} completed checkpoints`,
      120_000,
      async () => (await this.job(pod, jobId)).completed >= atLeast || undefined,
    )
  }

  /** Whether the job's own count ever missed or repeated a number. */
  async lost(): Promise<string[]> {
    const lines: string[] = []
    for (const pod of await this.taskManagers())
      for (const previous of [false, true])
        for (const { line } of await this.namespace.logs(pod.name, 'taskmanager', previous))
          if (line.includes('ticker LOST')) lines.push(`${pod.name}: ${line}`)
    return lines
  }

  /** When Flink's own log says that leadership was granted, after a time. */
  async granted(pod: string, afterMs: number, here: (nodeMs: number) => number, timeoutMs = 60_000): Promise<number> {
    return await until(`${pod} to log that leadership was granted`, timeoutMs, async () => {
      const lines = await this.namespace.logs(pod, 'jobmanager')
      const found = lines.find(({ atMs, line }) => here(atMs) >= afterMs && GRANTED.test(line))
      return found && here(found.atMs)
    })
  }
}

/** `DefaultLeaderElectionService`/`DefaultDispatcherRunner`: "… was granted leadership with …". */
export const GRANTED = /DispatcherRunner.*was granted leadership/
export const REVOKED = /was revoked leadership|lost leadership|leadership.*revoked/i
/** `CheckpointCoordinator`: "Completed checkpoint 7 for job …" and "Restoring job … from Checkpoint 7 @ …". */
export const COMPLETED = /Completed checkpoint (\d+) for job/
export const RESTORING = /Restoring job \S+ from Checkpoint (\d+)/

let direct: boolean | undefined

/** A pod's REST endpoint: directly where pods can be reached, else through the API server. */
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
  const text = await namespace.kubectl([
    'get',
    '--raw',
    `/api/v1/namespaces/${namespace.name}/pods/${pod.name}:${port}/proxy${path}`,
  ])
  direct = false
  return JSON.parse(text)
}

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

export { epochMs, sleep }
