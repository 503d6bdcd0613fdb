// A watch of Flink 1.17, which any of its threads may read, its main thread too.
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { PATH } from '../world/hand-made-jvm.ts'
import { LOCK } from '../world/sidecar.ts'
import { stage, until } from '../world/stage.ts'

const LABELS = 'labelSelector=app%3Dc%2Cconfigmap-type%3Dhigh-availability%2Ctype%3Dflink-native-kubernetes'
const BY_NAME = `fieldSelector=metadata.name%3D${LOCK}`
const LATE_MS = 1_000
const AGE_MS = 1_800_000

/** What is to be late or to end for its age waits until it is told to go on. */
class Waiting {
  readonly ages: (() => void)[] = []
  readonly late: (() => void)[] = []
  readonly clock: Clock = {
    ...systemClock,
    after: (ms, run) => {
      const list = ms === LATE_MS ? this.late : ms === AGE_MS ? this.ages : undefined
      if (list === undefined) return systemClock.after(ms, run)
      list.push(run)
      return () => {
        if (list.includes(run)) list.splice(list.indexOf(run), 1)
      }
    },
  }
}

/** Begins a watch; undefined as long as it has no head. */
const watch = (t: Test, url: string, query: string, headers: { [name: string]: string } = {}) => {
  const agent = new Agent({ keepAlive: true })
  const watched: { head?: IncomingMessage; text: string; destroy: () => void } = { text: '', destroy: () => {} }
  const request = httpRequest(
    `${url}${PATH}?watch=true&${query}`,
    { agent, headers: { 'user-agent': 'flink', ...headers } },
    response => {
      watched.head = response
      response.on('error', () => {})
      response.on('data', chunk => {
        watched.text += chunk
      })
    },
  )
  request.on('error', () => {})
  request.end()
  watched.destroy = () => request.destroy()
  t.teardown(() => agent.destroy())
  return watched
}

t.test('it is answered when the thread that asked has had the time to go on, and is not ended for its age', async t => {
  const waiting = new Waiting()
  const { jvm } = await stage(t, { clock: waiting.clock })
  const before = waiting.late.length
  const watched = watch(t, jvm.url, LABELS)
  await until(() => waiting.late.length > before)
  t.equal(watched.head, undefined)
  for (const run of waiting.late.slice(before)) run()
  await until(() => watched.text.includes('"ADDED"'))
  t.same(waiting.ages, [])
})

t.test('whoever leaves before that is forgotten', async t => {
  const waiting = new Waiting()
  const { jvm, sidecar } = await stage(t, { clock: waiting.clock })
  const before = waiting.late.length
  const watched = watch(t, jvm.url, LABELS)
  await until(() => waiting.late.length > before)
  watched.destroy()
  await until(() => waiting.late.length === before)
  t.equal(sidecar.gateway.watchers.size, 0)
})

t.test('other versions, other clients and what asks for a web socket are answered at once', async t => {
  const waiting = new Waiting()
  const { jvm } = await stage(t, { clock: waiting.clock })
  for (const [query, headers] of [
    [BY_NAME, {}],
    [LABELS, { 'user-agent': 'kubectl' }],
    [LABELS, { connection: 'Upgrade', upgrade: 'websocket' }],
  ] as const) {
    const watched = watch(t, jvm.url, query, headers)
    await until(() => watched.text.includes('"ADDED"'))
    t.equal(waiting.ages.length, 1, 'and end for their age')
    waiting.ages.pop()?.()
    await until(() => watched.head?.complete === true)
  }
})
