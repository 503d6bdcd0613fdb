// Pods as Flink's operator makes them, in a namespace that was labelled: ours are added to them, and the operator finds in the HA
// store what it looks for.
import t, { type Test } from 'tap'
import { CONTAINER_SIDECAR } from '../../shared/names.ts'
import { PROFILES } from '../../shared/timings.ts'
import { until } from './cluster.ts'
import { install, label, uninstall } from './installation.ts'
import { MAIN } from './native.ts'
import { checkOperatorsView, operatorNative, operatorStandalone } from './operator.ts'
import { checkNothingLost, checkRound, checkTokensGrow } from './promises.ts'
import { playRound } from './rounds.ts'
import { noCluster, type Scene, stage } from './scene.ts'

const BOUND_MS = PROFILES.default.leaseMs / 2
const FLINK = process.env['FLINK_HA_LIVE_FLINK'] ?? '2.3.0'

t.test(`pods of the operator, Flink ${FLINK}`, { skip: noCluster }, async t => {
  await install()
  t.teardown(uninstall)
  for (const [mode, made] of Object.entries({ native: operatorNative, standalone: operatorStandalone }))
    await t.test(`mode ${mode}`, async t => {
      const scene = await stage(t, `operator-${mode}`, { mode: 'flink-ha', flink: FLINK }, async (namespace, node) => {
        await label(namespace)
        return { objects: made(namespace.name, node, FLINK), container: MAIN }
      })
      await checkPods(t, scene)
      checkRound(t, await playRound(scene.cluster, scene.agent, scene.observer, scene.jobId, 'crash'), BOUND_MS)
      await checkPods(t, scene)
      await checkOperatorsView(t, scene)
      await checkNothingLost(t, scene)
      checkTokensGrow(t, scene)
    })
})

const checkPods = async (t: Test, { cluster }: Scene): Promise<void> => {
  const pods = await until('two JobManagers and a TaskManager', 60_000, async () => {
    const [jobManagers, taskManagers] = [await cluster.jobManagers(), await cluster.taskManagers()]
    return jobManagers.length === 2 && taskManagers.length === 1 ? [...jobManagers, ...taskManagers] : undefined
  })
  for (const { name, raw } of pods) {
    const { containers, initContainers = [] } = raw.spec
    t.same([initContainers.map(one => one.name), containers.map(one => one.name)], [[CONTAINER_SIDECAR], [MAIN]], name)
  }
}
