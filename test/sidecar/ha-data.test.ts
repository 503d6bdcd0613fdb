import t from 'tap'
import type { ConfigMap } from '../../shared/lock.ts'
import { haLabels } from '../../shared/lock.ts'
import { haDataOf, jobDocument, jobEntries, lockEntries, sizeOf } from '../../sidecar/ha-data.ts'
import { checkpointKey, leaderKey, statePointer } from '../world/flink-records.ts'

const [A, B, C] = ['a', 'b', 'c'].map(digit => digit.repeat(32)) as [string, string, string]
const POINTER = statePointer('s3://ha/x', false)
const map = (name: string, data: { [key: string]: string }, more = {}): ConfigMap => ({
  metadata: { name, labels: haLabels('c') },
  data,
  ...more,
})
const lock = (data: { [key: string]: string }, more = {}): ConfigMap => map('c-cluster-config-map', data, more)
const jobMap = (id: string, data: { [key: string]: string }, more = {}): ConfigMap =>
  map(`c-${id}-config-map`, data, more)

t.test('a job is led, recovering, or a leftover', async t => {
  const store = [
    lock({
      [`executionPlan-${A}`]: POINTER,
      [`jobGraph-${B}`]: POINTER,
      [leaderKey(`job-${A}`)]: 's-1,pekko.tcp://flink@h:6123/user/rpc/jobmanager_2',
    }),
    jobMap(A, { counter: '8', [checkpointKey(7)]: POINTER, [checkpointKey(12)]: POINTER }),
    jobMap(C, {}),
  ]
  const { jobs, problems, jobMaps } = haDataOf('c', store)
  t.match(jobs, [
    {
      id: A,
      name: null,
      state: 'led',
      leader: { sessionId: 's-1', address: 'pekko.tcp://flink@h:6123/user/rpc/jobmanager_2' },
      planStored: true,
      checkpointCounter: 8,
      checkpoints: [12, 7],
    },
    { id: B, state: 'recovering', leader: null, planStored: true, checkpointCounter: null, checkpoints: [], bytes: 0 },
    { id: C, state: 'leftover', planStored: false },
  ])
  t.same(problems, [])
  t.same([...jobMaps.keys()], [A, C])
  t.same(haDataOf('c', []), { lock: undefined, jobMaps: new Map(), jobs: [], problems: [] })
})

t.test('what Flink writes is no problem, in any version', async t => {
  const { problems } = lockEntries(
    lock({
      ...Object.fromEntries(
        ['dispatcher', 'resourcemanager', 'restserver', `job-${A}`].map(c => [leaderKey(c), 's,a']),
      ),
      [`jobGraph-${A}`]: POINTER,
      [`executionPlan-${A}`]: POINTER,
      [`application-${A}`]: POINTER,
    }),
  )
  t.same(problems, [])
  t.same(jobEntries(jobMap(A, { counter: '1', [checkpointKey(1)]: POINTER })).problems, [])
})

t.test('damaged and foreign entries of the lock are named and stepped over', async t => {
  const bad: { [key: string]: string } = {
    note: 'of somebody',
    [`executionPlan-${A}`]: 'bm90IGphdmE=',
    [`jobGraph-${B}`]: `${POINTER}!`,
    'executionPlan-xyz': POINTER,
    'application-x': POINTER,
    [leaderKey('restserver')]: 'no comma',
    [leaderKey('dispatcher')]: ',address',
    [leaderKey('resourcemanager')]: 'session,',
    [leaderKey('job-1')]: 's,a',
    [leaderKey('webui')]: 's,a',
    __proto: 'x',
  }
  const { planned, led, problems } = lockEntries(lock(bad, { binaryData: { [`executionPlan-${C}`]: 'AAAA' } }))
  t.equal(planned.size + led.size, 0)
  t.same(problems.map(({ key }) => key).sort(), [...Object.keys(bad), `executionPlan-${C}`].sort())
  for (const { configMap, problem } of problems) {
    t.equal(configMap, 'c-cluster-config-map')
    t.match(problem, /is needed|no such key|no binary data/)
  }
  const document = jobDocument({ id: A, name: null, leader: null, object: undefined }, lockEntries(lock(bad)))
  t.match(
    document,
    { state: 'leftover', problems: [{ key: `executionPlan-${A}` }] },
    'a job’s own is told with the job',
  )
})

t.test('damaged and foreign entries of a job are named and stepped over', async t => {
  for (const counter of ['', 'x', '-1', '1.5', '1e3', ' 7', '99999999999999999999', '9007199254740993'])
    t.match(jobEntries(jobMap(A, { counter })), { counter: null, problems: [{ key: 'counter' }] }, counter)
  const { checkpoints, problems } = jobEntries(
    jobMap(A, {
      [checkpointKey(3)]: POINTER,
      [checkpointKey(4)]: 'x',
      [checkpointKey(5)]: 'rO0AB',
      'checkpointID-6': POINTER,
      'checkpointID-oops': POINTER,
      'checkpointID-9999999999999999999': POINTER,
      'line\nbreak': '',
    }),
  )
  t.same(checkpoints, [3])
  t.equal(problems.length, 6)
  t.ok(
    problems.some(({ key }) => key === 'line\\nbreak'),
    'a key is shown without control characters',
  )
})

t.test('a thousand problems are told as a few and a count', async t => {
  const data = Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`k${at}`, '']))
  const { problems } = lockEntries(lock(data))
  t.equal(problems.length, 21)
  t.match(problems.at(-1)?.problem, '980 more')
  const shown = t.capture(JSON, 'stringify', JSON.stringify)
  lockEntries(lock(data))
  t.ok(shown().length <= 20, 'the rest is counted, not put into words')
})

t.test('size is told in bytes and in percent of what is taken', async t => {
  t.same(sizeOf(jobMap(A, { k: 'x'.repeat(249_999) })), { bytes: 250_000, sizePercent: 25 })
  t.same(sizeOf(undefined), { bytes: 0, sizePercent: 0 })
  t.equal(sizeOf(jobMap(A, { k: 'ü' })).bytes, 3)
})

t.test('what only looks like the cluster’s is a problem, and none of its data', async t => {
  const stranger = { metadata: { name: `c-${A}-config-map`, labels: { app: 'x' } }, data: { counter: '7' } }
  const autoscaler = { metadata: { name: 'c-x-config-map', labels: { ...haLabels('c'), component: 'autoscaler' } } }
  const { jobs, problems } = haDataOf('c', [
    lock({}),
    stranger,
    autoscaler,
    { metadata: { name: 'flink-config-c', labels: haLabels('c') } },
  ])
  t.same(jobs, [])
  t.match(problems, [{ configMap: `c-${A}-config-map`, key: '' }])
  t.equal(problems.length, 1)
})
