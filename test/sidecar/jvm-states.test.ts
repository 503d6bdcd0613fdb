// Every phase of a JVM x every event x expected or not x leading or not x its sockets x whether it claimed: what must hold
// after each step; and by seed, after long random stories.
import fc from 'fast-check'
import t from 'tap'
import { ANY_JVM, initialJvm, type JvmEvent, type JvmState, jvmWakeAtMs, stepJvm } from '../../sidecar/jvm.ts'
import { holds } from '../world/seed.ts'

const PHASES = ['absent', 'standing', 'doubtful', 'silent', 'stopped'] as const
const EVENTS: JvmEvent[] = [
  { type: 'tick' },
  { type: 'socket-opened' },
  { type: 'socket-closed' },
  { type: 'listed' },
  { type: 'elector-heard' },
  { type: 'claimed', identity: 'j', leaseMs: 15_000 },
  { type: 'claimed', identity: 'k', leaseMs: 5_000 },
  { type: 'stopped' },
  { type: 'port-refused' },
  { type: 'port-open' },
  { type: 'expect', identity: 'j' },
  { type: 'expect', identity: '' },
  { type: 'not-ours' },
  { type: 'leading', leading: true, resumed: true },
  { type: 'leading', leading: true, resumed: false },
  { type: 'leading', leading: false, resumed: false },
]
const stands = (s: JvmState): boolean => s.phase === 'standing' || s.phase === 'doubtful'
/** Whether there is a term that could be given up for it: it stands, or its sidecar was restarted in one. */
const counts = (s: JvmState): boolean => stands(s) || s.expected !== ''

/** What is wrong with one step; nothing when all is well. */
const wrongs = (before: JvmState, event: JvmEvent, nowMs: number): { after: JvmState; found: string[] } => {
  const { state: after, actions } = stepJvm(before, event, nowMs)
  const found: string[] = []
  const must = (holds: boolean, what: string): void => {
    if (!holds) found.push(what)
  }
  const of = (type: string): number => actions.filter(action => action.type === type).length
  must(of('withdraw') <= 1, 'it is withdrawn twice in one step')
  must(of('probe') <= 1, 'its port is asked twice in one step')
  must(of('withdraw') === 0 || counts(before), 'it is withdrawn, and was already')
  must(of('withdraw') === 0 || !counts(after), 'it is withdrawn, and counts still')
  // What is expected ends by itself when it comes, and when it cannot come any more.
  const isOver = ['claimed', 'not-ours', 'leading'].includes(event.type)
  must(of('withdraw') === 1 || !counts(before) || counts(after) || isOver, 'it left without a word')
  must(of('stand') === 0 || (!stands(before) && after.phase === 'standing'), 'it stands, and did already')
  must(of('stand') === 1 || stands(before) || !stands(after), 'it stands without a word')
  must(after.sockets >= 0, 'it has less than no sockets')
  must(after.phase !== 'doubtful' || after.sockets === 0, 'it is doubted with a socket open')
  must(after.phase !== 'doubtful' || Number.isFinite(jvmWakeAtMs(after)), 'it is doubted, and nobody asks its port')
  must(!stands(after) || Number.isFinite(jvmWakeAtMs(after)), 'it stands, and its silence is not noticed')
  const wakeMs = Math.max(jvmWakeAtMs(after), nowMs)
  if (!Number.isFinite(wakeMs)) return { after, found }
  const woken = stepJvm(after, { type: 'tick' }, wakeMs)
  must(woken.actions.length > 0 || jvmWakeAtMs(woken.state) > wakeMs, 'it is woken for nothing, again and again')
  return { after, found }
}

/** States as they can be: a doubted JVM has no socket open, a JVM that is not expected has no claim to wait for. */
const statesOf = (phase: (typeof PHASES)[number]): JvmState[] =>
  ['', 'j', ANY_JVM].flatMap(expected =>
    [true, false].flatMap(leading =>
      ['', 'j'].flatMap(identity =>
        [0, 1, 2]
          .filter(sockets => sockets === 0 || phase !== 'doubtful')
          .map(sockets => ({
            ...initialJvm,
            ...{ phase, expected, leading, identity, sockets, lastHeardMs: 1_000, stoppedAtMs: 1_000 },
            ...(phase === 'doubtful' && { closedAtMs: 900, probeAtMs: 1_010 }),
          })),
      ),
    ),
  )

/** The shell around it: whoever is withdrawn leads no more. */
const played = (state: JvmState, event: JvmEvent, nowMs: number): JvmState => {
  const { state: after, actions } = stepJvm(state, event, nowMs)
  const gone = actions.some(action => action.type === 'withdraw') && after.leading
  return gone ? stepJvm(after, { type: 'leading', leading: false, resumed: false }, nowMs).state : after
}

/** A process with a connection that asks for the lock each second; whatever is due in between is done. */
const endsStanding = (state: JvmState, nowMs: number): boolean => {
  let s = played(state, { type: 'leading', leading: false, resumed: false }, nowMs)
  s = played(s, { type: 'socket-opened' }, nowMs)
  for (let second = 1; second <= 30; second++) {
    const now = nowMs + second * 1_000
    for (let wakes = 0; jvmWakeAtMs(s) <= now; wakes++) {
      if (wakes > 1_000) return false
      s = played(s, { type: 'tick' }, Math.max(jvmWakeAtMs(s), now - 1_000))
    }
    s = played(s, { type: 'elector-heard' }, now)
  }
  return s.phase === 'standing'
}

for (const phase of PHASES)
  t.test(`${phase}: whatever happens, what must hold holds, and a JVM that asks on stands in the end`, async t => {
    const broken = new Set<string>()
    for (const state of statesOf(phase))
      for (const event of EVENTS)
        for (const pauseMs of [0, 5, 8_000, 16_000, 40_000]) {
          const { after, found } = wrongs(state, event, 1_000 + pauseMs)
          const { expected, leading, identity, sockets } = state
          const story = `${JSON.stringify({ expected, leading, identity, sockets })}, ${JSON.stringify(event)} after ${pauseMs} ms`
          for (const what of found) broken.add(`${story}: ${what}`)
          if (!endsStanding(after, 1_000 + pauseMs)) broken.add(`${story}: it asks on and does not stand`)
        }
    t.same([...broken].slice(0, 5), [])
  })

t.test('long random stories: nothing is withdrawn twice, and a JVM that asks on stands in the end', async t => {
  const step = fc.record({ event: fc.constantFrom(...EVENTS), pauseMs: fc.nat({ max: 20_000 }) })
  const property = fc.property(fc.array(step, { maxLength: 40 }), steps => {
    let state = initialJvm
    let now = 0
    for (const { event, pauseMs } of steps) {
      const untilMs = now + pauseMs
      // As the shell does it: what is due is done before the next event comes.
      for (let wakes = 0; jvmWakeAtMs(state) <= untilMs; wakes++) {
        if (wakes > 100_000) throw new Error('it is woken again and again')
        now = Math.max(now, jvmWakeAtMs(state))
        state = played(state, { type: 'tick' }, now)
      }
      now = untilMs
      const { found } = wrongs(state, event, now)
      if (found.length > 0) throw new Error(`${JSON.stringify(state)}, ${event.type}: ${found.join('; ')}`)
      state = played(state, event, now)
    }
    if (!endsStanding(state, now)) throw new Error(`it asks on and does not stand: ${JSON.stringify(state)}`)
  })
  await holds(t, property, 3_000)
})

t.test('a JVM that ends is withdrawn by each of its signs once, in whatever order they come', async t => {
  const standing = [
    { type: 'socket-opened' },
    { type: 'elector-heard' },
    { type: 'leading', leading: true, resumed: false },
    { type: 'claimed', identity: 'j', leaseMs: 15_000 },
  ] as const satisfies JvmEvent[]
  const signs = fc.shuffledSubarray<JvmEvent>(
    [{ type: 'stopped' }, { type: 'socket-closed' }, { type: 'port-refused' }, { type: 'listed' }, { type: 'tick' }],
    { minLength: 5 },
  )
  const property = fc.property(signs, fc.nat({ max: 20_000 }), (order, pauseMs) => {
    let state = standing.reduce<JvmState>((s, event) => stepJvm(s, event, 0).state, initialJvm)
    let withdrawals = 0
    let now = 0
    for (const event of order) {
      now += pauseMs
      const step = stepJvm(state, event, now)
      state = step.state
      withdrawals += step.actions.filter(action => action.type === 'withdraw').length
    }
    return withdrawals === 1
  })
  await holds(t, property, 500)
})
