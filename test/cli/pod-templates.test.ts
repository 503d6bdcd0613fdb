import t from 'tap'
import { dotted, podPlaces, withValueAt } from '../../cli/pod-templates.ts'

const template = { spec: { containers: [{ name: 'a' }] } }
const of = (kind: string, apiVersion: string, spec: object = { template }) => ({
  apiVersion,
  kind,
  metadata: { name: 'x', namespace: 'n' },
  spec,
})
const paths = (document: unknown): string[] => podPlaces(document).map(place => dotted(place.path))

t.test('each kind that makes pods has its template found', async t => {
  for (const kind of ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet'])
    t.same(paths(of(kind, 'apps/v1')), ['spec.template'], kind)
  t.same(paths(of('Job', 'batch/v1')), ['spec.template'])
  t.same(paths(of('ReplicationController', 'v1')), ['spec.template'])
  t.same(paths(of('CronJob', 'batch/v1', { jobTemplate: { spec: { template } } })), ['spec.jobTemplate.spec.template'])
  t.match(podPlaces(of('Pod', 'v1', template.spec)), [{ path: [], kind: 'Pod', name: 'x', namespace: 'n' }])
})

t.test('the labels that a workload selects its pods by are found, however it says them', async t => {
  const expression = { key: 'b', operator: 'Exists' }
  const selector = { matchLabels: { a: '1' }, matchExpressions: [expression, 7, { key: 7 }] }
  const labels = (kind: string, apiVersion: string, spec: object): string[] | undefined =>
    podPlaces(of(kind, apiVersion, spec))[0]?.selectorLabels
  for (const name of ['a', 'b']) {
    t.ok(labels('Deployment', 'apps/v1', { selector, template })?.includes(name), name)
    t.ok(labels('CronJob', 'batch/v1', { jobTemplate: { spec: { selector, template } } })?.includes(name), name)
  }
  t.same(labels('ReplicationController', 'v1', { selector: { a: '1' }, template }), ['a'])
  for (const none of [undefined, null, 7, []]) t.same(labels('Job', 'batch/v1', { selector: none, template }), [])
  t.same(labels('Pod', 'v1', template.spec), [])
})

t.test('an object of another group, or of no kind, is not ours to read', async t => {
  t.same(paths(of('Deployment', 'example.com/v1')), [])
  t.same(paths(of('Pod', 'example.com/v1')), [])
  t.same(paths(of('FlinkDeployment', 'flink.apache.org/v1beta1')), [])
  for (const value of [undefined, null, 7, 'Pod', [], {}, { kind: 7 }, { kind: 'constructor' }, { kind: 'List' }])
    t.same(paths(value), [], JSON.stringify(value))
})

t.test('the items of a List are found, those of a typed list too', async t => {
  const list = { apiVersion: 'v1', kind: 'List', items: [{ kind: 'Service' }, of('Deployment', 'apps/v1'), null] }
  t.same(paths(list), ['items[1].spec.template'])
  const { kind: _, apiVersion: __, ...bare } = of('Pod', 'v1', template.spec)
  t.same(paths({ apiVersion: 'v1', kind: 'PodList', items: [bare, bare] }), ['items[0]', 'items[1]'])
  t.same(paths({ apiVersion: 'v1', kind: 'List', items: [list] }), ['items[0].items[1].spec.template'])
})

t.test('a missing template is a place with nothing in it', async t => {
  t.equal(podPlaces(of('Deployment', 'apps/v1', { replicas: 2 }))[0]?.pod, undefined)
  t.equal(podPlaces({ apiVersion: 'apps/v1', kind: 'Deployment' })[0]?.pod, undefined)
})

t.test('a value is replaced in a copy', async t => {
  const before = { items: [{ a: 1 }, { a: 2, b: 3 }] }
  t.same(withValueAt(before, ['items', 1, 'a'], 4), { items: [{ a: 1 }, { a: 4, b: 3 }] })
  t.same(before, { items: [{ a: 1 }, { a: 2, b: 3 }] })
  t.same(Object.keys((withValueAt({ a: 1, b: 2 }, ['a'], 3) as object) ?? {}), ['a', 'b'], 'in its old place')
})
