// Native mode: the JobManager asks for its TaskManagers by the API, which is the gateway then. Beside it the same cluster without
// us, for what both ask of the API server.
import t, { type Test } from 'tap'
import { haSelector } from '../../sidecar/ha-names.ts'
import { Audit, auditLog, tally } from './audit.ts'
import { Namespace, nowMs, until } from './cluster.ts'
import { aNode } from './flink.ts'
import { CLUSTER_ID } from './manifests.ts'
import { MAIN, NATIVE_TASKS, native } from './native.ts'
import { noCluster, type Scene, stage } from './scene.ts'

const FLINKS = (process.env['FLINK_HA_LIVE_FLINK'] ?? '2.3.0').split(',')
const PATIENCE_MS = 120_000

for (const flink of FLINKS)
  t.test(`native session cluster, Flink ${flink}`, { skip: noCluster }, async t => {
    const raised = (mode: 'flink-ha' | 'builtin'): Promise<Scene> =>
      stage(t, `native-${mode}`, { mode, flink }, async (namespace, node) => ({
        objects: native(namespace.name, node, { mode, flink }),
        container: MAIN,
      }))
    const scenes = await Promise.all([raised('flink-ha'), raised('builtin')])
    const asked = await Promise.all(scenes.map(scene => counted(() => checkTasks(t, scene), scene)))
    const [ours, theirs] = asked.map(all => all?.filter(({ resource }) => resource !== 'configmaps'))
    if (ours === undefined || theirs === undefined) t.comment('no audit log: requests are not counted')
    else {
      t.comment('requests for other things than HA data', tally(ours), tally(theirs))
      t.ok(ours.length <= theirs.length * 1.05, 'the gateway adds none', { ours: ours.length, theirs: theirs.length })
    }
    await checkCrash(t, scenes[0] as Scene)
  })

for (const flink of FLINKS)
  t.test(`native application cluster, Flink ${flink}`, { skip: noCluster }, async t => {
    const [node, namespace] = await Promise.all([aNode(), Namespace.create('native-application')])
    t.teardown(() => namespace.remove())
    const job = { job: [5_000], replicas: 1 }
    await namespace.apply(native(namespace.name, node, { mode: 'flink-ha', flink }, job))
    const left = async (what: string, selector = `app=${CLUSTER_ID}`): Promise<string> =>
      await namespace.kubectl(['get', what, '-l', selector, '-o', 'name'])
    await until('a TaskManager that it asked for', PATIENCE_MS, async () => (await left('pods', NATIVE_TASKS)) !== '')
    await until('HA data', PATIENCE_MS, async () => (await left('configmaps')) !== '')
    await until('the end of its Deployment and its pods', PATIENCE_MS, async () => {
      const deployment = await namespace.kubectl(['get', 'deployment', CLUSTER_ID, '--ignore-not-found', '-o', 'name'])
      return (deployment === '' && (await left('pods')) === '') || undefined
    })
    t.equal(
      await left('configmaps', haSelector(CLUSTER_ID)),
      '',
      'the job is FINISHED: its HA data is gone with the cluster',
    )
  })

const counted = async (act: () => Promise<void>, { namespace, agent }: Scene) => {
  const path = await auditLog()
  const audit = path === undefined ? undefined : await Audit.begin(path)
  const fromMs = nowMs()
  await act()
  return await audit?.of(namespace.name, agent.there(fromMs), agent.there(nowMs()))
}

const tasks = async ({ namespace }: Scene): Promise<string[]> =>
  (await namespace.pods(NATIVE_TASKS)).filter(({ deleting }) => !deleting).map(({ name }) => name)

/** A second job needs a second TaskManager; when it is canceled that one is released. */
const checkTasks = async (t: Test, scene: Scene): Promise<void> => {
  const { cluster, jobId } = scene
  const who = cluster.setup.mode
  const leader = await cluster.leader()
  const [first, ...others] = await tasks(scene)
  t.same([typeof first, others], ['string', []], `${who}: one TaskManager pod was requested`)
  // Two slots: the next two jobs need another TaskManager.
  const jobs = [await cluster.submit(leader), await cluster.submit(leader)]
  for (const job of jobs) await cluster.running(leader, job, PATIENCE_MS)
  t.equal((await tasks(scene)).length, 2, `${who}: another one is requested, started and registered`)
  for (const job of jobs) await cluster.cancel(leader, job)
  await until('the release of a TaskManager', PATIENCE_MS, async () => (await tasks(scene)).length === 1 || undefined)
  t.pass(`${who}: it is released when nobody needs it`)
  t.equal(await cluster.state(leader, jobId), 'RUNNING', `${who}: the first job goes on`)
}

/** The next leader finds the TaskManager pods that there are, and the job goes on in them. */
const checkCrash = async (t: Test, scene: Scene): Promise<void> => {
  const { cluster, agent, jobId } = scene
  const leader = await cluster.leader()
  const standby = await cluster.standby(leader)
  const before = await tasks(scene)
  await agent.signal(leader.name, ['java'], 'KILL')
  await until('the standby to lead', PATIENCE_MS, async () => (await cluster.leaderNow())?.name === standby.name)
  await cluster.running(standby, jobId, PATIENCE_MS)
  await cluster.checkpoints(standby, jobId, 1)
  t.ok((await cluster.restored(standby)) > 0, 'the job goes on from a checkpoint')
  t.same(await tasks(scene), before, 'in the TaskManager pods that were there')
}
