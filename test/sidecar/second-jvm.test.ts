// A second JVM on one sidecar, beside the one whose term it is: another container of the pod, or a new process whose
// predecessor has not ended yet. What tells them apart is the record in a request, nothing else.
import t, { type Test } from 'tap'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { type Answer, HandMadeJvm, holderIn, PATH } from '../world/hand-made-jvm.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { LOCK, NAMESPACE } from '../world/sidecar.ts'
import { type Stage, stage, until } from '../world/stage.ts'

const CONFIG_MAPS = resourceOf('configmaps')
const JOB = 'c-00000000000000000000000000000001-config-map'
const JSON_TYPE = { 'content-type': 'application/json' }
const LIST = `${PATH}?fieldSelector=metadata.name%3D${LOCK}&resourceVersion=0`

type Two = Stage & { second: HandMadeJvm; lock: Answer['body'] }
const two = async (t: Test): Promise<Two> => {
  const first = await stage(t)
  const { body: lock } = await first.jvm.lead()
  const second = new HandMadeJvm('jvm-2')
  await second.start()
  second.url = first.sidecar.url
  t.teardown(() => second.die())
  return { ...first, second, lock }
}
const put = (jvm: HandMadeJvm, object: Answer['body'], data: object, record = jvm.record()): Promise<Answer> => {
  const metadata = { ...object.metadata, annotations: { [ANNOTATION_LEADER]: record } }
  return jvm.ask('PUT', `${PATH}/${LOCK}`, { ...object, metadata, data }, JSON_TYPE)
}

t.test('it reads the lock as held by the first, at once, and takes nothing by that', async t => {
  const { jvm, second, sidecar } = await two(t)
  const { token } = sidecar.candidate
  t.equal((await second.ask('GET', LIST)).status, 200)
  for (let i = 0; i < 5; i++) t.equal(holderIn((await second.ask('GET', `${PATH}/${LOCK}`)).body), 'jvm-1')
  t.equal((await jvm.claim('1')).status, 200, 'the first one leads on')
  t.equal(sidecar.candidate.token, token)
})

t.test('its claims and renewals are refused, with any version, and the first one’s are not', async t => {
  const { jvm, second, lock } = await two(t)
  for (const version of ['', '1', lock.metadata.resourceVersion ?? '', '999999'])
    t.match(await second.claim(version), { status: 409, body: { kind: 'Status', message: /claimed by "jvm-1"/ } })
  t.equal((await put(second, lock, lock.data ?? {})).status, 409, 'by PUT too')
  t.equal((await jvm.claim('1')).status, 200)
})

t.test('its data under its own record is refused, and nothing of it is written', async t => {
  const { jvm, second, lock, real } = await two(t)
  t.equal((await put(second, lock, { theirs: '1' })).status, 409)
  t.same(real()['data'] ?? {}, {})
  t.equal((await put(jvm, lock, { ours: '1' })).status, 200)
  t.same(real()['data'], { ours: '1' })
})

t.test(
  'what it writes under the first one’s record is a compare-and-set like any other: it undoes nothing',
  async t => {
    const { jvm, second, lock, real } = await two(t)
    t.equal((await put(jvm, lock, { ours: '1' })).status, 200)
    t.equal((await put(second, lock, { theirs: '1' }, jvm.record())).status, 409, 'read before the first one wrote')
    const read = (await second.ask('GET', `${PATH}/${LOCK}`)).body
    t.equal((await put(second, read, { ...read.data, theirs: '1' }, jvm.record())).status, 200)
    t.same(real()['data'], { ours: '1', theirs: '1' })
  },
)

t.test('its writes of jobs are compare-and-sets, under the term’s token', async t => {
  const { api, jvm, second, sidecar } = await two(t)
  const { body: made } = await jvm.ask('POST', PATH, { metadata: { name: JOB } }, JSON_TYPE)
  t.equal((await jvm.ask('PUT', `${PATH}/${JOB}`, { ...made, data: { counter: '2' } }, JSON_TYPE)).status, 200)
  t.equal((await second.ask('PUT', `${PATH}/${JOB}`, { ...made, data: { counter: '9' } }, JSON_TYPE)).status, 409)
  t.equal((await second.ask('POST', PATH, { metadata: { name: JOB } }, JSON_TYPE)).status, 409)
  const { metadata, ...rest } = api.store.get(CONFIG_MAPS, NAMESPACE, JOB)
  t.same(rest['data'], { counter: '2' })
  t.equal(metadata.annotations?.['flink-ha.io/token'], String(sidecar.candidate.token))
})

t.test('a release names nobody: the term ends for both, and neither comes back in it', async t => {
  const { jvm, second, real, sidecar } = await two(t)
  const { token } = sidecar.candidate
  t.equal((await second.claim('1', '')).status, 200)
  await until(() => holderIn(real() as never) === '')
  t.notOk(sidecar.candidate.leading())
  t.not(holderIn((await jvm.ask('GET', `${PATH}/${LOCK}`)).body), 'jvm-1', 'the first one is told')
  for (const one of [jvm, second]) {
    t.equal((await one.claim('999999')).status, 409)
    t.equal((await one.ask('POST', PATH, { metadata: { name: JOB } }, JSON_TYPE)).status, 409)
  }
  t.equal((await jvm.ask('GET', `${PATH}/${JOB}`)).status, 404, 'nothing was made')
  t.equal(sidecar.candidate.token, token)
})
t.test('when the first one is gone, whose connections the second keeps open, its silence ends the term', async t => {
  const { jvm, second, sidecar } = await two(t)
  const { token } = sidecar.candidate
  // Its record says so; 15 s is Flink's default.
  const record = jvm.record().replace('PT15S', 'PT1S')
  const metadata = { name: LOCK, annotations: { [ANNOTATION_LEADER]: record } }
  await jvm.ask('PATCH', `${PATH}/${LOCK}`, { metadata }, { 'content-type': 'application/merge-patch+json' })
  await second.ask('GET', `${PATH}/${LOCK}`)
  await jvm.die()
  // Whoever else reads the lock does not keep the dead one's term alive.
  await until(async () => {
    await second.ask('GET', `${PATH}/${LOCK}`)
    return sidecar.candidate.token > token
  })
  t.match(await sidecar.metrics.registry.metrics(), /flink_ha_terms_total\{event="ended",reason="jvm-silent"\} 1/)
  t.equal((await second.lead()).status, 200, 'and the second one can have the next')
  t.equal(holderIn((await second.ask('GET', `${PATH}/${LOCK}`)).body), 'jvm-2')
})
