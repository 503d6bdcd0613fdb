// How long a read of the lock may be held: on a clock that stands still unless the test lets it go on.
import t, { type Test } from 'tap'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { formatRecord, formatTime } from '../../shared/record.ts'
import { type Answer, type HandMadeJvm, holderIn, PATH } from '../world/hand-made-jvm.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { LOCK, NAMESPACE } from '../world/sidecar.ts'
import { type Stage, stage, until } from '../world/stage.ts'
import { SteppedClock } from '../world/stepped-clock.ts'

/** Flink's request time-out is 10 s; the answer has to be on its way before. */
const LONGEST_MS = 8_000
const TIMINGS = { leaseMs: 60_000, renewDeadlineMs: 40_000, retryMs: 10_000 }
const OTHER = formatRecord({
  holder: 'jm-1_uid',
  leaseMs: 60_000,
  acquireTime: formatTime(1e15),
  renewTime: formatTime(1e15),
  transitions: 3,
})
const LED_BY_ANOTHER = { metadata: { name: LOCK, annotations: { [ANNOTATION_LEADER]: OTHER } } }

type Stepped = Stage & { clock: SteppedClock }
const LISTS = {
  'Flink 1.18 and later': `${PATH}?fieldSelector=metadata.name%3D${LOCK}&resourceVersion=0`,
  'Flink 1.17': `${PATH}?labelSelector=app%3Dc%2Cconfigmap-type%3Dhigh-availability%2Ctype%3Dflink-native-kubernetes`,
}

/** A JVM that listed, and so is known to have just started, of a pod that does not lead. */
const standby = async (t: Test, list: string): Promise<Stepped> => {
  const clock = new SteppedClock()
  const all = await stage(t, { clock, timings: TIMINGS }, LED_BY_ANOTHER)
  await until(() => all.sidecar.candidate.synced)
  t.equal((await all.jvm.ask('GET', list)).status, 200)
  return { ...all, clock }
}

/** A JVM whose pod leads, and which claimed. */
const leader = async (t: Test): Promise<Stepped> => {
  const clock = new SteppedClock()
  const all = await stage(t, { clock, timings: TIMINGS })
  const { jvm, sidecar } = all
  await jvm.ask('GET', LISTS['Flink 1.18 and later'])
  await jvm.ask('GET', `${PATH}/${LOCK}`)
  await until(() => sidecar.candidate.ready())
  const open = await jvm.ask('GET', `${PATH}/${LOCK}`)
  t.equal(holderIn(open.body), '')
  t.equal((await jvm.claim(open.body.metadata.resourceVersion ?? '')).status, 200)
  return { ...all, clock }
}

/** A record that somebody else wrote. */
const put = (api: Stage['api'], record: string): void => {
  const metadata = { annotations: { [ANNOTATION_LEADER]: record } }
  api.store.patch(resourceOf('configmaps'), NAMESPACE, LOCK, 'merge', { metadata })
}

/** A read that is asked, and what came of it. */
const reading = (jvm: HandMadeJvm): { answer: Promise<Answer>; answered: () => boolean } => {
  let done = false
  const answer = jvm.ask('GET', `${PATH}/${LOCK}`).finally(() => {
    done = true
  })
  return { answer, answered: () => done }
}
/** So long that what is on its way has come. */
const settle = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 60))

/** Asks, and lets as much time pass as may pass at most. */
const heldToTheEnd = async (t: Test, { jvm, clock }: Stepped): Promise<Answer> => {
  const { answer, answered } = reading(jvm)
  await settle()
  clock.advance(LONGEST_MS - 100)
  await settle()
  t.notOk(answered(), 'it is held')
  clock.advance(101)
  return await answer
}

t.test('a standby’s read is held 8 s at most: a 503 once, then an answer, and so on', async t => {
  const all = await standby(t, LISTS['Flink 1.18 and later'])
  for (const status of [503, 200, 503, 200]) {
    const answer = await heldToTheEnd(t, all)
    t.equal(answer.status, status)
    if (status === 200) t.equal(holderIn(answer.body), 'jm-1_uid')
    else t.match(answer.body, { kind: 'Status', reason: 'ServiceUnavailable' })
  }
})

t.test('Flink 1.17 has no retries: it is held 8 s at most too, and never answered 503', async t => {
  const all = await standby(t, LISTS['Flink 1.17'])
  for (let i = 0; i < 3; i++) t.equal((await heldToTheEnd(t, all)).status, 200)
})

t.test('a held read is answered in the moment in which its pod leads', async t => {
  const all = await standby(t, LISTS['Flink 1.18 and later'])
  const { answer, answered } = reading(all.jvm)
  await settle()
  t.notOk(answered())
  put(all.api, OTHER.replace('jm-1_uid', ''))
  t.equal(holderIn((await answer).body), '', 'there is something to claim')
  t.equal(all.clock.nowMs, 0, 'and no time has passed')
})

t.test('a leader’s every read is answered at once, before it claimed and after', async t => {
  const { clock, jvm } = await leader(t)
  for (let i = 0; i < 5; i++) t.equal(holderIn((await jvm.ask('GET', `${PATH}/${LOCK}`)).body), 'jvm-1')
  t.equal(clock.nowMs, 0)
})

t.test('a sidecar that was stopped holds no read, for as long as old questions may come', async t => {
  const { api, clock, jvm } = await leader(t)
  // The process stands still, past its deadline; another takes the lock.
  clock.nowMs += TIMINGS.renewDeadlineMs + 30_000
  put(api, OTHER)
  // The first may be of before, and nobody waits for its answer any more.
  for (let i = 0; i < 3; i++) {
    const { answer, answered } = reading(jvm)
    await settle()
    t.ok(answered(), 'answered at once')
    t.not(holderIn((await answer).body), 'jvm-1')
  }
  clock.advance(13_000)
  await jvm.ask('GET', `${PATH}/${LOCK}`)
  // Then for as long as its elector may not have asked itself.
  clock.advance(6_001)
  const { answer, answered } = reading(jvm)
  await settle()
  t.notOk(answered(), 'then it is a standby like any other')
  clock.advance(LONGEST_MS + 1)
  await answer
})

t.test('whoever is no Flink is never held', async t => {
  const { jvm } = await standby(t, LISTS['Flink 1.18 and later'])
  const told = await jvm.ask('GET', `${PATH}/${LOCK}`, undefined, { 'user-agent': 'curl' })
  t.equal(told.status, 200)
  t.equal(holderIn(told.body), 'jm-1_uid')
})

t.test('a held read that is given up leaves nothing behind', async t => {
  const { jvm, sidecar, clock } = await standby(t, LISTS['Flink 1.18 and later'])
  const { answer } = reading(jvm)
  answer.catch(() => {})
  await settle()
  await jvm.die()
  await jvm.start()
  await until(() => sidecar.candidate.jvm.sockets === 0)
  clock.advance(LONGEST_MS + 100)
  await jvm.ask('GET', LISTS['Flink 1.18 and later'])
  t.equal((await heldToTheEnd(t, { jvm, clock } as Stepped)).status, 503, 'the next one is held as the first was')
})

t.test('a JVM that lost its term is told for as long as its elector may not have asked', async t => {
  const { api, clock, jvm, sidecar } = await leader(t)
  put(api, OTHER)
  await until(() => !sidecar.candidate.leading())
  // Another thread asks first (`hasLeadership`); the elector does so within its period of 5 s.
  await jvm.ask('GET', `${PATH}/${LOCK}`)
  clock.advance(5_000)
  const { answer, answered } = reading(jvm)
  await settle()
  t.ok(answered(), 'answered at once')
  t.not(holderIn((await answer).body), 'jvm-1')
})
