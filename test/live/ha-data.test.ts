// Real Flink's HA data: told while it runs, kept in a file, removed when the cluster is gone, put back, and gone on from.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { backup } from '../../cli/backup.ts'
import { cleanup } from '../../cli/cleanup.ts'
import { type HaWorld, processWorld } from '../../cli/ha-args.ts'
import { type Orphan, orphans } from '../../cli/orphans.ts'
import { restore } from '../../cli/restore.ts'
import { PORT_POD } from '../../shared/names.ts'
import type { JobDocument, Problem } from '../../sidecar/ha-data.ts'
import { jobConfigMapName, lockName } from '../../sidecar/ha-names.ts'
import { CapturedIo } from '../world/captured-io.ts'
import { until } from './cluster.ts'
import { rest } from './flink.ts'
import { CLUSTER_ID } from './manifests.ts'
import { checkNothingLost } from './promises.ts'
import { noCluster, type Scene, stage } from './scene.ts'

const FLINKS = (process.env['FLINK_HA_LIVE_FLINK'] ?? '2.3.0').split(',')

const run = async (
  command: (world: HaWorld, io: CapturedIo) => Promise<number>,
): Promise<{ code: number; out: string; err: string }> => {
  const io = new CapturedIo()
  const code = await command(processWorld({}, 'flink-ha live'), io)
  return { code, out: io.outText, err: io.errText }
}

const counterOf = async ({ namespace, jobId }: Scene): Promise<number> =>
  Number((await namespace.configMap(jobConfigMapName(CLUSTER_ID, jobId)))?.data?.['counter'])

for (const flink of FLINKS)
  t.test(`HA data, Flink ${flink}`, { skip: noCluster }, async t => {
    const scene = await stage(t, 'ha-data', { mode: 'flink-ha', flink })
    const { namespace, cluster, jobId } = scene
    const name = { namespace: namespace.name, clusterId: CLUSTER_ID }
    const folder = await mkdtemp(join(tmpdir(), 'flink-ha-data-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'ha.yaml')
    const clean = (yes: boolean) => run((world, io) => cleanup({ ...name, yes }, world, io))
    const putBack = (replace = false) =>
      run((world, io) => restore({ file, namespace: undefined, replace, yes: true }, world, io))
    const orphaned = async (): Promise<boolean> => {
      const { out } = await run((world, io) => orphans({ namespace: namespace.name, json: true }, world, io))
      return (JSON.parse(out) as Orphan[]).some(({ clusterId }) => clusterId === CLUSTER_ID)
    }

    await t.test('every sidecar tells the job, and nothing that Flink wrote is a problem', async t => {
      for (const pod of await cluster.jobManagers()) {
        const jobs = (await rest(namespace, pod, '/jobs', PORT_POD)) as JobDocument[]
        t.match(jobs, [{ id: jobId, state: 'led', planStored: true, checkpoints: [Number], problems: [] }])
        t.ok(jobs[0]?.name, 'its name is known')
        t.ok((jobs[0]?.checkpointCounter ?? 0) > (jobs[0]?.checkpoints[0] ?? Number.POSITIVE_INFINITY))
        t.ok((jobs[0]?.bytes ?? 0) > 500)
        t.same(await rest(namespace, pod, '/problems', PORT_POD), [])
      }
    })

    await t.test('a foreign entry is reported, and stays while checkpoints come and go', async t => {
      const map = jobConfigMapName(CLUSTER_ID, jobId)
      const patch = JSON.stringify({ data: { note: 'x' } })
      await namespace.kubectl(['patch', 'configmap', map, '--type=merge', '-p', patch])
      const leader = await cluster.leader()
      await cluster.checkpoints(leader, jobId, 3)
      t.match((await rest(namespace, leader, '/problems', PORT_POD)) as Problem[], [{ configMap: map, key: 'note' }])
      t.equal((await namespace.configMap(map))?.data?.['note'], 'x')
      await namespace.kubectl([
        ...['patch', 'configmap', map, '--type=merge', '-p', JSON.stringify({ data: { note: null } })],
      ])
    })

    await t.test('while it lives nothing is removed or put back', async t => {
      t.equal((await run((world, io) => backup({ ...name, file, force: false }, 'live', world, io))).code, 0)
      t.match(await clean(true), { code: 1, err: /the cluster is alive/ })
      await cluster.checkpoints(await cluster.leader(), jobId, 1)
      t.match(await putBack(true), { code: 1, err: /the cluster is alive/ })
      t.equal(await orphaned(), false)
    })

    await cluster.scale(false)
    const before = await until('a counter', 30_000, async () => (await counterOf(scene)) || undefined)
    await t.test('what is scaled to nothing is in use; what is deleted is an orphan', async t => {
      t.equal((await run((world, io) => backup({ ...name, file, force: true }, 'live', world, io))).code, 0)
      t.equal(await orphaned(), false)
      await namespace.kubectl(['delete', 'deployments', '--all'])
      t.equal(await orphaned(), true)
    })

    await t.test('it is removed, put back, and gone on from', async t => {
      t.match(await clean(false), { code: 0, out: /without --yes/ })
      t.equal((await clean(true)).code, 0)
      t.equal(await namespace.configMap(lockName(CLUSTER_ID)), undefined)
      t.equal(await namespace.configMap(jobConfigMapName(CLUSTER_ID, jobId)), undefined)
      t.equal((await putBack()).code, 0)
      t.equal(await counterOf(scene), before)
      await cluster.deploy()
      const leader = await cluster.leader()
      await cluster.running(leader, jobId, 240_000)
      await cluster.checkpoints(leader, jobId, 1)
      t.ok((await counterOf(scene)) > before, 'the counter goes on')
    })
    await checkNothingLost(t, scene)
  })
