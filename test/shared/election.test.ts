// The election, rule by rule. The names say what holds; test/mutations-list.ts removes the rules one by one and looks at which
// of these turns red.
import t from 'tap'
import {
  type Action,
  type Event,
  holderOf,
  type Lock,
  makeElection,
  NOBODY,
  nextToken,
  type State,
  type Write,
} from '../../shared/election.ts'
import { formatRecord, formatTime, parseRecord } from '../../shared/record.ts'

const TIMINGS = { leaseMs: 10_000, renewDeadlineMs: 8_000, retryMs: 2_000 }
const ME = 'me_1'
const election = makeElection(ME, TIMINGS)

/** Plays events at given times (milliseconds) against one candidate and keeps what it did. */
class Play {
  state: State = election.initial
  actions: Action[] = []
  #version = 100

  at(monoMs: number, event: Event): Action[] {
    const step = election.step(this.state, event, { monoMs, wallUs: Math.floor(monoMs * 1000) + 1e15 })
    this.state = step.state
    this.actions.push(...step.actions)
    return step.actions
  }
  lock(holder: string | undefined, fields: Partial<Lock> & { leaseMs?: number; renew?: number } = {}): Lock {
    const { leaseMs = 10_000, renew = ++this.#version, ...rest } = fields
    const raw =
      holder === undefined
        ? ''
        : formatRecord({ holder, leaseMs, acquireTime: formatTime(0), renewTime: formatTime(renew), transitions: 1 })
    return {
      version: String(++this.#version),
      exists: true,
      raw,
      record: parseRecord(raw),
      token: 7,
      successor: '',
      roster: [],
      ...rest,
    }
  }
  absent(): Lock {
    return {
      version: String(++this.#version),
      exists: false,
      raw: '',
      record: undefined,
      token: 0,
      successor: '',
      roster: [],
    }
  }
  /** The lock as a write leaves it. */
  after(write: Write): Lock {
    const { raw, token, successor, roster = [] } = write
    const version = String(++this.#version)
    return { version, exists: true, raw, record: parseRecord(raw), token, successor, roster }
  }
  write(): Write {
    const { write } = this.state
    if (write === undefined) throw new Error('no write is under way')
    return write
  }
  done(monoMs: number, write = this.write()): Action[] {
    return this.at(monoMs, { type: 'write-done', id: write.id, lock: this.after(write) })
  }
  leads(monoMs: number): boolean {
    return monoMs < election.validUntilMs(this.state)
  }
  kinds(): string[] {
    return this.actions.map(action => (action.type === 'write-lock' ? action.write.kind : action.type))
  }
}

const leader = (): Play => {
  const play = new Play()
  play.at(0, { type: 'stand' })
  play.at(0, { type: 'lock-seen', lock: play.lock('') })
  play.done(10)
  play.actions = []
  return play
}

t.test('a vacant lock is taken at once, by a compare-and-set on the version that was seen', async t => {
  const play = new Play()
  play.at(0, { type: 'stand' })
  const lock = play.lock('')
  play.at(0, { type: 'lock-seen', lock })
  t.match(play.write(), { kind: 'acquire', version: lock.version })
  play.done(10)
  t.ok(play.leads(11))
  t.match(play.actions.at(-1), { type: 'lead', resumed: false })
})

t.test('nobody who has nothing to lead for takes a lock', async t => {
  const play = new Play()
  play.at(0, { type: 'lock-seen', lock: play.lock('') })
  play.at(60_000, { type: 'tick' })
  t.same(play.actions, [])
})

t.test('a follower waits the whole lease that the record states, from its own first sight of it', async t => {
  const play = new Play()
  play.at(0, { type: 'stand' })
  const lock = play.lock('other', { leaseMs: 15_000 })
  play.at(1_000, { type: 'lock-seen', lock })
  play.at(15_999, { type: 'tick' })
  t.same(play.actions, [])
  t.equal(election.wakeAtMs(play.state), 16_000)
  play.at(16_000, { type: 'tick' })
  t.match(play.write(), { kind: 'acquire', version: lock.version })
})

t.test('a renewal begins the wait anew, a mere change of version does not', async t => {
  const play = new Play()
  play.at(0, { type: 'stand' })
  play.at(0, { type: 'lock-seen', lock: play.lock('other', { renew: 1 }) })
  play.at(5_000, { type: 'lock-seen', lock: play.lock('other', { renew: 2 }) })
  t.equal(election.wakeAtMs(play.state), 15_000)
  const touched = play.lock('other', { renew: 2 })
  play.at(9_000, { type: 'lock-seen', lock: touched })
  t.equal(election.wakeAtMs(play.state), 15_000)
  play.at(15_000, { type: 'tick' })
  t.equal(play.write().version, touched.version, 'the compare-and-set is on the newest version')
})

t.test('a lower version is an old sight and is ignored', async t => {
  const play = new Play()
  play.at(0, { type: 'stand' })
  play.at(0, { type: 'lock-seen', lock: play.lock('other', { version: '500' }) })
  play.at(1_000, { type: 'lock-seen', lock: play.lock('', { version: '499' }) })
  t.same(play.actions, [])
})

t.test(
  'a missing lock is made held by nobody, and waited for as long as a lease: it may have been deleted under a living leader',
  async t => {
    const play = new Play()
    play.at(500, { type: 'lock-seen', lock: play.absent() })
    t.match(play.write(), { kind: 'create', version: '' })
    t.equal(parseRecord(play.write().raw)?.holder, NOBODY)
    play.done(600)
    t.equal(holderOf(play.state.lock), '', 'nobody is told to lead')
    play.at(700, { type: 'stand' })
    play.at(10_599, { type: 'tick' })
    t.same(play.kinds(), ['create'])
    play.at(10_600, { type: 'tick' })
    t.match(play.write(), { kind: 'acquire', version: play.state.lock?.version })
  },
)

t.test('whoever gave up does not make a lock anew: it may have been removed for good', async t => {
  const play = leader()
  play.at(1_000, { type: 'withdraw', reason: 'jvm-stopped' })
  play.done(1_010)
  play.at(2_000, { type: 'lock-seen', lock: play.absent() })
  play.at(60_000, { type: 'tick' })
  t.same(play.kinds(), ['yield', 'release'])
})

t.test('a record that cannot be read is waited for, and then overwritten', async t => {
  const play = new Play()
  play.at(0, { type: 'stand' })
  play.at(0, { type: 'lock-seen', lock: play.lock(undefined, { raw: '{"holderIdentity":' }) })
  play.at(9_999, { type: 'tick' })
  t.same(play.actions, [])
  play.at(10_000, { type: 'tick' })
  t.match(play.write(), { kind: 'acquire' })
})

t.test('a term is counted from the sending of its write, not from the answer', async t => {
  const play = new Play()
  play.at(0, { type: 'stand' })
  play.at(1_000, { type: 'lock-seen', lock: play.lock('') })
  play.done(6_000)
  t.equal(election.validUntilMs(play.state), 9_000)
})

t.test('a leader yields at the deadline even if no answer ever comes', async t => {
  const play = leader()
  play.at(2_000, { type: 'tick' })
  t.match(play.kinds(), ['renew'])
  play.at(7_999, { type: 'tick' })
  t.ok(play.leads(7_999))
  play.at(8_000, { type: 'tick' })
  t.match(play.kinds(), ['renew', 'yield', 'read-lock'], 'and reads before it writes again')
  t.notOk(play.leads(8_000))
})

t.test('whoever wakes up late has lost, whatever he is told then', async t => {
  const play = leader()
  play.at(2_000, { type: 'tick' })
  const write = play.write()
  play.actions = []
  play.at(60_000, { type: 'write-done', id: write.id, lock: play.after(write) })
  t.match(play.actions[0], { type: 'yield', reason: 'deadline' })
  t.notOk(play.leads(60_000))
})

t.test('a late success does not lead', async t => {
  const play = new Play()
  play.at(0, { type: 'stand' })
  play.at(0, { type: 'lock-seen', lock: play.lock('') })
  play.done(8_001)
  t.notOk(play.kinds().includes('lead'))
  t.match(play.write().kind, 'acquire', 'it asks again instead')
})

t.test('a write without an answer is neither made nor not made until its record is seen', async t => {
  const play = leader()
  play.at(2_000, { type: 'tick' })
  const write = play.write()
  play.at(4_000, { type: 'write-failed', id: write.id, why: 'unreachable' })
  t.equal(election.validUntilMs(play.state), 8_000, 'it proves nothing yet')
  play.at(4_100, { type: 'lock-seen', lock: play.after(write) })
  t.equal(election.validUntilMs(play.state), 10_000, 'its sight proves it, from its sending')
})

t.test('after a conflict nothing is written before the lock was read again', async t => {
  const play = leader()
  play.at(2_000, { type: 'tick' })
  play.actions = []
  play.at(2_010, { type: 'write-failed', id: play.write().id, why: 'conflict' })
  t.match(play.kinds(), ['read-lock'])
  play.at(4_000, { type: 'tick' })
  t.match(play.kinds(), ['read-lock'])
  const { raw } = play.state.lock as Lock
  const touched = play.lock(undefined, { raw, record: parseRecord(raw) })
  play.at(4_001, { type: 'lock-seen', lock: touched, read: true })
  t.match(play.write(), { kind: 'renew', version: touched.version })
  t.ok(play.leads(4_001))
})

t.test('a storm of conflicts is answered ever more slowly', async t => {
  const play = leader()
  let writes = 0
  let now = 2_000
  for (; now < 7_000; now += 10) {
    play.at(now, { type: 'tick' })
    const { write } = play.state
    if (write === undefined) continue
    writes++
    play.at(now, { type: 'write-failed', id: write.id, why: 'conflict' })
    play.at(now, { type: 'lock-seen', lock: play.state.lock as Lock, read: true })
  }
  t.ok(writes > 2 && writes < 12, `${writes} writes in 5 s`)
})

t.test('a failed read is tried again, after a while', async t => {
  const play = leader()
  play.at(2_010, { type: 'tick' })
  play.at(2_020, { type: 'write-failed', id: play.write().id, why: 'conflict' })
  play.at(2_030, { type: 'read-failed' })
  const wakeAtMs = election.wakeAtMs(play.state)
  t.ok(wakeAtMs > 2_030 && wakeAtMs < 4_030, `at ${wakeAtMs}`)
  play.at(wakeAtMs, { type: 'tick' })
  play.at(wakeAtMs + 10, { type: 'write-failed', id: play.write().id, why: 'conflict' })
  t.match(play.actions.at(-1), { type: 'read-lock' }, 'the next try finds out the same, and reads')
})

t.test('a failed renewal is tried again before the next retry period', async t => {
  const play = leader()
  play.at(2_010, { type: 'tick' })
  play.at(2_020, { type: 'write-failed', id: play.write().id, why: 'unreachable' })
  const wakeAtMs = election.wakeAtMs(play.state)
  t.ok(wakeAtMs < 2_200, `at ${wakeAtMs}`)
  t.match(play.at(wakeAtMs, { type: 'tick' }), [{ type: 'write-lock', write: { kind: 'renew' } }])
})

t.test('whoever lost a term stands for the next one', async t => {
  const play = leader()
  play.at(100, { type: 'lock-seen', lock: play.lock('other') })
  t.match(play.actions, [{ type: 'yield' }])
  t.match(play.at(200, { type: 'lock-seen', lock: play.lock('') }), [
    { type: 'write-lock', write: { kind: 'acquire' } },
  ])
})

t.test('a leader that sees another holder yields at once', async t => {
  const play = leader()
  play.at(1_000, { type: 'lock-seen', lock: play.lock('other') })
  t.match(play.actions, [{ type: 'yield', reason: 'superseded' }])
})

t.test('a leader whose lock is deleted yields at once', async t => {
  const play = leader()
  play.at(1_000, { type: 'lock-seen', lock: play.absent() })
  t.match(play.actions, [{ type: 'yield', reason: 'lock-deleted' }])
})

t.test('a JVM that is gone ends the term first and gives the lock back then', async t => {
  const play = leader()
  play.at(1_000, { type: 'withdraw', reason: 'jvm-gone' })
  t.match(play.kinds(), ['yield', 'release'])
  t.match(play.write(), { reason: 'jvm-gone', token: play.state.lock?.token })
  t.equal(parseRecord(play.write().raw)?.holder, '')
  play.done(1_010)
  play.at(60_000, { type: 'tick' })
  t.match(play.kinds(), ['yield', 'release'], 'and that is all')
})

t.test('a release does not wait for a renewal under way, and what that renewal makes is given back too', async t => {
  const play = leader()
  play.at(2_000, { type: 'tick' })
  const renewal = play.write()
  play.at(2_001, { type: 'withdraw', reason: 'shutdown' })
  t.match(play.write(), { kind: 'release' })
  play.at(2_020, { type: 'write-done', id: renewal.id, lock: play.after(renewal) })
  t.notOk(play.leads(2_020), 'a release is final')
  play.at(2_030, { type: 'write-failed', id: play.write().id, why: 'conflict' })
  play.at(2_040, { type: 'lock-seen', lock: play.state.lock as Lock, read: true })
  t.match(play.write(), { kind: 'release', version: play.state.lock?.version })
})

t.test('a hand-over names the successor, for a second; he begins a new term, others may when he does not', async t => {
  const play = leader()
  play.at(1_000, { type: 'withdraw', reason: 'jvm-gone', successor: 'heir_2' })
  const record = parseRecord(play.write().raw)
  t.match(record, { holder: 'heir_2', leaseMs: 1_000 })
  const handed = play.after(play.write())

  const heir = makeElection('heir_2', TIMINGS)
  let state = heir.step(heir.initial, { type: 'stand' }, { monoMs: 0, wallUs: 0 }).state
  const begun = heir.step(state, { type: 'lock-seen', lock: handed }, { monoMs: 1, wallUs: 1 })
  t.equal(heir.validUntilMs(begun.state), 0, 'being named is not yet leading')
  t.match(begun.actions, [{ type: 'write-lock', write: { kind: 'acquire', resumes: false } }])
  t.ok((begun.state.write?.token ?? 0) > handed.token)

  const third = makeElection('third_3', TIMINGS)
  state = third.step(third.initial, { type: 'stand' }, { monoMs: 0, wallUs: 0 }).state
  state = third.step(state, { type: 'lock-seen', lock: handed }, { monoMs: 0, wallUs: 0 }).state
  t.equal(third.wakeAtMs(state), 1_000)
})

t.test('a restarted process goes on with the term that names it, under the same token', async t => {
  const play = new Play()
  play.at(0, { type: 'lock-seen', lock: play.lock(ME, { token: 42 }) })
  t.same(play.actions, [], 'not before there is a JVM to lead for')
  play.at(100, { type: 'stand' })
  t.match(play.write(), { kind: 'acquire', resumes: true, token: 42 })
  play.done(110)
  t.match(play.actions.at(-1), { type: 'lead', token: 42, resumed: true })
})

t.test('a term that was given up is not gone on with: the next one has a higher token', async t => {
  const play = leader()
  const { token } = play.state
  play.at(8_000, { type: 'tick' })
  play.at(8_001, { type: 'lock-seen', lock: play.state.lock as Lock, read: true })
  t.match(play.write(), { kind: 'acquire', resumes: false })
  t.ok(play.write().token > token)
})

t.test('a token is above the last one and above the version that is taken', async t => {
  t.equal(nextToken({ ...new Play().lock(''), version: '900', token: 7 }), 901)
  t.equal(nextToken({ ...new Play().lock(''), version: '900', token: 5_000 }), 5_001)
})

t.test('data rides on the next write, which is a renewal as well, one at a time and in order', async t => {
  const play = leader()
  play.at(100, { type: 'data-write', data: 1 })
  play.at(101, { type: 'data-write', data: 2 })
  t.match(play.write(), { kind: 'renew', data: 1 })
  play.done(110)
  t.match(play.write(), { kind: 'renew', data: 2 })
  play.done(120)
  t.equal(election.wakeAtMs(play.state), 110 + 2_000, 'and counts as the renewal of its period')
})

t.test('a leader keeps its token, whatever a third party makes of the annotation', async t => {
  for (const token of [0, 3, 2 ** 51]) {
    const play = leader()
    const { token: own } = play.state
    const mine = play.state.lock as Lock
    play.at(500, { type: 'lock-seen', lock: { ...mine, version: '5000', token } })
    play.at(2_000, { type: 'tick' })
    t.equal(play.write().token, own)
    t.equal(play.state.token, own)
    t.ok(play.leads(2_000))
  }
})

t.test('data that is refused again and again does not cost the term', async t => {
  const play = leader()
  let handle = 0
  const offer = (at: number): void => void play.at(at, { type: 'data-write', data: ++handle })
  for (let at = 100; at < 60_000; at += 10) {
    if (play.state.data.length === 0) offer(at)
    play.at(at, { type: 'tick' })
    const { write } = play.state
    if (write?.data !== undefined) play.at(at + 5, { type: 'write-failed', id: write.id, why: 'refused' })
    else if (write !== undefined) play.done(at + 5, write)
    if (!play.leads(at + 5)) return t.fail(`the term ended at ${at} ms`)
  }
  t.ok(handle > 10, 'it came again and again')
})

t.test('data is refused without a valid term, also when it was waiting', async t => {
  const play = new Play()
  t.match(play.at(0, { type: 'data-write', data: 1 }), [{ type: 'data-refused', data: 1 }])
  const late = leader()
  late.at(7_000, { type: 'tick' })
  late.at(7_001, { type: 'data-write', data: 2 })
  t.match(late.at(8_000, { type: 'tick' }), [
    { type: 'yield' },
    { type: 'data-refused', data: 2 },
    { type: 'read-lock' },
  ])
})

t.test('a leader writes once in a retry period and no more', async t => {
  const play = leader()
  for (let now = 20; now <= 20_000; now += 20) {
    play.at(now, { type: 'tick' })
    if (play.state.write !== undefined) play.done(now + 5)
  }
  t.equal(play.kinds().filter(kind => kind === 'renew').length, 10)
})

t.test('a wall clock that is set back, or stands, still makes renewals look like renewals', async t => {
  const now = { monoMs: 0, wallUs: 1e15 }
  let { state } = election.step(election.initial, { type: 'stand' }, now)
  state = election.step(state, { type: 'lock-seen', lock: new Play().lock('') }, now).state
  const first = state.write as Write
  const lock = new Play().after(first)
  state = election.step(state, { type: 'write-done', id: first.id, lock: { ...lock, version: '9000' } }, now).state
  state = election.step(state, { type: 'tick' }, { monoMs: 2_000, wallUs: 1e15 }).state
  t.not(state.write?.raw, first.raw)
})

t.test('every event in every state leaves a state in which an overdue leader does not lead', async t => {
  const setups: { [name: string]: () => Play } = {
    fresh: () => new Play(),
    leader,
    renewing: () => {
      const play = leader()
      play.at(2_000, { type: 'tick' })
      return play
    },
    reading: () => {
      const play = leader()
      play.at(2_000, { type: 'tick' })
      play.at(2_001, { type: 'write-failed', id: play.write().id, why: 'conflict' })
      return play
    },
    withdrawn: () => {
      const play = leader()
      play.at(1_000, { type: 'withdraw', reason: 'jvm-gone' })
      return play
    },
  }
  const events = (play: Play): Event[] => [
    { type: 'tick' },
    { type: 'stand' },
    { type: 'withdraw', reason: 'shutdown' },
    { type: 'data-write', data: 9 },
    { type: 'read-failed' },
    { type: 'lock-seen', lock: play.lock(ME) },
    { type: 'lock-seen', lock: play.lock('other') },
    { type: 'lock-seen', lock: play.lock('') },
    { type: 'lock-seen', lock: play.absent() },
    { type: 'write-done', id: play.state.write?.id ?? 99, lock: play.lock(ME) },
    { type: 'write-failed', id: play.state.write?.id ?? 99, why: 'conflict' },
    { type: 'write-failed', id: play.state.write?.id ?? 99, why: 'refused' },
    { type: 'write-failed', id: play.state.write?.id ?? 99, why: 'unreachable' },
  ]
  for (const [name, make] of Object.entries(setups))
    for (let i = 0; i < events(make()).length; i++) {
      const play = make()
      const event = events(play)[i] as Event
      play.at(8_500, event)
      t.notOk(play.leads(8_500), `${name}: ${event.type} after the deadline`)
      const inTime = make()
      inTime.at(3_000, events(inTime)[i] as Event)
      t.ok(
        election.validUntilMs(inTime.state) <= 3_000 + 8_000,
        `${name}: ${event.type} in time promises no more than a deadline`,
      )
    }
})
