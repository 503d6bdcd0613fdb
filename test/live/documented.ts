// The objects that Flink's documentation prints for standalone Kubernetes with high availability ("Standalone / Kubernetes",
// appendix, and "Kubernetes HA Services"), for 1.20 and 2.x: nothing in them knows of flink-ha. Changed are the image's tag
// and the storage, which the documentation leaves to the reader, and the checkpoints that the job under test needs.
import { CLUSTER_ID, flinkImage, storagePath } from './manifests.ts'

export type Documented = {
  flink: string
  jobManagers: number
  taskManagers: number
  /** The job that the documentation's application cluster runs; a session cluster without. */
  job?: { className: string }
  /** What a namespace with Pod Security `restricted` asks of every container, Flink's too. */
  restricted?: boolean
}

export const JOB_MANAGER = 'flink-jobmanager'
export const TASK_MANAGER = 'flink-taskmanager'
export const CONFIGURATION = 'flink-config'
export const REST_SERVICE = 'flink-jobmanager-rest'
const ACCOUNT = 'flink-service-account'

/** Word for word. The file that it names exists in Flink's own image; another image logs to the console alone. */
const LOG4J = `# This affects logging for both user code and Flink
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = ConsoleAppender
rootLogger.appenderRef.rolling.ref = RollingFileAppender

# Uncomment this if you want to _only_ change Flink's logging
#logger.flink.name = org.apache.flink
#logger.flink.level = INFO

# The following lines keep the log level of common libraries/connectors on
# log level INFO. The root logger does not override this. You have to manually
# change the log levels here.
logger.pekko.name = org.apache.pekko
logger.pekko.level = INFO
logger.kafka.name= org.apache.kafka
logger.kafka.level = INFO
logger.hadoop.name = org.apache.hadoop
logger.hadoop.level = INFO
logger.zookeeper.name = org.apache.zookeeper
logger.zookeeper.level = INFO

# Log all infos to the console
appender.console.name = ConsoleAppender
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n

# Log all infos in the given rolling file
appender.rolling.name = RollingFileAppender
appender.rolling.type = RollingFile
appender.rolling.append = false
appender.rolling.fileName = \${sys:log.file}
appender.rolling.filePattern = \${sys:log.file}.%i
appender.rolling.layout.type = PatternLayout
appender.rolling.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
appender.rolling.policies.type = Policies
appender.rolling.policies.size.type = SizeBasedTriggeringPolicy
appender.rolling.policies.size.size=100MB
appender.rolling.strategy.type = DefaultRolloverStrategy
appender.rolling.strategy.max = 10

# Suppress the irrelevant (wrong) warnings from the Netty channel handler
logger.netty.name = org.jboss.netty.channel.DefaultChannelPipeline
logger.netty.level = OFF
`

const configuration = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: CONFIGURATION, labels: { app: 'flink' } },
  data: {
    'config.yaml': [
      'jobmanager.rpc.address: flink-jobmanager',
      'taskmanager.numberOfTaskSlots: 2',
      'blob.server.port: 6124',
      'jobmanager.rpc.port: 6123',
      'taskmanager.rpc.port: 6122',
      'jobmanager.memory.process.size: 1600m',
      'taskmanager.memory.process.size: 1728m',
      'parallelism.default: 2',
      `kubernetes.cluster-id: ${CLUSTER_ID}`,
      'high-availability.type: kubernetes',
      'high-availability.storageDir: file:///flink-data/ha',
      'restart-strategy.type: fixed-delay',
      'restart-strategy.fixed-delay.attempts: 1000000',
      'restart-strategy.fixed-delay.delay: 100ms',
      'execution.checkpointing.interval: 2s',
      'execution.checkpointing.dir: file:///flink-data/checkpoints',
      'state.checkpoints.dir: file:///flink-data/checkpoints',
      '',
    ].join('\n'),
    'log4j-console.properties': LOG4J,
  },
}

const SECURE = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
}

const podSpec = (options: Documented, container: object) => ({
  containers: [
    {
      image: flinkImage(options.flink),
      livenessProbe: { tcpSocket: { port: 6123 }, initialDelaySeconds: 30, periodSeconds: 60 },
      ...container,
      volumeMounts: [
        { name: 'flink-config-volume', mountPath: '/opt/flink/conf' },
        { name: 'flink-data', mountPath: '/flink-data' },
      ],
      securityContext: { runAsUser: 9999, ...(options.restricted === true && SECURE) },
    },
  ],
  volumes: [
    {
      name: 'flink-config-volume',
      configMap: {
        name: CONFIGURATION,
        items: ['config.yaml', 'log4j-console.properties'].map(key => ({ key, path: key })),
      },
    },
    { name: 'flink-data', persistentVolumeClaim: { claimName: 'flink-data' } },
  ],
})

const jobManagerSpec = (options: Documented, args: string[]) => ({
  ...podSpec(options, {
    name: 'jobmanager',
    env: [{ name: 'POD_IP', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'status.podIP' } } }],
    args,
    ports: [
      { containerPort: 6123, name: 'rpc' },
      { containerPort: 6124, name: 'blob-server' },
      { containerPort: 8081, name: 'webui' },
    ],
  }),
  serviceAccountName: ACCOUNT,
})

const labels = (component: string) => ({ app: 'flink', component })
const deployment = (name: string, component: string, replicas: number, spec: object) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas,
    selector: { matchLabels: labels(component) },
    template: { metadata: { labels: labels(component) }, spec },
  },
})

type Spec = { containers: { volumeMounts: object[] }[] }

/** The job's jar where the documentation has it. */
const withArtifacts = <T extends Spec>(spec: T): T => {
  const [container] = spec.containers
  container?.volumeMounts.push({ name: 'flink-data', mountPath: '/opt/flink/usrlib', subPath: 'usrlib' })
  return spec
}

const taskManagerSpec = (options: Documented) => {
  const spec = podSpec(options, {
    name: 'taskmanager',
    args: ['taskmanager'],
    ports: [{ containerPort: 6122, name: 'rpc' }],
    livenessProbe: { tcpSocket: { port: 6122 }, initialDelaySeconds: 30, periodSeconds: 60 },
  })
  return options.job === undefined ? spec : withArtifacts(spec)
}

const taskManagers = (options: Documented) =>
  deployment(TASK_MANAGER, 'taskmanager', options.taskManagers, taskManagerSpec(options))

const jobManagers = (options: Documented): object => {
  const { job } = options
  if (job === undefined)
    return deployment(
      JOB_MANAGER,
      'jobmanager',
      options.jobManagers,
      jobManagerSpec(options, ['jobmanager', '$(POD_IP)']),
    )
  const named = ['--job-classname', job.className]
  // `--host` is printed for 2.x as well, whose entry point no longer knows it and hands it to the job.
  const args = options.flink.startsWith('1.')
    ? ['standalone-job', '--host', '$(POD_IP)', ...named]
    : ['standalone-job', ...named, '-D', 'jobmanager.rpc.address=$(POD_IP)']
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: JOB_MANAGER },
    spec: {
      parallelism: options.jobManagers,
      template: {
        metadata: { labels: labels('jobmanager') },
        spec: { ...withArtifacts(jobManagerSpec(options, args)), restartPolicy: 'OnFailure' },
      },
    },
  }
}

/** The service account is the reader's to make; it has no right to anything. */
export const documented = (options: Documented): object[] => [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: ACCOUNT }, automountServiceAccountToken: false },
  configuration,
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: REST_SERVICE },
    spec: { ports: [{ name: 'rest', port: 8081, targetPort: 8081 }], selector: labels('jobmanager') },
  },
  jobManagers(options),
  taskManagers(options),
]

/** Storage that all pods of a namespace reach, on one node; its folder has to be writable for Flink's user. */
export const storage = (namespace: string, node: string): object[] => {
  const name = `flink-data-${namespace}`
  const size = { storage: '1Gi' }
  return [
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name, labels: { 'flink-ha-live': namespace } },
      spec: {
        capacity: size,
        accessModes: ['ReadWriteMany'],
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: '',
        claimRef: { namespace, name: 'flink-data' },
        local: { path: storagePath(namespace) },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [
              { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] },
            ],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'flink-data', namespace },
      spec: {
        accessModes: ['ReadWriteMany'],
        storageClassName: '',
        volumeName: name,
        resources: { requests: size },
      },
    },
  ]
}
