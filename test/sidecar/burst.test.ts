// A row of writes by the JVM: when it is shown what they came to.
import t, { type Test } from 'tap'
import { LEADER_KEY_PREFIX } from '../../shared/names.ts'
import { Burst, MAX_HELD_MS, PAUSE_MS, SINGLE_WRITES } from '../../sidecar/burst.ts'
import { PATH } from '../world/hand-made-jvm.ts'
import { HeldTimers } from '../world/held-timers.ts'
import { BY_NAME, LockWatch } from '../world/lock-watch.ts'
import { LOCK } from '../world/sidecar.ts'
import { type Stage, stage, until } from '../world/stage.ts'
import { VirtualClock } from '../world/virtual-clock.ts'

const rows = (): { burst: Burst; clock: VirtualClock; shown: number[] } => {
  const clock = new VirtualClock()
  const shown: number[] = []
  return { burst: new Burst(clock, () => shown.push(clock.monoMs())), clock, shown }
}

t.test('a few writes are shown as they are made', async t => {
  const { burst, clock, shown } = rows()
  for (let row = 0; row < 3; row++) {
    for (let i = 0; i < SINGLE_WRITES; i++) {
      burst.write()
      t.notOk(burst.holds)
    }
    clock.advance(PAUSE_MS)
  }
  t.same(shown, [], 'nothing was held')
})

t.test('of more, what they came to is shown after a pause', async t => {
  const { burst, clock, shown } = rows()
  for (let i = 0; i <= SINGLE_WRITES; i++) burst.write()
  t.ok(burst.holds)
  clock.advance(PAUSE_MS - 1)
  burst.write()
  clock.advance(PAUSE_MS - 1)
  t.same(shown, [])
  clock.advance(1)
  t.same(shown, [2 * PAUSE_MS - 1])
  t.notOk(burst.holds)
  burst.write()
  t.notOk(burst.holds, 'the next row begins anew')
})

t.test('nothing is held for longer than a second, however long the row', async t => {
  const { burst, clock, shown } = rows()
  for (let i = 0; i < SINGLE_WRITES; i++) burst.write()
  for (let ms = 0; ms < 3 * MAX_HELD_MS; ms += 10) {
    burst.write()
    clock.advance(10)
  }
  t.same(
    shown,
    [1, 2, 3].map(n => n * MAX_HELD_MS),
  )
})

/** How many jobs have an address, in each event that the JVM is sent. */
const counter = (t: Test, { jvm }: Stage): (() => number[]) => {
  const { events } = new LockWatch(t, jvm.url, BY_NAME)
  const ofJobs = (key: string): boolean => key.startsWith(`${LEADER_KEY_PREFIX}job-`)
  return () => events.map(({ object: { data = {} } }) => Object.keys(data).filter(ofJobs).length)
}

/** Leads, and publishes addresses: its process's, then those of so many jobs, one by one. */
const publish = async (t: Test, { jvm }: Stage, jobs: number): Promise<void> => {
  let { body: lock } = await jvm.lead()
  const names = Array.from({ length: jobs }, (_, job) => `job-${String(job).padStart(32, '0')}`)
  for (const name of ['restserver', ...names]) {
    const data = { ...lock.data, [`${LEADER_KEY_PREFIX}${name}`]: 'session,address' }
    const put = await jvm.ask('PUT', `${PATH}/${LOCK}`, { ...lock, data }, { 'content-type': 'application/json' })
    t.equal(put.status, 200)
    lock = put.body
  }
}

/** No row has a pause until the test makes one. */
const heldRows = (): HeldTimers => new HeldTimers(PAUSE_MS, MAX_HELD_MS)

const JOBS = 30

t.test('a JVM that publishes many jobs is shown all of them at the end, and few states in between', async t => {
  const rows = heldRows()
  const staged = await stage(t, { clock: rows.clock })
  const seen = counter(t, staged)
  await publish(t, staged, JOBS)
  await until(() => seen().length > 0)
  t.ok(Math.max(...seen()) <= SINGLE_WRITES, 'the first are shown as they are made', { seen: seen() })
  rows.go(PAUSE_MS, MAX_HELD_MS)
  await until(() => seen().at(-1) === JOBS)
  t.ok(seen().length <= SINGLE_WRITES + 3, 'the others together', { seen: seen() })
})

t.test('what ends the term is shown at once', async t => {
  const staged = await stage(t, { clock: heldRows().clock })
  const seen = counter(t, staged)
  await publish(t, staged, JOBS)
  await until(() => seen().length > 0)
  t.ok(Math.max(...seen()) <= SINGLE_WRITES, 'the last are held', { seen: seen() })
  staged.sidecar.candidate.withdraw('switchover', 'other')
  await until(() => seen().at(-1) === JOBS)
  t.pass('nobody is left with an old sight')
})
