import t from 'tap'
import type { KubeObject } from '../../shared/list-watch.ts'
import { injectedPodOf, isInjected, metaOf, workloadOf } from '../../webhook/workload.ts'
import { jobManagerPod, type WorkloadInput, workload } from '../world/flink-objects.ts'

const of = (input: WorkloadInput) => workloadOf(input.kind ?? 'Deployment', workload(input) as unknown as KubeObject)

t.test('the facts of a JobManagers’ Deployment are read', async t => {
  const facts = of({ name: 'jm', clusterId: 'c', account: 'flink', configuration: 'conf', other: 'ca' })
  t.match(facts, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    role: 'jobmanager',
    clusterId: 'c',
    account: 'flink',
    selector: { app: 'flink', component: 'jobmanager' },
    configMaps: ['ca', 'conf'],
    configuration: ['conf'],
  })
  t.equal(of({ name: 'jm', kind: 'Job' }).apiVersion, 'batch/v1')
  t.equal(of({ name: 'jm' }).account, 'default')
  t.equal(of({ name: 'jm' }).clusterId, undefined)
})

t.test('a template that wants to be left alone has no role', async t => {
  t.equal(of({ name: 'jm', labels: { 'flink-ha.io/inject': 'false' } }).role, undefined)
  t.equal(of({ name: 'jm', annotations: { 'flink-ha.io/inject': 'false' } }).role, undefined)
  t.equal(of({ name: 'jm', annotations: { 'flink-ha.io/inject': 'true' } }).role, 'jobmanager')
  t.equal(of({ name: 'web', component: 'server' }).role, undefined)
})

t.test('a template asks by label or annotation, unless it wants to be left alone', async t => {
  const inject = (value: string) => ({ 'flink-ha.io/inject': value })
  const table: [Partial<WorkloadInput>, boolean][] = [
    [{}, false],
    [{ labels: inject('true') }, true],
    [{ annotations: inject('true') }, true],
    [{ labels: inject('yes') }, false],
    [{ labels: inject('true'), annotations: inject('false') }, false],
    [{ component: 'server', labels: inject('true') }, false],
  ]
  for (const [input, asks] of table) t.equal(of({ name: 'jm', ...input }).asks, asks, JSON.stringify(input))
})

t.test('only what is mounted into Flink’s configuration folder is its configuration', async t => {
  const withMounts = (mountPath: string, env: object[] = []): string[] => {
    const object = workload({ name: 'jm' })
    const { spec } = object.spec.template
    spec.volumes = [{ name: 'v', configMap: { name: 'm' } }]
    Object.assign(spec.containers[0]!, { volumeMounts: [{ name: 'v', mountPath }], env })
    return workloadOf('Deployment', object as unknown as KubeObject).configuration
  }
  const paths: [string, object[], boolean][] = [
    ['/opt/flink/conf', [], true],
    ['/opt/flink/conf/', [], true],
    ['/opt/flink/conf/config.yaml', [], true],
    ['/opt/flink/conf-old', [], false],
    ['/opt/flink', [], false],
    ['/etc/ssl', [], false],
    ['/etc/flink', [{ name: 'FLINK_CONF_DIR', value: '/etc/flink' }], true],
    ['/opt/flink/conf', [{ name: 'FLINK_CONF_DIR', value: '/etc/flink' }], false],
    ['/opt/flink/conf', [{ name: 'FLINK_CONF_DIR', valueFrom: {} }], true],
  ]
  for (const [path, env, isConfiguration] of paths)
    t.strictSame(withMounts(path, env), isConfiguration ? ['m'] : [], `${path} ${JSON.stringify(env)}`)
})

t.test('ConfigMaps are found wherever a pod can need one', async t => {
  const object = workload({ name: 'jm' })
  const { spec } = object.spec.template
  Object.assign(spec, {
    volumes: [{ name: 'p', projected: { sources: [{ configMap: { name: 'a' } }, { secret: { name: 's' } }] } }],
    initContainers: [{ name: 'i', envFrom: [{ configMapRef: { name: 'b' } }, { secretRef: { name: 's' } }] }],
  })
  Object.assign(spec.containers[0]!, { env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'd', key: 'k' } } }] })
  t.strictSame(workloadOf('Deployment', object as unknown as KubeObject).configMaps, ['a', 'b', 'd'])
})

t.test('an object that lacks what it should have is no reason to fail', async t => {
  const metadata = { name: 'x' }
  const strange: unknown[] = [
    { metadata },
    { metadata, spec: null },
    { metadata, spec: { selector: null, template: null } },
    { metadata, spec: { template: { metadata: null, spec: null } } },
    { metadata, spec: { template: { metadata: { labels: { component: 'jobmanager' } } } } },
    {
      metadata,
      spec: { template: { metadata: { labels: { component: 'jobmanager' } }, spec: { containers: [null, {}] } } },
    },
    { metadata, spec: { template: { spec: { containers: 'none', volumes: [null, { configMap: null }] } } } },
  ]
  for (const object of strange) {
    t.doesNotThrow(() => workloadOf('Deployment', object as KubeObject), JSON.stringify(object))
    t.doesNotThrow(() => injectedPodOf(object as KubeObject))
  }
})

t.test('a selector of more than labels is not used to know pods by', async t => {
  const object = workload({ name: 'jm' }) as unknown as { spec: { selector: object } }
  object.spec.selector = { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'x', operator: 'Exists' }] }
  t.equal(workloadOf('Deployment', object as unknown as KubeObject).selector, undefined)
  object.spec.selector = { matchLabels: {} }
  t.equal(workloadOf('Deployment', object as unknown as KubeObject).selector, undefined)
})

t.test('a pod that has ended needs nothing any more', async t => {
  const pod = jobManagerPod({ name: 'jm-1', clusterId: 'c', account: 'flink' })
  const read = injectedPodOf(pod as unknown as KubeObject)
  t.match(read, { account: 'flink', clusterId: 'c' })
  t.ok(isInjected(read))
  for (const phase of ['Succeeded', 'Failed'])
    t.notOk(isInjected(injectedPodOf({ ...pod, status: { phase } } as unknown as KubeObject)), phase)
  t.notOk(isInjected(injectedPodOf(jobManagerPod({ name: 'x', injected: false }) as unknown as KubeObject)))
})

t.test('of the metadata only what identifies, and of annotations our own, is kept', async t => {
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': 'x', 'flink-ha.io/owner': 'u' }
  const kept = metaOf({ metadata: { name: 'x', uid: 'u', annotations, managedFields: [{}], finalizers: ['f'] } })
  t.strictSame(kept, { name: 'x', uid: 'u', annotations: { 'flink-ha.io/owner': 'u' } })
})
