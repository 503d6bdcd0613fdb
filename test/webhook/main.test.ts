// The whole process, against an embedded API server that calls it as the real one does.
import t, { type Test } from 'tap'
import { INSTALL } from '../../shared/names.ts'
import type { Pod } from '../../webhook/pod.ts'
import { jobManagerPod, NAMESPACE } from '../world/admission-review.ts'
import { KubeProbe } from '../world/kube-probe.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { KubeServer } from '../world/kube-server.ts'
import { WebhookProcess } from '../world/webhook-process.ts'

const rules = [
  { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], scope: 'Namespaced' },
]
const configuration = {
  metadata: { name: INSTALL.webhookConfiguration },
  webhooks: [
    {
      name: INSTALL.webhook,
      clientConfig: { service: { namespace: INSTALL.namespace, name: INSTALL.service, path: INSTALL.path, port: 443 } },
      rules,
      namespaceSelector: { matchLabels: { 'flink-ha.io/injection': 'enabled' } },
      failurePolicy: 'Fail',
      sideEffects: 'NoneOnDryRun',
      admissionReviewVersions: ['v1'],
      timeoutSeconds: 5,
    },
  ],
}

const world = async (t: Test) => {
  let port = 0
  const server = new KubeServer({
    namespaces: [INSTALL.namespace, NAMESPACE],
    resolveService: () => `https://127.0.0.1:${port}`,
  })
  await server.listen()
  t.teardown(() => server.close())
  const { store } = server
  const labels = { 'flink-ha.io/injection': 'enabled' }
  store.patch(resourceOf('namespaces'), '', NAMESPACE, 'merge', { metadata: { labels } })
  store.create(resourceOf('mutatingwebhookconfigurations'), '', configuration)
  const webhook = new WebhookProcess(
    Object.entries({
      'api-server': server.url,
      namespace: INSTALL.namespace,
      'pod-name': 'webhook-0',
      image: 'flink-ha/flink-ha:test',
      port: '0',
      'status-port': '0',
    }).flatMap(([flag, value]) => [`--${flag}`, value]),
  )
  t.teardown(() => webhook.end('SIGKILL'))
  const serving = await webhook.said('serving')
  port = serving['port'] as number
  return {
    server,
    store,
    webhook,
    statusUrl: `http://127.0.0.1:${serving['statusPort']}`,
    probe: new KubeProbe(server.url),
  }
}

t.test('labelled, a namespace’s JobManagers come with sidecar and owner; a signal ends it in order', async t => {
  const { store, webhook, statusUrl, probe } = await world(t)
  await webhook.said('facts of the cluster')
  t.equal((await fetch(`${statusUrl}/readyz`)).status, 200)

  const spec = { selector: { matchLabels: {} }, template: {} }
  const deployment = store.create(resourceOf('deployments'), NAMESPACE, { metadata: { name: 'jm' }, spec })
  const ownerOf = (kind: string, { metadata }: { metadata: { name: string; uid?: string } }) => ({
    apiVersion: 'apps/v1',
    kind,
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
  })
  const replicaSet = store.create(resourceOf('replicasets'), NAMESPACE, {
    metadata: {
      name: 'jm-5d',
      labels: { component: 'jobmanager' },
      ownerReferences: [ownerOf('Deployment', deployment)],
    },
    spec: {},
  })
  const pod = jobManagerPod()
  const given = { ...pod, metadata: { ...pod.metadata, ownerReferences: [ownerOf('ReplicaSet', replicaSet)] } }
  const path = `/api/v1/namespaces/${NAMESPACE}/pods`
  const created = await probe.request('POST', path, given)
  t.equal(created.status, 201, JSON.stringify(created.body))
  const { metadata, spec: podSpec } = created.body as unknown as Pod
  t.equal(podSpec.initContainers?.[0]?.name, 'flink-ha')
  t.equal(podSpec.initContainers?.[0]?.image, 'flink-ha/flink-ha:test')
  t.match(metadata.ownerReferences, [
    { kind: 'ReplicaSet' },
    { kind: 'Deployment', name: 'jm', uid: deployment.metadata.uid },
  ])

  const wrong = { ...pod, metadata: { ...pod.metadata, annotations: { 'flink-ha.io/lock': 'x' } } }
  const dryRun = await probe.request('POST', `${path}?dryRun=All`, wrong)
  t.equal(dryRun.status, 400)
  t.match(JSON.stringify(dryRun.body), /flink-ha.io\/lock is/)

  const metrics = await (await fetch(`${statusUrl}/metrics`)).text()
  t.match(metrics, /flink_ha_admissions_total\{decision="inject",reason="jobmanager"\} 1/)
  t.match(metrics, /flink_ha_dry_run_admissions_total\{decision="refuse",reason="bad-annotation"\} 1/)
  t.ok(Number(/^flink_ha_certificate_expiry_seconds (\S+)/m.exec(metrics)?.[1]) > 86_400)

  const ended = webhook.end('SIGTERM')
  await webhook.said('stopping')
  const late = await probe.request('POST', path, given)
  t.equal(late.status, 201, 'while it ends, what still comes is served')
  t.equal(await ended, 0)
  const refused = await probe.request('POST', path, given)
  t.equal(refused.status, 500, 'and then the API server refuses, as failurePolicy says')
})

t.test('an owner that is not told in time costs the pod a reference, and the active replica nothing', async t => {
  const { server, webhook, probe } = await world(t)
  await webhook.said('leading')
  // Longer than an owner is waited for, and shorter than a renewal may take.
  server.delay(1_700)
  const pod = jobManagerPod()
  for (let i = 0; i < 3; i++) {
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `rs-${i}`, uid: `rs-${i}`, controller: true }
    const given = { ...pod, metadata: { ...pod.metadata, ownerReferences: [owner] } }
    const created = await probe.request('POST', `/api/v1/namespaces/${NAMESPACE}/pods`, given)
    t.equal(created.status, 201)
    t.match((created.body as unknown as Pod).metadata.ownerReferences, [{ name: `rs-${i}` }])
  }
  server.delay(0)
  const renewals = server.requests.filter(({ method, path }) => method === 'PATCH' && path.includes('/leases/'))
  t.ok(renewals.length >= 3, `${renewals.length} renewals`)
  t.same(
    webhook.lines.filter(
      ({ msg, message }) => msg === 'the Lease cannot be written' && !/no answer/.test(`${message}`),
    ),
    [],
    'no renewal ended for another reason than its own',
  )
})

t.test('a second signal ends it at once, with exit code 1', async t => {
  const { webhook } = await world(t)
  const first = webhook.end('SIGTERM')
  await webhook.said('stopping')
  const atMs = performance.now()
  t.equal(await webhook.end('SIGTERM'), 1)
  t.equal(await first, 1)
  t.ok(performance.now() - atMs < 3_000, 'and does not serve for the five seconds that the first one leaves it')
})

t.test('bad settings end it at once, with exit code 2 and every problem', async t => {
  const webhook = new WebhookProcess(['--port', 'x', '--tls', 'y'])
  await t.rejects(webhook.said('serving'), { message: /ended with 2/ })
  for (const problem of ['port is "x"', 'tls is "y"', 'namespace is ""'])
    t.ok(
      webhook.errors.some(line => line.includes(problem)),
      problem,
    )
})
