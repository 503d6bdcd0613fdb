// The samples: those for the webhook hold nothing of flink-ha's and would be injected; the one by hand asks for no more than it uses.
import t from 'tap'
import packageJson from '../package.json' with { type: 'json' }
import {
  CONTAINER_SIDECAR,
  DOMAIN,
  ENV_KUBERNETES_MASTER,
  LABEL_CLUSTER,
  LABEL_ROLE,
  PORT_LOCAL,
  PORT_POD,
} from '../shared/names.ts'
import { readConfig, SETTINGS, variableOf } from '../sidecar/config.ts'
import { decide } from '../webhook/decide.ts'
import { objectsOf, only } from './world/manifest-files.ts'

const byHand = objectsOf('manifests/samples/by-hand.yaml')
const facts = { namespaceAsks: true, nativeSidecars: true, imageOfOurs: 'flink-ha/flink-ha:1' }

t.test('the samples for a labelled namespace are injected, JobManagers and TaskManagers', async t => {
  for (const sample of ['session-cluster', 'application']) {
    const pods = objectsOf(`manifests/samples/${sample}.yaml`).flatMap(object => object.spec?.template ?? [])
    t.same(pods.map(pod => decide(pod as never, facts).inject).sort(), ['jobmanager', 'taskmanager'], sample)
  }
})

t.test('nothing in them is flink-ha’s but the label that selects the leader', async t => {
  for (const sample of ['session-cluster', 'application', 'native-session', 'operator'])
    for (const object of objectsOf(`manifests/samples/${sample}.yaml`)) {
      const text = JSON.stringify(object)
      if (object.kind === 'Service') t.equal(object.spec?.selector?.[LABEL_ROLE], 'leader')
      else t.notMatch(text, new RegExp(`${DOMAIN}|flink-ha:|${ENV_KUBERNETES_MASTER}`), `${sample} ${object.kind}`)
    }
})

t.test('each sample has a standby and a cluster id of its own', async t => {
  const ids = ['session-cluster', 'application'].map(sample => {
    const objects = objectsOf(`manifests/samples/${sample}.yaml`)
    const config = objects.find(({ kind }) => kind === 'ConfigMap')?.data?.['config.yaml'] ?? ''
    const workload = objects.find(object => object.spec?.template?.metadata.labels?.['component'] === 'jobmanager')
    t.equal(workload?.spec?.replicas ?? workload?.spec?.parallelism, 2, sample)
    return /^kubernetes\.cluster-id: (\S+)$/m.exec(config)?.[1]
  })
  t.equal(new Set(ids).size, ids.length)
})

t.test('an application’s address is a dynamic property: Flink 2 hands `--host` to the job', async t => {
  const job = only(objectsOf('manifests/samples/application.yaml'), 'Job', 'application-jobmanager')
  const args = job.spec?.template?.spec.containers[0]?.args ?? []
  t.notOk(args.includes('--host'))
  t.same(args.slice(-2), ['-D', 'jobmanager.rpc.address=$(POD_IP)'])
})

t.test('the sample by hand uses the contract’s names and ports', async t => {
  const jobManager = only(byHand, 'Deployment', 'jobmanager').spec?.template
  const sidecar = jobManager?.spec.initContainers?.[0]
  t.equal(sidecar?.name, CONTAINER_SIDECAR)
  t.equal(sidecar?.image, `flink-ha/flink-ha:${packageJson.version}`)
  t.equal(jobManager?.spec.automountServiceAccountToken, false)
  t.ok(jobManager?.metadata.labels?.[LABEL_CLUSTER])
  const master = jobManager?.spec.containers[0]?.env?.find(e => e.name === ENV_KUBERNETES_MASTER)
  t.equal(master?.value, `http://127.0.0.1:${PORT_LOCAL}`)
  t.equal(only(byHand, 'Service', 'session-ha').spec?.ports?.[0]?.port, PORT_POD)
  t.equal(only(byHand, 'Service', 'session-rest').spec?.selector?.[LABEL_ROLE], 'leader')
  const taskManager = only(byHand, 'Deployment', 'taskmanager').spec?.template?.spec
  t.equal(taskManager?.automountServiceAccountToken, false)
  t.equal(
    taskManager?.containers[0]?.env?.find(e => e.name === ENV_KUBERNETES_MASTER)?.value,
    `http://session-ha:${PORT_POD}`,
  )
})

t.test('its variables are settings, and make a configuration', async t => {
  const sidecar = only(byHand, 'Deployment', 'jobmanager').spec?.template?.spec.initContainers?.[0]
  const known = Object.keys(SETTINGS).map(variableOf)
  for (const { name } of sidecar?.env ?? []) t.ok(known.includes(name), name)
  const env = Object.fromEntries(
    (sidecar?.env ?? []).map(e => [e.name, e.value ?? (e.name === 'FLINK_HA_POD_IP' ? '10.0.0.1' : 'a-name')]),
  )
  t.equal(readConfig([], { ...env, KUBERNETES_SERVICE_HOST: 'h', KUBERNETES_SERVICE_PORT: '443' }).clusterId, 'session')
})

t.test('its Role is no wider than the calls made', async t => {
  t.same(
    only(byHand, 'Role', 'flink').rules?.map(({ resources, verbs }) => [resources, verbs]),
    [
      [['configmaps'], ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete']],
      [['pods'], ['list', 'watch', 'patch']],
    ],
  )
})
