// Flink's own command line in a pod outside of the cluster: it finds the leader in the real ConfigMap, as built-in high
// availability lets it, or by the Service that a user gives it. No sidecar is near.
import type { Namespace } from './cluster.ts'
import { CLUSTER_ID, flinkImage, JAVA_OPENS } from './manifests.ts'

const NAME = 'client'

/** How it finds the leader. */
export type Way = 'by ConfigMap' | { service: string }

export class Client {
  #namespace: Namespace

  private constructor(namespace: Namespace) {
    this.#namespace = namespace
  }

  static async start(namespace: Namespace, node: string, flink: string): Promise<Client> {
    await namespace.startPod(NAME, {
      nodeName: node,
      serviceAccountName: 'flink',
      terminationGracePeriodSeconds: 0,
      containers: [
        { name: NAME, image: flinkImage(flink), imagePullPolicy: 'IfNotPresent', command: ['sleep', '86400'] },
      ],
    })
    return new Client(namespace)
  }

  /** What `flink list -r` prints: the jobs that run. @throws Error with what it said, when it found no leader */
  async list(way: Way): Promise<string> {
    const settings =
      way === 'by ConfigMap'
        ? [
            `kubernetes.cluster-id: ${CLUSTER_ID}`,
            `kubernetes.namespace: ${this.#namespace.name}`,
            'high-availability.type: kubernetes',
            'high-availability.storageDir: file:///tmp/ha',
          ]
        : [`rest.address: ${way.service}`, 'rest.port: 8081']
    const script = `conf=$(mktemp -d)
      printf '%s\\n' ${['execution.target: remote', ...settings].map(line => `'${line}'`).join(' ')} | tee $conf/flink-conf.yaml > $conf/config.yaml
      FLINK_CONF_DIR=$conf java -Xmx256m ${JAVA_OPENS} -cp '/opt/flink/lib/*' org.apache.flink.client.cli.CliFrontend list -r 2>&1`
    return await this.#namespace.kubectl(['exec', NAME, '--', 'bash', '-ec', script])
  }
}
