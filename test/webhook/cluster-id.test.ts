import t from 'tap'
import { clusterIdOf } from '../../webhook/cluster-id.ts'
import type { Container, PodTemplate, TextMap } from '../../webhook/pod.ts'

const template = (
  container: Partial<Container> = {},
  labels: TextMap = {},
  annotations: TextMap = {},
): PodTemplate => ({
  metadata: { labels: { component: 'jobmanager', ...labels }, annotations },
  spec: { containers: [{ name: 'jobmanager', ...container }] },
})
const properties = (value: string): Partial<Container> => ({ env: [{ name: 'FLINK_PROPERTIES', value }] })

t.test('each place that tells the cluster id is read', async t => {
  const native = { app: 'x', type: 'flink-native-kubernetes' }
  for (const [given, id, from] of [
    [template({}, {}, { 'flink-ha.io/cluster-id': 'x' }), 'x', 'annotation'],
    [template({ args: ['jobmanager', '-Dkubernetes.cluster-id=x'] }), 'x', 'arguments'],
    [template({ args: ['jobmanager', '-D', 'kubernetes.cluster-id=x'] }), 'x', 'arguments'],
    [template({ command: ['kubernetes-session.sh', '-Dkubernetes.cluster-id=x'] }), 'x', 'arguments'],
    [template({ args: ['bash', '-c', 'run.sh -Da=b -Dkubernetes.cluster-id="x" -Dc=d'] }), 'x', 'arguments'],
    [template({ args: ['-Dkubernetes.cluster-id=w', '-Dkubernetes.cluster-id=x'] }), 'x', 'arguments'],
    [template(properties('a: b\nkubernetes.cluster-id: x\nc: d')), 'x', 'FLINK_PROPERTIES'],
    [template(properties('  kubernetes.cluster-id: "x" # mine')), 'x', 'FLINK_PROPERTIES'],
    [template({}, native), 'x', 'labels'],
    [template({}, { ...native, type: 'flink-standalone-kubernetes' }), 'x', 'labels'],
    [template({}, { 'flink-ha.io/cluster': 'x' }), 'x', 'cluster label'],
  ] as const)
    t.same(clusterIdOf(given), { id, from })
})

t.test('the annotation wins, then what wins in Flink', async t => {
  const all = template(
    { args: ['-Dkubernetes.cluster-id=args'], ...properties('kubernetes.cluster-id: env') },
    { app: 'app', type: 'flink-native-kubernetes', 'flink-ha.io/cluster': 'label' },
    { 'flink-ha.io/cluster-id': 'annotation' },
  )
  t.equal(clusterIdOf(all)?.id, 'annotation')
  delete all.metadata?.annotations?.['flink-ha.io/cluster-id']
  t.equal(clusterIdOf(all)?.id, 'args')
  all.spec.containers[0]!.args = null
  t.equal(clusterIdOf(all)?.id, 'env')
  all.spec.containers[0]!.env = null
  t.equal(clusterIdOf(all)?.id, 'app')
})

t.test('what tells nothing is not guessed from', async t => {
  for (const given of [
    template(),
    template({}, { app: 'flink' }),
    template({}, { app: 'flink', type: 'something-else' }),
    template({ args: ['-Dkubernetes.cluster-id=$(CLUSTER_ID)'] }),
    template({ args: ['-Dkubernetes.cluster-id='] }),
    template({ args: ['-Dkubernetes.cluster-id.suffix=x', '--kubernetes.cluster-id=x'] }),
    template(properties('# kubernetes.cluster-id: x\nmy.kubernetes.cluster-id: y')),
    template(properties(`kubernetes.cluster-id: ${'x'.repeat(46)}`)),
    template({ env: [{ name: 'FLINK_PROPERTIES', valueFrom: { configMapKeyRef: { name: 'a', key: 'b' } } }] }),
    template({}, {}, { 'flink-ha.io/cluster-id': 'Not Valid' }),
    { spec: { containers: [] } },
  ])
    t.equal(clusterIdOf(given), undefined, JSON.stringify(given))
})

t.test('only Flink’s own containers are read', async t => {
  const pod = template()
  pod.spec.containers.unshift({ name: 'other', args: ['-Dkubernetes.cluster-id=other'] })
  t.equal(clusterIdOf(pod), undefined)
})

t.test('a hostile text is read in no time', async t => {
  const long = template({ args: ['-D'.repeat(100_000), ' '.repeat(100_000)], ...properties(' \t'.repeat(100_000)) })
  t.equal(clusterIdOf(long), undefined)
})
