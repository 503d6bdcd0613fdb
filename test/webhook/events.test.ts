import t, { type Test } from 'tap'
import { KubeClient } from '../../shared/kube-client.ts'
import type { Log } from '../../shared/log.ts'
import { type EventInput, Events } from '../../webhook/events.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { KubeServer } from '../world/kube-server.ts'
import { SteppedClock } from '../world/stepped-clock.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }
const EVENTS = resourceOf('events')
const about = (name: string, more: Partial<EventInput> = {}): EventInput => ({
  regarding: { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'ns', name, uid: `uid-${name}` },
  type: 'Normal',
  reason: 'ServiceMade',
  action: 'Reconcile',
  note: 'it was needed',
  ...more,
})

const newWorld = async (t: Test) => {
  const server = new KubeServer({ namespaces: ['ns'] })
  await server.listen()
  const clock = new SteppedClock()
  const client = new KubeClient({ url: server.url, userAgent: 'test', monoMs: clock.monoMs })
  const events = new Events({ client, clock, log: silent, instance: 'pod-1' })
  t.teardown(async () => {
    client.close()
    await server.close()
  })
  const written = (namespace = 'ns') => server.store.list(EVENTS, namespace)
  return { server, clock, events, written }
}

t.test('an Event says what, why, about whom, who says so and when', async t => {
  const { clock, events, written } = await newWorld(t)
  events.record(about('jm', { type: 'Warning' }))
  await clock.until(() => written().length === 1, 'the Event')
  t.match(written()[0], {
    involvedObject: { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'ns', name: 'jm', uid: 'uid-jm' },
    type: 'Warning',
    reason: 'ServiceMade',
    action: 'Reconcile',
    message: 'it was needed',
    reportingInstance: 'pod-1',
    count: 1,
    firstTimestamp: '2026-01-01T00:00:00Z',
    lastTimestamp: '2026-01-01T00:00:00Z',
  })
})

t.test('the same is written once an hour, however often it is said', async t => {
  const { clock, events, written } = await newWorld(t)
  for (let i = 0; i < 100; i++) events.record(about('jm'))
  await clock.pass(2_000)
  t.equal(written().length, 1)
  events.record(about('other'))
  events.record(about('jm', { note: 'for another reason' }))
  await clock.until(() => written().length === 3, 'what is not the same')
  clock.advance(3_600_000)
  events.record(about('jm'))
  await clock.until(() => written().length === 4, 'the next hour’s')
})

t.test('a storm is bounded, and it is over some day', async t => {
  const { clock, events, written } = await newWorld(t)
  for (let i = 0; i < 500; i++) events.record(about(`d${i}`))
  await clock.pass(1_900)
  t.equal(written().length, 50)
  clock.advance(20_000)
  for (let i = 500; i < 600; i++) events.record(about(`d${i}`))
  await clock.pass(1_900)
  t.equal(written().length, 60, 'one in two seconds')
})

t.test('what could not be written is forgotten, and may be said again', async t => {
  const { server, clock, events, written } = await newWorld(t)
  server.fail({ status: 403, times: 1 })
  events.record(about('jm'))
  await clock.until(() => server.requests.some(({ status }) => status === 403), 'the refusal')
  await clock.pass(200)
  events.record(about('jm'))
  await clock.until(() => written().length === 1, 'the Event')
  await server.refuse()
  t.doesNotThrow(() => events.record(about('other')))
  await clock.pass(500)
})

t.test('names and notes of any length, and objects in no namespace, make a valid Event', async t => {
  const { clock, events, written } = await newWorld(t)
  events.record(about('x'.repeat(253), { note: 'y'.repeat(5_000) }))
  events.record(about('jm-*'))
  events.record(about('*'))
  await clock.until(() => written().length === 3, 'the Events')
  const long = written().find(({ metadata }) => metadata.name.startsWith('xxx'))
  t.equal(String(long?.['message']).length, 1_024)
  events.record(about('ns', { regarding: { apiVersion: 'v1', kind: 'Namespace', name: 'ns' } }))
  await clock.until(() => written('default').length === 1, 'the Event about a namespace')
})
