// A watch of Flink 1.17, which any of its threads may read, its main thread too.
import t from 'tap'
import { HeldTimers } from '../world/held-timers.ts'
import { BY_NAME, LockWatch } from '../world/lock-watch.ts'
import { stage, until } from '../world/stage.ts'

const LABELS = 'labelSelector=app%3Dc%2Cconfigmap-type%3Dhigh-availability%2Ctype%3Dflink-native-kubernetes'
const LATE_MS = 1_000
const AGE_MS = 1_800_000

t.test('it is answered when the thread that asked has had the time to go on, and is not ended for its age', async t => {
  const timers = new HeldTimers(LATE_MS, AGE_MS)
  const { jvm } = await stage(t, { clock: timers.clock })
  const before = timers.count(LATE_MS)
  const watch = new LockWatch(t, jvm.url, LABELS)
  await until(() => timers.count(LATE_MS) > before)
  t.equal(watch.head, undefined)
  timers.go(LATE_MS)
  await until(() => watch.events[0]?.type === 'ADDED')
  t.equal(timers.count(AGE_MS), 0)
})

t.test('whoever leaves before that is forgotten', async t => {
  const timers = new HeldTimers(LATE_MS, AGE_MS)
  const { jvm, sidecar } = await stage(t, { clock: timers.clock })
  const before = timers.count(LATE_MS)
  const watch = new LockWatch(t, jvm.url, LABELS)
  await until(() => timers.count(LATE_MS) > before)
  watch.leave()
  await until(() => timers.count(LATE_MS) === before)
  t.equal(sidecar.gateway.watchers.size, 0)
})

t.test('other versions, other clients and what asks for a web socket are answered at once', async t => {
  const timers = new HeldTimers(LATE_MS, AGE_MS)
  const { jvm } = await stage(t, { clock: timers.clock })
  for (const [query, headers] of [
    [BY_NAME, {}],
    [LABELS, { 'user-agent': 'kubectl' }],
    [LABELS, { connection: 'Upgrade', upgrade: 'websocket' }],
  ] as const) {
    const watch = new LockWatch(t, jvm.url, query, headers)
    await until(() => watch.events[0]?.type === 'ADDED')
    t.equal(timers.count(AGE_MS), 1, 'and end for their age')
    timers.go(AGE_MS)
    await until(() => watch.head?.complete === true)
  }
})
