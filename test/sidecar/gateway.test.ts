// The gateway as Flink's client sees it: a real sidecar, the embedded API, requests by hand and the model of the client.
import t from 'tap'
import type { ConfigMap } from '../../shared/lock.ts'
import { ANNOTATION_LEADER, ANNOTATION_TOKEN, LEADER_KEY_PREFIX } from '../../shared/names.ts'
import { parseRecord } from '../../shared/record.ts'
import { FlinkClient } from '../world/flink-client.ts'
import { type Answer, HandMadeJvm, holderIn, PATH } from '../world/hand-made-jvm.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { BY_NAME, LockWatch } from '../world/lock-watch.ts'
import { LOCK, NAMESPACE, TEST_TIMINGS, TestSidecar } from '../world/sidecar.ts'
import { anApi, stage, until, VACANT_LOCK } from '../world/stage.ts'

const CONFIG_MAPS = resourceOf('configmaps')
const JOB = 'c-00000000000000000000000000000001-config-map'
const OTHER_JOB = 'c-00000000000000000000000000000002-config-map'

t.test('a JVM is told that it leads only after its sidecar does, and claims the virtual lock', async t => {
  const { jvm, real, sidecar } = await stage(t)
  const claimed = await jvm.lead()
  t.equal(claimed.status, 200)
  t.equal(holderIn(claimed.body), 'jvm-1')
  t.equal(holderIn(real() as unknown as ConfigMap), 'jm-0_uid', 'the real lock names the sidecar')
  t.equal(holderIn((await jvm.ask('GET', `${PATH}/${LOCK}`)).body), 'jvm-1')
  t.ok(sidecar.candidate.leading())
})

t.test('a vacant virtual lock looks expired too, as Flink 1.17 needs it', async t => {
  const { jvm, sidecar } = await stage(t)
  await jvm.ask('GET', `${PATH}?fieldSelector=metadata.name%3D${LOCK}`)
  let lock = await jvm.ask('GET', `${PATH}/${LOCK}`)
  while (!sidecar.candidate.leading()) lock = await jvm.ask('GET', `${PATH}/${LOCK}`)
  t.match(parseRecord(lock.body.metadata.annotations?.[ANNOTATION_LEADER]), { holder: '', renewTime: /^1970/ })
})

t.test('renewals never reach the API server', async t => {
  const { api, jvm } = await stage(t)
  await jvm.lead()
  const before = api.requests.filter(r => r.method === 'PATCH').length
  for (let i = 0; i < 20; i++) t.equal((await jvm.claim('1')).status, 200, 'whatever version they were read at')
  const patches = api.requests.filter(r => r.method === 'PATCH' && r.path.endsWith(LOCK)).length - before
  t.ok(patches <= 3, `${patches} writes, which are the sidecar's own`)
})

t.test('data is written under the real record, and only what the JVM read last', async t => {
  const { jvm, real } = await stage(t)
  const { body: lock } = await jvm.lead()
  const put = (object: ConfigMap, data: object): Promise<Answer> =>
    jvm.ask('PUT', `${PATH}/${LOCK}`, { ...object, data }, { 'content-type': 'application/json' })
  t.equal((await put(lock, { a: '1' })).status, 200)
  t.same(real()['data'], { a: '1' })
  t.equal(holderIn(real() as unknown as ConfigMap), 'jm-0_uid')
  t.equal((await put(lock, { b: '2' })).status, 409, 'read before the data changed')
  const again = (await jvm.ask('GET', `${PATH}/${LOCK}`)).body
  t.equal((await put(again, { a: '1', b: '2' })).status, 200)
  t.same(real()['data'], { a: '1', b: '2' })
})

t.test('job ConfigMaps are made, read from the cache, compare-and-set and removed', async t => {
  const { api, jvm } = await stage(t)
  await jvm.lead()
  t.equal((await jvm.ask('GET', `${PATH}/${JOB}`)).status, 404)
  const made = await jvm.ask(
    'POST',
    PATH,
    { metadata: { name: JOB, labels: { app: 'c' } } },
    { 'content-type': 'application/json' },
  )
  t.equal(made.status, 201)
  const reads = (): number => api.requests.filter(r => r.method === 'GET' && r.path.endsWith(JOB)).length
  const before = reads()
  const read = await jvm.ask('GET', `${PATH}/${JOB}`)
  t.equal(reads(), before, 'no request for what is known')
  const json = { 'content-type': 'application/json' }
  const written = await jvm.ask('PUT', `${PATH}/${JOB}`, { ...read.body, data: { counter: '2' } }, json)
  t.equal(written.status, 200)
  t.equal((await jvm.ask('PUT', `${PATH}/${JOB}`, { ...read.body, data: { counter: '3' } }, json)).status, 409)
  t.same((await jvm.ask('GET', `${PATH}/${JOB}`)).body['data'], { counter: '2' })
  t.equal((await jvm.ask('DELETE', `${PATH}/${JOB}`, { kind: 'DeleteOptions' }, json)).status, 200)
  t.equal((await jvm.ask('GET', `${PATH}/${JOB}`)).status, 404)
})

const JSON_TYPE = { 'content-type': 'application/json' }
const job = (fields: object = {}) => ({ metadata: { name: JOB, ...fields } })

t.test('the first read of a job in a term puts the term’s token on it, before it is answered', async t => {
  const { api, jvm, sidecar } = await stage(t)
  const old = api.store.create(CONFIG_MAPS, NAMESPACE, { ...job(), data: { counter: '5' } })
  await jvm.lead()
  const read = await jvm.ask('GET', `${PATH}/${JOB}`)
  t.match(read, { status: 200, body: { data: { counter: '5' } } })
  const { metadata } = api.store.get(CONFIG_MAPS, NAMESPACE, JOB)
  t.equal(metadata.annotations?.[ANNOTATION_TOKEN], String(sidecar.candidate.token))
  t.equal(read.body.metadata.resourceVersion, metadata.resourceVersion)
  const late = (): unknown => api.store.replace(CONFIG_MAPS, NAMESPACE, JOB, { ...old, data: { counter: '6' } })
  t.throws(late, 'a write that an older term sent before is refused by its version')
  const written = await jvm.ask('PUT', `${PATH}/${JOB}`, { ...read.body, data: { counter: '6' } }, JSON_TYPE)
  t.equal(written.status, 200)
  t.equal(written.body.metadata.annotations?.[ANNOTATION_TOKEN], String(sidecar.candidate.token))
})

t.test('a write of a job that was not read in this term is refused by its version', async t => {
  const { api, jvm } = await stage(t)
  const old = api.store.create(CONFIG_MAPS, NAMESPACE, { ...job(), data: { counter: '5' } })
  await jvm.lead()
  t.equal((await jvm.ask('PUT', `${PATH}/${JOB}`, { ...old, data: { counter: '6' } }, JSON_TYPE)).status, 409)
  t.match(api.store.get(CONFIG_MAPS, NAMESPACE, JOB), { data: { counter: '5' } })
})

t.test('a job of a newer term is told as it is, and not written', async t => {
  const { api, jvm } = await stage(t)
  const newer = { annotations: { [ANNOTATION_TOKEN]: String(2 ** 51) } }
  const { metadata } = api.store.create(CONFIG_MAPS, NAMESPACE, { ...job(newer), data: { counter: '5' } })
  await jvm.lead()
  const { resourceVersion } = metadata
  t.match(await jvm.ask('GET', `${PATH}/${JOB}`), { status: 200, body: { data: { counter: '5' } } })
  for (const [method, body] of [
    ['PUT', { ...job({ resourceVersion }), data: { counter: '6' } }],
    ['DELETE', {}],
  ] as const)
    t.match(await jvm.ask(method, `${PATH}/${JOB}`, body, JSON_TYPE), { status: 409, body: { message: /newer term/ } })
  t.equal(api.store.get(CONFIG_MAPS, NAMESPACE, JOB).metadata.resourceVersion, resourceVersion)
})

t.test('a deletion names what this term knows, so that it cannot remove what another wrote', async t => {
  const { api, jvm } = await stage(t)
  await jvm.lead()
  await jvm.ask('POST', PATH, job(), JSON_TYPE)
  const theirs = (): unknown =>
    api.store.patch(CONFIG_MAPS, NAMESPACE, JOB, 'merge', {
      metadata: { annotations: { [ANNOTATION_TOKEN]: String(2 ** 51) } },
    })
  theirs()
  t.equal((await jvm.ask('DELETE', `${PATH}/${JOB}`, {}, JSON_TYPE)).status, 409)
  t.ok(api.store.find(CONFIG_MAPS, NAMESPACE, JOB), 'it is still there')
})

t.test('what one request of a job leaves is what the next one finds, deletion too', async t => {
  const { jvm } = await stage(t)
  await jvm.lead()
  await jvm.ask('POST', PATH, job(), JSON_TYPE)
  const several = [
    jvm.ask('GET', `${PATH}/${JOB}`),
    jvm.ask('DELETE', `${PATH}/${JOB}`, {}, JSON_TYPE),
    jvm.ask('GET', `${PATH}/${JOB}`),
  ]
  await Promise.all(several)
  t.equal((await jvm.ask('GET', `${PATH}/${JOB}`)).status, 404)
})

t.test('leader keys are written to a lock that is nearly full', async t => {
  const { jvm } = await stage(t)
  const { body: lock } = await jvm.lead()
  const plan = { plan: 'x'.repeat(999_990) }
  t.equal((await jvm.ask('PUT', `${PATH}/${LOCK}`, { ...lock, data: plan }, JSON_TYPE)).status, 200)
  const again = (await jvm.ask('GET', `${PATH}/${LOCK}`)).body
  const data = { ...plan, 'org.apache.flink.k8s.leader.restserver': 's,http://x:8081' }
  t.equal((await jvm.ask('PUT', `${PATH}/${LOCK}`, { ...again, data }, JSON_TYPE)).status, 200)
})

t.test('a name that is more than a name reaches nothing', async t => {
  const { api, jvm } = await stage(t)
  await jvm.lead()
  for (const name of ['c-cluster-config-map%3Fx=-config-map', 'c-a%2F..%2Fb-config-map', 'c-..%252f-config-map'])
    t.equal((await jvm.ask('GET', `${PATH}/${name}`)).status, 403, name)
  t.notOk(api.requests.some(({ path }) => /%|\.\./.test(path)))
})

t.test('a body that is no object is refused in words', async t => {
  const { jvm } = await stage(t)
  await jvm.lead()
  t.match(await jvm.ask('PUT', `${PATH}/${JOB}`, '7', JSON_TYPE), {
    status: 400,
    body: { message: /not a JSON object/ },
  })
})

t.test('a write near the limit of a ConfigMap is refused in words, and smaller ones go on', async t => {
  const { jvm, sidecar } = await stage(t)
  const { body: lock } = await jvm.lead()
  const { body: made } = await jvm.ask('POST', PATH, job(), JSON_TYPE)
  const large = 'x'.repeat(999_000)
  const fits = await jvm.ask('PUT', `${PATH}/${JOB}`, { ...made, data: { a: large } }, JSON_TYPE)
  t.equal(fits.status, 200)
  const more = { ...fits.body, data: { a: large, b: 'y'.repeat(2_000) } }
  t.match(await jvm.ask('PUT', `${PATH}/${JOB}`, more, JSON_TYPE), {
    status: 413,
    body: { reason: 'RequestEntityTooLarge', message: /1001002 bytes, at most 1000000/ },
  })
  const plan = { ...lock, data: { plan: 'x'.repeat(1_000_001) } }
  t.equal((await jvm.ask('PUT', `${PATH}/${LOCK}`, plan, JSON_TYPE)).status, 413)
  t.equal((await jvm.ask('PUT', `${PATH}/${JOB}`, { ...fits.body, data: { a: 'x' } }, JSON_TYPE)).status, 200)
  t.equal((await jvm.ask('PUT', `${PATH}/${LOCK}`, { ...lock, data: { plan: 'x' } }, JSON_TYPE)).status, 200)
  const text = await sidecar.metrics.registry.metrics()
  t.match(text, /flink_ha_oversize_writes_total\{kind="job"\} 1/)
  t.match(text, /flink_ha_oversize_writes_total\{kind="lock"\} 1/)
})

t.test('a leader whose renewals fail answers its JVM when it is decided, and in time', async t => {
  const { api, jvm, sidecar } = await stage(t)
  await jvm.lead()
  await api.refuse()
  await until(() => sidecar.candidate.renewalAgeMs() > 1.5 * TEST_TIMINGS.retryMs)
  t.ok(sidecar.candidate.leading(), 'it still leads')
  const told = await jvm.ask('GET', `${PATH}/${LOCK}`)
  t.notOk(sidecar.candidate.leading())
  t.not(holderIn(told.body), 'jvm-1', 'by then its term is over, and so it is told')
  await api.accept()
})

t.test('a leader whose renewals succeed again tells its JVM so', async t => {
  const { api, jvm, sidecar } = await stage(t)
  await jvm.lead()
  await api.refuse()
  await until(() => sidecar.candidate.renewalAgeMs() > 1.5 * TEST_TIMINGS.retryMs)
  const told = jvm.ask('GET', `${PATH}/${LOCK}`)
  await api.accept()
  t.equal(holderIn((await told).body), 'jvm-1')
})

t.test('a JVM without a granted term cannot write anything', async t => {
  const { api, jvm } = await stage(t)
  await jvm.ask('GET', `${PATH}?fieldSelector=metadata.name%3D${LOCK}`)
  t.equal((await jvm.claim('99999')).status, 409, 'nor claim the lock while its sidecar does not lead')
  const json = { 'content-type': 'application/json' }
  for (const [method, path, body] of [
    ['POST', PATH, { metadata: { name: JOB } }],
    ['PUT', `${PATH}/${JOB}`, { metadata: { name: JOB, resourceVersion: '1' } }],
    ['DELETE', `${PATH}/${JOB}`, {}],
    ['DELETE', `${PATH}/${LOCK}`, {}],
    ['POST', PATH, { metadata: { name: LOCK } }],
    ['PUT', `${PATH}/${LOCK}`, { metadata: { name: LOCK }, data: { a: '1' } }],
  ] as const) {
    const answer = await jvm.ask(method, path, body, json)
    t.equal(answer.status, 409, `${method} ${path}`)
    t.match(answer.body, { kind: 'Status', status: 'Failure', code: 409 })
  }
  t.equal(api.store.list(CONFIG_MAPS).filter(object => object.metadata.name === JOB).length, 0)
})

t.test('what was read before a term claims nothing in it', async t => {
  const { jvm, sidecar } = await stage(t)
  await jvm.ask('GET', `${PATH}?fieldSelector=metadata.name%3D${LOCK}`)
  while (!sidecar.candidate.leading()) await jvm.ask('GET', `${PATH}/${LOCK}`)
  t.equal((await jvm.claim('1')).status, 409)
  t.equal(
    (await jvm.ask('POST', PATH, { metadata: { name: JOB } }, { 'content-type': 'application/json' })).status,
    409,
  )
  t.equal((await jvm.lead()).status, 200)
})

t.test('a JVM that may believe in an ended term is shown another holder before it may claim the next', async t => {
  const { jvm, sidecar } = await stage(t)
  const { body: lock } = await jvm.lead()
  const { token } = sidecar.candidate
  sidecar.candidate.withdraw('switchover', '')
  sidecar.candidate.stand()
  await until(() => sidecar.candidate.leading() && sidecar.candidate.token > token)
  const version = sidecar.candidate.cached?.version ?? ''
  t.equal((await jvm.claim(version)).status, 409, 'it has not seen the end of its term')
  const told = holderIn((await jvm.ask('GET', `${PATH}/${LOCK}`)).body)
  t.notOk(['', 'jvm-1'].includes(told ?? ''), 'Flink 1.17 would take a vacant lock and go on')
  t.equal(holderIn((await jvm.ask('GET', `${PATH}/${LOCK}`)).body), '')
  t.equal(
    (await jvm.claim(lock.metadata.resourceVersion ?? '')).status,
    409,
    'what was read before claims nothing still',
  )
  t.equal((await jvm.lead()).status, 200)
})

t.test('a restarted sidecar whose lock went to another lets its JVM see that before it leads again', async t => {
  const { api, jvm, sidecar, real, restart } = await stage(t)
  await jvm.lead()
  await until(() => (sidecar.candidate.cached?.object?.metadata.annotations?.['flink-ha.io/jvm'] ?? '') === 'jvm-1')
  const next = await restart()
  await until(() => next.candidate.jvm.expected === 'jvm-1')
  // Before its JVM was heard of, somebody else has the lock, and gives it back.
  const put = (record: string): unknown =>
    api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', {
      metadata: { annotations: { ...real().metadata.annotations, [ANNOTATION_LEADER]: record } },
    })
  put(jvm.record('other_uid'))
  await until(() => next.candidate.lock?.record?.holder === 'other_uid')
  t.equal(next.candidate.jvm.expected, '')
  put(jvm.record(''))
  jvm.url = next.url
  const writes = { metadata: { name: JOB } }
  while (!next.candidate.leading()) await jvm.ask('GET', `${PATH}/${LOCK}`)
  t.equal((await jvm.ask('POST', PATH, writes, { 'content-type': 'application/json' })).status, 409)
  t.equal((await jvm.lead()).status, 200)
  t.equal((await jvm.ask('POST', PATH, writes, { 'content-type': 'application/json' })).status, 201)
})

t.test('a second identity on one sidecar is refused', async t => {
  const { jvm } = await stage(t)
  const { body: lock } = await jvm.lead()
  t.match(await jvm.claim(lock.metadata.resourceVersion ?? '', 'somebody-else'), { status: 409 })
  t.equal(holderIn((await jvm.ask('GET', `${PATH}/${LOCK}`)).body), 'jvm-1')
})

t.test('a JVM that dies gives the lock back in the moment, and its successor is a new one', async t => {
  const { jvm, real, sidecar } = await stage(t)
  await jvm.lead()
  await jvm.die()
  await until(() => holderIn(real() as unknown as ConfigMap) === '')
  t.notOk(sidecar.candidate.leading())
  await jvm.start()
  t.equal((await jvm.lead()).status, 200)
})

t.test('a JVM that gives the lock up is not let back in', async t => {
  const { jvm, real, sidecar } = await stage(t)
  const { body: lock } = await jvm.lead()
  t.equal((await jvm.claim(lock.metadata.resourceVersion ?? '', '')).status, 200)
  t.notOk(sidecar.candidate.leading(), 'its word is enough: nobody waits for its silence')
  await until(() => holderIn(real() as unknown as ConfigMap) === '')
  t.equal((await jvm.claim(lock.metadata.resourceVersion ?? '')).status, 409)
})

t.test('a JVM that was deposed is told the other holder at once', async t => {
  const { api, jvm, real } = await stage(t)
  await jvm.lead()
  const lock = real()
  const annotations = { ...lock.metadata.annotations, [ANNOTATION_LEADER]: jvm.record('other_uid') }
  api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { metadata: { annotations } })
  await until(async () => holderIn((await jvm.ask('GET', `${PATH}/${LOCK}`)).body) === 'other_uid')
  t.equal((await jvm.claim('99999')).status, 409)
})

t.test('a restarted sidecar goes on with its term, and its JVM notices nothing', async t => {
  const { jvm, sidecar, restart } = await stage(t)
  await jvm.lead()
  const { token } = sidecar.candidate
  await until(() => (sidecar.candidate.cached?.object?.metadata.annotations?.['flink-ha.io/jvm'] ?? '') === 'jvm-1')
  const next = await restart()
  jvm.url = next.url
  // Each in its turn is the first thing that the restarted sidecar hears of its JVM.
  const [lock, made] = await Promise.all([
    jvm.ask('GET', `${PATH}/${LOCK}`),
    jvm.ask('POST', PATH, { metadata: { name: OTHER_JOB } }, { 'content-type': 'application/json' }),
  ])
  t.equal(holderIn(lock.body), 'jvm-1', 'the very first answer names it')
  t.equal(made.status, 201, 'and no write is refused meanwhile')
  t.equal((await jvm.claim('1')).status, 200)
  t.equal(next.candidate.token, token)
  t.equal(
    (await jvm.ask('POST', PATH, { metadata: { name: JOB } }, { 'content-type': 'application/json' })).status,
    201,
  )
})

t.test('who removes what the last leader left is not closing; who removes what it published is', async t => {
  const { api, jvm, sidecar } = await stage(t)
  const keys = ['resourcemanager', 'restserver', 'dispatcher'].map(name => `org.apache.flink.k8s.leader.${name}`)
  const told = (session: string): { [key: string]: string } =>
    Object.fromEntries(keys.map(key => [key, `${session},http://x`]))
  api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { data: told('of a leader that died') })
  const { events } = new LockWatch(t, sidecar.url, `${BY_NAME}&resourceVersion=0`)
  await until(() => events.length === 1)
  await jvm.lead()
  for (const _ of ['a renewal', 'and the next, by which an event of the first has come']) {
    const before = sidecar.candidate.lock?.version
    await until(() => sidecar.candidate.lock?.version !== before)
  }
  t.equal(events.length, 1, 'a JVM that has published nothing is not made to mend what is there')
  const put = async (data: object): Promise<void> => {
    const { body } = await jvm.ask('GET', `${PATH}/${LOCK}`)
    t.equal((await jvm.ask('PUT', `${PATH}/${LOCK}`, { ...body, data }, JSON_TYPE)).status, 200)
  }
  const removeAll = async (session: string): Promise<void> => {
    for (let left = keys.length - 1; left >= 0; left--)
      await put(Object.fromEntries(Object.entries(told(session)).slice(0, left)))
  }
  await removeAll('of a leader that died')
  t.equal(sidecar.candidate.jvm.phase, 'standing')
  t.ok(sidecar.candidate.leading())
  await put(told('own'))
  await removeAll('own')
  t.equal(sidecar.candidate.jvm.phase, 'stopped')
  t.notOk(sidecar.candidate.leading())
})

for (const from of ['the first version', 'the present version'])
  t.test(`a restarted sidecar takes a watch from ${from} for its JVM’s sign of life`, async t => {
    const { api, jvm, sidecar, restart } = await stage(t)
    await jvm.lead()
    await until(() => (sidecar.candidate.cached?.object?.metadata.annotations?.['flink-ha.io/jvm'] ?? '') === 'jvm-1')
    const next = await restart()
    const present = api.store.get(CONFIG_MAPS, NAMESPACE, LOCK).metadata.resourceVersion ?? ''
    const version = from === 'the present version' ? present : '1'
    const { events } = new LockWatch(t, next.url, `${BY_NAME}&resourceVersion=${version}`)
    await until(() => next.candidate.leading())
    t.equal(next.candidate.token, sidecar.candidate.token)
    // Flink mends a leader key only on an event that names itself, and nothing else may change for long.
    await until(() => events.slice(-1).some(({ object }) => holderIn(object) === 'jvm-1'))
  })

t.test('a restarted sidecar goes on with a term that is held by a Lease, too', async t => {
  const { api, jvm, sidecar, restart } = await stage(t, { lockKind: 'lease' })
  await jvm.lead()
  const { token } = sidecar.candidate
  const named = (): unknown =>
    api.store.get(resourceOf('leases'), NAMESPACE, 'c-leader').metadata.annotations?.['flink-ha.io/jvm']
  await until(() => named() === 'jvm-1')
  const next = await restart()
  jvm.url = next.url
  t.equal(holderIn((await jvm.ask('GET', `${PATH}/${LOCK}`)).body), 'jvm-1', 'the very first answer names it')
  t.equal(next.candidate.token, token)
})

t.test('beside a Lease, a ConfigMap that somebody deletes is made anew, and the term goes on', async t => {
  const { api, jvm, sidecar } = await stage(t, { lockKind: 'lease' })
  await jvm.lead()
  const { token } = sidecar.candidate
  api.store.delete(CONFIG_MAPS, NAMESPACE, LOCK)
  await until(() => api.store.find(CONFIG_MAPS, NAMESPACE, LOCK) !== undefined && sidecar.candidate.ready())
  t.equal(sidecar.candidate.token, token)
})

for (const lockKind of ['configmap', 'lease'] as const)
  for (const isAnswered of [true, false]) {
    const how = `${lockKind}, ${isAnswered ? 'answered' : 'unanswered'}`
    t.test(`a lock that the JVM removes itself is not made anew: ${how}`, async t => {
      const { api, jvm, sidecar } = await stage(t, { lockKind })
      await jvm.lead()
      await until(() => sidecar.candidate.ready())
      const match = ({ method }: { method: string }): boolean => method === 'DELETE'
      if (!isAnswered) api.fail({ match, times: 1, afterCommit: true })
      const { status } = await jvm.ask('DELETE', `${PATH}/${LOCK}`, {}, JSON_TYPE)
      t.equal(status, isAnswered ? 200 : 503)
      await until(() => sidecar.candidate.cached?.object === undefined && !sidecar.candidate.leading())
      t.equal(
        (await jvm.ask('DELETE', `${PATH}/${LOCK}`, {}, JSON_TYPE)).status,
        404,
        'it asks again when it is not sure',
      )
      t.equal(api.store.find(CONFIG_MAPS, NAMESPACE, LOCK), undefined)
      t.equal(api.store.find(resourceOf('leases'), NAMESPACE, 'c-leader'), undefined)
      const made = api.requests.filter(({ method, path }) => method === 'POST' && /configmaps|leases/.test(path))
      t.equal(made.length, lockKind === 'lease' ? 1 : 0, 'the ConfigMap was there, the Lease was made once')
    })
  }

for (const [end, isTaken] of [
  ['closes', false],
  ['closes', true],
  ['is in a pod that is deleted', false],
] as const)
  t.test(`the lock goes with a JVM that ${end}${isTaken ? ', unless somebody has taken it' : ''}`, async t => {
    const { api, jvm, sidecar } = await stage(t)
    await jvm.lead()
    for (const data of [{ [`${LEADER_KEY_PREFIX}dispatcher`]: 's,a' }, ...(end === 'closes' ? [{}] : [])]) {
      const { body } = await jvm.ask('GET', `${PATH}/${LOCK}`)
      await jvm.ask('PUT', `${PATH}/${LOCK}`, { ...body, data }, JSON_TYPE)
    }
    if (end !== 'closes') sidecar.candidate.retire('pod-deleted')
    t.notOk(sidecar.candidate.leading())
    const holder = (): string => parseRecord(annotation())?.holder ?? ''
    const annotation = () => api.store.get(CONFIG_MAPS, NAMESPACE, LOCK).metadata.annotations?.[ANNOTATION_LEADER]
    await until(() => holder() === '')
    if (isTaken) {
      const annotations = { [ANNOTATION_LEADER]: jvm.record('jm-1_uid'), [ANNOTATION_TOKEN]: '99999' }
      api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { metadata: { annotations } })
    }
    const { status } = await jvm.ask('DELETE', `${PATH}/${LOCK}`, {}, JSON_TYPE)
    t.equal(status, isTaken ? 409 : 200)
    await until(() => isTaken || sidecar.candidate.cached?.object === undefined)
    t.equal(api.store.find(CONFIG_MAPS, NAMESPACE, LOCK) !== undefined, isTaken)
  })

t.test('a lock that was removed before the sight of it came is not made anew either', async t => {
  const { api, jvm, sidecar } = await stage(t)
  await jvm.lead()
  api.fail({ match: ({ method }) => method === 'DELETE', times: 1, status: 404 })
  t.equal((await jvm.ask('DELETE', `${PATH}/${LOCK}`, {}, JSON_TYPE)).status, 404)
  api.store.delete(CONFIG_MAPS, NAMESPACE, LOCK)
  await until(() => sidecar.candidate.cached?.object === undefined && !sidecar.candidate.leading())
  await new Promise(resolve => setTimeout(resolve, 1_500))
  t.equal(api.store.find(CONFIG_MAPS, NAMESPACE, LOCK), undefined)
})

t.test('beside a ConfigMap that the JVM removes, another pod’s Lease stays', async t => {
  const { api, jvm } = await stage(t, { lockKind: 'lease' })
  await jvm.lead()
  const leases = resourceOf('leases')
  const match = ({ method, path }: { method: string; path: string }): boolean => {
    // Between the two removals.
    if (method !== 'DELETE' || !path.includes('/leases/')) return false
    const lease = api.store.get(leases, NAMESPACE, 'c-leader')
    api.store.replace(leases, NAMESPACE, 'c-leader', {
      ...lease,
      spec: { ...(lease['spec'] as object), holderIdentity: 'jm-1_uid' },
    })
    return false
  }
  api.fail({ match, times: 1 })
  t.equal((await jvm.ask('DELETE', `${PATH}/${LOCK}`, {}, JSON_TYPE)).status, 200)
  t.match(api.store.get(leases, NAMESPACE, 'c-leader'), { spec: { holderIdentity: 'jm-1_uid' } })
})

t.test('only the ConfigMaps of the one cluster are served', async t => {
  const { jvm } = await stage(t)
  for (const [path, status] of [
    ['/api/v1/namespaces/ns/secrets', 404],
    ['/apis/apps/v1/deployments', 404],
    [`${PATH}/other-config-map`, 403],
    [`${PATH}/c-x`, 403],
    [PATH, 403],
    [`${PATH}?fieldSelector=metadata.name%3Dkube-root-ca.crt`, 403],
    [`/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt`, 403],
  ] as const) {
    const answer = await jvm.ask('GET', path)
    t.match(answer, { status, body: { kind: 'Status', code: status } }, path)
  }
})

t.test('whatever namespace Flink names, it is answered with the pod’s own, in the names that it used', async t => {
  const { jvm, api } = await stage(t)
  const named = '/api/v1/namespaces/default/configmaps'
  const listed = await jvm.ask('GET', `${named}?fieldSelector=metadata.name%3D${LOCK}`)
  t.match(listed.body['items'], [{ metadata: { name: LOCK, namespace: 'default' } }])
  await jvm.lead()
  t.match((await jvm.ask('GET', `${named}/${LOCK}`)).body.metadata, { name: LOCK, namespace: 'default' })
  const job = { metadata: { name: JOB, namespace: 'default' }, data: { counter: '1' } }
  const made = await jvm.ask('POST', named, job, { 'content-type': 'application/json' })
  t.match(made, { status: 201, body: { metadata: { namespace: 'default' } } })
  t.match(api.store.get(CONFIG_MAPS, NAMESPACE, JOB), { data: { counter: '1' } }, 'and is kept in the pod’s')
  const put = await jvm.ask(
    'PUT',
    `${named}/${JOB}`,
    { ...made.body, data: { counter: '2' } },
    {
      'content-type': 'application/json',
    },
  )
  t.match(put, { status: 200, body: { metadata: { namespace: 'default' }, data: { counter: '2' } } })
  // Read, so that its version is known here; then changed by somebody else: a replacement without a version is on what was read.
  await jvm.ask('GET', `${named}/${JOB}`)
  const real = api.store.get(CONFIG_MAPS, NAMESPACE, JOB)
  api.store.replace(CONFIG_MAPS, NAMESPACE, JOB, { ...real, data: { counter: '9' } })
  const blind = { metadata: { name: JOB, namespace: 'default' }, data: { counter: '3' } }
  const refused = await jvm.ask('PUT', `${named}/${JOB}`, blind, { 'content-type': 'application/json' })
  t.equal(refused.status, 409, 'and without a version nothing is overwritten')
})

t.test('what may be HA data never gets past the fence with the JVM’s own credential', async t => {
  const { jvm } = await stage(t, { learn: true })
  const own = { authorization: 'Bearer jvm' }
  for (const name of [JOB, LOCK, 'other-0-config-map'])
    t.equal((await jvm.ask('DELETE', `${PATH}/${name}`, undefined, own)).status, name === LOCK ? 409 : 403, name)
  t.equal(
    (await jvm.ask('GET', `${PATH}/mine`, undefined, own)).status,
    404,
    'what is not goes on: there is none there',
  )
})

t.test('bodies that cannot be read or are too long get a clear answer', async t => {
  const { jvm } = await stage(t)
  await jvm.lead()
  const json = { 'content-type': 'application/json' }
  t.match(await jvm.ask('PUT', `${PATH}/${LOCK}`, '{"metadata":', json), { status: 400, body: { message: /not JSON/ } })
  t.match(await jvm.ask('POST', PATH, 'x'.repeat(3 * 1024 * 1024 + 1), json), {
    status: 413,
    body: { reason: 'RequestEntityTooLarge' },
  })
  t.match(await jvm.ask('POST', PATH, '{}', json), { status: 422, body: { message: 'metadata.name is missing' } })
  t.match(await jvm.ask('PATCH', `${PATH}/${LOCK}`, '[]', { 'content-type': 'text/plain' }), {
    status: 415,
  })
})

t.test('the cluster is learned from the first request that names it', async t => {
  const { jvm, sidecar } = await stage(t, { learn: true })
  t.match(await jvm.ask('GET', `${PATH}/some-config-map`), { status: 403 })
  t.equal((await jvm.lead()).status, 200)
  t.same(sidecar.candidate.target, { namespace: NAMESPACE, clusterId: 'c', name: LOCK })
})

t.test('a foreign ConfigMap of the lock’s name is taken after a lease, and keeps what is in it', async t => {
  const { api, jvm } = await stage(t, {}, { metadata: { name: LOCK }, data: { theirs: 'kept' } })
  const started = Date.now()
  await jvm.lead()
  t.ok(Date.now() - started > 2_000, 'not before a lease had passed')
  t.match(api.store.get(CONFIG_MAPS, NAMESPACE, LOCK)['data'], { theirs: 'kept' })
})

t.test(
  'a watch begins with what was missed, tells of data and not of renewals, and is not told of deletion',
  async t => {
    const { api, jvm, sidecar } = await stage(t)
    const { body: lock } = await jvm.lead()
    const upgrade = { connection: 'Upgrade', upgrade: 'websocket' }
    const { events } = new LockWatch(t, sidecar.url, `${BY_NAME}&resourceVersion=1`, upgrade)
    await until(() => events.length === 1)
    t.match(events[0], { type: 'MODIFIED', object: { metadata: { name: LOCK } } })
    api.expireWatches()
    await until(() => api.openWatches > 0)
    await jvm.ask('PUT', `${PATH}/${LOCK}`, { ...lock, data: { a: '1' } }, { 'content-type': 'application/json' })
    await until(() => events.length === 2)
    t.same(events[1]?.object.data, { a: '1' })
    for (const { object } of events)
      t.match(object, { kind: 'ConfigMap', apiVersion: 'v1' }, 'an event says what it is of')
    await new Promise(resolve => setTimeout(resolve, 1_200))
    t.equal(events.length, 2, 'two renewals later')
    api.store.delete(CONFIG_MAPS, NAMESPACE, LOCK)
    await until(() => !sidecar.candidate.leading())
    t.notOk(events.some(event => event.type === 'DELETED'))
  },
)

t.test('what leaves the pod are the leader keys, read-only', async t => {
  const { jvm, sidecar } = await stage(t)
  const { body: lock } = await jvm.lead()
  const data = { 'org.apache.flink.k8s.leader.restserver': 's,http://x:8081', 'executionPlan-1': 'secret' }
  await jvm.ask('PUT', `${PATH}/${LOCK}`, { ...lock, data }, { 'content-type': 'application/json' })
  const outside = (await (await fetch(`${sidecar.podUrl}${PATH}/${LOCK}`)).json()) as ConfigMap
  t.same(Object.keys(outside.data ?? {}), ['org.apache.flink.k8s.leader.restserver'])
  t.equal((await fetch(`${sidecar.podUrl}${PATH}/${JOB}`)).status, 403)
  t.equal((await fetch(`${sidecar.podUrl}${PATH}/${LOCK}`, { method: 'DELETE' })).status, 405)
  t.equal((await fetch(`${sidecar.podUrl}/switchover`, { method: 'POST' })).status, 404)
})

t.test('conflicts, refusals, delays and broken watches change nothing for a leading JVM', async t => {
  const { api, jvm, sidecar } = await stage(t)
  await jvm.lead()
  const { token } = sidecar.candidate
  const patch = (r: { method: string }): boolean => r.method === 'PATCH'
  api.fail({ match: patch, status: 409, times: 2 })
  api.breakWatches()
  await until(() => api.openWatches > 0)
  api.fail({ match: patch, status: 429, retryAfterSeconds: 1, times: 1 })
  api.compact()
  api.expireWatches()
  await until(() => api.openWatches > 0)
  api.fail({ match: patch, afterCommit: true, times: 1 })
  api.delay(100)
  await new Promise(resolve => setTimeout(resolve, 1_500))
  t.equal((await jvm.claim('1')).status, 200)
  t.equal(sidecar.candidate.token, token)
})

t.test('with a Lease as lock the data goes to the ConfigMap beside it', async t => {
  const { api, jvm, sidecar } = await stage(t, { lockKind: 'lease' })
  const leases = resourceOf('leases')
  const { body: lock } = await jvm.lead()
  t.match(api.store.get(leases, NAMESPACE, 'c-leader')['spec'], { holderIdentity: 'jm-0_uid', leaseDurationSeconds: 3 })
  await jvm.ask('PUT', `${PATH}/${LOCK}`, { ...lock, data: { a: '1' } }, { 'content-type': 'application/json' })
  t.same(api.store.get(CONFIG_MAPS, NAMESPACE, LOCK)['data'], { a: '1' })
  t.ok(sidecar.candidate.token > 0)
})

for (const dialect of ['1.17', '1.20', '2.3'] as const)
  t.test(`the client of Flink ${dialect} leads, writes checkpoints and hands over through two sidecars`, async t => {
    const api = await anApi()
    api.store.create(CONFIG_MAPS, NAMESPACE, VACANT_LOCK)
    t.teardown(() => api.close())
    const clients: { client: FlinkClient; sidecar: TestSidecar; jvm: HandMadeJvm; granted: number; ended: boolean }[] =
      []
    for (const name of ['jm-0', 'jm-1']) {
      const jvm = new HandMadeJvm(name)
      await jvm.start()
      const sidecar = new TestSidecar({ apiUrl: api.url, name, jvmPort: jvm.port })
      await sidecar.start()
      const one = { sidecar, jvm, granted: 0, ended: false } as (typeof clients)[number]
      one.client = new FlinkClient({
        master: sidecar.url,
        clusterId: 'c',
        namespace: NAMESPACE,
        dialect,
        rpcAddress: `127.0.0.1:${jvm.port}`,
        onEvent: event => {
          if (event.type === 'leading') one.granted++
        },
      })
      t.teardown(async () => {
        one.client.kill()
        await sidecar.crash()
        await jvm.die().catch(() => {})
      })
      clients.push(one)
      await one.client.start()
    }
    await until(() => clients.some(one => one.granted === 1), 30_000)
    const first = clients.find(one => one.granted === 1) as (typeof clients)[number]
    const second = clients.find(one => one !== first) as (typeof clients)[number]
    const job = '00000000000000000000000000000001'
    t.ok(await first.client.startJob(job))
    const before = api.requests.length
    t.equal(await first.client.checkpoint(job), 1)
    const sent = api.requests.slice(before).filter(r => r.path.endsWith(`${job}-config-map`))
    t.ok(sent.length <= 4, `${sent.length} requests for a checkpoint`)
    const token = first.sidecar.candidate.token
    first.client.kill()
    await first.jvm.die()
    await until(() => second.granted === 1, 30_000)
    t.ok(second.sidecar.candidate.token > token)
    t.same(second.client.jobIds, [job], 'the job is known to the new leader')
  })
