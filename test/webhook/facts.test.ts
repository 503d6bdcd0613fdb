import t from 'tap'
import { ClusterFacts, hasNativeSidecars } from '../../webhook/facts.ts'
import { type Answer, ScriptedClient, settled } from '../world/scripted-client.ts'
import { KeptLog } from '../world/tls-replicas.ts'
import { VirtualClock } from '../world/virtual-clock.ts'

const POD = '/api/v1/namespaces/flink-ha/pods/w-0'
const pod = (...containers: object[]): Answer => ({ status: 200, body: { spec: { containers } } })
const version = (minor: string): Answer => ({ status: 200, body: { major: '1', minor } })

const world = (answers: { [path: string]: Answer }, image = '') => {
  const client = new ScriptedClient((_, path) => answers[path] ?? { status: 404, body: { message: 'not found' } })
  const clock = new VirtualClock()
  const log = new KeptLog()
  const facts = new ClusterFacts({ client, clock, log, namespace: 'flink-ha', podName: 'w-0', image })
  return { client, clock, log, facts, answers }
}

t.test('native sidecars are there from 1.29 on', async t => {
  for (const [major, minor, wanted] of [
    ['1', '28', false],
    ['1', '29', true],
    ['1', '29+', true],
    ['1', '34', true],
    ['2', '0', true],
  ] as const)
    t.equal(hasNativeSidecars({ major, minor }), wanted, `${major}.${minor}`)
  for (const version of [undefined, null, {}, { major: 1, minor: 29 }, { major: '1', minor: '' }, 'text'])
    t.throws(() => hasNativeSidecars(version), JSON.stringify(version))
})

t.test('the image is that of the container webhook in our own pod', async t => {
  const { facts } = world({
    '/version': version('34'),
    [POD]: pod({ name: 'mesh', image: 'mesh:1' }, { name: 'webhook', image: 'mirror/flink-ha:9' }),
  })
  t.equal(facts.of('flink', true), undefined, 'nothing is known before it is asked for')
  facts.start()
  await settled()
  t.same(facts.of('flink', true), {
    namespaceAsks: true,
    nativeSidecars: true,
    imageOfOurs: 'mirror/flink-ha:9',
    reserved: false,
  })
  t.equal(facts.of('flink', false)?.namespaceAsks, false)
  t.equal(facts.of('flink-ha', true)?.reserved, true)
  t.equal(facts.of('kube-system', true)?.reserved, true)
  t.equal(facts.problem, undefined)
  facts.stop()
})

t.test('a given image spares the look at the pod', async t => {
  const { facts, client } = world({ '/version': version('34') }, 'given:1')
  facts.start()
  await settled()
  t.equal(facts.of('flink', true)?.imageOfOurs, 'given:1')
  t.same(client.asked, ['GET /version'])
  facts.stop()
})

t.test('until all is known there is a problem in words, and it is tried again', async t => {
  const { facts, answers, clock } = world({ '/version': 'unreachable', [POD]: pod({ name: 'webhook', image: 'i' }) })
  facts.start()
  await settled()
  t.match(facts.problem, /GET \/version: refused/)
  answers['/version'] = version('30')
  answers[POD] = { status: 403, body: { message: 'pods is forbidden' } }
  clock.advance(1_000)
  await settled()
  t.match(facts.problem, /pods\/w-0 answered 403: .*forbidden/)
  answers[POD] = pod({ name: 'webhook' })
  clock.advance(2_000)
  await settled()
  t.match(facts.problem, /names no image/)
  answers[POD] = pod({ name: 'only', image: 'i' })
  clock.advance(4_000)
  await settled()
  t.equal(facts.of('flink', true)?.imageOfOurs, 'i')
  facts.stop()
})

t.test('an upgrade of the API server is noticed, an absence changes nothing', async t => {
  const { client, facts, answers, clock, log } = world({ '/version': version('28') }, 'i')
  facts.start()
  await settled()
  t.equal(facts.of('flink', true)?.nativeSidecars, false)
  t.equal(log.count(/older than Kubernetes 1.29/), 1)
  answers['/version'] = 'unreachable'
  clock.advance(600_000)
  await settled()
  t.equal(facts.of('flink', true)?.nativeSidecars, false)
  t.equal(facts.problem, undefined)
  answers['/version'] = version('29')
  clock.advance(60_000)
  await settled()
  t.equal(facts.of('flink', true)?.nativeSidecars, true)
  facts.stop()
  const asked = client.asked.length
  clock.advance(10 * 600_000)
  await settled()
  t.equal(client.asked.length, asked, 'and nothing is asked after stop')
})
