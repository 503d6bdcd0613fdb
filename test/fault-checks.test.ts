// The checks of `npm run test:faults` find what they look for: each is shown a history with the fault and one without.
import t from 'tap'
import { ANNOTATION_TOKEN } from '../shared/names.ts'
import { flinkSpans, servedSpans, validSpans } from './faults/believers.ts'
import type { Evidence, Logged, Told } from './faults/evidence.ts'
import { measure, type Seen } from './faults/measure.ts'
import { coveredMs, overlaps, without } from './faults/spans.ts'
import { breaches, foreignWrites, takeovers, type Version } from './faults/store.ts'

const says = (pod: string, atMs: number, validMs: number): Told => ({
  pod,
  sentMs: atMs - 1,
  gotMs: atMs + 1,
  leads: validMs > 0,
  validMs,
  error: '',
})
const fails = (pod: string, atMs: number, error: string): Told => ({ ...says(pod, atMs, 0), error })
const line = (pod: string, atMs: number, text: string, life = 0): Logged => ({
  pod,
  box: 'jobmanager',
  life,
  atMs,
  line: text,
})
const granted = (pod: string, atMs: number, life = 0) =>
  line(pod, atMs, 'DispatcherRunner was granted leadership', life)
const revoked = (pod: string, atMs: number) => line(pod, atMs, 'DispatcherRunner was revoked the leadership')
const completed = (pod: string, atMs: number, id: number) => line(pod, atMs, `Completed checkpoint ${id} for job x`)
const restoring = (pod: string, atMs: number, id: number) => line(pod, atMs, `Restoring job x from Checkpoint ${id} @`)

t.test('overlaps are of different holders', async t => {
  const spans = [
    { who: 'a', fromMs: 0, toMs: 10 },
    { who: 'a', fromMs: 5, toMs: 20 },
    { who: 'b', fromMs: 20, toMs: 30 },
    { who: 'c', fromMs: 28, toMs: 40 },
  ]
  t.same(overlaps(spans), [{ who: ['b', 'c'], fromMs: 28, toMs: 30 }])
  t.equal(coveredMs(spans, 8, 35), 27, 'what is covered twice counts once')
  t.same(without(spans, [{ who: 'b', fromMs: 22, toMs: 25 }]).filter(({ who }) => who === 'b').length, 2)
})

t.test('a believer is valid until it says otherwise', async t => {
  t.same(validSpans([says('a', 100, 8_000), says('a', 120, 8_000), says('a', 140, 0), says('a', 160, 0)]), [
    { who: 'a', fromMs: 101, toMs: 119 },
  ])
  t.same(
    validSpans([says('a', 100, 8_000), says('a', 120, 8_000), fails('a', 140, 'ECONNREFUSED')])[0]?.toMs,
    119,
    'who is gone believes nothing',
  )
})

t.test('a believer that stands still is valid for as long as it said', async t => {
  const told = [says('a', 100, 3_000), says('a', 120, 3_000), fails('a', 140, 'SILENT'), fails('a', 9_000, 'SILENT')]
  t.equal(validSpans(told)[0]?.toMs, 3_119)
  t.equal(overlaps(validSpans([...told, says('b', 3_000, 8_000), says('b', 3_050, 8_000)])).length, 1)
  t.equal(overlaps(validSpans([...told, says('b', 3_200, 8_000), says('b', 3_250, 8_000)])).length, 0)
  t.equal(validSpans([...told.slice(0, 3), says('a', 1_000, 0)])[0]?.toMs, 999, 'or until it comes back and says no')
})

t.test('a JVM believes from its grant to its revocation or its end', async t => {
  const logged = [granted('a', 10), revoked('a', 50), granted('a', 70), granted('b', 60), granted('a', 200, 1)]
  t.same(flinkSpans({ logged, ended: [{ pod: 'a', box: 'jobmanager', life: 0, atMs: 90 }] }, 300), [
    { who: 'a', fromMs: 10, toMs: 50 },
    { who: 'a', fromMs: 70, toMs: 90 },
    { who: 'b', fromMs: 60, toMs: 300 },
    { who: 'a', fromMs: 200, toMs: 300 },
  ])
  const stopping = line('b', 80, 'Shutting StandaloneSessionClusterEntrypoint down with application status UNKNOWN.')
  t.equal(flinkSpans({ logged: [granted('b', 60), stopping], ended: [] }, 300)[0]?.toMs, 80, 'or until it stops itself')
})

t.test('a job with two starts at the same time has two masters', async t => {
  const tells = (pod: string, atMs: number, start: number, state = 'RUNNING') => ({
    pod,
    sentMs: atMs,
    gotMs: atMs + 1,
    jobs: [{ jid: 'j', state, start }],
  })
  const one = [tells('a', 0, 1), tells('b', 0, 1), tells('a', 100, 1), tells('b', 100, 1)]
  t.same(overlaps(servedSpans(one, 'j')), [], 'a standby tells the leader’s')
  const two = [...one, tells('b', 200, 2), tells('a', 300, 1), tells('b', 300, 2)]
  t.equal(overlaps(servedSpans(two, 'j')).length, 1)
  t.equal(overlaps(servedSpans([...one, tells('b', 200, 2, 'CREATED'), tells('b', 300, 2, 'CREATED')], 'j')).length, 0)
})

const MAP = 'ticker-0123-config-map'
const version = (atMs: number, data: { [key: string]: string }, token = 1, name = MAP): Version => ({
  atMs,
  name,
  object: { metadata: { annotations: { [ANNOTATION_TOKEN]: String(token) } }, data },
})
const checkpoint = (id: number) => `checkpointID-${String(id).padStart(19, '0')}`

t.test('a checkpoint gives way to a newer one alone', async t => {
  const was = version(0, { counter: '8', [checkpoint(7)]: 'x' })
  const both = version(1, { counter: '9', [checkpoint(7)]: 'x', [checkpoint(8)]: 'y' })
  const marked = version(2, { counter: '9', [checkpoint(7)]: 'x, marked', [checkpoint(8)]: 'y' })
  const is = version(3, { counter: '9', [checkpoint(8)]: 'y' })
  t.same(breaches([was, both, marked, is]), [])
  const what = (...versions: Version[]) => breaches(versions).map(breach => breach.what)
  t.match(what(is, version(4, { counter: '9', [checkpoint(7)]: 'x' }))[0], /8 lost/)
  t.match(what(is, version(4, { counter: '9', [checkpoint(8)]: 'z' }))[0], /8 overwritten/)
  t.match(what(is, version(4, { counter: '8', [checkpoint(8)]: 'y' }))[0], /counter 9, then 8/)
  t.match(what(is, version(4, { counter: '9', [checkpoint(8)]: 'y' }, 0))[0], /token 1, then 0/)
  t.match(what(is, version(4, {}))[0], /8 lost/, 'nor to nothing')
})

t.test('a write is foreign when another was granted leadership before it', async t => {
  const logged = [granted('b', 50), granted('a', 10)]
  const write = (pod: string, atMs: number, name = MAP) => ({ pod, atMs, name })
  t.same(foreignWrites([write('a', 40), write('b', 60), write('a', 60, 'ticker-cluster-config-map')], logged), [])
  t.same(foreignWrites([write('a', 60)], logged), [write('a', 60)])
})

t.test('a takeover goes on from the last checkpoint that was completed before it', async t => {
  const before = [granted('a', 0), completed('a', 10, 1), completed('a', 20, 2)]
  const [good] = takeovers([...before, granted('b', 30), restoring('b', 40, 2), completed('b', 50, 3)], 25, 100)
  t.match(good, { pod: 'b', restored: 2, completed: 2, stray: [] })
  const [old] = takeovers([...before, granted('b', 30), restoring('b', 40, 1)], 25, 100)
  t.match(old, { restored: 1, completed: 2 })
  const [stray] = takeovers([...before, granted('b', 30), restoring('b', 40, 2), completed('a', 50, 3)], 25, 100)
  t.match(stray, { stray: [3] })
  const [late] = takeovers([...before, granted('b', 30), restoring('b', 40, 3), completed('a', 50, 3)], 25, 100)
  t.match(late, { stray: [] }, 'an old leader may learn late that its last write was made')
  const [anew] = takeovers([...before, granted('b', 30), line('b', 40, 'No checkpoint found during restore.')], 25, 100)
  t.match(anew, { restored: 0, completed: 2 })
})

t.test('a round comes to figures', async t => {
  const ticker = (atMs: number, text: string): Logged => ({ pod: 't', box: 'taskmanager', life: 0, atMs, line: text })
  const evidence: Evidence = {
    told: [],
    served: [],
    logged: [
      granted('a', 0),
      completed('a', 900, 5),
      ticker(900, 'ticker at 90'),
      revoked('a', 1_400),
      granted('b', 1_500),
      restoring('b', 1_600, 5),
      ticker(3_000, 'ticker restored 80'),
      ticker(3_100, 'ticker at 81'),
    ],
    ended: [],
  }
  const seen: Seen = {
    evidence,
    versions: [],
    accepted: [{ pod: 'a', atMs: 1_700, name: MAP }],
    jobId: 'j',
    leader: 'a',
    jvm: undefined,
    atMs: 1_000,
    healedMs: 2_000,
    toMs: 4_000,
  }
  t.match(measure(seen), {
    grantedMs: 500,
    granted: ['b'],
    backMs: 0,
    leaderlessMs: 100,
    toldMs: 100,
    flinkOverlapMs: 0,
    restarts: 1,
    restartsAfterHeal: 1,
    silentMs: 2_100,
    lost: [],
    foreign: 1,
    tickerLost: [],
  })
  t.match(measure({ ...seen, jvm: 'frozen' }), { leaderlessMs: 500 }, 'a frozen leader leads nobody')
  t.match(measure({ ...seen, jvm: 'ended' }), { leaderlessMs: 500 }, 'nor does one that ended')
  const late = evidence.logged.map(one => (one.atMs === 1_400 ? { ...one, atMs: 1_900 } : one))
  t.match(measure({ ...seen, evidence: { ...evidence, logged: late } }), { toldMs: -400, flinkOverlapMs: 400 })
})
