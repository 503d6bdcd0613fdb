// Every state of a candidate x every event, and every second event after it: the promises hold after each step. What is
// asked is in `test/world/watched-election.ts`.
import fc from 'fast-check'
import t from 'tap'
import type { Event, Lock } from '../../shared/election.ts'
import { holds } from '../world/seed.ts'
import { election, ME, WatchedElection } from '../world/watched-election.ts'

type Setup = () => WatchedElection
const GARBLED = { raw: '{"holderIdentity":', record: undefined }

const fresh: Setup = () => new WatchedElection()
const standing: Setup = () => {
  const play = fresh()
  play.at(0, { type: 'stand' })
  return play
}
const seeing = (make: Setup, lock: (play: WatchedElection) => Lock): WatchedElection => {
  const play = make()
  play.at(0, { type: 'lock-seen', lock: lock(play) })
  return play
}
const leader: Setup = () => {
  const play = seeing(standing, play => play.lock(''))
  play.answered(10)
  return play
}
const renewing: Setup = () => {
  const play = leader()
  play.at(2_000, { type: 'tick' })
  return play
}
/** The write under way fails. */
const failing = (make: Setup, why: 'conflict' | 'refused' | 'unreachable'): WatchedElection => {
  const play = make()
  play.at(2_001, { type: 'write-failed', id: play.state.write?.id ?? 0, why })
  return play
}
const withdrawn: Setup = () => {
  const play = leader()
  play.at(1_000, { type: 'withdraw', reason: 'jvm-gone', successor: 'heir_2' })
  return play
}

const STATES: { [name: string]: Setup } = {
  fresh,
  'standing, no lock seen': standing,
  'a follower that waits': () => seeing(standing, play => play.lock('other')),
  'a follower that has nothing to lead for': () => seeing(fresh, play => play.lock('other')),
  'a follower of a garbled record': () => seeing(standing, play => play.lock(undefined, GARBLED)),
  'making a missing lock': () => seeing(standing, play => play.absent()),
  acquiring: () => seeing(standing, play => play.lock('')),
  'acquiring, the answer lost': () => failing(() => seeing(standing, play => play.lock('')), 'unreachable'),
  leader,
  'a leader with data': () => {
    const play = leader()
    for (let i = 0; i < 3; i++) play.at(100, play.newData())
    return play
  },
  renewing,
  'renewing, a conflict': () => failing(renewing, 'conflict'),
  'renewing, refused': () => failing(renewing, 'refused'),
  'renewing, the answer lost': () => failing(renewing, 'unreachable'),
  'handed to': () => seeing(fresh, play => play.lock(ME, { successor: ME })),
  'handed to, beginning': () => seeing(standing, play => play.lock(ME, { successor: ME })),
  'restarted, no JVM yet': () => seeing(fresh, play => play.lock(ME)),
  resuming: () => seeing(standing, play => play.lock(ME)),
  resumed: () => {
    const play = seeing(standing, play => play.lock(ME))
    play.answered(10)
    return play
  },
  withdrawn,
  'withdrawn, the lock given back': () => {
    const play = withdrawn()
    play.answered(1_010)
    return play
  },
  'withdrawn, its release lost': () => failing(withdrawn, 'unreachable'),
  superseded: () => {
    const play = leader()
    play.at(1_000, { type: 'lock-seen', lock: play.lock('other') })
    return play
  },
  deposed: () => {
    const play = renewing()
    play.at(8_000, { type: 'tick' })
    return play
  },
}

/** Made when it is their turn: what they name depends on what was sent. */
const EVENTS: { [name: string]: (play: WatchedElection) => Event } = {
  tick: () => ({ type: 'tick' }),
  stand: () => ({ type: 'stand' }),
  withdraw: () => ({ type: 'withdraw', reason: 'shutdown' }),
  'hand over': () => ({ type: 'withdraw', reason: 'switchover', successor: 'heir_2' }),
  data: play => play.newData(),
  'a failed read': () => ({ type: 'read-failed' }),
  'a sight of ourselves': play => ({ type: 'lock-seen', lock: play.lock(ME) }),
  'a sight of ourselves, no token': play => ({ type: 'lock-seen', lock: play.lock(ME, { token: 0 }) }),
  'a hand-over to us': play => ({ type: 'lock-seen', lock: play.lock(ME, { successor: ME }) }),
  'a sight of another': play => ({ type: 'lock-seen', lock: play.lock('other'), read: true }),
  'a vacant lock': play => ({ type: 'lock-seen', lock: play.lock(''), read: true }),
  'a vacant lock, a hostile token': play => ({
    type: 'lock-seen',
    lock: play.lock('', { token: 2 ** 51 }),
    read: true,
  }),
  'a garbled lock': play => ({ type: 'lock-seen', lock: play.lock(undefined, GARBLED) }),
  'a missing lock': play => ({ type: 'lock-seen', lock: play.absent(), read: true }),
  'an old sight': play => ({ type: 'lock-seen', lock: play.lock('', { version: '1' }), read: true }),
  'the same again': play => ({ type: 'lock-seen', lock: play.state.lock ?? play.absent(), read: true }),
  'the last write answered': play => answer(play, play.sent.length - 1),
  'the first write answered': play => answer(play, 0),
  'the last write seen': play => {
    const write = play.sent.at(-1)
    return write === undefined ? { type: 'tick' } : play.sightAfter(write)
  },
  'a conflict': play => ({ type: 'write-failed', id: play.state.write?.id ?? 99, why: 'conflict' }),
  'a refusal': play => ({ type: 'write-failed', id: play.state.write?.id ?? 99, why: 'refused', retryAfterMs: 700 }),
  'no answer': play => ({ type: 'write-failed', id: play.state.write?.id ?? 99, why: 'unreachable' }),
  'a late failure': () => ({ type: 'write-failed', id: 1, why: 'conflict' }),
}
const answer = (play: WatchedElection, index: number): Event => {
  const write = play.sent[index]
  return write === undefined ? { type: 'read-failed' } : play.answerTo(write)
}
/** Within the retry period, within the deadline, past the deadline, past a lease. */
const PAUSES_MS = [5, 3_000, 9_000, 30_000]

/** Once nothing fails any more whoever has something to lead for leads. */
const settles = (play: WatchedElection): boolean => {
  let now = play.nowMs + 60_000
  play.at(now, { type: 'stand' })
  play.at(now, { type: 'lock-seen', lock: play.lock(''), read: true })
  for (let i = 0; i < 10; i++) {
    now += 20
    if (play.state.write !== undefined) play.answered(now)
    if (play.state.reading) play.at(now, play.read())
    if (play.state.write !== undefined) play.answered(now)
    if (play.leads) return true
    // A back-off is over, or in the end a lease.
    now += 2_000
    play.at(now, { type: 'tick' })
  }
  return play.leads
}

for (const [state, make] of Object.entries(STATES))
  t.test(`${state}: whatever happens, and happens next, the promises hold`, async t => {
    const broken = new Set<string>()
    const note = (play: WatchedElection, story: string): void => {
      for (const what of play.broken) broken.add(`${story}: ${what}`)
    }
    note(make(), 'at the start')
    for (const pauseMs of PAUSES_MS)
      for (const [first, makeFirst] of Object.entries(EVENTS))
        for (const [second, makeSecond] of Object.entries(EVENTS)) {
          const play = make()
          const story = `${first} after ${pauseMs} ms, then ${second}`
          play.at(play.nowMs + pauseMs, makeFirst(play))
          play.at(play.nowMs + 5, makeSecond(play))
          note(play, story)
          if (!settles(play)) broken.add(`${story}: nobody leads when all is well again`)
          note(play, `${story}, and when all is well again`)
        }
    t.same([...broken].slice(0, 5), [])
  })

t.test('the states are those that they are called', async t => {
  const state = (name: string) => (STATES[name] as Setup)().state
  t.match(state('acquiring').write, { kind: 'acquire', resumes: false })
  t.match(state('acquiring, the answer lost').unknown, [{ kind: 'acquire' }])
  t.match(state('making a missing lock').write, { kind: 'create' })
  t.match(state('renewing, a conflict'), { role: 'leader', reading: true })
  t.match(state('renewing, the answer lost').unknown, [{ kind: 'renew' }])
  t.match(state('handed to'), { role: 'follower', write: undefined, lock: { successor: ME } })
  t.match(state('handed to, beginning').write, { kind: 'acquire', resumes: false })
  t.match(state('resuming').write, { kind: 'acquire', resumes: true, token: 7 })
  t.match(state('resumed'), { role: 'leader', resumed: true, token: 7 })
  t.match(state('withdrawn').write, { kind: 'release', successor: 'heir_2' })
  t.match(state('deposed'), { role: 'follower', reading: true, standing: true })
  t.equal(election.wakeAtMs(state('a follower that waits')), 10_000)
})

t.test('a second withdrawal leaves the release under way alone: it may name a successor', async t => {
  const play = withdrawn()
  const { write } = play.state
  t.same(play.at(1_001, { type: 'withdraw', reason: 'shutdown' }), [])
  t.equal(play.state.write, write)
  t.match(write, { reason: 'jvm-gone', successor: 'heir_2' })
})

t.test('a token is above every one that this process had, though a third party took the highest away', async t => {
  const play = seeing(standing, play => play.lock('', { token: 2 ** 51 }))
  play.answered(10)
  play.at(1_000, { type: 'lock-seen', lock: play.lock('', { token: 0 }) })
  play.answered(1_010)
  t.ok(play.leads)
  t.equal(play.state.token, 2 ** 51 + 2)
})

t.test('data that is refused whenever it comes costs no term, however often it comes', async t => {
  const play = leader()
  let refused = 0
  for (let now = 100; now < 60_000; now += 10) {
    if (play.state.data.length === 0) play.at(now, play.newData())
    play.at(now, { type: 'tick' })
    const { write } = play.state
    if (write === undefined) continue
    if (write.data === undefined) play.answered(now + 5)
    else {
      refused++
      play.at(now + 5, { type: 'write-failed', id: write.id, why: 'refused' })
    }
    if (!play.leads) return t.fail(`the term ended at ${now} ms, after ${refused} refusals`)
  }
  t.ok(refused > 10, `${refused} refusals`)
})

t.test('long random stories: the promises hold after each step', async t => {
  const step = fc.record({ event: fc.constantFrom(...Object.keys(EVENTS)), pauseMs: fc.nat({ max: 12_000 }) })
  const property = fc.property(
    fc.constantFrom(...Object.keys(STATES)),
    fc.array(step, { maxLength: 30 }),
    (state, steps) => {
      const play = (STATES[state] as Setup)()
      for (const { event, pauseMs } of steps)
        play.at(play.nowMs + pauseMs, (EVENTS[event] as (p: WatchedElection) => Event)(play))
      if (play.broken.length > 0) throw new Error(play.broken.join('; '))
      if (!settles(play)) throw new Error('nobody leads when all is well again')
    },
  )
  await holds(t, property, 3_000)
})
