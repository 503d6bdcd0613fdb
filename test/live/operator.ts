// What Flink's operator makes of a FlinkDeployment, in both of its modes, and what it looks for in the HA store. The operator
// itself is not needed for that: it makes these objects and reads those ConfigMaps, and knows nothing of us.
import type { Test } from 'tap'
import { CLUSTER_ID, flinkImage, type Setup, storage } from './manifests.ts'
import { configuration, MAIN, native } from './native.ts'
import type { Scene } from './scene.ts'

const ANNOTATIONS = { 'flinkdeployment.flink.apache.org/generation': '2' }
/** `FlinkConfigBuilder`: the JobManager is started when its REST endpoint answers. */
const startupProbe = { httpGet: { path: '/config', port: 8081 }, periodSeconds: 1, failureThreshold: 600 }
const env = [{ name: '_POD_IP_ADDRESS', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }]

type Pods = { spec: { template: { spec: { containers: object[] } } } }
const probed = <T extends object>(made: T): T => {
  const { spec } = made as T & Pods
  const [container, ...others] = spec.template.spec.containers
  const template = {
    ...spec.template,
    spec: { ...spec.template.spec, containers: [{ ...container, startupProbe }, ...others] },
  }
  return { ...made, spec: { ...spec, template } }
}

/** Mode `native`. */
export const operatorNative = (namespace: string, node: string, flink: string): object[] =>
  native(namespace, node, { mode: 'builtin', flink }, { annotations: ANNOTATIONS }).map(made =>
    'kind' in made && made.kind === 'Deployment' ? probed(made) : made,
  )

/** Mode `standalone`. */
export const operatorStandalone = (namespace: string, node: string, flink: string): object[] => {
  const setup: Setup = { mode: 'builtin', flink }
  const config = `flink-config-${CLUSTER_ID}`
  const deployment = (name: string, component: string, replicas: number, args: string[]) => {
    const labels = { app: CLUSTER_ID, component, type: 'flink-standalone-kubernetes' }
    return {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, labels },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels, annotations: ANNOTATIONS },
          spec: {
            nodeName: node,
            serviceAccountName: 'flink',
            terminationGracePeriodSeconds: component === 'taskmanager' ? 1 : 30,
            containers: [
              {
                name: MAIN,
                image: flinkImage(flink),
                imagePullPolicy: 'IfNotPresent',
                command: ['/docker-entrypoint.sh'],
                args,
                env,
                resources: { requests: { cpu: '80m' } },
                volumeMounts: [
                  { name: 'flink-data', mountPath: '/flink-data' },
                  { name: 'conf', mountPath: '/opt/flink/conf' },
                ],
              },
            ],
            volumes: [storage(namespace), { name: 'conf', configMap: { name: config } }],
          },
        },
      },
    }
  }
  const address = 'jobmanager.rpc.address=$(_POD_IP_ADDRESS)'
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'flink' } },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: config },
      data: configuration(namespace, setup),
    },
    probed(deployment(CLUSTER_ID, 'jobmanager', 2, ['jobmanager', '-D', address])),
    deployment(`${CLUSTER_ID}-taskmanager`, 'taskmanager', 1, ['taskmanager']),
  ]
}

/** As Flink's operator looks for HA metadata (`FlinkUtils.isHaMetadataAvailable`): names and keys by which a job can go on. */
export const checkOperatorsView = async (t: Test, { cluster, namespace }: Scene): Promise<void> => {
  const selector = `app=${CLUSTER_ID},type=flink-native-kubernetes`
  const { items } = JSON.parse(await namespace.kubectl(['get', 'configmaps', '-l', selector, '-o', 'json'])) as {
    items: { metadata: { name: string; deletionTimestamp?: string }; data?: { [key: string]: string } }[]
  }
  const metadata = items.filter(
    ({ metadata: { name, deletionTimestamp } }) =>
      deletionTimestamp === undefined && name.endsWith('-config-map') && !name.endsWith('-cluster-config-map'),
  )
  const keys = metadata.flatMap(({ data }) => Object.keys(data ?? {}))
  const who = cluster.setup.mode
  t.equal(metadata.length, 1, `${who}: the operator sees one job's HA metadata`)
  t.ok(
    keys.some(key => key.startsWith('checkpointID-')),
    `${who}: and a checkpoint in it`,
  )
}
