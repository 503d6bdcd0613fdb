// The container that is injected, its volume, and the one variable that points Flink at it; how they are recognised again.
// manifests/samples/ has the same container written by hand.
import { CONTAINER_SIDECAR, HA_SERVICE_SUFFIX, PORT_LOCAL, PORT_POD, VOLUME_TOKEN } from '../shared/names.ts'
import type { Container, EnvVar, Pod, Role, Volume } from './pod.ts'
import type { PodSettings, Resources } from './pod-settings.ts'

/** Where the service account's token is looked for; a mount of our own there keeps the API server from adding another. */
const ACCOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
/** An hour, and the seven seconds that make the API server keep the legacy grace period out of it, as its own volumes do. */
const TOKEN_SECONDS = 3607
/** The user of the image. */
const IMAGE_USER = 65532

/** What Flink's container is pointed at: the sidecar beside it, or (mode `service`) all the JobManagers' sidecars. */
export const masterFor = (role: Role, settings: PodSettings, namespace: string | undefined): string =>
  role === 'taskmanager' && settings.taskmanager === 'service'
    ? `http://${settings.clusterId}${HA_SERVICE_SUFFIX}${namespace === undefined || namespace === '' ? '' : `.${namespace}.svc`}:${PORT_POD}`
    : `http://127.0.0.1:${PORT_LOCAL}`

/** Key order as a reader expects it: who, what, how it is watched over, what it may. */
export const sidecarContainer = (pod: Pod, role: Role, settings: PodSettings, image: string): Container => ({
  name: CONTAINER_SIDECAR,
  image,
  imagePullPolicy: 'IfNotPresent',
  // A native sidecar: started, and found ready by its startupProbe, before anything after it; stopped after all of it.
  restartPolicy: 'Always',
  args: role === 'jobmanager' ? ['sidecar'] : ['sidecar', '--relay'],
  env: sidecarEnv(settings),
  ports: [{ name: 'flink-ha', containerPort: PORT_POD }],
  // Flink starts when its API is there. A relay that knows nobody yet holds Flink's first request instead.
  startupProbe: {
    httpGet: { path: role === 'jobmanager' ? '/readyz' : '/healthz', port: PORT_POD },
    periodSeconds: 1,
    failureThreshold: 60,
  },
  livenessProbe: { httpGet: { path: '/healthz', port: PORT_POD } },
  // As soon as the pod is deleted the term goes on, while the JVM takes its time to end. In a shared process namespace
  // process 1 is not the sidecar; it notices the deletion at the API server then.
  ...(role === 'jobmanager' &&
    pod.spec.shareProcessNamespace !== true && {
      lifecycle: { preStop: { exec: { command: ['/bin/sh', '-c', 'kill -USR2 1'] } } },
    }),
  resources: resourcesOf(settings.resources),
  securityContext: {
    // Inherited from pod or image otherwise: OpenShift refuses a fixed user. Only root, which runAsNonRoot forbids, is left.
    ...(pod.spec.securityContext?.runAsUser === 0 && { runAsUser: IMAGE_USER }),
    runAsNonRoot: true,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  },
  ...(role === 'jobmanager' && {
    volumeMounts: [{ name: VOLUME_TOKEN, mountPath: ACCOUNT_PATH, readOnly: true }],
  }),
})

/**
 * Ends Flink's container when its JVM was deposed over its head and stays silent: before the 50 s of Flink's heartbeats are over,
 * and not while a sidecar restarts, which cannot answer for some seconds (Kubernetes, "Configure Probes").
 */
export const deposedProbe = () => ({
  httpGet: { path: '/jvm', port: PORT_POD },
  periodSeconds: 5,
  failureThreshold: 4,
  terminationGracePeriodSeconds: 1,
})

/** Ours, with the defaults that the API server adds. */
export const isDeposedProbe = (probe: unknown): boolean => {
  const { httpGet, terminationGracePeriodSeconds: grace } = (probe ?? {}) as {
    httpGet?: { path?: string; port?: number }
    terminationGracePeriodSeconds?: number
  }
  return httpGet?.path === '/jvm' && httpGet.port === PORT_POD && grace === 1
}

/** A token of the sidecar's own, whatever the pod says of automounting: Flink's containers get none from us. */
export const tokenVolume = (): Volume => ({
  name: VOLUME_TOKEN,
  projected: {
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: TOKEN_SECONDS } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    ],
  },
})

// Name and uid of the pod are made after admission: they come by the downward API.
const sidecarEnv = (settings: PodSettings): EnvVar[] => {
  const field = (name: string, fieldPath: string): EnvVar => ({ name, valueFrom: { fieldRef: { fieldPath } } })
  const given = (name: string, value: string | undefined): EnvVar[] => (value === undefined ? [] : [{ name, value }])
  return [
    ...given('FLINK_HA_CLUSTER_ID', settings.clusterId),
    ...given('FLINK_HA_PROFILE', settings.profile),
    ...given('FLINK_HA_LOCK', settings.lock),
    ...given('FLINK_HA_FAILSAFE', settings.failsafe),
    field('FLINK_HA_NAMESPACE', 'metadata.namespace'),
    field('FLINK_HA_POD_NAME', 'metadata.name'),
    field('FLINK_HA_POD_UID', 'metadata.uid'),
    field('FLINK_HA_POD_IP', 'status.podIP'),
  ]
}

const resourcesOf = (resources: Resources): object => {
  const given = (cpu: string | undefined, memory: string | undefined): object => ({
    ...(cpu !== undefined && { cpu }),
    ...(memory !== undefined && { memory }),
  })
  return {
    requests: given(resources['cpu-request'], resources['memory-request']),
    limits: given(resources['cpu-limit'], resources['memory-limit']),
  }
}

/** Whether a container is the sidecar, by what it runs: under our name, or under any name with our image. */
export const isSidecar = ({ name, image, command, args }: Container, imageOfOurs: string): boolean =>
  [...(command ?? []), ...(args ?? [])].includes('sidecar') &&
  (name === CONTAINER_SIDECAR || (imageOfOurs !== '' && repositoryOf(image ?? '') === repositoryOf(imageOfOurs)))

/** Where injection put the sidecar, or another webhook moved it. */
export const ownIndexes = (pod: { spec: Pod['spec'] }): number[] =>
  (pod.spec.initContainers ?? []).flatMap((container, index) =>
    container.name === CONTAINER_SIDECAR && isSidecar(container, '') ? [index] : [],
  )

/** An image without tag and digest; a colon before the last slash is a registry's port. */
const repositoryOf = (image: string): string => image.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
