// An application's end takes the HA data of its cluster along, whatever the end was; the deletion of the cluster takes none,
// and the next one of the same id goes on from it.
import t, { type Test } from 'tap'
import { PROFILES } from '../../shared/timings.ts'
import { haSelector, jobConfigMapName } from '../../sidecar/ha-names.ts'
import { type Application, application, JOB } from './application.ts'
import { Namespace, sleep, until } from './cluster.ts'
import { aNode, FlinkCluster } from './flink.ts'
import { CLUSTER_ID, type Setup } from './manifests.ts'
import { checkNothingLost, checkRound, checkTokensGrow } from './promises.ts'
import { playRound } from './rounds.ts'
import { noCluster, stage } from './scene.ts'

const FLINKS = (process.env['FLINK_HA_LIVE_FLINK'] ?? '2.3.0').split(',')
const PATIENCE_MS = 180_000
/** Longer than a lease: whoever would make the lock anew has done it by then. */
const CALM_MS = 15_000

type Stand = { namespace: Namespace; cluster: FlinkCluster; apply: (options?: Application) => Promise<void> }

const haMaps = async (namespace: Namespace): Promise<string[]> => {
  const text = await namespace.kubectl(['get', 'configmaps', '-l', haSelector(CLUSTER_ID), '-o', 'name'])
  return text.split('\n').filter(name => name !== '')
}

const leases = async (namespace: Namespace): Promise<string> => await namespace.kubectl(['get', 'leases', '-o', 'name'])

const stand = async (t: Test, flink: string, lock?: 'lease'): Promise<Stand> => {
  const [node, namespace] = await Promise.all([aNode(), Namespace.create('application')])
  t.teardown(() => namespace.remove())
  const setup: Setup = { mode: 'flink-ha', flink, relay: true, ...(lock && { lock }) }
  const apply = (options?: Application) => namespace.apply(application(namespace.name, node, setup, options))
  return { namespace, cluster: new FlinkCluster(namespace, node, setup), apply }
}

/** The Job's pod is over, and its sidecar with it. */
const over = async ({ namespace }: Stand): Promise<void> => {
  await until('the JobManager to end', PATIENCE_MS, async () => {
    const [pod] = await namespace.pods('component=jobmanager')
    const phase = (pod?.raw.status as { phase?: string } | undefined)?.phase
    return phase === 'Succeeded' || phase === 'Failed' || undefined
  })
}

const gone = async (stand: Stand): Promise<void> => {
  await stand.namespace.kubectl(['delete', `job/${JOB}`, '--cascade=foreground', '--timeout=120s'])
  await until('its pod to go', PATIENCE_MS, async () => {
    return (await stand.namespace.pods('component=jobmanager')).length === 0 || undefined
  })
}

for (const flink of FLINKS)
  t.test(`application cluster, Flink ${flink}`, { skip: noCluster }, async t => {
    const ends: { [end: string]: { options?: Application; act?: (found: Stand) => Promise<void> } } = {
      'the job finishes': { options: { programArgs: [4_000] } },
      'the job fails for good': { options: { programArgs: [1_000_000, 3_000], fragile: true } },
      'the job is canceled': {
        act: async ({ cluster }) => {
          const leader = await cluster.leader()
          const job = await cluster.onlyJob(leader)
          await cluster.running(leader, job, PATIENCE_MS)
          await cluster.checkpoints(leader, job, 1)
          await cluster.cancel(leader, job)
        },
      },
    }
    const found = await stand(t, flink)
    for (const [end, { options, act }] of Object.entries(ends))
      await t.test(`${end}: nothing of the cluster stays`, async t => {
        await found.apply(options)
        await until('HA data', PATIENCE_MS, async () => (await haMaps(found.namespace)).length > 1 || undefined)
        await act?.(found)
        await over(found)
        await sleep(CALM_MS)
        t.same(await haMaps(found.namespace), [])
        await gone(found)
      })

    await t.test('the cluster is deleted and made again: its job goes on', async t => {
      const { cluster, namespace, apply } = found
      await apply()
      const before = await cluster.leader()
      const job = await cluster.onlyJob(before)
      await cluster.running(before, job, PATIENCE_MS)
      await cluster.checkpoints(before, job, 2)
      await gone(found)
      await sleep(CALM_MS)
      t.equal((await haMaps(namespace)).length, 2, 'both ConfigMaps stay')
      const name = jobConfigMapName(CLUSTER_ID, job)
      const kept = Number((await namespace.configMap(name))?.data?.['counter'])
      await apply()
      const leader = await cluster.leader()
      t.equal(await cluster.onlyJob(leader), job, 'it is the same job')
      await cluster.running(leader, job, PATIENCE_MS)
      await cluster.checkpoints(leader, job, 1)
      const restored = await cluster.restored(leader)
      t.ok(restored >= kept - 1, 'it goes on from the last checkpoint', { restored, kept })
      t.ok(Number((await namespace.configMap(name))?.data?.['counter']) > kept, 'and the counter goes on')
      t.same(await cluster.lost(), [], 'no number is lost or repeated')
    })

    await t.test('with a Lease for the lock: that goes as well', async t => {
      const found = await stand(t, flink, 'lease')
      await found.apply({ programArgs: [4_000] })
      await until('a Lease', PATIENCE_MS, async () => (await leases(found.namespace)) !== '' || undefined)
      await until('HA data', PATIENCE_MS, async () => (await haMaps(found.namespace)).length > 1 || undefined)
      await over(found)
      await sleep(CALM_MS)
      t.same(await haMaps(found.namespace), [])
      t.equal(await leases(found.namespace), '')
    })

    await t.test('a Deployment of two JobManagers: the other one goes on with the job', async t => {
      const setup: Setup = { mode: 'flink-ha', flink, relay: true, application: true }
      const scene = await stage(t, 'application-deployment', setup, async (namespace, node) => ({
        objects: application(namespace.name, node, setup, { kind: 'Deployment' }),
      }))
      const round = await playRound(scene.cluster, scene.agent, scene.observer, scene.jobId, 'crash')
      checkRound(t, round, PROFILES.default.leaseMs / 2)
      t.equal(await scene.cluster.onlyJob(await scene.cluster.leader()), scene.jobId, 'it is the same job')
      await checkNothingLost(t, scene)
      checkTokensGrow(t, scene)
    })
  })
