// Never two leaders, no checkpoint lost, and everything comes back: the code that ships, whole, in a simulated world in which
// everything goes wrong (`test/world/sim-world.ts`), by seed. A failure prints the seed that replays it, `npm run sim -- --seed N`,
// and the few faults that are enough.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'

const SEEDS = Number(process.env['FLINK_HA_SEEDS'] ?? 500)
const FIRST_SEED = Number(process.env['FLINK_HA_SEED'] ?? 1)
/** A minute on two idle cores; others may be at work on them. */
const LIMIT_MS = 600_000

t.setTimeout(LIMIT_MS)

t.test('whatever goes wrong, there are never two leaders and nothing is lost; afterwards all is well', async t => {
  const args = ['test/sim.mjs', '--seed', String(FIRST_SEED), '--seeds', String(SEEDS)]
  const { stdout, failed } = await promisify(execFile)(process.execPath, args, { maxBuffer: 64 * 1024 * 1024 }).then(
    ({ stdout }) => ({ stdout, failed: false }),
    (error: { stdout?: string; message: string }) => ({ stdout: error.stdout || error.message, failed: true }),
  )
  t.comment(stdout.trim().split('\n').at(-1))
  if (failed) t.fail(stdout)
  else t.match(stdout, / 0 violations/)
})
