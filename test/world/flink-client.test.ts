import t from 'tap'
import type { FakeConfigMapApi } from './flink-fake-api.ts'
import { label } from './flink-fake-api.ts'
import { readRecord, statePointer } from './flink-records.ts'
import { ANNOTATION, foreignRecord, JOB, LOCK, SLOW, stage, until } from './flink-stage.ts'

const holderOf = (api: FakeConfigMapApi): string | undefined => {
  const lock = api.object(LOCK)
  return lock === undefined ? undefined : readRecord(lock)?.holderIdentity
}
const GET = `GET /${LOCK}`
const PUT = `PUT /${LOCK}`
const PATCH = `PATCH /${LOCK}`
const JOB_NAME = `demo-${JOB}-config-map`

/** Keeps the informer blind, so that its repairs do not come in between where the exact order is looked at. */
const blindInformer = (api: FakeConfigMapApi): void => {
  api.judge = seen => (seen.query.includes('watch=true') ? 'hang' : undefined)
}

/** Drops what the informer and its repairs send, which run beside the rest. */
const withoutWatches = (sequence: string[]): string[] =>
  sequence.filter(text => !['LIST', 'WATCH', 'WEBSOCKET'].includes(text))

t.test('start-up of a JobManager sends what was recorded, in that order (2.3)', async t => {
  const { api, jobManager } = await stage(t)
  blindInformer(api)
  const { client, events } = jobManager({ ...SLOW, identity: '11111111-2222-4333-8444-555555555555' })
  await client.start()
  await events.nth('leading')
  const first = api.sequence.filter(text => text !== 'WATCH' && text !== 'WEBSOCKET').slice(0, 6)
  t.strictSame(first, ['LIST', GET, 'POST', GET, PATCH, GET])
  t.strictSame(api.sequence.filter(text => ['LIST', 'WEBSOCKET', 'WATCH'].includes(text)).slice(0, 2), [
    'LIST',
    'WEBSOCKET',
  ])
  const puts = api.requests.filter(seen => seen.method === 'PUT').map(seen => Object.keys(seen.body.data))
  const keys = ['restserver', 'resourcemanager', 'dispatcher'].map(name => `org.apache.flink.k8s.leader.${name}`)
  for (const count of [1, 2, 3]) t.ok(puts.some(put => put.join() === keys.slice(0, count).join()))

  const [list, ...rest] = api.requests
  t.equal(list?.query, `fieldSelector=metadata.name%3D${LOCK}&resourceVersion=0`)
  const watch = rest.find(seen => seen.query.includes('watch=true'))
  t.equal(
    watch?.query,
    `allowWatchBookmarks=true&fieldSelector=metadata.name%3D${LOCK}&resourceVersion=100&timeoutSeconds=600&watch=true`,
  )
  t.match(watch?.headers, {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    origin: api.url,
  })
  for (const seen of api.requests) {
    t.match(seen.headers, { 'user-agent': 'flink', 'accept-encoding': 'gzip' })
    t.notOk('accept' in seen.headers)
    t.notOk(seen.path.startsWith('outside:'))
  }

  const labels = { app: 'demo', type: 'flink-native-kubernetes' }
  const post = api.requests.find(seen => seen.method === 'POST')
  t.equal(post?.contentType, 'application/json; charset=utf-8')
  t.strictSame(Object.keys(post?.body ?? {}), ['apiVersion', 'kind', 'metadata'])
  t.match(post?.body.metadata, { name: LOCK, namespace: 'flink', labels })
  const patch = api.requests.find(seen => seen.method === 'PATCH')
  t.equal(patch?.contentType, 'application/merge-patch+json; charset=utf-8')
  t.strictSame(Object.keys(patch?.body.metadata ?? {}).sort(), [
    'annotations',
    'labels',
    'name',
    'namespace',
    'resourceVersion',
  ])
  t.match(
    patch?.body.metadata.annotations[ANNOTATION],
    /^\{"holderIdentity":"11111111-2222-4333-8444-555555555555","leaseDuration":"PT600S","acquireTime":"[^"]+\.\d{6}Z","renewTime":"[^"]+\.\d{6}Z","leaderTransitions":0\}$/,
  )
})

t.test('1.17 lists by label, renews by GET, GET, PUT of the whole object, and counts renewals', async t => {
  const { api, jobManager } = await stage(t)
  blindInformer(api)
  const { client, events } = jobManager({ ...SLOW, dialect: '1.17' })
  await client.start()
  await events.nth('leading')
  t.strictSame(withoutWatches(api.sequence).slice(0, 5), [GET, 'POST', GET, GET, PUT])
  t.equal(
    api.requests[0]?.query,
    'labelSelector=app%3Ddemo%2Ctype%3Dflink-native-kubernetes%2Cconfigmap-type%3Dhigh-availability',
  )
  t.equal(api.requests.find(seen => seen.method === 'POST')?.body.metadata.labels, undefined)
  const lock = api.object(LOCK)
  t.match(lock?.metadata.annotations?.[ANNOTATION], /"leaseDuration":600\.000000000,.*"leaderTransitions":1\}$/)
  t.match(lock?.metadata.labels, { 'configmap-type': 'high-availability' })
  t.match(lock?.data?.['org.apache.flink.k8s.leader.dispatcher'], /^[0-9a-f-]{36},akka\.tcp:\/\/flink@10\.0\.0\.1:6123/)
})

t.test('two JobManagers elect one leader, the other follows a graceful stop, and a TaskManager sees both', async t => {
  const { api, jobManager, taskManager } = await stage(t)
  const one = jobManager({ reacquiresOnClose: false })
  const two = jobManager({ rpcAddress: '10.0.0.2:6123' })
  const tm = taskManager()
  await one.client.start()
  const { session } = await one.events.nth('leading')
  await Promise.all([two.client.start(), tm.client.start()])
  await two.events.nth('polled', 3)
  t.strictSame(two.events.of('granted'), [])
  t.equal(holderOf(api), one.client.identity)
  t.strictSame(api.object(LOCK)?.data, {
    'org.apache.flink.k8s.leader.restserver': `${session},http://10.0.0.1:8081`,
    'org.apache.flink.k8s.leader.resourcemanager': `${session},pekko.tcp://flink@10.0.0.1:6123/user/rpc/resourcemanager_1`,
    'org.apache.flink.k8s.leader.dispatcher': `${session},pekko.tcp://flink@10.0.0.1:6123/user/rpc/dispatcher_1`,
  })

  await one.client.close()
  const next = await two.events.nth('leading')
  t.not(next.session, session)
  t.equal(holderOf(api), two.client.identity)
  t.equal(readRecord(api.object(LOCK) ?? { metadata: { name: '' } })?.leaderTransitions, 1)
  const seen = await tm.events.when('leader-seen', event => event.address?.startsWith('http://10.0.0.2') ?? false)
  t.equal(seen.session, next.session)
  t.ok(tm.events.of('leader-seen').some(event => event.component === 'restserver' && event.address === null))
  // Until the first LIST of a TaskManager there is its one LIST, and never anything else but watches.
  t.strictSame(one.events.of('fatal').concat(two.events.of('fatal')), [])
})

t.test('a TaskManager sends LIST and WATCH, and nothing else', async t => {
  const { api, taskManager } = await stage(t)
  const { client, events } = taskManager()
  await client.start()
  await events.nth('watching')
  api.put(LOCK, lock => {
    lock.data = { 'org.apache.flink.k8s.leader.resourcemanager': 's,pekko.tcp://a,b', 'other.key': 'x' }
  })
  const seen = await events.nth('leader-seen')
  t.match(seen, { component: 'resourcemanager', session: 's', address: 'pekko.tcp://a,b' })
  t.strictSame(api.sequence, ['LIST', 'WEBSOCKET', 'WATCH'])
})

t.test('a graceful stop removes each key, releases, and takes the lock back', async t => {
  const { api, jobManager } = await stage(t)
  blindInformer(api)
  const { client, events } = jobManager(SLOW)
  await client.start()
  await events.nth('leading')
  await client.close()
  const sequence = withoutWatches(api.sequence).slice(-13)
  t.strictSame(sequence, [GET, GET, PUT, GET, GET, PUT, GET, GET, PUT, GET, PATCH, GET, PATCH])
  const records = api.requests
    .filter(seen => seen.method === 'PATCH')
    .slice(-2)
    .map(seen => seen.body.metadata.annotations[ANNOTATION] as string)
  t.match(records[0], /^\{"holderIdentity":"","leaseDuration":"PT1S",/)
  t.match(records[1], client.identity)
  t.strictSame(api.object(LOCK)?.data, {})
  await until(() => api.sockets.size === 0)
  t.strictSame(events.of('revoked'), [])
})

t.test('1.17 stops without a release', async t => {
  const { api, jobManager } = await stage(t)
  blindInformer(api)
  const { client, events } = jobManager({ ...SLOW, dialect: '1.17' })
  await client.start()
  await events.nth('leading')
  await client.close()
  t.strictSame(withoutWatches(api.sequence).slice(-6), [GET, PUT, GET, PUT, GET, PUT])
  t.equal(holderOf(api), client.identity)
})

t.test('a standby that stops sends nothing more', async t => {
  const { api, jobManager } = await stage(t)
  api.put(LOCK, lock => {
    lock.metadata.annotations = { [ANNOTATION]: foreignRecord('other') }
  })
  const { client, events } = jobManager(SLOW)
  await client.start()
  await events.nth('polled')
  await until(() => api.watching === 1)
  const before = api.requests.length
  await client.close()
  t.equal(api.requests.length, before)
})

t.test(
  'a vacant record is taken at once by 1.18 and later, and never before its renew time is old by 1.17',
  async t => {
    for (const dialect of ['1.17', '1.20', '2.3'] as const) {
      const { api, jobManager } = await stage(t)
      api.put(LOCK, lock => {
        lock.metadata.annotations = { [ANNOTATION]: foreignRecord('') }
      })
      const { client, events } = jobManager({ dialect })
      await client.start()
      if (dialect === '1.17') {
        await events.nth('polled', 4)
        t.strictSame(events.of('granted'), [])
        api.put(LOCK, lock => {
          lock.metadata.annotations = { [ANNOTATION]: foreignRecord('', '1970-01-01T00:00:00.000000Z') }
        })
      }
      await events.nth('granted')
    }
  },
)

t.test('expiry is judged by the own wall clock and the own lease', async t => {
  const { api, jobManager } = await stage(t)
  const renewed = Date.parse('2030-01-01T00:00:00Z')
  api.put(LOCK, lock => {
    lock.metadata.annotations = { [ANNOTATION]: foreignRecord('other', '2030-01-01T00:00:00.000000Z') }
  })
  let now = renewed + 14_999
  const { client, events } = jobManager({ leaseMs: 15_000, wallNow: () => now })
  await client.start()
  await events.nth('polled', 3)
  t.strictSame(events.of('granted'), [])
  now = renewed + 15_000
  await events.nth('granted')
  t.match(api.object(LOCK)?.metadata.annotations?.[ANNOTATION], /"acquireTime":"2030-01-01T00:00:15\.000000Z"/)
})

t.test('a record that fabric8 cannot read makes Flink POST for ever', async t => {
  const time = '"2030-01-01T00:00:00.000000Z"'
  const unreadable = [
    undefined,
    'no json',
    `{"holderIdentity":"a","leaseDurationSeconds":15,"acquireTime":${time},"renewTime":${time}}`,
    `{"holderIdentity":"a","leaseDuration":"PT15S","acquireTime":${time},"renewTime":${time},"extra":1}`,
    `{"holderIdentity":"a","leaseDuration":"PT15S","acquireTime":${time},"renewTime":"2030-01-01T00:00:00Z"}`,
    `{"holderIdentity":"a","leaseDuration":"PT15S","acquireTime":${time},"renewTime":"2030-01-01T00:00:00.000Z"}`,
    `{"holderIdentity":"a","acquireTime":${time},"renewTime":${time}}`,
  ]
  const { api, jobManager } = await stage(t)
  api.put(LOCK, () => {})
  const { client, events } = jobManager()
  await client.start()
  for (const text of unreadable) {
    api.put(LOCK, lock => {
      lock.metadata.annotations = text === undefined ? {} : { [ANNOTATION]: text }
    })
    const before = events.of('refused').length
    const refused = await events.nth('refused', before + 2)
    t.match(refused, { status: 409, method: 'POST' })
  }
  t.strictSame(events.of('granted'), [])
  for (const lease of ['15.000000000', '15', '"PT15S"', '"PT1M"']) {
    const text = `{"holderIdentity":"a","leaseDuration":${lease},"acquireTime":${time},"renewTime":${time},"leaderTransitions":3}`
    t.ok(readRecord({ metadata: { name: LOCK, annotations: { [ANNOTATION]: text } } }), lease)
  }
})

t.test('a 409 to a renewal is not retried in the same run', async t => {
  const { api, jobManager } = await stage(t)
  const { client, events } = jobManager()
  await client.start()
  await events.nth('leading')
  let refusals = 2
  api.judge = seen => (seen.method === 'PATCH' && refusals-- > 0 ? { status: 409 } : undefined)
  await until(() => refusals < 0)
  await events.nth('renewed', events.of('renewed').length + 1)
  const elector = api.sequence.slice(api.sequence.lastIndexOf(PUT) + 1).filter(text => text === GET || text === PATCH)
  t.notMatch(elector.join(), `${PATCH},${PATCH}`)
  t.strictSame(events.of('revoked'), [])
})

t.test('a 409 to a data write is answered by another GET and PUT at once, 15 times at most', async t => {
  const { api, jobManager } = await stage(t)
  const { client, events } = jobManager(SLOW)
  let puts = 0
  api.judge = seen => (seen.method === 'PUT' && ++puts <= 16 ? { status: 409 } : undefined)
  await client.start()
  await events.nth('leading')
  t.equal(events.of('refused').filter(event => event.method === 'PUT').length, 16)
  const first = withoutWatches(api.sequence).filter(text => text === PUT)
  t.ok(first.length > 16)
  t.equal(events.of('published')[0]?.component, 'resourcemanager')
})

t.test('another holder in the record ends the leadership, and the client polls again', async t => {
  const { api, jobManager } = await stage(t)
  const { client, events } = jobManager()
  await client.start()
  const { session } = await events.nth('leading')
  api.put(LOCK, lock => {
    lock.metadata.annotations = { [ANNOTATION]: foreignRecord('other') }
  })
  t.match(await events.nth('revoked'), { session })
  t.equal(client.session, undefined)
  await events.when('polled', event => event.holder === 'other')
  api.put(LOCK, lock => {
    lock.metadata.annotations = { [ANNOTATION]: foreignRecord('') }
  })
  t.not((await events.nth('granted', 2)).session, session)
})

t.test('without a successful renewal for the renew deadline the leader releases and steps down', async t => {
  const { api, jobManager } = await stage(t)
  let now = Date.parse('2030-01-01T00:00:00Z')
  const { client, events } = jobManager({ renewDeadlineMs: 15_000, wallNow: () => now })
  await client.start()
  await events.nth('leading')
  let refused = 0
  api.judge = seen => (seen.method === 'PATCH' && refused++ < 3 ? { status: 409 } : undefined)
  await until(() => refused >= 3)
  t.strictSame(events.of('revoked'), [])
  const patches = api.requests.filter(seen => seen.method === 'PATCH').length
  refused = -1_000_000
  now += 15_001
  await events.nth('revoked')
  api.judge = () => undefined
  const after = api.requests.filter(seen => seen.method === 'PATCH').slice(patches)
  t.ok(after.some(seen => seen.body.metadata.annotations[ANNOTATION].startsWith('{"holderIdentity":""')))
  await events.nth('granted', 2)
})

t.test('a deleted lock is fatal to the leader, and not to a standby', async t => {
  const { api, jobManager } = await stage(t)
  const leader = jobManager(SLOW)
  const standby = jobManager(SLOW)
  await leader.client.start()
  await leader.events.nth('leading')
  await standby.client.start()
  await standby.events.when('watching', event => event.over === 'http')
  await leader.events.when('watching', event => event.over === 'http')
  api.remove(LOCK)
  t.match(await leader.events.nth('fatal'), { exitCode: 2 })
  t.strictSame(standby.events.of('fatal'), [])
})

t.test('leader keys that somebody changes are written again', async t => {
  const { api, jobManager } = await stage(t)
  const { client, events } = jobManager(SLOW)
  await client.start()
  await events.nth('leading')
  await events.when('watching', event => event.over === 'http')
  const before = api.object(LOCK)?.data
  api.put(LOCK, lock => {
    lock.data = {}
  })
  await until(() => JSON.stringify(sorted(api.object(LOCK)?.data)) === JSON.stringify(sorted(before)))
})

const sorted = (data: { [key: string]: string } | undefined): [string, string][] => Object.entries(data ?? {}).sort()

t.test('a checkpoint is four times GET and PUT, and a new leader recovers the newest', async t => {
  const { api, jobManager } = await stage(t)
  blindInformer(api)
  const one = jobManager({ ...SLOW, reacquiresOnClose: false })
  await one.client.start()
  await one.events.nth('leading')
  const start = api.requests.length
  t.equal(await one.client.startJob(JOB), true)
  const started = withoutWatches(api.requests.slice(start).map(label))
  t.strictSame(started.slice(0, 3), [GET, GET, PUT])
  t.strictSame(
    started.filter(text => !text.endsWith(LOCK)),
    [`GET /${JOB_NAME}`, 'POST', `GET /${JOB_NAME}`, `GET /${JOB_NAME}`, `GET /${JOB_NAME}`],
  )
  t.ok(api.object(LOCK)?.data?.[`executionPlan-${JOB}`])
  t.ok(api.object(LOCK)?.data?.[`org.apache.flink.k8s.leader.job-${JOB}`])

  t.equal(await one.client.checkpoint(JOB), 1)
  const before = api.requests.length
  t.equal(await one.client.checkpoint(JOB), 2)
  const sequence = api.requests.slice(before).map(label)
  const pair = [`GET /${JOB_NAME}`, `PUT /${JOB_NAME}`]
  t.strictSame(sequence, [...pair, ...pair, ...pair, ...pair])
  const data = api.object(JOB_NAME)?.data ?? {}
  t.strictSame(Object.keys(data), ['counter', 'checkpointID-0000000000000000002'])
  t.equal(data['counter'], '3')
  t.match(data['checkpointID-0000000000000000002'], /^rO0ABXNyAGNvcmcuYXBhY2hlLmZsaW5r/)
  t.equal(data['checkpointID-0000000000000000002']?.length, 904)
  t.equal(api.object(JOB_NAME)?.metadata.annotations, undefined)

  const two = jobManager(SLOW)
  await one.client.close()
  await two.client.start()
  t.match(await two.events.nth('recovered'), { jobId: JOB, counter: 3, checkpointId: 2 })
  t.match(await two.events.nth('leading'), { jobs: [JOB] })
  t.equal(await two.client.checkpoint(JOB), 3)
  await two.client.cancelJob(JOB)
  t.equal(api.object(JOB_NAME), undefined)
  t.strictSame(
    Object.keys(api.object(LOCK)?.data ?? {}).filter(key => key.includes(JOB)),
    [],
  )
  const gone = api.requests.find(seen => seen.method === 'DELETE')
  t.strictSame(gone?.body, { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' })
})

t.test('a checkpoint whose write is refused is not reported', async t => {
  const { api, jobManager } = await stage(t)
  const { client, events } = jobManager(SLOW)
  await client.start()
  await events.nth('leading')
  await client.startJob(JOB)
  api.judge = seen => (seen.method === 'PUT' ? { status: 409 } : undefined)
  t.equal(await client.checkpoint(JOB), undefined)
  api.judge = () => undefined
  api.put(JOB_NAME, job => {
    job.data = { counter: '7', 'checkpointID-0000000000000000007': statePointer('file:/other', false) }
  })
  t.equal(await client.checkpoint(JOB), undefined, 'a key that another JobManager wrote is not overwritten')
  t.strictSame(events.of('checkpoint'), [])
  t.equal(await client.checkpoint(JOB), 8)
})

t.test('a killed client says and sends nothing more', async t => {
  const { api, jobManager } = await stage(t)
  const { client, events } = jobManager()
  await client.start()
  await events.nth('leading')
  client.kill()
  const count = events.all.length
  await until(() => api.sockets.size === 0)
  const requests = api.requests.length
  const other = jobManager()
  await other.client.start()
  await other.events.nth('polled', 4)
  t.equal(events.all.length, count)
  t.ok(api.requests.length > requests)
})
