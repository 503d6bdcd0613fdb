// The same failovers with the long-term Flink 1.20, whose client writes the lock and the job's plan differently.
import t from 'tap'
import { PROFILES } from '../../shared/timings.ts'
import { checkNothingLost, checkRound, checkTokensGrow } from './promises.ts'
import { type Fault, playRound } from './rounds.ts'
import { noCluster, stage } from './scene.ts'

t.test('failover, Flink 1.20.5', { skip: noCluster }, async t => {
  const scene = await stage(t, 'flink-1-20', { mode: 'flink-ha', flink: '1.20.5' })
  for (const fault of ['crash', 'graceful', 'crash', 'graceful'] as const satisfies Fault[])
    await t.test(fault === 'crash' ? 'SIGKILL of the leading JVM' : "deletion of the leader's pod", async t => {
      const sample = await playRound(scene.cluster, scene.agent, scene.observer, scene.jobId, fault)
      checkRound(t, sample, PROFILES.default.leaseMs / 2)
    })
  await checkNothingLost(t, scene)
  checkTokensGrow(t, scene)
})
