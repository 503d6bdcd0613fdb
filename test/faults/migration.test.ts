// A rolling update of the JobManagers from built-in HA to flink-ha and back, with the job running: the lock is one that both
// understand, so there are never two leaders, and the job goes on from its last checkpoint.
import t from 'tap'
import { type Namespace, nowMs } from '../live/cluster.ts'
import { FlinkCluster } from '../live/flink.ts'
import { access, jobManagers, type Mode, type Setup, taskManager } from '../live/manifests.ts'
import { noCluster, strike } from '../live/scene.ts'
import { JVM_LEASE_MS, type Kind } from './kinds.ts'
import { playOne } from './play.ts'
import { keep, type Result, table } from './report.ts'
import { type Stage, set } from './round.ts'

const FLINKS = (process.env['FLINK_HA_LIVE_FLINK'] ?? '2.3.0,1.20.5').split(',')
const CHOSEN = process.env['FLINK_HA_FAULTS'] ?? ''
const ROUNDS = Number(process.env['FLINK_HA_FAULT_ROUNDS'] ?? 1)
const skip = noCluster || (!CHOSEN.split(',').some(name => name === 'all' || name === 'migration') && 'not chosen')
/** Longer than a JVM takes to stand: else the second pod is replaced while the first one is no standby yet. */
const MIN_READY_S = 25

const deployment = (namespace: Namespace, node: string, flink: string, mode: Mode) => {
  const made = jobManagers(namespace.name, node, { flink, mode })
  return { ...made, spec: { ...made.spec, minReadySeconds: MIN_READY_S } }
}

const rollTo = (mode: Mode): Kind => ({
  what: `rolling update of the JobManagers to ${mode === 'builtin' ? 'built-in HA' : 'flink-ha'}`,
  holdMs: 0,
  settleMs: 10_000,
  strike: async ({ scene: { namespace, cluster } }) => {
    const atMs = nowMs()
    await namespace.apply([deployment(namespace, cluster.node, cluster.setup.flink, mode)])
    const rollout = ['rollout', 'status', 'deployment/jobmanager', '--timeout=280s']
    return { atMs, heal: () => namespace.kubectl(rollout, '', 300_000) }
  },
  // A leader of built-in HA that is stopped leaves its lease behind, or stops within it.
  expected: { leader: 'changes', oneFlink: true, backWithinMs: JVM_LEASE_MS + 5_000 },
})

for (const flink of FLINKS)
  t.test(`from built-in HA to flink-ha and back, Flink ${flink}`, { skip }, async t => {
    const setup: Setup = { mode: 'builtin', flink }
    const stage = await set('migration', 'flink-ha', setup, async (namespace, node) => ({
      objects: [...access, deployment(namespace, node, flink, 'builtin'), taskManager(namespace.name, node, setup)],
    }))
    t.teardown(() => strike(stage, !t.passing()))
    const result: Result = { at: new Date().toISOString(), flink, samples: [], failures: [] }
    let now: Mode = 'builtin'
    for (let round = 1; round <= ROUNDS; round++)
      for (const next of ['flink-ha', 'builtin'] as const) {
        const kind = rollTo(next)
        const cluster = new FlinkCluster(stage.namespace, stage.cluster.node, { ...setup, mode: now })
        const acting: Stage = { ...stage, cluster }
        await t.test(`${kind.what}, round ${round}`, t =>
          playOne(t, acting, `migration to ${next}`, kind, round, result),
        )
        now = next
        t.comment(await keep('migration', result))
      }
    t.comment(`\n${table(result.samples)}`)
  })
