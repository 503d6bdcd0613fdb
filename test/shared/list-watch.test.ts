// One named object in sight, against the embedded API.
import t, { type Test } from 'tap'
import { KubeClient } from '../../shared/kube-client.ts'
import { ListWatch, messageOf, type Sight } from '../../shared/list-watch.ts'
import type { ConfigMap } from '../../shared/lock.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { KubeServer } from '../world/kube-server.ts'
import { SteppedClock } from '../world/stepped-clock.ts'

const MAPS = resourceOf('configmaps')

const newWorld = async (t: Test) => {
  const server = new KubeServer({ namespaces: ['ns'] })
  await server.listen()
  const clock = new SteppedClock()
  const client = new KubeClient({ url: server.url, userAgent: 'test', monoMs: clock.monoMs })
  const sights: Sight<ConfigMap>[] = []
  const problems: string[] = []
  const watch = new ListWatch<ConfigMap>({
    client,
    clock,
    collection: '/api/v1/namespaces/ns/configmaps',
    name: 'one',
    onSight: sight => sights.push(sight),
    onProblem: problem => problems.push(problem),
    random: () => 0.5,
  })
  t.teardown(async () => {
    watch.stop()
    client.close()
    await server.close()
  })
  const until = (isSo: () => boolean, what: string) => clock.until(isSo, what)
  const shown = () => sights.map(({ object, listed }) => [object?.data?.['k'], listed])
  return { server, store: server.store, clock, watch, sights, problems, until, shown }
}
const configMap = (name: string, k: string) => ({ metadata: { name }, data: { k } })

t.test('a missing object is seen as missing, at a version; then as it comes, changes and goes', async t => {
  const { store, watch, sights, until, shown } = await newWorld(t)
  void watch.run()
  await until(() => sights.length === 1, 'the list')
  t.match(sights[0], { object: undefined, version: String(store.version), listed: true })
  store.create(MAPS, 'ns', configMap('one', 'a'))
  store.create(MAPS, 'ns', configMap('two', 'x'))
  store.patch(MAPS, 'ns', 'one', 'merge', { data: { k: 'b' } })
  store.delete(MAPS, 'ns', 'one')
  await until(() => sights.length === 4, 'the watch')
  t.strictSame(shown(), [
    [undefined, true],
    ['a', false],
    ['b', false],
    [undefined, false],
  ])
  t.match(sights[1]?.object, { kind: 'ConfigMap', apiVersion: 'v1' })
  t.ok(Number(sights[3]?.version) > Number(sights[2]?.version), 'also its end has a version')
})

t.test('an object that is listed says what it is, and is read again when asked for', async t => {
  const { store, watch, sights, until } = await newWorld(t)
  store.create(MAPS, 'ns', configMap('one', 'a'))
  void watch.run()
  await until(() => sights.length === 1, 'the list')
  await watch.list()
  t.equal(sights.length, 2)
  for (const { object, listed } of sights) t.match([object, listed], [{ kind: 'ConfigMap', apiVersion: 'v1' }, true])
})

t.test('a lost history leads to a list, a cut connection to none', async t => {
  const { server, store, watch, sights, problems, until, shown } = await newWorld(t)
  const lists = (): number => server.requests.filter(({ verb }) => verb === 'list').length
  void watch.run()
  await until(() => server.openWatches === 1, 'the watch')
  server.breakWatches()
  store.create(MAPS, 'ns', configMap('one', 'a'))
  await until(() => sights.length === 2, 'the object')
  t.equal(lists(), 1)
  server.expireWatches()
  await until(() => lists() === 2, 'the second list')
  t.match(problems.at(-1), /410/)
  await until(() => shown().length === 3, 'the sight')
  t.strictSame(shown().at(-1), ['a', true])
})

t.test('where the API server says 403, it is asked again, unless somebody can do without', async t => {
  const { server, clock, watch, sights, until } = await newWorld(t)
  server.fail({ status: 403, times: 3 })
  void watch.run()
  await until(() => sights.length === 1, 'the list after all')
  const forbidden: string[] = []
  server.fail({ match: ({ headers }) => headers?.['user-agent'] === 'other', status: 403, times: 1 })
  const client = new KubeClient({ url: server.url, userAgent: 'other', monoMs: clock.monoMs })
  t.teardown(() => client.close())
  const other = new ListWatch<ConfigMap>({
    client,
    clock,
    collection: '/api/v1/namespaces/ns/configmaps',
    name: 'one',
    onSight: () => {},
    onProblem: () => {},
    onForbidden: problem => forbidden.push(problem),
  })
  let ended = false
  void other.run().then(() => {
    ended = true
  })
  await until(() => ended, 'the end')
  t.match(forbidden, [/403/])
})

t.test('a stopped watch ends, also while it waits to try again', async t => {
  const { server, watch, problems, until } = await newWorld(t)
  server.fail({ status: 500, times: 1_000 })
  let ended = false
  void watch.run().then(() => {
    ended = true
  })
  await until(() => problems.length === 4, 'some tries')
  watch.stop()
  await until(() => ended, 'the end')
  t.equal(server.openWatches, 0)
})

t.test('an answer’s words are found, whatever it is', async t => {
  t.equal(messageOf({ message: 'no' }), 'no')
  t.equal(messageOf('page'.repeat(100)).length, 200)
  t.equal(messageOf(undefined), '')
  t.equal(messageOf(null), '')
})
