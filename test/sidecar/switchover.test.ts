// POST /switchover: each of its answers, and what it did.
import t, { type Test } from 'tap'
import { HandMadeJvm, holderIn, PATH } from '../world/hand-made-jvm.ts'
import { LOCK, TEST_TIMINGS, TestSidecar } from '../world/sidecar.ts'
import { type Stage, stage, until } from '../world/stage.ts'

type Told = { status: number; body: { error?: string; leader?: string | null; candidate?: string } }
const post = async (sidecar: TestSidecar, body: string): Promise<Told> => {
  const answer = await fetch(`${sidecar.url}/switchover`, { method: 'POST', body })
  return { status: answer.status, body: (await answer.json()) as Told['body'] }
}

type Two = Stage & { standby: TestSidecar }
/** A leader whose Flink claimed, and a standby that stands and joined. */
const two = async (t: Test): Promise<Two> => {
  const first = await stage(t)
  await first.jvm.lead()
  const jvm = new HandMadeJvm('jvm-2')
  await jvm.start()
  const standby = new TestSidecar({ apiUrl: first.api.url, name: 'jm-1', jvmPort: jvm.port })
  await standby.start()
  jvm.url = standby.url
  t.teardown(async () => {
    await standby.crash()
    await jvm.die()
  })
  await jvm.ask('GET', `${PATH}?fieldSelector=metadata.name%3D${LOCK}`)
  const held = jvm.ask('GET', `${PATH}/${LOCK}`).catch(() => {})
  t.teardown(() => held)
  const joined = (): boolean =>
    (first.real().metadata.annotations?.['flink-ha.io/candidates'] ?? '').includes('"jm-1_uid"')
  await until(() => standby.candidate.standing && joined())
  await until(
    () => first.sidecar.candidate.cached?.object?.metadata.annotations?.['flink-ha.io/candidates'] !== undefined,
  )
  return { ...first, standby }
}

t.test('200: the candidate leads, the old leader is a standby and can be the next one', async t => {
  const { sidecar, standby, jvm } = await two(t)
  const before = sidecar.candidate.token
  t.same(await post(sidecar, '{"candidate":"jm-1"}'), { status: 200, body: { leader: 'jm-1', candidate: 'jm-1' } })
  await until(() => standby.candidate.leading())
  t.notOk(sidecar.candidate.leading())
  t.ok(standby.candidate.token > before)
  t.equal((await jvm.claim('1')).status, 409, 'the old leader’s Flink writes nothing any more')
  t.equal(holderIn((await jvm.ask('GET', `${PATH}/${LOCK}`)).body), 'jm-1_uid', 'and is told so at once')
  t.ok(sidecar.candidate.standing)
  await until(async () => (await post(standby, '{"candidate":null}')).status === 200)
  await until(() => sidecar.candidate.leading())
  t.notOk(standby.candidate.leading())
})

t.test('200 without a name: any healthy candidate will do', async t => {
  const { sidecar } = await two(t)
  t.same(await post(sidecar, ''), { status: 200, body: { leader: 'jm-1', candidate: 'jm-1' } })
})

t.test('202: it was handed over, and the candidate has not begun within a retry period', async t => {
  const { api, sidecar, standby } = await two(t)
  api.fail({
    match: ({ method, headers }) => method === 'PATCH' && headers?.['user-agent'] === 'test jm-1',
    status: 429,
    retryAfterSeconds: 1,
    times: 5,
  })
  const asked = Date.now()
  t.same(await post(sidecar, '{"candidate":"jm-1"}'), { status: 202, body: { leader: null, candidate: 'jm-1' } })
  t.ok(Date.now() - asked < TEST_TIMINGS.retryMs + 2_000)
  t.notOk(sidecar.candidate.leading() && standby.candidate.leading())
  api.heal()
  await until(() => sidecar.candidate.leading() || standby.candidate.leading())
  t.pass('and somebody leads')
})

t.test('409: whoever does not lead has nothing to hand over', async t => {
  const { sidecar, standby } = await two(t)
  t.match(await post(standby, '{"candidate":"jm-0"}'), { status: 409, body: { error: 'this pod does not lead' } })
  t.ok(sidecar.candidate.leading())
})

t.test('412: nobody healthy, of that name or at all; the term goes on', async t => {
  const { sidecar, standby } = await two(t)
  const { token } = sidecar.candidate
  t.match(await post(sidecar, '{"candidate":"jm-9"}'), { status: 412, body: { error: /"jm-9"/ } })
  t.match(await post(sidecar, '{"candidate":"jm-0"}'), { status: 412 }, 'itself is none')
  await standby.crash()
  t.match(await post(sidecar, '{"candidate":null}'), { status: 412, body: { error: 'no healthy candidate' } })
  t.match(await post(sidecar, '{"candidate":"jm-1"}'), { status: 412 })
  t.ok(sidecar.candidate.leading())
  t.equal(sidecar.candidate.token, token)
})

t.test('400: a body that says nothing; the term goes on', async t => {
  const { sidecar } = await two(t)
  for (const body of ['{', '{"candidate":9}', '{"candidate":["jm-1"]}', '{"candidate":{}}', 'jm-1'])
    t.equal((await post(sidecar, body)).status, 400, body)
  t.ok(sidecar.candidate.leading())
})
