// Flink's objects as its documentation and its users write them, for what watches over them.

type Labels = { [name: string]: string }
export type WorkloadInput = {
  kind?: 'Deployment' | 'StatefulSet' | 'Job'
  name: string
  app?: string
  component?: string
  clusterId?: string | undefined
  account?: string
  labels?: Labels
  annotations?: Labels
  /** ConfigMap mounted as Flink's configuration. */
  configuration?: string
  /** ConfigMap mounted elsewhere. */
  other?: string
}

export const workload = (input: WorkloadInput) => {
  const {
    kind = 'Deployment',
    name,
    app = 'flink',
    component = 'jobmanager',
    clusterId,
    account,
    labels,
    annotations,
  } = input
  const { configuration, other } = input
  const volumes = [
    ...(configuration === undefined ? [] : [{ name: 'conf', configMap: { name: configuration } }]),
    ...(other === undefined ? [] : [{ name: 'other', configMap: { name: other } }]),
  ]
  const mounts = [
    ...(configuration === undefined ? [] : [{ name: 'conf', mountPath: '/opt/flink/conf/' }]),
    ...(other === undefined ? [] : [{ name: 'other', mountPath: '/etc/other' }]),
  ]
  return {
    apiVersion: kind === 'Job' ? 'batch/v1' : 'apps/v1',
    kind,
    metadata: { name },
    spec: {
      selector: { matchLabels: { app, component } },
      template: {
        metadata: { labels: { app, component, ...labels }, ...(annotations && { annotations }) },
        spec: {
          ...(account !== undefined && { serviceAccountName: account }),
          containers: [
            {
              name: component,
              image: 'flink:2.3.0',
              args: [component, ...(clusterId === undefined ? [] : ['-D', `kubernetes.cluster-id=${clusterId}`])],
              volumeMounts: mounts,
            },
          ],
          volumes,
        },
      },
    },
  }
}

export const jobManagerPod = (input: {
  name: string
  app?: string
  clusterId?: string
  account?: string
  injected?: boolean
  labels?: Labels
}) => {
  const { name, app = 'flink', clusterId, account = 'default', injected = true, labels } = input
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: {
        app,
        component: 'jobmanager',
        ...(clusterId !== undefined && { 'flink-ha.io/cluster': clusterId }),
        ...labels,
      },
      ...(injected && { annotations: { 'flink-ha.io/injected': '0.1.0' } }),
    },
    spec: { serviceAccountName: account, containers: [{ name: 'jobmanager', image: 'flink:2.3.0' }] },
  }
}

export const service = (name: string, selector: Labels) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector, clusterIP: '10.0.0.1', ports: [{ port: 8081 }] },
})

export const configMap = (name: string, labels: Labels = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels },
  data: { 'config.yaml': 'a: b' },
})

/** As Flink labels them: 1.x with `configmap-type`, 2.x without. */
export const haConfigMap = (name: string, clusterId: string, flink: 1 | 2 = 2) =>
  configMap(name, {
    app: clusterId,
    type: 'flink-native-kubernetes',
    ...(flink === 1 && { 'configmap-type': 'high-availability' }),
  })
