import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { type CheckArgs, check, readCheckArgs } from '../../cli/check.ts'
import { lasting, lifeVerdict, served } from '../../cli/check-install.ts'
import type { Finding } from '../../cli/check-report.ts'
import {
  CANDIDATE_RIGHTS,
  CONFIGURATION_RIGHTS,
  LEASE_RIGHTS,
  type Right,
  WEBHOOK_HOME_RIGHTS,
  WEBHOOK_RIGHTS,
  WEBHOOK_SECRET_RIGHTS,
} from '../../cli/check-rights.ts'
import { ConfigError } from '../../shared/errors.ts'
import { type Issued, makeAuthority, makeServer } from '../../webhook/authority.ts'
import { certificatesOf } from '../../webhook/tls-check.ts'
import { CapturedIo } from '../world/captured-io.ts'
import { CheckedCluster } from '../world/checked-cluster.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { problemsOf } from '../world/problems.ts'

const VERSION = '0.1.0'
const NOW_MS = Date.parse('2026-06-01T00:00:00Z')
const DAY_MS = 86_400_000
const ARGS: CheckArgs = {
  namespace: undefined,
  pre: false,
  allow: [],
  json: true,
  kubeconfig: undefined,
  context: undefined,
}
const CONFIGURATION = 'manifests/base/mutating-webhook-configuration.yaml'

const base64 = (text: string): string => Buffer.from(text).toString('base64')
type Pair = { ca: Issued; server: Issued }
const makePair = async (): Promise<Pair> => {
  const ca = await makeAuthority(NOW_MS)
  return { ca, server: await makeServer(ca, ['flink-ha-webhook.flink-ha.svc'], NOW_MS) }
}
const pairs = makePair()

type WebhookConfiguration = { webhooks: { clientConfig: { caBundle?: string; service: object } }[] }

/** As it should be: installed from manifests/, one labelled namespace, one cluster. */
const healthy = async (): Promise<CheckedCluster> => {
  const { ca, server } = await pairs
  const cluster = new CheckedCluster(NOW_MS)
  cluster.create('namespaces', '', { metadata: { name: 'flink-ha' } })
  cluster.create('namespaces', '', { metadata: { name: 'flink', labels: { 'flink-ha.io/injection': 'enabled' } } })
  const deployment = parse(readFileSync('manifests/base/deployment.yaml', 'utf8')) as object
  cluster.create('deployments', 'flink-ha', deployment)
  const status = { replicas: 2, readyReplicas: 2 }
  cluster.api.store.patch(
    resourceOf('deployments'),
    'flink-ha',
    'flink-ha-webhook',
    'merge',
    { status },
    { subresource: 'status' },
  )
  const configuration = parse(readFileSync(CONFIGURATION, 'utf8')) as WebhookConfiguration
  // The embedded API knows no CEL.
  configuration.webhooks = configuration.webhooks.slice(0, 1)
  for (const { clientConfig } of configuration.webhooks) clientConfig.caBundle = base64(ca.certPem)
  cluster.create('mutatingwebhookconfigurations', '', configuration)
  const data = { 'ca.crt': base64(ca.certPem), 'tls.crt': base64(server.certPem), 'tls.key': base64(server.keyPem) }
  cluster.create('secrets', 'flink-ha', { metadata: { name: 'flink-ha-tls' }, data })
  cluster.create('deployments', 'flink', jobManagers('jm', 'flink-sa'))
  cluster.create('pods', 'flink', jobManagerPod('jm-1'))
  cluster.create('configmaps', 'flink', { metadata: { name: 'c1-cluster-config-map' } })
  cluster.create('services', 'flink', { metadata: { name: 'c1-ha' }, spec: { ports: [{ port: 4041 }] } })
  return cluster
}

const jobManagers = (name: string, serviceAccountName: string, annotations = {}): object => ({
  metadata: { name },
  spec: {
    template: {
      metadata: { labels: { component: 'jobmanager' }, annotations },
      spec: { serviceAccountName, containers: [{ name: 'jobmanager', image: 'flink' }] },
    },
  },
})
const jobManagerPod = (name: string): object => ({
  metadata: {
    name,
    labels: { component: 'jobmanager', 'flink-ha.io/cluster': 'c1' },
    annotations: { 'flink-ha.io/injected': VERSION },
  },
  spec: { serviceAccountName: 'flink-sa', containers: [{ name: 'jobmanager', image: 'flink' }] },
})

const findings = async (cluster: CheckedCluster, args: Partial<CheckArgs> = {}, nowMs = NOW_MS) => {
  const io = new CapturedIo()
  const world = { connecting: async () => cluster, nowMs }
  const code = await check({ ...ARGS, ...args }, VERSION, world, io)
  const { findings } = JSON.parse(io.outText) as { findings: Finding[] }
  const of = (id: string): Finding => findings.find(finding => finding.id === id) as Finding
  return { code, findings, of }
}

t.test('where all is well, every check is ok', async t => {
  const { code, findings: all } = await findings(await healthy())
  t.same(
    all.filter(({ result }) => result !== 'ok'),
    [],
  )
  t.equal(all.length, 14)
  t.equal(code, 0)
})

t.test('each fault is found by its check', async t => {
  const faults: { [id: string]: [Finding['result'], RegExp, (cluster: CheckedCluster) => void][] } = {
    'api-server': [
      ['fail', /v1\.28\.3\+k3s1: 1\.29 or later/, c => Object.assign(c, { version: 'v1.28.3+k3s1' })],
      ['fail', /forbidden/, c => c.forbidden.add('/version')],
    ],
    kubelets: [
      ['fail', /old \(v1\.28\.0\)/, c => Object.assign(c.nodes, { old: 'v1.28.0' })],
      ['skip', /not shown to you/, c => c.forbidden.add('/api/v1/nodes')],
    ],
    webhook: [
      ['fail', /not found/, c => c.delete('deployments', 'flink-ha', 'flink-ha-webhook')],
      ['fail', /^0 of 2/, c => status(c, { readyReplicas: 0 })],
      ['warn', /^1 of 2/, c => status(c, { readyReplicas: 1 })],
    ],
    'webhook-version': [
      ['warn', /0\.0\.9, this command is 0\.1\.0/, c => image(c, 'mirror:5000/flink-ha:0.0.9')],
      ['skip', /does not tell its version/, c => image(c, 'mirror:5000/flink-ha')],
    ],
    'webhook-configuration': [
      ['fail', /not found/, c => c.delete('mutatingwebhookconfigurations', '', 'flink-ha')],
      ['fail', /no caBundle/, c => entry(c, one => delete one.clientConfig.caBundle)],
      [
        'fail',
        /goes to the Service x\/y/,
        c => entry(c, one => Object.assign(one.clientConfig, { service: { namespace: 'x', name: 'y' } })),
      ],
      [
        'fail',
        /no webhook inject\.flink-ha\.io/,
        c => entry(c, one => Object.assign(one, { name: 'other.flink-ha.io' })),
      ],
      [
        'warn',
        /failurePolicy of inject\.flink-ha\.io is Ignore/,
        c => entry(c, one => Object.assign(one, { failurePolicy: 'Ignore' })),
      ],
    ],
    certificate: [
      [
        'fail',
        /the private key is empty/,
        c => c.patch('secrets', 'flink-ha', 'flink-ha-tls', { data: { 'tls.key': '' } }),
      ],
      [
        'ok',
        /caBundle of inject\.flink-ha\.io; Secret flink-ha-tls is not shown/,
        c => c.forbidden.add('/api/v1/namespaces/flink-ha/secrets/flink-ha-tls'),
      ],
    ],
    'webhook-rights': [
      [
        'fail',
        /may not create rolebindings\.rbac/,
        c => access(c, q => !(q.resource === 'rolebindings' && q.verb === 'create')),
      ],
      ['fail', /may not bind clusterroles.* "flink-ha-candidate"/, c => access(c, q => q.verb !== 'bind')],
    ],
    'namespace-label': [],
    'dry-run': [
      ['fail', /failed calling webhook/, c => Object.assign(c, { webhookFailure: new Error('connection refused') })],
      [
        'fail',
        /without the sidecar: flink-ha: not injected: no-native/,
        c => Object.assign(c, { webhookAnswer: silent }),
      ],
      ['skip', /no pod can be tried/, c => c.forbidden.add('/api/v1/namespaces/flink/pods')],
    ],
    'candidate-rights': [
      ['fail', /flink-sa may not update configmaps/, c => access(c, q => q.user === WEBHOOK || q.verb !== 'update')],
      [
        'fail',
        /other may not get leases\.coordination/,
        c => {
          c.create('deployments', 'flink', jobManagers('jm2', 'other', { 'flink-ha.io/lock': 'lease' }))
          c.mayAccess = q => q.user === WEBHOOK || q.resource !== 'leases'
        },
      ],
    ],
    pods: [
      [
        'warn',
        /^left without a sidecar: host \(host-network\)$/,
        c => {
          const { metadata, spec } = jobManagerPod('x') as { metadata: object; spec: object }
          const labels = { component: 'jobmanager' }
          const of = (name: string) => ({ ...metadata, name, labels, annotations: {} })
          c.create('pods', 'flink', { metadata: of('host'), spec: { ...spec, hostNetwork: true } })
          const annotations = { 'flink-ha.io/inject': 'false' }
          c.create('pods', 'flink', { metadata: { ...of('out'), annotations }, spec })
        },
      ],
      [
        'fail',
        /should have: late$/,
        c =>
          c.create('pods', 'flink', {
            ...jobManagerPod('x'),
            metadata: { name: 'late', labels: { component: 'jobmanager' } },
          }),
      ],
    ],
    'sidecar-version': [
      [
        'warn',
        /jm-1 \(0\.0\.9\)/,
        c => c.patch('pods', 'flink', 'jm-1', { metadata: { annotations: { 'flink-ha.io/injected': '0.0.9' } } }),
      ],
    ],
    'ha-service': [
      ['fail', /services "c1-ha" not found/, c => c.delete('services', 'flink', 'c1-ha')],
      ['fail', /has no port 4041/, c => c.patch('services', 'flink', 'c1-ha', { spec: { ports: [{ port: 80 }] } })],
    ],
    'ha-data': [
      ['fail', /go with their owner.*: ConfigMap c1-cluster-config-map$/, own],
      ['skip', /no high-availability data yet/, c => c.delete('configmaps', 'flink', 'c1-cluster-config-map')],
      ['skip', /not shown to you/, c => c.forbidden.add('/api/v1/namespaces/flink/configmaps')],
    ],
  }
  for (const [id, cases] of Object.entries(faults))
    for (const [result, message, fault] of cases) {
      const cluster = await healthy()
      fault(cluster)
      const found = await findings(cluster)
      t.match(found.of(id), { result, message }, `${id}: ${message}`)
      t.equal(found.code, found.findings.some(one => one.result === 'fail') ? 1 : 0)
      if (result === 'fail') t.not(found.of(id).hint, undefined)
    }
})

t.test('a check that may fail is a warning, and does not make the exit code', async t => {
  const cluster = await healthy()
  const metadata = { name: 'late', labels: { component: 'jobmanager' } }
  cluster.create('pods', 'flink', { ...jobManagerPod('x'), metadata })
  t.equal((await findings(cluster)).code, 1)
  const { of, code } = await findings(cluster, { allow: ['pods'] })
  t.match(of('pods'), { result: 'warn', message: /should have: late$/, hint: /rollout restart/ })
  t.equal(code, 0)
  cluster.version = 'v1.28.0'
  t.equal((await findings(cluster, { allow: ['pods'] })).code, 1, 'others count')
})

t.test('JobManagers that opted out need neither rights nor a Service', async t => {
  const cluster = await healthy()
  const out = { 'flink-ha.io/inject': 'false' }
  cluster.create('deployments', 'flink', jobManagers('own', 'own-sa', out))
  cluster.create('pods', 'flink', {
    ...jobManagerPod('x'),
    metadata: {
      name: 'own-1',
      labels: { component: 'jobmanager', 'flink-ha.io/cluster': 'own' },
      annotations: out,
    },
  })
  cluster.mayAccess = ({ user }) => user !== 'system:serviceaccount:flink:own-sa'
  const { code, of } = await findings(cluster)
  t.match([of('candidate-rights'), of('ha-service')], [{ message: 'service account flink-sa' }, { result: 'ok' }])
  t.equal(code, 0)
})

t.test('in a namespace without the label only JobManagers that ask by themselves count', async t => {
  const cluster = await healthy()
  cluster.create('namespaces', '', { metadata: { name: 'other' } })
  cluster.create('deployments', 'other', jobManagers('jm', 'plain'))
  const asked = await findings(cluster, { namespace: 'other' })
  t.match(asked.of('candidate-rights'), { result: 'skip' })
  cluster.create('deployments', 'other', jobManagers('asks', 'asking', { 'flink-ha.io/inject': 'true' }))
  const again = await findings(cluster, { namespace: 'other' })
  t.match(again.of('candidate-rights'), { result: 'ok', message: 'service account asking' })
})

/** Gives the HA data to its JobManagers. */
const own = (cluster: CheckedCluster): void => {
  const { uid } = cluster.api.store.list(resourceOf('deployments'), 'flink')[0]!.metadata
  const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'jm', uid }]
  cluster.patch('configmaps', 'flink', 'c1-cluster-config-map', { metadata: { ownerReferences } })
}
const access = (cluster: CheckedCluster, mayAccess: CheckedCluster['mayAccess']): void => {
  cluster.mayAccess = mayAccess
}
const WEBHOOK = 'system:serviceaccount:flink-ha:flink-ha-webhook'
const status = (cluster: CheckedCluster, status: object): void => {
  const path = '/apis/apps/v1/namespaces/flink-ha/deployments/flink-ha-webhook/status'
  const headers = { 'content-type': 'application/merge-patch+json' }
  void cluster.api.handle({ method: 'PATCH', path, headers, body: { status } })
}
const image = (cluster: CheckedCluster, image: string): void =>
  cluster.patch('deployments', 'flink-ha', 'flink-ha-webhook', {
    spec: { template: { spec: { containers: [{ name: 'webhook', image }] } } },
  })
type Entry = { name: string; failurePolicy: string; clientConfig: { caBundle?: string; service: object } }
const entry = (cluster: CheckedCluster, change: (entry: Entry) => unknown): void => {
  const of = cluster.api.store.list(resourceOf('mutatingwebhookconfigurations'))[0]
  const webhooks = structuredClone((of as unknown as { webhooks: Entry[] }).webhooks)
  for (const webhook of webhooks) change(webhook)
  cluster.patch('mutatingwebhookconfigurations', '', 'flink-ha', { webhooks })
}
const silent = (review: object): object => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: {
    uid: (review as { request: { uid: string } }).request.uid,
    allowed: true,
    warnings: ['flink-ha: not injected: no-native-sidecars'],
  },
})

t.test('a named namespace without the label fails, with what to do', async t => {
  const cluster = await healthy()
  cluster.create('namespaces', '', { metadata: { name: 'plain' } })
  cluster.create('namespaces', '', { metadata: { name: 'wrong', labels: { 'flink-ha.io/injection': 'true' } } })
  const plain = await findings(cluster, { namespace: 'plain' })
  t.match(plain.of('namespace-label'), { result: 'fail', hint: /kubectl label namespace plain/, namespace: 'plain' })
  t.match(plain.of('dry-run'), { result: 'fail', message: /without the sidecar/ })
  t.match(plain.of('candidate-rights').result, 'skip')
  t.equal(plain.code, 1)
  const wrong = await findings(cluster, { namespace: 'wrong' })
  t.match(wrong.of('namespace-label'), { result: 'fail', message: /is "true": "enabled" is needed/ })
  t.match((await findings(cluster, { namespace: 'nowhere' })).of('namespace-label'), {
    result: 'fail',
    message: /not found/,
  })
  t.match(
    (await findings(cluster, { namespace: 'kube-system' })).of('namespace-label').message,
    /nothing is ever injected/,
  )
})

t.test('no labelled namespace is a warning, and not to be allowed to look is neither', async t => {
  const cluster = await healthy()
  cluster.patch('namespaces', '', 'flink', { metadata: { labels: null } })
  t.match((await findings(cluster)).of('namespaces'), { result: 'warn', message: 'none is labelled' })
  cluster.forbidden.add('/api/v1/namespaces')
  t.match((await findings(cluster)).of('namespaces'), { result: 'skip', hint: /-n NAMESPACE/ })
})

t.test('a cluster that does not answer is one failure, not many', async t => {
  const io = new CapturedIo()
  const connecting = async () => {
    throw new Error('no kubeconfig')
  }
  t.equal(await check({ ...ARGS, json: false }, VERSION, { connecting, nowMs: NOW_MS }, io), 1)
  t.match(io.outText, /^fail {2}API server {2}no kubeconfig\n.*KUBECONFIG.*\n\n0 ok, 0 warn, 1 fail, 0 skip\n$/)
})

t.test('a cluster that stops to answer fails the checks that are left', async t => {
  const cluster = await healthy()
  const request = cluster.request
  cluster.request = async (method, path, body) => {
    if (path.includes('/secrets/')) throw new Error('socket hang up')
    return await request(method, path, body)
  }
  const { of, code } = await findings(cluster)
  t.match(of('certificate'), { result: 'fail', message: 'socket hang up' })
  t.equal(of('webhook-rights').result, 'ok')
  t.equal(code, 1)
})

t.test('before an installation only version, nodes and rights are looked at, and nothing is tried', async t => {
  const cluster = new CheckedCluster(NOW_MS)
  const { findings: all, code } = await findings(cluster, { pre: true })
  t.same(
    all.map(({ id, result }) => [id, result]),
    [
      ['api-server', 'ok'],
      ['kubelets', 'ok'],
      ['installer-rights', 'ok'],
    ],
  )
  t.equal(code, 0)
  cluster.mayAccess = ({ resource, verb }) => resource !== 'clusterroles' || verb === 'bind'
  t.match((await findings(cluster, { pre: true })).of('installer-rights').message, /may not create clusterroles/)
  cluster.mayAccess = ({ verb }) => verb !== 'escalate'
  t.equal(
    (await findings(cluster, { pre: true })).of('installer-rights').result,
    'ok',
    'who has them all may give them',
  )
  cluster.mayAccess = ({ verb }) => verb !== 'escalate' && verb !== 'watch'
  t.match((await findings(cluster, { pre: true })).of('installer-rights').message, /may not watch namespaces/)
  t.notOk(cluster.requests.some(request => request.includes('/pods')))
})

t.test('who installs has every right that the roles of an installation grant, or may escalate and bind', async t => {
  type Rule = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }
  type Role = { kind: string; metadata: { name: string; namespace?: string }; rules: Rule[] }
  const cluster = new CheckedCluster(NOW_MS)
  const verdict = async (mayAccess: CheckedCluster['mayAccess']) => {
    cluster.mayAccess = mayAccess
    return (await findings(cluster, { pre: true })).of('installer-rights')
  }
  const roles = readdirSync('manifests/base')
    .map(file => parse(readFileSync(`manifests/base/${file}`, 'utf8')) as Role)
    .filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
  t.equal(roles.length, 5)
  for (const { metadata, rules } of roles)
    for (const { apiGroups, resources, verbs, resourceNames = [''] } of rules)
      for (const resource of resources)
        for (const verb of verbs) {
          const lacks = await verdict(
            asked =>
              asked.verb !== 'escalate' &&
              !(
                asked.group === apiGroups[0] &&
                asked.resource === resource &&
                asked.verb === verb &&
                (asked.name ?? '') === resourceNames[0] &&
                asked.namespace === metadata.namespace
              ),
          )
          t.match(
            lacks,
            { result: 'fail', message: `may not ${verb} ${resource}` },
            `${metadata.name}: ${verb} ${resource}`,
          )
        }
  const creates = ({ verb }: { verb: string }): boolean => verb === 'create'
  t.equal((await verdict(q => creates(q) || q.verb === 'escalate' || q.verb === 'bind')).result, 'ok')
  t.match(await verdict(q => creates(q) || q.verb === 'escalate'), { result: 'fail', message: /may not list/ })
  t.match(await verdict(q => creates(q) || (q.resource === 'clusterroles' && q.namespace === undefined)), {
    result: 'fail',
    message: /^may not get pods in flink-ha, /,
  })
  const inOwn = await verdict(q => creates(q) || (q.resource === 'roles' && q.namespace === 'flink-ha'))
  t.match(inOwn, { result: 'fail', message: /^may not list namespaces, / })
  t.notMatch(inOwn.message, 'in flink-ha')
  const bindsNone = await verdict(
    q => !(q.verb === 'bind' && q.name === undefined) && !(q.verb === 'list' && q.resource === 'configmaps'),
  )
  t.match(bindsNone, { result: 'fail', message: 'may not list configmaps' }, 'who may only escalate binds nothing')
})

t.test('a certificate is judged by what is left of its life', async t => {
  const { ca, server } = await pairs
  const at = (pem: string, days: number) => lifeVerdict(pem, 'x', NOW_MS + days * DAY_MS, served).result
  t.equal(at(server.certPem, 0), 'ok')
  t.equal(at(server.certPem, 61), 'ok', 'renewal is due, not late')
  t.equal(at(server.certPem, 70), 'warn')
  t.equal(at(server.certPem, 88), 'fail')
  t.equal(at(server.certPem, 91), 'fail')
  t.equal(at(ca.certPem, 340), 'warn')
  t.equal(lifeVerdict('', 'x', NOW_MS, served).result, 'fail')
  t.equal(lifeVerdict('-----BEGIN CERTIFICATE-----\nx', 'x', NOW_MS, served).result, 'fail')
})

t.test('a chain is judged by the server’s own certificate, a bundle by the one that ends last', async t => {
  const { ca, server } = await pairs
  const cluster = await healthy()
  // The authority ends 275 days later.
  const chain = server.certPem + ca.certPem
  cluster.patch('secrets', 'flink-ha', 'flink-ha-tls', { data: { 'tls.crt': base64(chain) } })
  t.match((await findings(cluster, {}, NOW_MS + 88 * DAY_MS)).of('certificate'), {
    result: 'fail',
    message: /^2 days left.*Secret flink-ha-tls/,
  })
  const { certPem: oldest } = await makeAuthority(NOW_MS - 364 * DAY_MS)
  const bundle = ca.certPem + oldest
  for (const pem of [bundle, certificatesOf(bundle).toReversed().join('')])
    t.equal(lifeVerdict(pem, 'x', NOW_MS, lasting).result, 'ok')
  const rotated = await healthy()
  rotated.forbidden.add('/api/v1/namespaces/flink-ha/secrets/flink-ha-tls')
  entry(rotated, one => Object.assign(one.clientConfig, { caBundle: base64(oldest + ca.certPem) }))
  t.equal((await findings(rotated)).of('certificate').result, 'ok')
})

t.test('each entry’s caBundle is judged by itself', async t => {
  const stranger = await makeAuthority(NOW_MS)
  const cluster = await healthy()
  const configuration = cluster.api.store.list(resourceOf('mutatingwebhookconfigurations'))[0]
  const [one] = (configuration as unknown as { webhooks: Entry[] }).webhooks as [Entry]
  const asked = { ...structuredClone(one), name: 'ask.inject.flink-ha.io' }
  const second = (caPem: string): void => {
    asked.clientConfig.caBundle = base64(caPem)
    cluster.patch('mutatingwebhookconfigurations', '', 'flink-ha', { webhooks: [one, asked] })
  }
  second(stranger.certPem)
  t.match((await findings(cluster)).of('certificate'), {
    result: 'fail',
    message: /signed by no valid CA of the bundle \(caBundle of ask\.inject\.flink-ha\.io\)$/,
  })
  const { ca } = await pairs
  second(stranger.certPem + ca.certPem)
  t.equal((await findings(cluster)).of('certificate').result, 'ok')
  cluster.forbidden.add('/api/v1/namespaces/flink-ha/secrets/flink-ha-tls')
  second((await makeAuthority(NOW_MS - 400 * DAY_MS)).certPem)
  t.match((await findings(cluster)).of('certificate'), {
    result: 'fail',
    message: /^expired on .*caBundle of ask\.inject\.flink-ha\.io; Secret flink-ha-tls is not shown/,
  })
})

t.test('a certificate of another authority than the caBundle’s is found', async t => {
  const cluster = await healthy()
  const { server } = await makePair()
  const data = { 'tls.crt': base64(server.certPem), 'tls.key': base64(server.keyPem) }
  cluster.patch('secrets', 'flink-ha', 'flink-ha-tls', { data })
  t.match((await findings(cluster)).of('certificate'), { result: 'fail', message: /signed by no valid CA/ })
})

t.test('a mounted certificate is read where it is, and needs no right to Secrets', async t => {
  const cluster = await healthy()
  const { server } = await pairs
  const data = { 'tls.crt': base64(server.certPem), 'tls.key': base64(server.keyPem) }
  cluster.create('secrets', 'flink-ha', { metadata: { name: 'given' }, data })
  cluster.patch('deployments', 'flink-ha', 'flink-ha-webhook', {
    spec: { template: { spec: { volumes: [{ name: 'tls', secret: { secretName: 'given' } }] } } },
  })
  cluster.mayAccess = ({ resource }) => resource !== 'secrets'
  const { of } = await findings(cluster)
  t.match(of('certificate'), { result: 'ok', message: /Secret given/ })
  t.equal(of('webhook-rights').result, 'ok')
})

t.test('the text names each namespace, and what to do under what is wrong', async t => {
  const cluster = await healthy()
  cluster.delete('services', 'flink', 'c1-ha')
  const io = new CapturedIo()
  await check({ ...ARGS, json: false }, VERSION, { connecting: async () => cluster, nowMs: NOW_MS }, io)
  t.match(io.outText, /\n\nnamespace flink\nok {4}Label /)
  t.match(io.outText, /\nfail {2}Service .*not found\n {6}\s+-> the leading webhook replica makes it: kubectl/)
  t.match(io.outText, /\n13 ok, 0 warn, 1 fail, 0 skip\n$/)
})

t.test('the rights that are asked about are those that the manifests grant', async t => {
  type Rule = { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }
  type Role = { kind: string; metadata: { name: string }; rules: Rule[] }
  const roles = readdirSync('manifests/base')
    .map(file => parse(readFileSync(`manifests/base/${file}`, 'utf8')) as Role)
    .filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
  const granted = (kind: string, name: string): string[] => {
    const role = roles.find(one => one.kind === kind && one.metadata.name === name)
    return (role?.rules ?? []).flatMap(({ apiGroups, resources, resourceNames = [''], verbs }) =>
      apiGroups.flatMap(group =>
        resources.flatMap(resource =>
          resourceNames.flatMap(name => verbs.map(verb => [group, resource, name, verb].join('|'))),
        ),
      ),
    )
  }
  const asked = (rights: readonly Right[]): string[] =>
    rights.flatMap(({ group, resource, name = '', verbs }) =>
      verbs.map(verb => [group, resource, name, verb].join('|')),
    )
  t.same(asked(WEBHOOK_RIGHTS).sort(), granted('ClusterRole', 'flink-ha-webhook').sort())
  t.same(asked(CONFIGURATION_RIGHTS).sort(), granted('ClusterRole', 'flink-ha-webhook-configuration').sort())
  t.same(asked(WEBHOOK_HOME_RIGHTS).sort(), granted('Role', 'flink-ha-webhook').sort())
  t.same(asked(WEBHOOK_SECRET_RIGHTS).sort(), granted('Role', 'flink-ha-webhook-tls').sort())
  t.same(asked([...CANDIDATE_RIGHTS, ...LEASE_RIGHTS]).sort(), granted('ClusterRole', 'flink-ha-candidate').sort())
})

t.test('a wrong command line is refused with every problem', async t => {
  t.match(
    problemsOf(() => readCheckArgs(['-o', 'xml', '-n', 'N', '--pre'])),
    [/^output is "xml"/, /^namespace is "N"/, /--pre/],
  )
  t.throws(() => readCheckArgs(['--nope']), ConfigError)
  t.throws(() => readCheckArgs(['flink']), ConfigError)
  t.match(readCheckArgs(['-n', 'flink', '-o', 'json', '--context', 'c']), {
    namespace: 'flink',
    json: true,
    context: 'c',
  })
})
