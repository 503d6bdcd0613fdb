// Every name and port in manifests/ is the one in shared/names.ts, and the sample's sidecar asks for no more than it uses.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import packageJson from '../package.json' with { type: 'json' }
import {
  CONTAINER_SIDECAR,
  ENV_KUBERNETES_MASTER,
  LABEL_CLUSTER,
  LABEL_ROLE,
  PORT_LOCAL,
  PORT_POD,
} from '../shared/names.ts'
import { readConfig, SETTINGS, variableOf } from '../sidecar/config.ts'

type Container = { name: string; image: string; env?: { name: string; value?: string }[]; [field: string]: unknown }
type Document = {
  kind: string
  metadata: { name: string }
  rules?: { resources: string[]; verbs: string[] }[]
  spec?: {
    selector?: { [name: string]: unknown }
    ports?: { port: number }[]
    template?: {
      metadata: { labels: { [name: string]: string } }
      spec: { automountServiceAccountToken?: boolean; initContainers?: Container[]; containers: Container[] }
    }
  }
}
const documents = parseAllDocuments(readFileSync('manifests/samples/session-cluster.yaml', 'utf8')).map(
  d => d.toJS() as Document,
)
const named = (kind: string, name: string): Document =>
  documents.find(d => d.kind === kind && d.metadata.name === name) as Document

t.test('the sample uses the contract’s names and ports', async t => {
  const jobManager = named('Deployment', 'jobmanager').spec?.template
  const sidecar = jobManager?.spec.initContainers?.[0]
  t.equal(sidecar?.name, CONTAINER_SIDECAR)
  t.equal(sidecar?.image, `flink-ha/flink-ha:${packageJson.version}`)
  t.equal(jobManager?.spec.automountServiceAccountToken, false)
  t.ok(jobManager?.metadata.labels[LABEL_CLUSTER])
  const master = jobManager?.spec.containers[0]?.env?.find(e => e.name === ENV_KUBERNETES_MASTER)
  t.equal(master?.value, `http://127.0.0.1:${PORT_LOCAL}`)
  t.equal(named('Service', 'session-ha').spec?.ports?.[0]?.port, PORT_POD)
  t.equal(named('Service', 'session-rest').spec?.selector?.[LABEL_ROLE], 'leader')
  const taskManager = named('Deployment', 'taskmanager').spec?.template?.spec
  t.equal(taskManager?.automountServiceAccountToken, false)
  t.equal(
    taskManager?.containers[0]?.env?.find(e => e.name === ENV_KUBERNETES_MASTER)?.value,
    `http://session-ha:${PORT_POD}`,
  )
})

t.test('the sample’s variables are settings, and make a configuration', async t => {
  const sidecar = named('Deployment', 'jobmanager').spec?.template?.spec.initContainers?.[0]
  const known = Object.keys(SETTINGS).map(variableOf)
  for (const { name } of sidecar?.env ?? []) t.ok(known.includes(name), name)
  const env = Object.fromEntries(
    (sidecar?.env ?? []).map(e => [e.name, e.value ?? (e.name === 'FLINK_HA_POD_IP' ? '10.0.0.1' : 'a-name')]),
  )
  t.equal(readConfig([], { ...env, KUBERNETES_SERVICE_HOST: 'h', KUBERNETES_SERVICE_PORT: '443' }).clusterId, 'session')
})

t.test('the Role is no wider than the calls made', async t => {
  t.same(
    named('Role', 'flink').rules?.map(({ resources, verbs }) => [resources, verbs]),
    [
      [['configmaps'], ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete']],
      [['pods'], ['list', 'watch', 'patch']],
    ],
  )
})
