// The informer against the embedded API: real HTTP, with the faults of a real API server.
import t, { type Test } from 'tap'
import { Informer, type InformerOptions } from '../../shared/informer.ts'
import { KubeClient } from '../../shared/kube-client.ts'
import type { KubeObject } from '../../shared/list-watch.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { KubeServer } from '../world/kube-server.ts'
import { SteppedClock } from '../world/stepped-clock.ts'

const PODS = resourceOf('pods')
const pod = (name: string, labels: { [name: string]: string } = {}) => ({
  metadata: { name, labels },
  spec: { containers: [{ name: 'c' }] },
})

const synced = (informer: Informer<KubeObject>, until: (isSo: () => boolean, what: string) => Promise<void>) =>
  until(() => informer.isSynced(), 'the first list')

const newWorld = async (t: Test, options: Partial<InformerOptions<KubeObject>> = {}) => {
  const server = new KubeServer({ namespaces: ['a', 'b'] })
  await server.listen()
  const clock = new SteppedClock()
  const client = new KubeClient({ url: server.url, userAgent: 'test', monoMs: clock.monoMs })
  const problems: string[] = []
  const changes: string[] = []
  const informer = new Informer<KubeObject>({
    client,
    clock,
    collection: '/api/v1/pods',
    onChange: (after, before) =>
      changes.push(
        `${after === undefined ? '-' : before === undefined ? '+' : '='}${(after ?? before)?.metadata.name}`,
      ),
    onProblem: problem => problems.push(problem),
    random: () => 0.5,
    ...options,
  })
  t.teardown(async () => {
    informer.stop()
    client.close()
    await server.close()
  })
  const names = (): string[] =>
    informer
      .all()
      .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
      .sort()
  const until = (isSo: () => boolean, what: string) => clock.until(isSo, what)
  return { server, store: server.store, clock, informer, problems, changes, names, until }
}

t.test('it shows what is there, and follows what comes, changes and goes', async t => {
  const { store, informer, names, changes, until } = await newWorld(t)
  store.create(PODS, 'a', pod('one'))
  t.notOk(informer.isSynced())
  informer.start()
  await until(() => informer.isSynced(), 'the first list')
  await informer.synced
  t.strictSame(names(), ['a/one'])
  store.create(PODS, 'b', pod('two'))
  store.patch(PODS, 'a', 'one', 'merge', { metadata: { labels: { x: 'y' } } })
  store.delete(PODS, 'b', 'two')
  await until(() => changes.length === 4, 'four changes')
  t.strictSame(changes, ['+one', '+two', '=one', '-two'])
  t.equal(informer.get('a', 'one')?.metadata.labels?.['x'], 'y')
  t.equal(informer.get('b', 'two'), undefined)
  t.equal(informer.get('b', 'one'), undefined, 'the namespace counts')
})

t.test('a selector counts also for what stops to fit it', async t => {
  const { store, informer, names, changes, until } = await newWorld(t, { query: 'labelSelector=kind%3Dgood' })
  store.create(PODS, 'a', pod('one', { kind: 'good' }))
  store.create(PODS, 'a', pod('two', { kind: 'bad' }))
  informer.start()
  await synced(informer, until)
  t.strictSame(names(), ['a/one'])
  store.patch(PODS, 'a', 'one', 'merge', { metadata: { labels: { kind: 'bad' } } })
  store.patch(PODS, 'a', 'two', 'merge', { metadata: { labels: { kind: 'good' } } })
  await until(() => changes.length === 3, 'both changes')
  t.strictSame(names(), ['a/two'])
})

t.test('metadata alone is asked for and kept, in the list and in the watch', async t => {
  const { store, informer, changes, until } = await newWorld(t, { metadataOnly: true })
  store.create(PODS, 'a', pod('one'))
  informer.start()
  await synced(informer, until)
  store.create(PODS, 'a', pod('two'))
  await until(() => changes.length === 2, 'the second pod')
  for (const object of informer.all()) t.notOk('spec' in object, object.metadata.name)
})

t.test('only what is asked for is kept', async t => {
  const { store, informer, until } = await newWorld(t, {
    keep: ({ metadata }) => ({ metadata: { name: metadata.name, namespace: metadata.namespace ?? '' } }),
  })
  store.create(PODS, 'a', pod('one', { x: 'y' }))
  informer.start()
  await synced(informer, until)
  t.strictSame(informer.all(), [{ metadata: { name: 'one', namespace: 'a' } }])
})

t.test('a large collection is read in pages of one moment', async t => {
  const { store, server, informer, names, until } = await newWorld(t)
  for (let i = 0; i < 1_201; i++) store.create(PODS, 'a', pod(`p${i}`))
  informer.start()
  await synced(informer, until)
  t.equal(names().length, 1_201)
  const lists = server.requests.filter(({ verb }) => verb === 'list')
  t.equal(lists.length, 3)
  t.ok(lists.every(({ query }) => query.includes('limit=500')))
})

t.test('a list whose pages are forgotten meanwhile begins again', async t => {
  const { store, server, informer, names, until, problems } = await newWorld(t)
  for (let i = 0; i < 600; i++) store.create(PODS, 'a', pod(`p${i}`))
  server.fail({ match: ({ path }) => path.includes('continue='), status: 410, times: 1 })
  informer.start()
  await synced(informer, until)
  t.equal(names().length, 600)
  t.match(problems, [/410/])
})

t.test('what happened while the history was lost is found by a list, and told', async t => {
  const { store, server, informer, names, changes, until } = await newWorld(t)
  store.create(PODS, 'a', pod('goes'))
  store.create(PODS, 'a', pod('stays'))
  informer.start()
  await synced(informer, until)
  await until(() => server.openWatches === 1, 'the watch')
  await server.refuse()
  store.delete(PODS, 'a', 'goes')
  store.create(PODS, 'a', pod('comes'))
  server.compact()
  await server.accept()
  await until(() => names().includes('a/comes'), 'the new pod')
  t.strictSame(names(), ['a/comes', 'a/stays'])
  t.strictSame(changes.slice(2).sort(), ['+comes', '-goes'], 'and nothing of what stayed as it was')
})

t.test('a watch that was cut goes on where it was, without a list', async t => {
  const { store, server, informer, names, until } = await newWorld(t)
  informer.start()
  await synced(informer, until)
  await until(() => server.openWatches === 1, 'the watch')
  server.breakWatches()
  store.create(PODS, 'a', pod('one'))
  await until(() => names().length === 1, 'the pod')
  t.equal(server.requests.filter(({ verb }) => verb === 'list').length, 1)
})

t.test('a watch that falls silent is dropped after a while', async t => {
  const { store, server, clock, informer, names, until, problems } = await newWorld(t)
  informer.start()
  await synced(informer, until)
  await until(() => server.openWatches === 1, 'the watch')
  server.dropWatchEvents(true)
  store.create(PODS, 'a', pod('one'))
  await clock.until(() => problems.length === 1, 'the end of patience', 120_000, 500)
  t.match(problems[0], /silent for 90000 ms/)
  server.dropWatchEvents(false)
  await until(() => names().length === 1, 'the pod')
})

t.test('an API server that is away, or fails, is asked again less and less often', async t => {
  const { server, clock, informer, until, problems } = await newWorld(t)
  server.fail({ status: 503, times: 1_000 })
  informer.start()
  await clock.pass(60_000, 100)
  t.ok(problems.length > 5 && problems.length < 30, `${problems.length} tries in a minute`)
  server.heal()
  await synced(informer, until)
})

t.test('a 403 is the end where one can do without, and else is asked again', async t => {
  const forbidden: string[] = []
  const { server, clock, informer } = await newWorld(t, { onForbidden: problem => forbidden.push(problem) })
  server.fail({ status: 403, times: 1_000 })
  informer.start()
  await clock.pass(20_000, 100)
  t.equal(forbidden.length, 1)
  t.equal(server.requests.length, 1)
  t.notOk(informer.isSynced())
})

t.test('a stopped informer asks nothing more, and tells nothing more', async t => {
  const { store, server, clock, informer, changes, until } = await newWorld(t)
  informer.start()
  informer.start()
  await synced(informer, until)
  await until(() => server.openWatches === 1, 'the watch')
  informer.stop()
  store.create(PODS, 'a', pod('one'))
  await clock.pass(5_000, 100)
  t.strictSame(changes, [])
  t.equal(server.requests.length, 2)
  t.equal(server.openWatches, 0)
})
