// Failsafe, rule by rule: who is asked, who promises what, who waits how long. The worlds by seed are in election-world.test.ts.
import t from 'tap'
import {
  type Action,
  type Event,
  type Lock,
  makeElection,
  NOBODY,
  type State,
  type Write,
} from '../../shared/election.ts'
import { FAILSAFE_LIMIT_MS } from '../../shared/failsafe.ts'
import { type ConfigMap, configMapPatch, lockOfConfigMap, newConfigMapLock } from '../../shared/lock.ts'
import { ANNOTATION_FAILSAFE } from '../../shared/names.ts'
import { formatRecord, formatTime, parseRecord } from '../../shared/record.ts'

const TIMINGS = { leaseMs: 10_000, renewDeadlineMs: 8_000, retryMs: 2_000 }
const [ME, LEADER, OTHER] = ['me_1', 'leader_2', 'other_3']
/** Ten per cent for two clocks whose rates differ. */
const STRANGER_MS = FAILSAFE_LIMIT_MS * 1.1

/** One candidate, its lock, and the time. */
class Play {
  readonly election: ReturnType<typeof makeElection>
  state: State
  actions: Action[] = []
  #version = 100

  constructor(failsafe = true) {
    this.election = makeElection(ME, TIMINGS, { failsafe })
    this.state = this.election.initial
    this.at(0, { type: 'stand' })
  }
  at(monoMs: number, event: Event): Action[] {
    const { state, actions } = this.election.step(this.state, event, { monoMs, wallUs: monoMs * 1000 + 1e15 })
    this.state = state
    this.actions.push(...actions)
    return actions
  }
  lock(holder: string, fields: Partial<Lock> & { leaseMs?: number } = {}): Lock {
    const { leaseMs = TIMINGS.leaseMs, ...rest } = fields
    const version = String(++this.#version)
    const times = { acquireTime: formatTime(0), renewTime: formatTime(this.#version) }
    const raw = formatRecord({ holder, leaseMs, ...times, transitions: 1 })
    return { version, exists: true, raw, record: parseRecord(raw), token: 7, successor: '', roster: [], ...rest }
  }
  see(monoMs: number, lock: Lock): Lock {
    this.at(monoMs, { type: 'lock-seen', lock })
    return lock
  }
  missing(monoMs: number): void {
    const version = String(++this.#version)
    const absent = { version, exists: false, raw: '', record: undefined, token: 0, successor: '', roster: [] }
    this.see(monoMs, absent)
  }
  write(): Write {
    const { write } = this.state
    if (write === undefined) throw new Error('no write is under way')
    return write
  }
  done(monoMs: number, write = this.write()): void {
    const { raw, token, successor, roster = [] } = write
    const record = parseRecord(raw)
    const lock = { version: String(++this.#version), exists: true, raw, record, token, successor, roster }
    this.at(monoMs, { type: 'write-done', id: write.id, lock })
  }
  lost(monoMs: number): Write {
    const write = this.write()
    this.at(monoMs, { type: 'write-failed', id: write.id, why: 'unreachable' })
    return write
  }
  untilMs(): number {
    return this.election.validUntilMs(this.state)
  }
  /** Whether it answers that it will wait. */
  promises(monoMs: number, fields: { leader?: string; token?: number; leaseMs?: number } = {}): boolean {
    const ask = { id: 1, leader: LEADER, token: 7, leaseMs: TIMINGS.leaseMs, ...fields }
    const answer = this.at(monoMs, { type: 'promise-asked', ask }).find(action => action.type === 'promise')
    return answer?.type === 'promise' && answer.given
  }
  asked(actions = this.actions): readonly string[] | undefined {
    const action = actions.filter(one => one.type === 'ask-promises').at(-1)
    return action?.type === 'ask-promises' ? action.members : undefined
  }
}

const leader = (peers: string[], failsafe = true): Play => {
  const play = new Play(failsafe)
  play.at(0, { type: 'peers', members: peers })
  play.see(0, play.lock(''))
  play.done(10)
  return play
}
/** Without an answer of the API from here on. */
const cutOff = (peers: string[]): Play => {
  const play = leader(peers)
  play.at(2_000, { type: 'tick' })
  play.lost(3_000)
  return play
}

t.test('a leader writes beside its record whom it will ask, itself among them', async t => {
  const play = leader([OTHER])
  t.same(play.state.lock?.roster, [ME, OTHER])
  play.at(100, { type: 'peers', members: [] })
  play.at(2_000, { type: 'tick' })
  t.same(play.write().roster, [ME])
})

t.test('without failsafe nothing is written, nobody is asked, and the term ends at its deadline', async t => {
  const play = leader([OTHER], false)
  t.equal(play.state.lock?.roster.length, 0)
  play.at(2_000, { type: 'tick' })
  t.equal(play.lost(3_000).roster, undefined)
  play.at(7_999, { type: 'tick' })
  t.equal(play.asked(), undefined)
  t.equal(play.untilMs(), 8_000)
})

t.test('a leader without failsafe removes the roster of one that had it', async t => {
  const play = new Play(false)
  play.see(0, play.lock('', { roster: [LEADER, ME] }))
  t.same(play.write().roster, [])
})

t.test('whoever gives a term up removes its roster: nobody has to wait for it', async t => {
  const play = leader([OTHER])
  play.at(1_000, { type: 'withdraw', reason: 'jvm-gone', successor: OTHER })
  t.match(play.write(), { kind: 'release', roster: [] })
})

t.test('a member of the roster waits the lease, whoever is not in it for the longest term more', async t => {
  const member = new Play(false)
  member.see(0, member.lock(LEADER, { roster: [LEADER, ME] }))
  t.equal(member.election.wakeAtMs(member.state), 10_000)
  const stranger = new Play(false)
  stranger.see(0, stranger.lock(LEADER, { roster: [LEADER, OTHER] }))
  t.equal(stranger.election.wakeAtMs(stranger.state), 10_000 + STRANGER_MS)
})

t.test('a roster that cannot be read is one that nobody is in', async t => {
  const seen = (roster: string): Lock => {
    const annotations = { [ANNOTATION_FAILSAFE]: roster }
    return lockOfConfigMap({ metadata: { name: 'lock', annotations } } as ConfigMap, '')
  }
  t.same(seen('["a","b"]').roster, ['a', 'b'])
  for (const garbage of ['', '{', '[]', '{}', '[1]', JSON.stringify(Array(65).fill('a'))]) {
    const play = new Play()
    play.see(0, play.lock(LEADER, { roster: seen(garbage).roster }))
    t.equal(play.election.wakeAtMs(play.state), 10_000 + STRANGER_MS, garbage)
  }
})

t.test(
  'a garbled record is waited for as its roster says, and so is a lock that was deleted and made anew',
  async t => {
    const garbled = new Play()
    garbled.see(0, garbled.lock(LEADER, { roster: [LEADER, OTHER] }))
    garbled.see(1_000, garbled.lock('', { raw: '{', record: undefined }))
    t.equal(garbled.election.wakeAtMs(garbled.state), 11_000 + STRANGER_MS)

    const maker = new Play()
    maker.see(0, maker.lock(LEADER, { roster: [LEADER, OTHER] }))
    maker.missing(1_000)
    t.match(
      maker.write(),
      { kind: 'create', roster: [LEADER, OTHER] },
      'who makes it says so to those who never saw it',
    )
    maker.done(1_010)
    t.equal(maker.election.wakeAtMs(maker.state), 1_010 + 10_000 + STRANGER_MS)

    const witness = new Play()
    witness.see(0, witness.lock(LEADER, { roster: [LEADER, OTHER] }))
    witness.see(1_000, witness.lock(NOBODY, { successor: NOBODY, token: 0 }))
    t.equal(witness.election.wakeAtMs(witness.state), 11_000 + STRANGER_MS, 'it remembers what the maker did not know')
  },
)

t.test('a lock that was given up is taken as ever, whatever roster stood there before', async t => {
  const play = new Play()
  play.see(0, play.lock(LEADER, { roster: [LEADER, OTHER] }))
  play.see(1_000, play.lock(''))
  t.equal(play.write().kind, 'acquire')
  const heir = new Play()
  heir.see(0, heir.lock(LEADER, { roster: [LEADER, OTHER] }))
  heir.see(1_000, heir.lock(OTHER, { successor: OTHER, leaseMs: 1_000 }))
  t.equal(heir.election.wakeAtMs(heir.state), 2_000)
})

t.test('a member promises only to the leader that it last saw in the lock, in that very term', async t => {
  const play = new Play()
  t.notOk(play.promises(0), 'it has not seen the lock')
  play.see(0, play.lock(LEADER, { roster: [LEADER, ME] }))
  t.ok(play.promises(1))
  t.ok(play.promises(1, { leaseMs: 10_000.2 }), 'a record states seconds, which are not exact')
  t.notOk(play.promises(2, { leader: OTHER }))
  t.notOk(play.promises(3, { token: 6 }))
  t.notOk(play.promises(4, { token: 8 }))
  t.notOk(play.promises(5, { leaseMs: 10_001 }), 'nor for longer than the record says')
  play.see(10, play.lock(LEADER, { successor: LEADER }))
  t.notOk(play.promises(11), 'handed over, not taken')
  play.see(12, play.lock('', { raw: '{', record: undefined }))
  t.notOk(play.promises(13), 'garbled')
  play.missing(14)
  t.notOk(play.promises(15), 'deleted')
})

t.test('a promise is a lease from the receipt of the question', async t => {
  const play = new Play()
  play.see(0, play.lock(LEADER, { roster: [LEADER, ME] }))
  t.ok(play.promises(9_000))
  play.at(18_999, { type: 'tick' })
  t.equal(play.state.write, undefined)
  t.equal(play.election.wakeAtMs(play.state), 19_000)
  play.at(19_000, { type: 'tick' })
  t.equal(play.write().kind, 'acquire')
})

t.test('a refused question changes nothing', async t => {
  const play = new Play()
  play.see(0, play.lock(LEADER, { roster: [LEADER, ME] }))
  play.promises(9_000, { token: 6 })
  t.equal(play.election.wakeAtMs(play.state), 10_000)
})

t.test('a promise binds over deletion and garbling, and ends with a release, a hand-over or a later term', async t => {
  const bound = (): Play => {
    const play = new Play()
    play.see(0, play.lock(LEADER, { roster: [LEADER, ME] }))
    play.promises(9_000)
    return play
  }
  const deleted = bound()
  deleted.missing(9_001)
  deleted.done(9_002)
  t.ok(deleted.election.wakeAtMs(deleted.state) >= 19_000)
  const garbled = bound()
  garbled.see(9_001, garbled.lock('', { raw: '{', record: undefined }))
  t.ok(garbled.election.wakeAtMs(garbled.state) >= 19_000)
  const released = bound()
  released.see(9_001, released.lock(''))
  t.equal(released.write().kind, 'acquire')
  const handed = bound()
  handed.see(9_001, handed.lock(ME, { successor: ME, leaseMs: 1_000 }))
  t.equal(handed.write().kind, 'acquire')
  const later = bound()
  later.see(9_001, later.lock(OTHER, { token: 8, leaseMs: 4_000 }))
  t.equal(later.election.wakeAtMs(later.state), 13_001)
})

t.test('a process that restarted forgets its promise, and watches the record for a whole lease anew', async t => {
  const play = new Play()
  const lock = play.lock(LEADER, { roster: [LEADER, ME] })
  play.see(9_500, lock)
  t.equal(play.election.wakeAtMs(play.state), 19_500)
})

t.test(
  'a leader asks at half of its deadline, and again each retry period for as long as nothing is answered',
  async t => {
    const play = leader([OTHER])
    t.equal(play.election.wakeAtMs(play.state), 2_000)
    play.at(2_000, { type: 'tick' })
    t.equal(play.election.wakeAtMs(play.state), 4_000)
    t.same(play.asked(play.at(3_999, { type: 'tick' })), undefined)
    t.same(play.at(4_000, { type: 'tick' }), [
      { type: 'ask-promises', members: [OTHER], token: play.state.token, leaseMs: 10_000, sentAtMs: 4_000 },
    ])
    t.same(play.asked(play.at(5_999, { type: 'tick' })), undefined)
    t.same(play.asked(play.at(6_000, { type: 'tick' })), [OTHER])
    play.done(6_500)
    play.done(6_600)
    t.same(play.asked(play.at(8_000, { type: 'tick' })), undefined, 'the write of 6.5 s was acknowledged')
  },
)

t.test('a round that all acknowledged counts from its sending, as a write does', async t => {
  const play = cutOff([OTHER])
  play.at(4_000, { type: 'tick' })
  play.at(5_000, { type: 'vouched', sentAtMs: 4_000 })
  t.equal(play.untilMs(), 12_000)
  t.equal(play.election.wakeAtMs(play.state) <= 12_000, true)
  play.at(6_000, { type: 'vouched', sentAtMs: 3_500 })
  t.equal(play.untilMs(), 12_000, 'an older round takes nothing back')
  play.at(12_000, { type: 'tick' })
  t.equal(play.actions.filter(action => action.type === 'yield').length, 1)
})

t.test('a round that comes too late begins nothing', async t => {
  const play = cutOff([OTHER])
  play.at(4_000, { type: 'tick' })
  play.at(8_000, { type: 'vouched', sentAtMs: 4_000 })
  t.equal(play.untilMs(), 0)
})

t.test('a round of an earlier term says nothing of the next one', async t => {
  const play = cutOff([OTHER])
  play.at(7_000, { type: 'tick' })
  play.at(8_000, { type: 'tick' })
  play.at(8_001, { type: 'lock-seen', lock: play.state.lock as Lock, read: true })
  const { sentAtMs } = play.write()
  play.done(8_010)
  play.at(8_020, { type: 'vouched', sentAtMs: 7_000 })
  t.equal(play.untilMs(), sentAtMs + 8_000)
})

t.test('no term lasts longer than the limit without an acknowledged write', async t => {
  const play = cutOff([])
  for (let now = 4_000; now < FAILSAFE_LIMIT_MS; now += 1_000) {
    const round = play.at(now, { type: 'tick' }).find(action => action.type === 'ask-promises')
    if (round?.type === 'ask-promises') play.at(now, { type: 'vouched', sentAtMs: round.sentAtMs })
    if (play.state.write !== undefined) play.lost(now)
  }
  t.equal(play.untilMs(), FAILSAFE_LIMIT_MS)
  play.at(FAILSAFE_LIMIT_MS, { type: 'tick' })
  t.match(
    play.actions.filter(action => action.type === 'yield'),
    [{ reason: 'deadline' }],
  )
})

t.test('everybody is asked who is in the roster of the last acknowledged write or of a later one', async t => {
  const play = leader([OTHER])
  play.at(100, { type: 'peers', members: ['new_4'] })
  play.at(2_000, { type: 'tick' })
  play.lost(3_000)
  play.at(3_001, { type: 'peers', members: [] })
  play.at(3_100, { type: 'tick' })
  play.lost(3_900)
  t.same(play.asked(play.at(4_000, { type: 'tick' })), [OTHER, 'new_4'], 'nobody knows which of them is there')
  play.at(6_000, { type: 'tick' })
  play.done(6_010)
  t.same(play.asked(play.at(10_000, { type: 'tick' })), [], 'an acknowledged one has replaced all before it')
})

t.test('a long outage does not make a long list', async t => {
  const play = cutOff([OTHER])
  for (let now = 3_100; now < 7_900; now += 100) {
    play.at(now, { type: 'tick' })
    if (play.state.write !== undefined) play.lost(now + 50)
  }
  t.equal(play.state.vouching.rosters.length, 1)
})

t.test('whoever is vouched for still yields at once to the sight of another holder', async t => {
  const play = cutOff([OTHER])
  play.at(4_000, { type: 'tick' })
  play.at(4_100, { type: 'vouched', sentAtMs: 4_000 })
  play.see(4_200, play.lock(OTHER, { token: 1_000 }))
  t.match(play.actions.at(-1), { type: 'yield', reason: 'superseded' })
})

t.test(
  'the roster is an annotation beside the record; without failsafe there is none, not even its removal',
  async t => {
    const written = (roster: readonly string[] | undefined) => {
      const play = leader([])
      play.at(2_000, { type: 'tick' })
      return configMapPatch({ ...play.write(), roster }, '', {}, {}, undefined).metadata.annotations as {
        [name: string]: unknown
      }
    }
    t.equal(written([ME, OTHER])[ANNOTATION_FAILSAFE], JSON.stringify([ME, OTHER]))
    t.equal(written([])[ANNOTATION_FAILSAFE], null)
    t.notOk(ANNOTATION_FAILSAFE in written(undefined))
    const maker = new Play()
    maker.missing(0)
    t.notOk(ANNOTATION_FAILSAFE in (newConfigMapLock(maker.write(), 'l', 'c').metadata.annotations ?? {}))
  },
)
