import t from 'tap'
import {
  FLINK_LEASE_MS,
  initialJvm,
  isDeposed,
  type JvmAction,
  type JvmEvent,
  type JvmState,
  jvmWakeAtMs,
  stepJvm,
} from '../../sidecar/jvm.ts'

class Play {
  state: JvmState = initialJvm
  at(nowMs: number, event: JvmEvent): JvmAction[] {
    const { state, actions } = stepJvm(this.state, event, nowMs)
    this.state = state
    return actions
  }
}

/** A JVM with two sockets that leads. */
const standing = (): Play => {
  const play = new Play()
  play.at(0, { type: 'socket-opened' })
  play.at(0, { type: 'socket-opened' })
  play.at(0, { type: 'elector-heard' })
  play.at(0, { type: 'leading', leading: true, resumed: false })
  play.at(0, { type: 'claimed', identity: 'j', leaseMs: 15_000 })
  return play
}

t.test('a JVM stands as soon as its elector asks for the lock, and not before', async t => {
  const play = new Play()
  t.same(play.at(0, { type: 'socket-opened' }), [])
  t.same(play.at(1, { type: 'listed' }), [])
  t.same(play.at(2, { type: 'elector-heard' }), [{ type: 'stand' }])
})

t.test('all sockets closed and the port refused is a death', async t => {
  const play = standing()
  t.same(play.at(1_000, { type: 'socket-closed' }), [], 'one of them closes all the time')
  t.same(play.at(1_001, { type: 'socket-closed' }), [{ type: 'probe' }])
  t.same(play.at(1_002, { type: 'port-refused' }), [{ type: 'withdraw', reason: 'jvm-gone' }])
  t.match(play.state, { phase: 'absent', identity: '' })
})

t.test('an open port is asked again, because a process that ends takes its time', async t => {
  const play = standing()
  play.at(1_000, { type: 'socket-closed' })
  play.at(1_001, { type: 'socket-closed' })
  t.same(play.at(1_002, { type: 'port-open' }), [])
  t.equal(jvmWakeAtMs(play.state), 1_003, 'at once at first')
  t.same(play.at(1_003, { type: 'tick' }), [{ type: 'probe' }])
  play.at(1_500, { type: 'port-open' })
  t.equal(jvmWakeAtMs(play.state), 1_510, 'and in its own time if the doubt goes on')
})

t.test('a JVM that comes back while its port is asked has not died', async t => {
  const play = standing()
  play.at(1_000, { type: 'socket-closed' })
  play.at(1_001, { type: 'socket-closed' })
  play.at(1_002, { type: 'socket-opened' })
  t.same(play.at(1_003, { type: 'port-refused' }), [])
  t.equal(play.state.phase, 'standing')
})

t.test('a leading JVM that is silent for longer than its lease is withdrawn', async t => {
  const play = standing()
  t.equal(jvmWakeAtMs(play.state), FLINK_LEASE_MS)
  t.same(play.at(14_999, { type: 'tick' }), [])
  t.same(play.at(15_000, { type: 'tick' }), [{ type: 'withdraw', reason: 'jvm-silent' }])
  t.same(play.at(60_000, { type: 'elector-heard' }), [{ type: 'stand' }], 'and stands again when it is heard')
})

t.test('a JVM whose term ended over its head is told apart until it is heard, or gone', async t => {
  const silent = (): Play => {
    const play = standing()
    play.at(15_000, { type: 'tick' })
    play.at(15_001, { type: 'leading', leading: false, resumed: false })
    return play
  }
  const play = silent()
  t.ok(isDeposed(play.state, 15_001))
  play.at(60_000, { type: 'elector-heard' })
  t.notOk(isDeposed(play.state, 90_000))
  const gone = silent()
  gone.at(16_000, { type: 'socket-closed' })
  gone.at(16_000, { type: 'socket-closed' })
  gone.at(16_001, { type: 'port-refused' })
  t.notOk(isDeposed(gone.state, 20_000))
  const cutOff = standing()
  cutOff.at(8_000, { type: 'leading', leading: false, resumed: false })
  t.notOk(isDeposed(cutOff.state, 14_999), 'a term that ended otherwise: it has its time to ask')
  t.ok(isDeposed(cutOff.state, 15_000), 'and no more')
  cutOff.at(33_000, { type: 'tick' })
  t.ok(isDeposed(cutOff.state, 33_000))
  const standby = standing()
  standby.at(1, { type: 'leading', leading: false, resumed: false })
  standby.at(2, { type: 'elector-heard' })
  standby.at(34_000, { type: 'tick' })
  t.notOk(isDeposed(standby.state, 34_000), 'a standby has no term to believe in')
})

t.test('a standby may be silent for as long as its polls are apart', async t => {
  const play = standing()
  play.at(0, { type: 'leading', leading: false, resumed: false })
  t.same(play.at(32_000, { type: 'tick' }), [])
  t.same(play.at(33_000, { type: 'tick' }), [{ type: 'withdraw', reason: 'jvm-silent' }])
})

t.test('the lease of a JVM that is granted leadership begins with the grant', async t => {
  const play = standing()
  play.at(0, { type: 'leading', leading: false, resumed: false })
  play.at(14_000, { type: 'leading', leading: true, resumed: false })
  t.same(play.at(15_001, { type: 'tick' }), [])
})

t.test('a stopping JVM does not stand again, its successor in the same container does', async t => {
  const play = standing()
  t.same(play.at(1_000, { type: 'stopped' }), [{ type: 'withdraw', reason: 'jvm-stopped' }])
  t.same(play.at(1_004, { type: 'elector-heard' }), [])
  play.at(1_010, { type: 'socket-closed' })
  t.same(play.at(1_011, { type: 'socket-closed' }), [{ type: 'probe' }])
  play.at(1_012, { type: 'port-open' })
  t.same(play.at(1_600, { type: 'tick' }), [{ type: 'probe' }], 'its end is waited for')
  play.at(1_601, { type: 'port-refused' })
  t.same(play.at(5_000, { type: 'elector-heard' }), [{ type: 'stand' }])
})

t.test('a JVM that gave leadership up and asks on is not closing: it stands again', async t => {
  const play = standing()
  play.at(1_000, { type: 'stopped' })
  play.at(1_000, { type: 'leading', leading: false, resumed: false })
  t.same(play.at(10_999, { type: 'elector-heard' }), [])
  t.same(play.at(11_000, { type: 'elector-heard' }), [{ type: 'stand' }])
  t.equal(play.state.phase, 'standing')
})

t.test('once a JVM claimed its term, only its renewals show that it lives', async t => {
  const play = standing()
  for (let at = 1_000; at < 15_000; at += 1_000) t.same(play.at(at, { type: 'elector-heard' }), [])
  t.same(play.at(15_000, { type: 'tick' }), [{ type: 'withdraw', reason: 'jvm-silent' }], 'whoever else reads the lock')
  const alive = standing()
  for (let at = 1_000; at < 60_000; at += 5_000) {
    alive.at(at, { type: 'claimed', identity: 'j', leaseMs: 15_000 })
    t.same(alive.at(at, { type: 'tick' }), [])
  }
})

t.test('a list by a process after a stop is a new process', async t => {
  const play = standing()
  play.at(1_000, { type: 'stopped' })
  play.at(3_000, { type: 'listed' })
  t.same(play.at(3_001, { type: 'elector-heard' }), [{ type: 'stand' }])
})

t.test('a restarted sidecar asks the port, and waits for the JVM of its term to come back', async t => {
  const play = new Play()
  t.same(play.at(0, { type: 'expect', identity: 'j' }), [{ type: 'probe' }])
  t.same(play.at(1, { type: 'port-open' }), [])
  t.same(play.at(900, { type: 'elector-heard' }), [{ type: 'stand' }])
  play.at(950, { type: 'claimed', identity: 'j', leaseMs: 15_000 })
  t.match(play.state, { phase: 'standing', expected: '', identity: 'j' })
})

t.test('who expects to go on with a term does not take another one for it', async t => {
  for (const end of [{ type: 'not-ours' }, { type: 'leading', leading: true, resumed: false }] as const) {
    const play = new Play()
    play.at(0, { type: 'expect', identity: 'j' })
    play.at(1, { type: 'elector-heard' })
    t.equal(play.state.expected, 'j')
    play.at(2, end)
    t.equal(play.state.expected, '', 'its JVM has to see that it lost before it claims again')
  }
  const same = new Play()
  same.at(0, { type: 'expect', identity: 'j' })
  same.at(1, { type: 'leading', leading: true, resumed: true })
  t.equal(same.state.expected, 'j')
  same.at(2, { type: 'leading', leading: false, resumed: false })
  t.equal(same.state.expected, '', 'nor a later one of its own')
})

t.test('a restarted sidecar gives the term back when its JVM is dead, silent or another one', async t => {
  const dead = new Play()
  dead.at(0, { type: 'expect', identity: 'j' })
  t.same(dead.at(1, { type: 'port-refused' }), [{ type: 'withdraw', reason: 'jvm-gone' }])
  const silent = new Play()
  silent.at(0, { type: 'expect', identity: 'j' })
  silent.at(1, { type: 'port-open' })
  t.same(silent.at(7_000, { type: 'tick' }), [{ type: 'withdraw', reason: 'jvm-silent' }])
  const another = new Play()
  another.at(0, { type: 'expect', identity: 'j' })
  another.at(1, { type: 'port-open' })
  t.same(another.at(2, { type: 'listed' }), [{ type: 'withdraw', reason: 'jvm-replaced' }])
})

t.test('every event in every phase ends in a phase that can be left again', async t => {
  const events: JvmEvent[] = [
    { type: 'tick' },
    { type: 'socket-opened' },
    { type: 'socket-closed' },
    { type: 'listed' },
    { type: 'elector-heard' },
    { type: 'claimed', identity: 'x', leaseMs: 15_000 },
    { type: 'stopped' },
    { type: 'port-refused' },
    { type: 'port-open' },
    { type: 'expect', identity: 'x' },
    { type: 'leading', leading: true, resumed: false },
  ]
  const phases = ['absent', 'standing', 'doubtful', 'silent', 'stopped'] as const
  for (const phase of phases)
    for (const event of events)
      for (const sockets of [0, 2]) {
        const play = new Play()
        play.state = { ...initialJvm, phase, sockets, identity: 'j' }
        play.at(1_000, event)
        // The process ends; another one starts and asks.
        for (let i = 0; i < 4; i++) play.at(2_000, { type: 'socket-closed' })
        play.at(2_001, { type: 'port-refused' })
        play.at(3_000, { type: 'socket-opened' })
        play.at(3_001, { type: 'listed' })
        play.at(3_002, { type: 'elector-heard' })
        t.equal(play.state.phase, 'standing', `${phase}, ${event.type}, ${sockets} sockets`)
      }
})
