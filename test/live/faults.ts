// Faults of the API server. Those of the proxy (fault-proxy.mjs) work on any cluster: the sidecars are pointed at it. That of
// the real API server, with everything else that depends on it, needs the machine it runs on: see `rigFault`.
import { readFile } from 'node:fs/promises'
import { type Namespace, run, sleep } from './cluster.ts'
import { proxyPath } from './flink.ts'
import { IMAGE, type Setup } from './manifests.ts'

export type Fault =
  | { fault: 'freeze' | 'black-hole'; seconds: number }
  | { fault: 'break-watches' | 'none' }
  | { fault: 'expire-watches'; count: number }
  | { fault: 'conflict'; seconds?: number; count?: number }
  | { fault: 'throttle'; seconds: number }
  | { fault: 'slow'; seconds: number; ms: number }

const NAME = 'fault-proxy'

/** Starts the proxy; sidecars of the setup that comes back use it. */
export const startFaultProxy = async (namespace: Namespace, node: string): Promise<Partial<Setup>> => {
  const script = await readFile(new URL('fault-proxy.mjs', import.meta.url), 'utf8')
  await namespace.apply([
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: NAME }, data: { 'fault-proxy.mjs': script } },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: NAME, labels: { app: NAME } },
      spec: {
        nodeName: node,
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: NAME,
            image: IMAGE,
            imagePullPolicy: 'IfNotPresent',
            command: ['node', '/proxy/fault-proxy.mjs'],
            readinessProbe: { httpGet: { path: '/', port: 8081 }, periodSeconds: 1 },
            volumeMounts: [{ name: 'script', mountPath: '/proxy' }],
          },
        ],
        volumes: [{ name: 'script', configMap: { name: NAME } }],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: NAME },
      spec: { selector: { app: NAME }, ports: [{ port: 8080 }] },
    },
  ])
  await namespace.kubectl(['wait', '--for=condition=Ready', `pod/${NAME}`, '--timeout=120s'])
  return { apiServer: `http://${NAME}:8080` }
}

/** Orders a fault; it begins with the answer. */
export const order = async (namespace: Namespace, fault: Fault): Promise<void> => {
  await namespace.kubectl(['create', '--raw', controlPath(namespace), '-f', '-'], JSON.stringify(fault))
}

/** How many requests met a fault so far. */
export const metBy = async (namespace: Namespace, fault: Fault['fault']): Promise<number> => {
  const text = await namespace.kubectl(['get', '--raw', controlPath(namespace)])
  return (JSON.parse(text) as { met: { [fault: string]: number } }).met[fault] ?? 0
}

const controlPath = (namespace: Namespace): string => proxyPath(namespace, { name: NAME }, '/', 8081)

/** Executable that freezes a component of a test cluster's control plane: `<it> fault apiserver stop|continue`. */
export const rig = process.env['FLINK_HA_RIG'] ?? ''

/** Freezes the real API server for so long. */
export const freezeApiServer = async (seconds: number): Promise<void> => {
  await run(rig, ['fault', 'apiserver', 'stop'])
  try {
    await sleep(seconds * 1000)
  } finally {
    await run(rig, ['fault', 'apiserver', 'continue'])
  }
}
