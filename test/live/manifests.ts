// The objects of a session cluster as Flink's documentation describes it: two JobManagers, one TaskManager, high
// availability by ConfigMaps. `builtin` is that and no more; `flink-ha` is the same with one more variable and one more
// container.
import packageJson from '../../package.json' with { type: 'json' }
import {
  CONTAINER_SIDECAR,
  ENV_KUBERNETES_MASTER,
  HA_SERVICE_SUFFIX,
  LABEL_CLUSTER,
  PORT_LOCAL,
  PORT_POD,
} from '../../shared/names.ts'
import { deposedProbe } from '../../webhook/sidecar-spec.ts'

export type Mode = 'builtin' | 'flink-ha'
export type Setup = {
  mode: Mode
  /** Flink's version: the image `docker.io/library/flink:<version>` has to be on the node. */
  flink: string
  profile?: string
  /** What holds the lock, if not the ConfigMap. */
  lock?: 'lease'
  /** The TaskManager has a relay beside it, as the webhook injects one, instead of a Service to ask. */
  relay?: boolean
  /** The leader goes on while the API server is away for everybody. */
  failsafe?: boolean
  /** The kubelet ends a JVM that was deposed while it stood still. */
  endDeposed?: boolean
  /** Where the sidecars find the API server, if not where every pod does. */
  apiServer?: string
  /** null: none. */
  checkpointSeconds?: number | null
  /** These objects instead of our own, in a namespace that the webhook looks after. */
  objects?: readonly object[]
  /** Of the TaskManager, 2 by default. */
  slots?: number
  /** Flink's, in every pod, where it is not named after the component. */
  container?: string
  /** The JobManagers run the job themselves: none is submitted. */
  application?: boolean
}

export const CLUSTER_ID = 'ticker'
/** As manifests/ name it. */
export const RELEASED = `flink-ha/flink-ha:${packageJson.version}`
export const IMAGE = process.env['FLINK_HA_IMAGE'] ?? `docker.io/${RELEASED}`
export const flinkImage = (version: string): string => `docker.io/library/flink:${version}`
/** What Flink's own scripts open for the JVM. */
export const JAVA_OPENS = ['lang', 'net', 'io', 'nio', 'lang.reflect', 'text', 'time', 'util', 'util.concurrent']
  .map(name => `--add-opens=java.base/java.${name}=ALL-UNNAMED`)
  .join(' ')
const ACCOUNT = 'flink'
const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'

/** What every Flink of these tests is told, one setting a line. */
export const properties = (namespace: string, setup: Setup): string =>
  [
    `kubernetes.cluster-id: ${CLUSTER_ID}`,
    `kubernetes.namespace: ${namespace}`,
    'high-availability.type: kubernetes',
    'high-availability.storageDir: file:///flink-data/ha',
    ...(setup.checkpointSeconds === null ? [] : [`execution.checkpointing.interval: ${setup.checkpointSeconds ?? 2}s`]),
    'execution.checkpointing.dir: file:///flink-data/checkpoints',
    'state.checkpoints.dir: file:///flink-data/checkpoints',
    'restart-strategy.type: fixed-delay',
    'restart-strategy.fixed-delay.attempts: 1000000',
    'restart-strategy.fixed-delay.delay: 100ms',
    'jobmanager.memory.process.size: 900m',
    'taskmanager.memory.process.size: 1024m',
    `taskmanager.numberOfTaskSlots: ${setup.slots ?? 2}`,
    '',
  ].join('\n')

/**
 * Without a request the kernel gives a busy JVM no more of a processor than the idlest other work of the machine. Small enough
 * for three clusters on a node of two processors.
 */
const resources = { requests: { cpu: '80m' } }

const podIp = { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }
const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })

/** The folder of the node that stands for storage which every pod reaches. */
export const STORAGE = '/tmp/flink-ha-live'
export const storagePath = (namespace: string): string => `${STORAGE}/${namespace}`

export const storage = (namespace: string) => ({
  name: 'flink-data',
  hostPath: { path: storagePath(namespace), type: 'DirectoryOrCreate' },
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
    field('FLINK_HA_POD_IP', 'status.podIP'),
    { name: 'FLINK_HA_CLUSTER_ID', value: CLUSTER_ID },
    ...(setup.profile === undefined ? [] : [{ name: 'FLINK_HA_PROFILE', value: setup.profile }]),
    ...(setup.lock === undefined ? [] : [{ name: 'FLINK_HA_LOCK', value: setup.lock }]),
    ...(setup.failsafe === undefined ? [] : [{ name: 'FLINK_HA_FAILSAFE', value: String(setup.failsafe) }]),
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
  resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '128Mi' } },
  volumeMounts: [{ name: 'flink-ha-token', mountPath: TOKEN_PATH, readOnly: true }],
  securityContext: {
    runAsNonRoot: true,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  },
})

const relayContainer = (namespace: string) => ({
  name: CONTAINER_SIDECAR,
  image: IMAGE,
  imagePullPolicy: 'IfNotPresent',
  restartPolicy: 'Always',
  args: ['sidecar', '--relay'],
  env: [
    field('FLINK_HA_POD_NAME', 'metadata.name'),
    { name: 'FLINK_HA_NAMESPACE', value: namespace },
    { name: 'FLINK_HA_CLUSTER_ID', value: CLUSTER_ID },
  ],
  startupProbe: { httpGet: { path: '/healthz', port: PORT_POD }, periodSeconds: 1, failureThreshold: 60 },
  resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '128Mi' } },
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

export const jobManagers = (namespace: string, node: string, setup: Setup) => {
  const ours = setup.mode === 'flink-ha'
  const env = [podIp, { name: 'FLINK_PROPERTIES', value: properties(namespace, setup) }]
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'jobmanager' },
    spec: {
      replicas: 2,
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
              resources,
              ...(setup.endDeposed && { livenessProbe: deposedProbe() }),
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
  const master = setup.relay ? `http://127.0.0.1:${PORT_LOCAL}` : `http://jobmanager-ha:${PORT_POD}`
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
          ...(ours && setup.relay && { initContainers: [relayContainer(namespace)] }),
          containers: [
            {
              name: 'taskmanager',
              image: flinkImage(setup.flink),
              imagePullPolicy: 'IfNotPresent',
              args: ['taskmanager'],
              env: ours ? [...env, { name: ENV_KUBERNETES_MASTER, value: master }] : env,
              resources,
              volumeMounts: [{ name: 'flink-data', mountPath: '/flink-data' }],
            },
          ],
          volumes: [storage(namespace)],
        },
      },
    },
  }
}

const allowed = (name: string, rules: readonly object[]): object[] => [
  { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name }, rules },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name: ACCOUNT }],
  },
]

const ALL_OF_HA = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete']

/** The service account of the JobManagers, and what it may do. */
export const access = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: ACCOUNT } },
  ...allowed(ACCOUNT, [
    { apiGroups: [''], resources: ['configmaps'], verbs: ALL_OF_HA },
    { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch', 'patch'] },
  ]),
]

/** Of who has a Lease for the lock. */
export const accessToLeases = allowed('leases', [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ALL_OF_HA },
])

const serviceOf = (name: string, spec: object) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: {
    selector: { app: 'flink', component: 'jobmanager' },
    publishNotReadyAddresses: true,
    ports: [{ name: 'flink-ha', port: PORT_POD }],
    ...spec,
  },
})
/** Where TaskManagers find a sidecar to read from, and where their relays find all of them. */
export const services = [
  serviceOf('jobmanager-ha', {}),
  serviceOf(`${CLUSTER_ID}${HA_SERVICE_SUFFIX}`, { clusterIP: 'None' }),
]
