import t from 'tap'
import type { FakeConfigMapApi } from './flink-fake-api.ts'
import { JOB, LOCK, SLOW, stage, until } from './flink-stage.ts'

const KEY = 'org.apache.flink.k8s.leader.resourcemanager'

/** Somebody's change of a leader key; the session says which. */
const announce = (api: FakeConfigMapApi, session: string): void =>
  api.put(LOCK, lock => {
    lock.metadata.labels = { app: 'demo', type: 'flink-native-kubernetes', 'configmap-type': 'high-availability' }
    lock.data = { [KEY]: `${session},pekko.tcp://flink@h:6123/user/rpc/resourcemanager_1` }
  })
const lastQuery = (api: FakeConfigMapApi): URLSearchParams => new URLSearchParams(api.requests.at(-1)?.query)
const version = (api: FakeConfigMapApi): string | undefined => api.object(LOCK)?.metadata.resourceVersion

t.test('a server that does not upgrade is watched by a plain GET, and nothing in between is lost', async t => {
  const { api, taskManager } = await stage(t)
  const { client, events } = taskManager({ fallbackMs: 20 })
  await client.start()
  await until(() => api.sequence.includes('WEBSOCKET'))
  announce(api, 'a')
  await events.when('leader-seen', event => event.session === 'a')
  t.strictSame(api.sequence, ['LIST', 'WEBSOCKET', 'WATCH'])
  t.match(events.of('watching'), [{ over: 'http', resourceVersion: '100' }])
  await until(() => api.sockets.size === 1)
})

t.test(
  'after the end of a watch the next one starts from the last version seen, without LIST or WebSocket',
  async t => {
    const { api, taskManager } = await stage(t)
    const { client, events } = taskManager()
    await client.start()
    await events.nth('watching')
    announce(api, 'a')
    await events.when('leader-seen', event => event.session === 'a')
    const seen = version(api)
    api.endWatches()
    announce(api, 'b')
    await events.when('leader-seen', event => event.session === 'b')
    t.strictSame(api.sequence, ['LIST', 'WEBSOCKET', 'WATCH', 'WATCH'])
    t.equal(lastQuery(api).get('resourceVersion'), seen)

    api.tell({ type: 'BOOKMARK', object: { kind: 'ConfigMap', metadata: { resourceVersion: '777' } } })
    api.endWatches()
    await events.nth('watching', 3)
    t.equal(lastQuery(api).get('resourceVersion'), '777')
  },
)

t.test('an ERROR 410 leads to a LIST without resourceVersion and a new WebSocket attempt', async t => {
  const { api, taskManager } = await stage(t)
  const { client, events } = taskManager()
  announce(api, 'a')
  await client.start()
  await events.nth('watching')
  api.tell({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })
  // This server does not end the stream; the client drops it.
  await events.nth('watching', 2)
  t.strictSame(api.sequence, ['LIST', 'WEBSOCKET', 'WATCH', 'LIST', 'WEBSOCKET', 'WATCH'])
  t.equal(api.requests[3]?.query, `fieldSelector=metadata.name%3D${LOCK}`)
  announce(api, 'b')
  await events.when('leader-seen', event => event.session === 'b')
  t.equal(events.of('leader-seen').length, 2, 'what is known already is not reported again')
})

t.test('a lock that is gone from a new LIST is as good as deleted', async t => {
  const { api, jobManager } = await stage(t)
  const { client, events } = jobManager(SLOW)
  await client.start()
  await events.nth('leading')
  await events.when('watching', event => event.over === 'http')
  await until(() => api.watching === 1)
  api.endWatches()
  api.judge = seen => (seen.query.includes('watch=true') ? { status: 410 } : undefined)
  api.remove(LOCK)
  t.match(await events.nth('fatal'), { exitCode: 2, why: 'the lock was deleted' })
})

t.test('over a WebSocket events are text frames', async t => {
  const { api, taskManager } = await stage(t)
  api.websocket = true
  const { client, events } = taskManager()
  await client.start()
  t.match(await events.nth('watching'), { over: 'websocket' })
  // Longer than 125 bytes and in two fragments.
  announce(api, 'a'.repeat(300))
  await events.when('leader-seen', event => event.session === 'a'.repeat(300))
  const seen = version(api)
  api.endWatches()
  announce(api, 'b')
  await events.when('leader-seen', event => event.session === 'b')
  t.strictSame(api.sequence, ['LIST', 'WEBSOCKET', 'WEBSOCKET'])
  t.equal(lastQuery(api).get('resourceVersion'), seen)
  await client.close()
  await until(() => api.sockets.size === 0)
})

t.test('PING goes out over a WebSocket; one that is not answered by the next costs the socket', async t => {
  const { api, taskManager } = await stage(t)
  api.websocket = true
  const { client } = taskManager({ pingMs: 5 })
  await client.start()
  const sockets = (): number => api.sequence.filter(text => text === 'WEBSOCKET').length
  // A socket sees a second PING only if the answer to its first was understood.
  await until(() => api.pings > sockets())
  api.answersPings = false
  const before = sockets()
  await until(() => sockets() > before + 1)
})

t.test('a client ends its own watch some time, and goes on from there', async t => {
  const { api, taskManager } = await stage(t)
  const { client, events } = taskManager({ watchMs: 5 })
  await client.start()
  await events.nth('watching', 3)
  t.strictSame(api.sequence.slice(0, 5), ['LIST', 'WEBSOCKET', 'WATCH', 'WATCH', 'WATCH'])
})

t.test('1.17 watches by label, and sees the job ConfigMaps without minding them', async t => {
  const { api, taskManager } = await stage(t)
  const { client, events } = taskManager({ dialect: '1.17' })
  await client.start()
  await events.nth('watching')
  t.match(lastQuery(api).get('labelSelector'), 'app=demo,type=flink-native-kubernetes,configmap-type=high-availability')
  t.equal(lastQuery(api).get('timeoutSeconds'), null)
  api.put(`demo-${JOB}-config-map`, job => {
    job.metadata.labels = { app: 'demo', type: 'flink-native-kubernetes', 'configmap-type': 'high-availability' }
    job.data = { counter: '2' }
  })
  announce(api, 'a')
  await events.when('leader-seen', event => event.session === 'a')
  t.equal(events.of('leader-seen').length, 1)
})

t.test('a call is repeated after 429, 5xx, a broken connection and a time-out; not in 1.17', async t => {
  const { api, jobManager } = await stage(t)
  for (const verdict of [{ status: 500 }, { status: 503 }, { status: 429 }, 'destroy', 'hang'] as const) {
    let times = 3
    api.judge = seen => (seen.query.startsWith('fieldSelector') && times-- > 0 ? verdict : undefined)
    const { client, events } = jobManager({ ...SLOW, requestTimeoutMs: verdict === 'hang' ? 20 : 10_000 })
    t.equal(await client.start(), true)
    await events.nth('listed')
    // Three tries were spoilt and a later one succeeded; on a slow machine a good answer may come too late as well.
    t.ok(times < 0)
    client.kill()
    t.strictSame(events.of('refused'), [])
  }
  api.judge = seen => (seen.query.startsWith('labelSelector') ? { status: 500 } : undefined)
  const old = jobManager({ dialect: '1.17' })
  t.equal(await old.client.start(), false)
  t.match(await old.events.nth('fatal'), { exitCode: 1 })
  t.equal(api.requests.filter(seen => seen.query.startsWith('labelSelector')).length, 1)
})

t.test('after ten retries a call fails', async t => {
  const { api, taskManager } = await stage(t)
  api.judge = () => ({ status: 500 })
  const { client, events } = taskManager({ backoffMs: 0.01 })
  t.equal(await client.start(), false)
  t.equal(api.requests.length, 11)
  t.match(events.of('refused'), [{ status: 500, method: 'GET' }])
})

t.test('a server that is away for a while is found again, from the last version seen', async t => {
  const { api, taskManager } = await stage(t)
  const { client, events } = taskManager()
  announce(api, 'a')
  await client.start()
  await events.nth('watching')
  let broken = 5
  api.judge = () => (broken-- > 0 ? 'destroy' : undefined)
  for (const socket of api.sockets) socket.destroy()
  await events.nth('watching', 2)
  announce(api, 'b')
  await events.when('leader-seen', event => event.session === 'b')
  t.equal(api.sequence.filter(text => text === 'LIST').length, 1)
})

t.test('polls reuse one socket', async t => {
  const { api, jobManager } = await stage(t)
  const leader = jobManager(SLOW)
  await leader.client.start()
  await leader.events.nth('leading')
  leader.client.kill()
  await until(() => api.sockets.size === 0)
  const standby = jobManager()
  await standby.client.start()
  await standby.events.when('watching', event => event.over === 'http')
  await standby.events.nth('polled', 5)
  t.equal(api.sockets.size, 2)
})
