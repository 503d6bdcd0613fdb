import t from 'tap'
import { PROFILES, timingProblems } from '../../shared/timings.ts'

t.test('every profile is safe', async t => {
  for (const [name, timings] of Object.entries(PROFILES)) t.same(timingProblems(timings), [], name)
})

t.test('a renew deadline too near to the lease is refused, with what would be right', async t => {
  t.match(timingProblems({ leaseMs: 10_000, renewDeadlineMs: 9_500, retryMs: 2_000 }), [
    'renew-deadline is 9500 ms: with a lease-duration of 10000 ms at most 8500 ms is safe',
  ])
})

t.test('a retry period without room for two tries is refused', async t => {
  t.match(timingProblems({ leaseMs: 10_000, renewDeadlineMs: 7_000, retryMs: 4_000 }), [
    /^retry-period is 4000 ms: .* at most 3500 ms/,
  ])
})

t.test('every problem is named at once', async t => {
  t.equal(timingProblems({ leaseMs: 0, renewDeadlineMs: Number.NaN, retryMs: -1 }).length, 3)
})
