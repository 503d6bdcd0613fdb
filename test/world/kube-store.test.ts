import t from 'tap'
import { KubeError } from './kube-errors.ts'
import { type KubeObject, resourceOf } from './kube-resources.ts'
import { KubeStore } from './kube-store.ts'
import type { WatchEvent } from './kube-watch.ts'

const NS = 'flink'
const maps = resourceOf('configmaps')
const pods = resourceOf('pods')
const deployments = resourceOf('deployments')
const leases = resourceOf('leases')

const newStore = (options = {}) => new KubeStore({ namespaces: [NS], now: () => Date.UTC(2026, 0, 2), ...options })
const named = (name: string, content: object = {}, meta: object = {}) => ({ metadata: { name, ...meta }, ...content })

const codeOf = (run: () => unknown): number => {
  try {
    run()
    return 200
  } catch (error) {
    if (error instanceof KubeError) return error.code
    throw error
  }
}
const versionOf = (object: KubeObject): string => object.metadata.resourceVersion ?? ''
const dataOf = (object: object): unknown => (object as { data?: { n?: string } }).data?.n
const told = (events: WatchEvent[]): string[] => events.map(({ type, object }) => `${type} ${dataOf(object) ?? '-'}`)
const reference = ({ apiVersion = '', kind = '', metadata: { name, uid = '' } }: KubeObject) => ({
  apiVersion,
  kind,
  name,
  uid,
})

t.test('versions are global and grow by one with each write', async t => {
  const store = newStore()
  const before = store.version
  const a = store.create(maps, NS, named('a'))
  const lease = store.create(leases, NS, named('l'))
  const b = store.replace(maps, NS, 'a', named('a', { data: { n: '1' } }))
  t.strictSame([a, lease, b].map(versionOf), [before + 1, before + 2, before + 3].map(String))
  t.equal(store.version, before + 3)
})

t.test('the same source of time and chance makes the same objects', async t => {
  const run = () => {
    let seed = 1
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed / 2_147_483_647
    }
    return newStore({ random }).create(maps, NS, { metadata: { generateName: 'a-' } })
  }
  t.strictSame(run(), run())
  t.equal(run().metadata.creationTimestamp, '2026-01-02T00:00:00Z')
})

t.test('of two writers that read the same version, one wins, by PUT as by PATCH', async t => {
  const store = newStore()
  const read = store.create(maps, NS, named('lock'))
  const won = store.replace(maps, NS, 'lock', { ...read, data: { n: 'first' } })
  t.equal(
    codeOf(() => store.replace(maps, NS, 'lock', { ...read, data: { n: 'second' } })),
    409,
  )
  for (const type of ['merge', 'strategic'] as const)
    t.equal(
      codeOf(() => store.patch(maps, NS, 'lock', type, { metadata: { resourceVersion: versionOf(read) } })),
      409,
    )
  t.equal(store.get(maps, NS, 'lock'), won)
})

t.test('a write that changes nothing makes no version and no event', async t => {
  const store = newStore()
  const made = store.create(maps, NS, named('a', { data: { n: '1' } }, { labels: { x: 'y' } }))
  const events: WatchEvent[] = []
  store.watch(maps, { resourceVersion: versionOf(made) }, event => events.push(event))
  t.equal(store.replace(maps, NS, 'a', structuredClone(made)), made)
  t.equal(store.patch(maps, NS, 'a', 'merge', { data: { n: '1' } }), made)
  t.equal(store.patch(maps, NS, 'a', 'merge', { metadata: { annotations: {} }, unknown: 1 }), made)
  t.strictSame(events, [])
  t.equal(String(store.version), versionOf(made))
})

t.test('stored objects cannot be changed from outside', async t => {
  const store = newStore()
  const given = named('a', { data: { n: '1' } })
  const made = store.create(maps, NS, given)
  given.metadata.name = 'b'
  t.equal(made.metadata.name, 'a')
  t.throws(() => {
    made.metadata.name = 'c'
  }, TypeError)
})

t.test('a watch from a version tells what came after it, and goes on', async t => {
  const store = newStore()
  const made = store.create(maps, NS, named('a', { data: { n: '1' } }))
  store.patch(maps, NS, 'a', 'merge', { data: { n: '2' } })
  const events: WatchEvent[] = []
  const watch = store.watch(maps, { namespace: NS, resourceVersion: versionOf(made) }, event => events.push(event))
  store.delete(maps, NS, 'a')
  store.create(leases, NS, named('a'))
  t.strictSame(told(events), ['MODIFIED 2', 'DELETED 2'])
  t.match(watch.bookmark(), { type: 'BOOKMARK', object: { metadata: { resourceVersion: String(store.version) } } })
  watch.close()
  store.create(maps, NS, named('a'))
  t.equal(events.length, 2, 'nothing after it is closed')
})

t.test('the history is bounded for each resource, and a watch from before it is 410', async t => {
  const store = newStore({ historySize: 3 })
  const lease = store.create(leases, NS, named('quiet'))
  const versions = ['1', '2', '3', '4', '5'].map(n => {
    if (n === '1') return versionOf(store.create(maps, NS, named('a', { data: { n } })))
    return versionOf(store.patch(maps, NS, 'a', 'merge', { data: { n } }))
  })
  const watch = (resourceVersion = '') => {
    const events: WatchEvent[] = []
    store.watch(maps, { resourceVersion }, event => events.push(event)).close()
    return told(events)
  }
  t.equal(
    codeOf(() => watch(versions[0])),
    410,
  )
  t.strictSame(watch(versions[1]), ['MODIFIED 3', 'MODIFIED 4', 'MODIFIED 5'])
  t.strictSame(watch(versions[4]), [])
  t.strictSame(watch('0'), ['ADDED 5'])
  t.equal(
    codeOf(() => store.watch(leases, { resourceVersion: versionOf(lease) }, () => {}).close()),
    200,
  )
})

t.test('compact forgets all history but not the present', async t => {
  const store = newStore()
  const made = store.create(maps, NS, named('a'))
  store.patch(maps, NS, 'a', 'merge', { data: { n: '2' } })
  store.compact()
  t.equal(
    codeOf(() => store.watch(maps, { resourceVersion: versionOf(made) }, () => {})),
    410,
  )
  t.equal(
    codeOf(() => store.watch(maps, { resourceVersion: String(store.version) }, () => {})),
    200,
  )
  t.equal(store.get(maps, NS, 'a').metadata.uid, made.metadata.uid)
})

t.test('a listener that writes does not change the order in which others are told', async t => {
  const store = newStore()
  store.watch(maps, { namespace: NS, resourceVersion: String(store.version) }, ({ object }) => {
    if (dataOf(object) === '1') store.patch(maps, NS, 'a', 'merge', { data: { n: '2' } })
  })
  const events: WatchEvent[] = []
  store.watch(maps, { namespace: NS, resourceVersion: String(store.version) }, event => events.push(event))
  store.create(maps, NS, named('a', { data: { n: '1' } }))
  t.strictSame(told(events), ['ADDED 1', 'MODIFIED 2'])
})

t.test('a watch that is begun by a listener is told nothing twice', async t => {
  const store = newStore()
  const from = String(store.version)
  const events: WatchEvent[] = []
  store.onChange(({ object }) => {
    if (dataOf(object) !== '1') return
    store.patch(maps, NS, 'a', 'merge', { data: { n: '2' } })
    store.watch(maps, { resourceVersion: from }, event => events.push(event))
  })
  store.create(maps, NS, named('a', { data: { n: '1' } }))
  t.strictSame(told(events), ['ADDED 1', 'MODIFIED 2'])
})

t.test('garbage collection follows owners through kinds, and stops at those it does not know', async t => {
  const store = newStore()
  const root = store.create(deployments, NS, named('jobmanager'))
  const pod = store.create(
    pods,
    NS,
    named('jobmanager-0', { spec: { containers: [{}] } }, { ownerReferences: [reference(root)] }),
  )
  store.create(maps, NS, named('owned', {}, { ownerReferences: [reference(pod)] }))
  const foreign = { apiVersion: 'flink.apache.org/v1beta1', kind: 'FlinkDeployment', name: 'x', uid: 'y' }
  store.create(maps, NS, named('foreign', {}, { ownerReferences: [foreign] }))
  store.create(maps, NS, named('both', {}, { ownerReferences: [reference(root), foreign] }))
  store.delete(deployments, NS, 'jobmanager')
  t.strictSame(
    store.list(maps, NS).map(({ metadata }) => [metadata.name, metadata.ownerReferences?.length]),
    [
      ['both', 1],
      ['foreign', 1],
    ],
  )
  t.strictSame(store.list(pods, NS), [])
})

t.test('an owner in another namespace is no owner, one without a namespace is', async t => {
  const store = newStore()
  const elsewhere = store.create(maps, 'default', named('owner'))
  store.create(maps, NS, named('a', {}, { ownerReferences: [reference(elsewhere)] }))
  t.equal(store.find(maps, NS, 'a'), undefined)
  const webhooks = resourceOf('mutatingwebhookconfigurations')
  const global = store.create(webhooks, '', named('global'))
  store.create(maps, NS, named('b', {}, { ownerReferences: [reference(global)] }))
  t.ok(store.find(maps, NS, 'b'))
  store.delete(webhooks, '', 'global')
  t.equal(store.find(maps, NS, 'b'), undefined)
})

t.test('an owned object with a finalizer is marked, and goes with the finalizer', async t => {
  const store = newStore()
  const owner = store.create(maps, NS, named('owner'))
  store.create(maps, NS, named('held', {}, { ownerReferences: [reference(owner)], finalizers: ['example.com/x'] }))
  store.delete(maps, NS, 'owner')
  t.equal(store.get(maps, NS, 'held').metadata.deletionTimestamp, '2026-01-02T00:00:00Z')
  store.patch(maps, NS, 'held', 'merge', { metadata: { finalizers: null } })
  t.equal(store.find(maps, NS, 'held'), undefined)
})

t.test('a pod on a node ends slowly: marked first, gone when it is deleted with no grace', async t => {
  const store = newStore()
  store.create(pods, NS, named('p', { spec: { nodeName: 'n', containers: [{}], terminationGracePeriodSeconds: 5 } }))
  const types: string[] = []
  store.watch(pods, { resourceVersion: String(store.version) }, ({ type }) => types.push(type))
  const marked = store.delete(pods, NS, 'p')
  t.equal(marked.metadata.deletionTimestamp, '2026-01-02T00:00:05Z')
  t.equal(marked.metadata.deletionGracePeriodSeconds, 5)
  t.equal(store.delete(pods, NS, 'p'), marked, 'asking again changes nothing')
  store.patch(pods, NS, 'p', 'merge', { metadata: { labels: { a: 'b' } } })
  store.delete(pods, NS, 'p', { gracePeriodSeconds: 0 })
  t.equal(store.find(pods, NS, 'p'), undefined)
  t.strictSame(types, ['MODIFIED', 'MODIFIED', 'DELETED'])
})

t.test('a namespace takes what is in it along', async t => {
  const store = newStore()
  store.create(maps, NS, named('a', {}, { finalizers: ['example.com/x'] }))
  store.create(maps, 'default', named('b'))
  store.delete(resourceOf('namespaces'), '', NS)
  t.strictSame(
    store.list(maps).map(({ metadata }) => metadata.name),
    ['b'],
  )
  t.equal(
    codeOf(() => store.create(maps, NS, named('a'))),
    404,
  )
})

t.test('selectors pick by labels, name, namespace and the fields that a resource has', async t => {
  const store = newStore()
  store.create(pods, NS, named('a', { spec: { nodeName: 'n1', containers: [{}] } }, { labels: { x: '1' } }))
  store.create(pods, 'default', named('b', { spec: { containers: [{}] } }))
  const pick = (selection: object) => store.list(pods, undefined, selection).map(({ metadata }) => metadata.name)
  t.strictSame(pick({}), ['b', 'a'], 'by namespace, then name')
  t.strictSame(pick({ fieldSelector: 'spec.nodeName=n1' }), ['a'])
  t.strictSame(pick({ fieldSelector: 'spec.nodeName!=n1' }), ['b'])
  t.strictSame(pick({ fieldSelector: 'metadata.namespace=default' }), ['b'])
  t.strictSame(pick({ labelSelector: 'x' }), ['a'])
  t.strictSame(pick({ labelSelector: 'x notin (1, 2)' }), ['b'])
  t.equal(
    codeOf(() => pick({ fieldSelector: 'spec.unknown=x' })),
    400,
  )
  t.equal(
    codeOf(() => pick({ labelSelector: 'x in 1' })),
    400,
  )
})

t.test('dry runs check everything and change nothing', async t => {
  const store = newStore()
  const made = store.create(maps, NS, named('a'))
  const dryRun = true
  t.equal(
    codeOf(() => store.create(maps, NS, named('a'), { dryRun })),
    409,
  )
  t.equal(
    codeOf(() => store.create(maps, NS, named('B'), { dryRun })),
    422,
  )
  t.equal(dataOf(store.patch(maps, NS, 'a', 'merge', { data: { n: '1' } }, { dryRun })), '1')
  store.delete(maps, NS, 'a', { dryRun })
  t.equal(store.get(maps, NS, 'a'), made)
  t.equal(String(store.version), versionOf(made))
})
