// Which sidecar is followed and what is believed, step by step, without a clock or a socket.
import t from 'tap'
import type { LeaderDocument } from '../../sidecar/leader.ts'
import {
  initialRelay,
  type Leave,
  type RelayAction,
  type RelayEvent,
  type RelayState,
  relayWakeAtMs,
  SILENCE_MS,
  stepRelay,
} from '../../sidecar/relay-core.ts'
import { relayLeader } from '../../sidecar/relay-leader.ts'

const [A, B] = ['10.0.0.1:4041', '10.0.0.2:4041']

const leads = (name: string | null, token: number, validForMs = 10_000): LeaderDocument => ({
  clusterId: 'c',
  name,
  isLeader: false,
  token,
  validForMs,
  transitions: 1,
  lastUpdate: '2026-01-01T00:00:00.000000Z',
  components: { jobs: {} },
})

/** A relay by itself: time passes when it is told to, chance is what it is set to. */
class Lone {
  state: RelayState = initialRelay
  atMs = 1_000
  chance = 0.5
  actions: RelayAction[] = []

  step(event: RelayEvent): RelayAction[] {
    const { state, actions } = stepRelay(this.state, event, { monoMs: this.atMs, chance: this.chance })
    this.state = state
    this.actions.push(...actions)
    return actions
  }
  after(ms: number): RelayAction[] {
    this.atMs += ms
    return this.step({ type: 'tick' })
  }
  /** Lets time pass from one due tick to the next, as the shell does. */
  pass(ms: number): void {
    const endMs = this.atMs + ms
    for (let dueMs = relayWakeAtMs(this.state); dueMs <= endMs; dueMs = relayWakeAtMs(this.state)) {
      this.atMs = Math.max(this.atMs, dueMs)
      this.step({ type: 'tick' })
    }
    this.atMs = endMs
  }
  begin(peers: string[]): void {
    this.step({ type: 'start', clusterId: 'c' })
    this.step({ type: 'looked-up', peers })
  }
  get id(): number {
    return this.state.followed?.id ?? 0
  }
  get peer(): string | undefined {
    return this.state.followed?.peer
  }
  told(leader: LeaderDocument): RelayAction[] {
    return this.step({ type: 'told', id: this.id, leader })
  }
  beat(validForMs: number): RelayAction[] {
    return this.step({ type: 'beat', id: this.id, validForMs })
  }
  sight(version: string): RelayAction[] {
    return this.step({
      type: 'sight',
      id: this.id,
      version,
      object: { metadata: { name: 'l', resourceVersion: version } },
    })
  }
  name(): string | null {
    return relayLeader(this.state, this.atMs).name
  }
  left(): Leave[] {
    return this.actions.flatMap(action => (action.type === 'leave' ? [action.why] : []))
  }
}

t.test('nobody is looked for before the cluster is known', async t => {
  const lone = new Lone()
  t.same(lone.after(60_000), [])
  t.equal(relayWakeAtMs(lone.state), Number.POSITIVE_INFINITY)
  t.same(lone.step({ type: 'start', clusterId: 'c' }), [{ type: 'look-up' }])
})

t.test('one is followed, and its watch is opened when its word is believed', async t => {
  const lone = new Lone()
  lone.begin([A, B])
  t.match(lone.actions.at(-1), { type: 'follow', peer: A })
  t.same(lone.told(leads('jm-0', 5)), [{ type: 'watch', id: lone.id }])
  t.same(lone.told(leads('jm-1', 6)), [], 'once')
  t.equal(lone.name(), 'jm-1')
  t.match(lone.sight('10'), [{ type: 'show', version: '10' }])
  t.same(lone.sight('10'), [], 'nothing new')
})

t.test('a name is told while its term can be valid, and not longer', async t => {
  const lone = new Lone()
  lone.begin([A])
  lone.told(leads('jm-0', 5, 3_000))
  lone.atMs += 2_999
  t.match(relayLeader(lone.state, lone.atMs), { name: 'jm-0', token: 5, validForMs: 1, ageSeconds: 3 })
  lone.atMs += 1
  t.match(relayLeader(lone.state, lone.atMs), { name: null, token: 0, validForMs: 0, components: { jobs: {} } })
  lone.beat(3_000)
  t.equal(lone.name(), 'jm-0', 'a beat says that it still stands')
  lone.beat(0)
  t.equal(lone.name(), null)
  lone.told(leads(null, 0, 0))
  lone.beat(3_000)
  t.equal(lone.name(), null, 'nobody is nobody, whatever a beat says')
})

t.test('whoever is silent for a few seconds is left, and another one is followed', async t => {
  const lone = new Lone()
  lone.begin([A, B])
  lone.told(leads('jm-0', 5))
  lone.pass(SILENCE_MS - 1)
  t.equal(lone.peer, A)
  lone.beat(10_000)
  lone.pass(SILENCE_MS - 1)
  t.equal(lone.peer, A, 'each word counts')
  lone.pass(200)
  t.same(lone.left(), ['silent'])
  t.equal(lone.peer, B)
  t.equal(lone.name(), 'jm-0', 'what is known is told on')
})

t.test('a connection that never says a word is given up sooner', async t => {
  const lone = new Lone()
  lone.begin([A, B])
  lone.pass(3_200)
  t.same(lone.left(), ['silent'])
  t.equal(lone.peer, B)
})

t.test('whoever slept does not believe what waited in its socket', async t => {
  const lone = new Lone()
  lone.begin([A])
  lone.told(leads('jm-0', 5, 4_000))
  const { id } = lone
  lone.atMs += 30_000
  const actions = lone.step({ type: 'beat', id, validForMs: 4_000 })
  t.match(actions[0], { type: 'leave', why: 'silent' })
  t.equal(lone.name(), null)
  lone.step({ type: 'told', id, leader: leads('jm-0', 5) })
  t.equal(lone.name(), null)
})

t.test('a beat lengthens what its own connection told, and nothing else', async t => {
  const lone = new Lone()
  lone.begin([A, B])
  lone.told(leads('jm-1', 8, 2_000))
  lone.step({ type: 'lost', id: lone.id, why: 'ended' })
  lone.pass(200)
  lone.beat(60_000)
  lone.pass(2_000)
  t.equal(lone.name(), null, 'before its first document there is nothing that could stand')
  lone.told(leads('jm-1', 8, 2_000))
  lone.beat(20_000)
  lone.step({ type: 'lost', id: lone.id, why: 'ended' })
  lone.pass(10_000)
  while (lone.state.followed === undefined) lone.pass(100)
  t.match(lone.told(leads('jm-0', 7)), [{ type: 'leave', why: 'old-token' }], 'a lengthened term is a valid one')
  while (lone.state.followed === undefined) lone.pass(100)
  lone.told(leads(null, 0, 0))
  lone.beat(60_000)
  t.equal(relayLeader(lone.state, lone.atMs).validForMs, 0, 'nobody is nobody')
  for (let beats = 0; beats < 76; beats++) {
    lone.pass(4_000)
    lone.beat(60_000)
  }
  lone.told(leads('jm-0', 7))
  t.equal(lone.name(), 'jm-0')
})

t.test('words of a connection that was left change nothing', async t => {
  const lone = new Lone()
  lone.begin([A, B])
  const { id } = lone
  lone.step({ type: 'lost', id, why: 'unreachable' })
  lone.pass(200)
  t.equal(lone.peer, B)
  const before = lone.state
  for (const event of [
    { type: 'told', id, leader: leads('jm-9', 9) },
    { type: 'beat', id, validForMs: 1 },
    { type: 'sight', id, object: undefined, version: '9' },
    { type: 'lost', id, why: 'ended' },
  ] as const)
    lone.step(event)
  t.same(lone.state, before)
  t.same(lone.left(), ['unreachable'])
})

t.test(
  'an older term is not believed while a newer one is valid, nor while one that is cut off may believe in it',
  async t => {
    const lone = new Lone()
    lone.begin([A, B])
    lone.told(leads('jm-1', 8, 20_000))
    lone.step({ type: 'lost', id: lone.id, why: 'ended' })
    lone.pass(200)
    t.equal(lone.peer, B)
    t.match(lone.told(leads('jm-0', 7)), [{ type: 'leave', peer: B, why: 'old-token' }])
    t.equal(lone.name(), 'jm-1')
    t.notOk(lone.actions.some(action => action.type === 'show'))
    lone.pass(20_000)
    while (lone.state.followed === undefined) lone.pass(100)
    t.match(lone.told(leads('jm-0', 7)), [{ type: 'leave', why: 'old-token' }], 'its own lease was shorter than theirs')
    lone.pass(200_000)
    while (lone.state.followed === undefined) lone.pass(100)
    t.match(lone.told(leads('jm-0', 7)), [{ type: 'leave', why: 'old-token' }], 'nor was their sight as late as that')
    lone.pass(301_000)
    while (lone.state.followed === undefined) lone.pass(100)
    lone.told(leads('jm-0', 7))
    t.equal(lone.name(), 'jm-0', 'afterwards it is the best that is known')
  },
)

t.test('that nobody leads is believed of anybody, and lets no older term in', async t => {
  const lone = new Lone()
  lone.begin([A, B])
  lone.told(leads('jm-1', 8, 20_000))
  lone.step({ type: 'lost', id: lone.id, why: 'ended' })
  lone.pass(200)
  lone.told(leads(null, 0, 0))
  t.equal(lone.name(), null)
  t.match(lone.told(leads('jm-0', 7)), [{ type: 'leave', why: 'old-token' }])
  t.equal(lone.name(), null)
})

t.test('another cluster’s sidecar is not believed, nor one that does not know its cluster yet', async t => {
  for (const clusterId of ['d', '']) {
    const lone = new Lone()
    lone.begin([A])
    t.match(lone.told({ ...leads('jm-0', 5), clusterId }), [{ type: 'leave', why: 'other-cluster' }])
    t.equal(lone.name(), null)
  }
})

t.test('an older view is not shown, until nobody has known the newer one for long', async t => {
  const lone = new Lone()
  lone.begin([A])
  lone.told(leads('jm-0', 5))
  lone.sight('100')
  lone.step({ type: 'lost', id: lone.id, why: 'unreachable' })
  const again = (): RelayAction[] => {
    while (lone.state.followed === undefined) lone.pass(100)
    lone.told(leads('jm-0', 5))
    return lone.sight('99')
  }
  t.match(again(), [{ type: 'leave', why: 'old-view' }])
  lone.pass(301_000)
  t.match(again(), [{ type: 'show', version: '99' }], 'the store was set back')
})

t.test('a view stays confirmed by every word of the one that told it', async t => {
  const lone = new Lone()
  lone.begin([A])
  lone.told(leads('jm-0', 5))
  lone.sight('100')
  for (let i = 0; i < 60; i++) {
    lone.pass(2_000)
    lone.beat(10_000)
  }
  t.match(lone.sight('99'), [{ type: 'leave', why: 'old-view' }])
})

t.test('a restarted relay does not show its reader an older view than it had', async t => {
  const lone = new Lone()
  lone.begin([A])
  lone.step({ type: 'asked-from', version: '0' })
  lone.step({ type: 'asked-from', version: 'x' })
  lone.step({ type: 'asked-from', version: '' })
  t.equal(lone.state.view, undefined)
  lone.step({ type: 'asked-from', version: '50' })
  lone.told(leads('jm-0', 5))
  t.match(lone.sight('49'), [{ type: 'leave', why: 'old-view' }])
  while (lone.state.followed === undefined) lone.pass(100)
  lone.told(leads('jm-0', 5))
  t.match(lone.sight('50'), [{ type: 'show', version: '50' }], 'the same is shown: this process has not shown it yet')
  lone.step({ type: 'asked-from', version: '99' })
  t.match(lone.sight('51'), [{ type: 'show' }], 'what a reader asks for later changes nothing')
})

t.test('a leaderless sidecar is left for another one, and kept when it is the only one', async t => {
  const two = new Lone()
  two.begin([A, B])
  two.told(leads(null, 0, 0))
  for (let i = 0; i < 3; i++) {
    two.pass(1_700)
    if (two.peer === A) two.beat(0)
  }
  t.same(two.left(), ['no-leader'])
  t.equal(two.peer, B)
  const one = new Lone()
  one.begin([A])
  one.told(leads(null, 0, 0))
  for (let i = 0; i < 10; i++) {
    one.pass(2_000)
    one.beat(0)
  }
  t.same(one.left(), [])
  t.ok(one.state.lookUp.pending, 'and others are looked for')
  one.step({ type: 'looked-up', peers: [A, B] })
  one.pass(200)
  t.equal(one.peer, B)
})

t.test('tries are spread, and grow to a bound', async t => {
  const waits: number[] = []
  for (const chance of [0, 1]) {
    const lone = new Lone()
    lone.chance = chance
    lone.begin([A])
    for (let i = 0; i < 12; i++) {
      lone.step({ type: 'lost', id: lone.id, why: 'unreachable' })
      const fromMs = lone.atMs
      while (lone.state.followed === undefined) {
        lone.pass(10)
        if (lone.state.lookUp.pending) lone.step({ type: 'looked-up', peers: [A] })
      }
      waits.push(lone.atMs - fromMs)
    }
  }
  t.equal(waits[0], 100)
  t.equal(waits[12], 300)
  t.ok(Math.max(...waits) <= 4_510, String(waits))
  t.ok(Math.min(...waits.slice(6, 12)) >= 1_500, String(waits))
})

t.test('a crowd that lost the same sidecar does not arrive at once', async t => {
  const lone = new Lone()
  lone.begin([A, B])
  lone.chance = 0.9
  lone.step({ type: 'lost', id: lone.id, why: 'ended' })
  t.equal(lone.peer, undefined)
  lone.pass(89)
  t.equal(lone.peer, undefined)
  lone.pass(1)
  t.equal(lone.peer, B)
})

t.test('whoever was followed for long begins with a clean sheet', async t => {
  const lone = new Lone()
  lone.begin([A])
  for (let i = 0; i < 8; i++) {
    lone.step({ type: 'lost', id: lone.id, why: 'unreachable' })
    while (lone.state.followed === undefined) lone.pass(50)
  }
  for (let i = 0; i < 8; i++) {
    lone.told(leads('jm-0', 5))
    lone.pass(2_000)
  }
  lone.step({ type: 'lost', id: lone.id, why: 'ended' })
  const fromMs = lone.atMs
  while (lone.state.followed === undefined) lone.pass(50)
  t.ok(lone.atMs - fromMs <= 300)
})

t.test('the one that failed least is tried first', async t => {
  const lone = new Lone()
  lone.begin([A, B])
  lone.step({ type: 'lost', id: lone.id, why: 'unreachable' })
  lone.pass(100)
  t.equal(lone.peer, B)
  lone.step({ type: 'lost', id: lone.id, why: 'unreachable' })
  lone.pass(200)
  t.equal(lone.peer, A)
  lone.step({ type: 'lost', id: lone.id, why: 'unreachable' })
  t.equal(lone.peer, undefined)
  lone.atMs += 10_000
  lone.step({ type: 'tick' })
  t.equal(lone.peer, B, 'whatever their order')
})

t.test('a look-up that finds nobody, or never ends, forgets nobody', async t => {
  const lone = new Lone()
  lone.begin([A])
  lone.step({ type: 'lost', id: lone.id, why: 'unreachable' })
  lone.pass(5_000)
  t.ok(lone.state.lookUp.pending)
  t.equal(lone.peer, A, 'tried while the look-up is under way')
  lone.step({ type: 'looked-up', peers: [] })
  t.same(lone.state.peers, [A])
  lone.step({ type: 'looked-up', peers: [B] })
  t.same(lone.state.peers, [B])
})

t.test('while nobody is found, look-ups go on at a bounded pace', async t => {
  const lone = new Lone()
  lone.step({ type: 'start', clusterId: 'c' })
  for (let i = 0; i < 100; i++) {
    if (lone.state.lookUp.pending) lone.step({ type: 'looked-up', peers: [] })
    lone.pass(1_000)
  }
  const lookUps = lone.actions.filter(action => action.type === 'look-up').length
  t.ok(lookUps >= 20 && lookUps <= 36, String(lookUps))
})

t.test('a tick is always due later, whatever happened', async t => {
  const lone = new Lone()
  lone.begin([A, B])
  for (let i = 0; i < 200; i++) {
    lone.chance = ((i * 37) % 100) / 100
    if (i % 3 === 0 && lone.state.followed !== undefined) lone.told(leads('jm-0', i))
    if (i % 7 === 0) lone.step({ type: 'lost', id: lone.id, why: 'ended' })
    if (lone.state.lookUp.pending) lone.step({ type: 'looked-up', peers: i % 2 === 0 ? [A, B] : [] })
    t.ok(relayWakeAtMs(lone.state) > lone.atMs, `at step ${i}`)
    lone.pass(311)
  }
})
