// Safety and liveness of the election by seed. A failure prints the seed that replays it.
import t from 'tap'
import { FAILSAFE_LIMIT_MS } from '../../shared/failsafe.ts'
import { PROFILES } from '../../shared/timings.ts'
import { CandidateWorld } from '../world/candidates.ts'

const FIRST_SEED = Number(process.env['FLINK_HA_SEED'] ?? 1)
const SEEDS = Number(process.env['FLINK_HA_SEEDS'] ?? 150)

for (const [profile, timings] of Object.entries(PROFILES))
  t.test(
    `profile ${profile}: never two leaders, tokens only grow, and somebody leads when the faults are over`,
    async t => {
      const count = profile === 'default' ? SEEDS : Math.ceil(SEEDS / 5)
      t.comment(`SEED=${FIRST_SEED}…${FIRST_SEED + count - 1}`)
      let terms = 0
      for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed++) {
        const world = new CandidateWorld({
          seed,
          candidates: 2 + (seed % 4),
          timings,
          simulatedMs: 20 * timings.leaseMs,
        })
        const outcome = world.play()
        terms += outcome.terms
        if (outcome.violations.length > 0) t.fail(`SEED=${seed}: ${outcome.violations.join('; ')}`)
        if (outcome.finalLeader === undefined) t.fail(`SEED=${seed}: nobody leads after the faults were healed`)
      }
      t.ok(terms > count, `the worlds were lively: ${terms} terms`)
    },
  )

for (const [profile, timings] of Object.entries(PROFILES))
  t.test(`failsafe, profile ${profile}: the same, through outages, partitions, deaths and joins`, async t => {
    const count = Math.ceil(SEEDS / (profile === 'default' ? 1 : 5))
    t.comment(`SEED=${FIRST_SEED}…${FIRST_SEED + count - 1}`)
    let [vouched, rounds] = [0, 0]
    for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed++) {
      // A limit that is hardly longer than a lease, and the one that ships.
      const failsafeLimitMs = seed % 2 === 0 ? FAILSAFE_LIMIT_MS : 2 * timings.leaseMs
      const simulatedMs = 20 * timings.leaseMs + 5 * failsafeLimitMs
      const outcome = new CandidateWorld({
        seed,
        candidates: 1 + (seed % 4),
        timings,
        simulatedMs,
        failsafeLimitMs,
      }).play()
      vouched += outcome.vouchedTerms
      rounds += outcome.rounds
      if (outcome.violations.length > 0) t.fail(`SEED=${seed}: ${outcome.violations.join('; ')}`)
      if (outcome.finalLeader === undefined) t.fail(`SEED=${seed}: nobody leads after the faults were healed`)
    }
    t.ok(vouched > count / 2, `terms went on without the API: ${vouched}, in ${rounds} rounds`)
  })
