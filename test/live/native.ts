// A native cluster as Flink's command line makes it (`KubernetesClusterDescriptor`): the JobManager asks the API server for its
// TaskManager pods itself. The image has none of Flink's scripts, so the two that native mode starts are brought along.
import {
  CLUSTER_ID,
  flinkImage,
  JAVA_OPENS,
  jobManagers,
  properties,
  type Setup,
  services,
  storage,
} from './manifests.ts'

const ACCOUNT = 'flink'
const SCRIPTS = '/opt/flink/native'
/** Where the JobManager looks for it (`KubernetesUtils.getTaskManagerPodTemplateFileInPod`). */
const TEMPLATES = '/opt/flink/pod-template'
const TEMPLATE = 'taskmanager-pod-template.yaml'
export const MAIN = 'flink-main-container'
export const NATIVE_TASKS = `app=${CLUSTER_ID},component=taskmanager,type=flink-native-kubernetes`

export type NativeOptions = {
  /** Ticker's arguments: the JobManager runs it itself and ends with it. */
  job?: readonly number[]
  /** More marks of who made the pods. */
  annotations?: { [name: string]: string }
  replicas?: number
}

const java = (memory: string, main: string): string =>
  `exec java ${memory} ${JAVA_OPENS} ` +
  `-Dlog4j.configurationFile=file:/opt/flink/log4j-console.properties -cp '/opt/flink/lib/*' ${main} "$@"`

const options = (namespace: string, setup: Setup, { job }: NativeOptions): string => {
  const { flink } = setup
  const image = flink.startsWith('1.') ? 'kubernetes.container.image' : 'kubernetes.container.image.ref'
  return [
    `${image}: ${flinkImage(flink)}`,
    'kubernetes.container.image.pull-policy: IfNotPresent',
    `kubernetes.service-account: ${ACCOUNT}`,
    // By its name of 1.x and of 2.x.
    'kubernetes.taskmanager.cpu: 0.1',
    'kubernetes.taskmanager.cpu.amount: 0.1',
    'rest.bind-address: 0.0.0.0',
    'jobmanager.bind-host: 0.0.0.0',
    'taskmanager.bind-host: 0.0.0.0',
    'blob.server.port: 6124',
    'taskmanager.rpc.port: 6122',
    // Flink's default is 30 s.
    'resourcemanager.taskmanager-timeout: 10000',
    ...(job === undefined
      ? []
      : [
          'execution.target: kubernetes-application',
          'pipeline.jars: local:///opt/flink/examples/streaming/Ticker.jar',
          '$internal.application.main: Ticker',
          ...(job.length === 0 ? [] : [`$internal.application.program-args: ${job.join(';')}`]),
        ]),
    properties(namespace, setup),
  ].join('\n')
}

/** The file that Flink reads, by its name of the version. */
export const configuration = (
  namespace: string,
  setup: Setup,
  more: NativeOptions = {},
): { [file: string]: string } => ({
  [setup.flink.startsWith('1.') ? 'flink-conf.yaml' : 'config.yaml']: options(namespace, setup, more),
})

/** As the Role of Flink's documentation for native Kubernetes allows (the ClusterRole `edit` in short). */
const access = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: ACCOUNT } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'flink-role-binding-default' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' },
    subjects: [{ kind: 'ServiceAccount', name: ACCOUNT }],
  },
]

export const native = (namespace: string, node: string, setup: Setup, more: NativeOptions = {}): object[] => {
  const made = jobManagers(namespace, node, setup)
  const { spec, metadata } = made.spec.template
  const [container] = spec.containers
  const labels = { app: CLUSTER_ID, component: 'jobmanager', type: 'flink-native-kubernetes' }
  const scripts = { name: 'scripts', configMap: { name: 'native', defaultMode: 0o755 } }
  const mounts = [
    { name: 'flink-data', mountPath: '/flink-data' },
    { name: 'scripts', mountPath: SCRIPTS },
  ]
  const template = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'taskmanager' },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      containers: [
        { name: MAIN, env: [{ name: 'PATH', value: `${SCRIPTS}:/usr/local/bin:/usr/bin:/bin` }], volumeMounts: mounts },
      ],
      volumes: [storage(namespace), scripts],
    },
  }
  return [
    ...access,
    ...(setup.mode === 'flink-ha' ? services : []),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `flink-config-${CLUSTER_ID}` },
      data: configuration(namespace, setup, more),
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'native' },
      data: {
        [TEMPLATE]: JSON.stringify(template),
        'kubernetes-jobmanager.sh': `#!/bin/bash\n${java('-Xmx448m', `org.apache.flink.kubernetes.entrypoint.Kubernetes${more.job === undefined ? 'Session' : 'Application'}ClusterEntrypoint`)}\n`,
        'kubernetes-taskmanager.sh': `#!/bin/bash\n${java('$FLINK_TM_JVM_MEM_OPTS', 'org.apache.flink.kubernetes.taskmanager.KubernetesTaskExecutorRunner --configDir /opt/flink/conf')}\n`,
      },
    },
    {
      ...made,
      // Flink looks its own Deployment up by this name, to make it the owner of its pods.
      metadata: { name: CLUSTER_ID },
      spec: {
        ...made.spec,
        replicas: more.replicas ?? made.spec.replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels: { ...metadata.labels, ...labels }, annotations: more.annotations ?? {} },
          spec: {
            ...spec,
            // In native mode Flink needs its credential, for its pods; the gateway passes it on.
            automountServiceAccountToken: true,
            containers: [
              {
                ...container,
                name: MAIN,
                command: ['/docker-entrypoint.sh'],
                args: [
                  'bash',
                  '-c',
                  `${SCRIPTS}/kubernetes-jobmanager.sh kubernetes-${more.job === undefined ? 'session' : 'application'} `,
                ],
                env: [
                  ...(container?.env.filter(({ name }) => name !== 'FLINK_PROPERTIES') ?? []),
                  { name: 'FLINK_CONF_DIR', value: '/opt/flink/conf' },
                  { name: '_POD_IP_ADDRESS', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
                ],
                volumeMounts: [
                  ...mounts,
                  { name: 'scripts', mountPath: TEMPLATES },
                  { name: 'conf', mountPath: '/opt/flink/conf' },
                ],
              },
            ],
            volumes: [...spec.volumes, scripts, { name: 'conf', configMap: { name: `flink-config-${CLUSTER_ID}` } }],
          },
        },
      },
    },
  ]
}
