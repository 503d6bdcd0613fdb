// The checker of lock histories: each rule by hand, then against a search that tries everything, by seed.
import fc from 'fast-check'
import t from 'tap'
import { checkLockHistory, type LockCall, type LockOp, type LockOutcome } from './lock-history.ts'
import { searchLockHistory } from './lock-search.ts'
import { mutated, playedHistory, type Spec } from './lock-traffic.ts'

const SEED = Number(process.env['FLINK_HA_SEED'] ?? Date.now() % 1_000_000)
const RUNS = 20 * Number(process.env['FLINK_HA_SEEDS'] ?? 150)

type Times = [calledMs: number, returnedMs: number]
const call = (by: string, [calledMs, returnedMs]: Times, op: LockOp, outcome: LockOutcome): LockCall => ({
  by,
  calledMs,
  returnedMs,
  op,
  outcome,
})
const made = (version: number): LockOutcome => ({ result: 'made', version: String(version) })
const unknown: LockOutcome = { result: 'unknown' }
const create = (by: string, times: Times, record: string, outcome: LockOutcome): LockCall =>
  call(by, times, { kind: 'create', record }, outcome)
const write = (by: string, times: Times, on: number, record: string, outcome: LockOutcome): LockCall =>
  call(by, times, { kind: 'write', version: String(on), record }, outcome)
const remove = (by: string, times: Times, outcome: LockOutcome): LockCall =>
  call(by, times, { kind: 'delete' }, outcome)
const read = (by: string, times: Times, version: number, record?: string): LockCall =>
  call(by, times, { kind: 'read' }, { result: 'seen', version: String(version), record })

type Case = [rule: string, holds: boolean, calls: LockCall[]]
const first = create('a', [0, 10], 'A', made(5))
const CASES: Case[] = [
  ['an empty history is one', true, []],
  ['a write is seen with its version', true, [first, read('b', [11, 12], 5, 'A')]],
  ['a version has one record', false, [first, read('b', [11, 12], 5, 'B')]],
  ['a lock is missing at the beginning', true, [read('b', [0, 1], 3), first]],
  ['what was made is seen by a later read', false, [first, read('b', [11, 12], 5)]],
  [
    'of two writes on one version one is made',
    false,
    [first, write('b', [20, 30], 5, 'B', made(6)), write('c', [20, 30], 5, 'C', made(7))],
  ],
  ['a lock that is there is not created', false, [first, create('b', [20, 30], 'B', made(6))]],
  [
    'a lock is created again after its deletion',
    true,
    [first, remove('x', [11, 12], made(6)), create('b', [20, 30], 'B', made(7))],
  ],
  ['what is missing is not deleted', false, [remove('x', [11, 12], made(6))]],
  ['a read is not of the past', false, [first, write('a', [20, 30], 5, 'B', made(6)), read('b', [31, 32], 5, 'A')]],
  [
    'a read beside a write sees either',
    true,
    [first, write('a', [20, 40], 5, 'B', made(6)), read('b', [30, 32], 5, 'A'), read('c', [30, 32], 6, 'B')],
  ],
  ['a read is not of the future', false, [first, read('b', [11, 12], 6, 'B'), write('a', [20, 40], 5, 'B', made(6))]],
  ['versions do not fall', false, [first, write('a', [20, 40], 5, 'B', made(4))]],
  [
    'a version is made once',
    false,
    [
      first,
      write('a', [20, 40], 5, 'B', made(6)),
      write('a', [50, 60], 6, 'B', made(6)),
      write('b', [50, 60], 6, 'C', made(6)),
    ],
  ],
  ['a write that changes nothing keeps its version', true, [first, write('a', [20, 40], 5, 'A', made(5))]],
  ['a write that changes something does not', false, [first, write('a', [20, 40], 5, 'B', made(5))]],
  [
    'a write that names no version is not accepted',
    false,
    [first, { ...write('a', [20, 40], 5, 'B', made(6)), op: { kind: 'write', version: '', record: 'B' } }],
  ],
  [
    'nor is it made unknown',
    false,
    [
      first,
      { ...write('a', [20, 40], 5, 'B', unknown), op: { kind: 'write', version: '', record: 'B' } },
      read('b', [50, 51], 6, 'B'),
    ],
  ],
  ['a refusal says nothing', true, [first, write('b', [20, 30], 5, 'B', { result: 'refused' })]],
  [
    'an unknown write may have been made',
    true,
    [first, write('b', [20, 30], 5, 'B', unknown), read('c', [40, 41], 6, 'B')],
  ],
  [
    'an unknown write may have not been made',
    true,
    [first, write('b', [20, 30], 5, 'B', unknown), read('c', [40, 41], 5, 'A')],
  ],
  [
    'an unknown write may be made after its return',
    true,
    [first, write('b', [20, 30], 5, 'B', unknown), read('c', [40, 41], 5, 'A'), read('c', [50, 51], 6, 'B')],
  ],
  [
    'an unknown write is not made before its call',
    false,
    [first, read('c', [15, 16], 6, 'B'), write('b', [20, 30], 5, 'B', unknown)],
  ],
  [
    'an unknown write is not made on another version',
    false,
    [first, write('a', [11, 12], 5, 'C', made(6)), write('b', [20, 30], 5, 'B', unknown), read('c', [40, 41], 7, 'B')],
  ],
  [
    'an unknown write is not made twice',
    false,
    [first, write('b', [20, 30], 5, 'B', unknown), read('c', [40, 41], 6, 'B'), read('c', [50, 51], 7, 'B')],
  ],
  [
    'an accepted write shows the version that it was on',
    true,
    [first, write('b', [20, 30], 5, 'B', unknown), write('b', [40, 41], 6, 'C', made(7))],
  ],
  ['a version that nobody can have made is not written on', false, [first, write('b', [40, 41], 6, 'C', made(7))]],
  [
    'an unknown write may stand on an unknown one',
    true,
    [first, write('b', [20, 30], 5, 'B', unknown), write('b', [31, 32], 6, 'C', unknown), read('c', [40, 41], 9, 'C')],
  ],
  [
    'an unknown creation makes one lock',
    false,
    [
      create('a', [0, 10], 'A', unknown),
      read('b', [11, 12], 5, 'A'),
      remove('x', [13, 14], made(6)),
      read('b', [15, 16], 7, 'A'),
    ],
  ],
  [
    'two make two',
    true,
    [
      create('a', [0, 10], 'A', unknown),
      create('a', [0, 10], 'A', unknown),
      read('b', [11, 12], 5, 'A'),
      remove('x', [13, 14], made(6)),
      read('b', [15, 16], 7, 'A'),
    ],
  ],
  [
    'an unknown deletion explains what is missing',
    true,
    [first, remove('x', [11, 12], unknown), read('b', [13, 14], 6), create('b', [20, 30], 'B', made(7))],
  ],
  [
    'each change has a version of its own',
    false,
    [first, remove('x', [11, 12], unknown), create('b', [20, 30], 'B', made(6))],
  ],
  [
    'a creation that is needed is not spent elsewhere',
    false,
    [create('a', [0, 1], 'A', unknown), remove('x', [2, 3], made(6)), read('b', [4, 5], 7, 'A')],
  ],
]

for (const [rule, holds, calls] of CASES)
  t.test(rule, async t => {
    const verdict = checkLockHistory(calls)
    t.equal(verdict.ok, holds, verdict.ok ? '' : verdict.why)
    t.equal(searchLockHistory(calls), holds, 'the search agrees')
  })

t.test('a contradiction is told in words, with its calls', async t => {
  const verdict = checkLockHistory([
    create('c0', [0, 10], 'A', made(5)),
    write('c1', [20, 30], 5, 'B', made(6)),
    write('c2', [20, 35], 5, 'C', made(7)),
  ])
  if (verdict.ok) return t.fail('it passed')
  t.equal(
    verdict.why,
    'a write was accepted that was not on the version that was there: ' +
      'c2 from 20 to 35 ms: write of "C" on 5, made 7; c1 from 20 to 30 ms: write of "B" on 5, made 6',
  )
  t.strictSame(
    verdict.calls.map(({ by }) => by),
    ['c2', 'c1'],
  )
})

t.test('a history without versions is not judged', async t => {
  t.throws(() => checkLockHistory([{ ...first, outcome: { result: 'made', version: '' } }]), /decimal number/)
})

const number = (max: number) => fc.integer({ min: 0, max })
const specs = (max: number): fc.Arbitrary<Spec[]> =>
  fc.array(
    fc.record({
      kind: number(9),
      startMs: number(30),
      lastsMs: number(12),
      at: number(12),
      fate: number(9),
      pick: number(9),
    }),
    { maxLength: max },
  )
const options = { seed: SEED, numRuns: RUNS }

t.test('a history that was really made is one', async t => {
  t.comment(`SEED=${SEED}`)
  fc.assert(
    fc.property(specs(60), played => {
      const verdict = checkLockHistory(playedHistory(played))
      if (!verdict.ok) throw new Error(verdict.why)
    }),
    options,
  )
})

t.test('the checker and the search agree, on what was made and on what was made up', async t => {
  t.comment(`SEED=${SEED}`)
  const count = { ok: 0, not: 0 }
  fc.assert(
    fc.property(specs(8), fc.array(fc.tuple(number(7), number(7), number(12)), { maxLength: 4 }), (played, changes) => {
      const calls = mutated(playedHistory(played), changes)
      const holds = searchLockHistory(calls)
      count[holds ? 'ok' : 'not']++
      const verdict = checkLockHistory(calls)
      if (verdict.ok !== holds) throw new Error(verdict.ok ? 'it passed' : verdict.why)
    }),
    options,
  )
  t.ok(count.ok > RUNS / 20 && count.not > RUNS / 20, `both were met: ${JSON.stringify(count)}`)
})

t.test('two thousand calls take milliseconds', async t => {
  const played = fc.sample(
    fc.array(
      fc.record({
        kind: number(9),
        startMs: number(60_000),
        lastsMs: number(200),
        at: number(200),
        fate: number(9),
        pick: number(9),
      }),
      { minLength: 2_000, maxLength: 2_000 },
    ),
    { seed: SEED, numRuns: 1 },
  )[0]!
  const calls = playedHistory(played)
  const from = performance.now()
  for (let i = 0; i < 20; i++) t.ok(checkLockHistory(calls).ok)
  const tookMs = (performance.now() - from) / 20
  t.comment(`${calls.length} calls in ${tookMs.toFixed(2)} ms`)
  t.ok(tookMs < 100)
})
