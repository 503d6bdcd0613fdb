// Many jobs on one session cluster: what a crash of the leader costs all of them, beside built-in high availability; how large the
// HA store gets; and a store that is full.
import t, { type Test } from 'tap'
import { PORT_POD } from '../../shared/names.ts'
import type { JobDocument } from '../../sidecar/ha-data.ts'
import { lockName } from '../../sidecar/ha-names.ts'
import { dataBytes, MAX_DATA_BYTES } from '../../sidecar/size-limit.ts'
import { type LogLine, type Pod, until } from './cluster.ts'
import { COMPLETED, RESTORING, rest, STORED_PLAN } from './flink.ts'
import { CLUSTER_ID } from './manifests.ts'
import { checkNothingLost, checkTokensGrow } from './promises.ts'
import { noCluster, type Scene, stage } from './scene.ts'

/** It takes some minutes: only who names a number plays it, such as 30. */
const JOBS = Number(process.env['FLINK_HA_LIVE_JOBS'] ?? 0)
const ROUNDS = Number(process.env['FLINK_HA_LIVE_ROUNDS'] ?? 1)
const FLINK = process.env['FLINK_HA_LIVE_FLINK'] ?? '2.3.0'
const LOCK = lockName(CLUSTER_ID)
const PATIENCE_MS = 240_000

const skip = noCluster || (JOBS === 0 && 'FLINK_HA_LIVE_JOBS names no number')
t.test(`${JOBS} jobs, Flink ${FLINK}`, { skip }, async t => {
  const setup = { flink: FLINK, slots: JOBS + 1, checkpointSeconds: 10 } as const
  const scenes = await Promise.all([
    stage(t, 'many-jobs', { mode: 'flink-ha', relay: true, ...setup }),
    stage(t, 'many-jobs-builtin', { mode: 'builtin', ...setup }),
  ])
  await Promise.all(scenes.map(submitAll))
  const [ours, builtin] = scenes
  const recovered: [ours: number, builtin: number][] = []
  // One after the other: two clusters at once would wait for each other's processors.
  for (let round = 1; round <= ROUNDS; round++)
    await t.test(`SIGKILL of the leading JVM, round ${round}`, async t => {
      recovered.push([await checkCrash(t, ours), await checkCrash(t, builtin)])
    })
  t.comment(`from the crash until all of ${JOBS} jobs ran again: flink-ha and built-in HA, in ms`, recovered)
  const slower = recovered.filter(([mine, theirs]) => mine >= theirs)
  t.same(slower, [], 'all jobs run again sooner than with built-in HA')
  await t.test('the running jobs', t => checkSizes(t, ours))
  await t.test('a store that is full', t => checkFull(t, ours))
  await checkNothingLost(t, ours)
  checkTokensGrow(t, ours)
})

const submitAll = async ({ cluster }: Scene): Promise<void> => {
  const leader = await cluster.leader()
  for (let job = 1; job < JOBS; job++) await cluster.submit(leader)
  await cluster.allRunning(leader, JOBS, PATIENCE_MS)
}

const storedJobs = async ({ namespace }: Scene) => {
  const list = await namespace.kubectl(['get', 'configmaps', '-l', `app=${CLUSTER_ID}`, '-o', 'json'])
  const { items } = JSON.parse(list) as { items: { metadata: { name: string }; data?: { [key: string]: string } }[] }
  return items.filter(({ metadata }) => metadata.name !== LOCK)
}

/** Of each job the last checkpoint that a log tells in such a line. */
const lastByJob = (lines: readonly LogLine[], kind: RegExp): Map<string, number> => {
  const last = new Map<string, number>()
  for (const { line } of lines) {
    const number = kind.exec(line)?.[1]
    const job = /[Jj]ob ([0-9a-f]{32})/.exec(line)?.[1]
    if (number !== undefined && job !== undefined) last.set(job, Number(number))
  }
  return last
}

/** From the crash until all jobs run again, in milliseconds. */
const checkCrash = async (t: Test, scene: Scene): Promise<number> => {
  const { cluster, namespace, agent } = scene
  const who = cluster.setup.mode
  const leader = await cluster.leader()
  const standby = await cluster.standby(leader)
  await until('a checkpoint of every job', PATIENCE_MS, async () => {
    const stored = (await storedJobs(scene)).filter(({ data = {} }) =>
      Object.keys(data).some(key => key.startsWith('checkpointID-')),
    )
    return stored.length === JOBS || undefined
  })
  const faultMs = await agent.signal(leader.name, ['java'], 'KILL')
  const runningMs = await cluster.allRunning(standby, JOBS, PATIENCE_MS)
  const completed = lastByJob(await namespace.logs(leader.name, 'jobmanager', true), COMPLETED)
  // With built-in HA it may be the crashed one that leads again, before the lease that nobody renews is over.
  const now = await cluster.leader()
  const lines = await namespace.logs(now.name, 'jobmanager')
  const restored = lastByJob(
    lines.filter(({ atMs }) => atMs > faultMs),
    RESTORING,
  )
  t.equal(restored.size, JOBS, `${who}: every job is restored`)
  const older = [...completed].filter(([job, number]) => (restored.get(job) ?? 0) < number)
  t.same(older, [], `${who}: each from its last completed checkpoint`)
  return runningMs - faultMs
}

const checkSizes = async (t: Test, { cluster, namespace }: Scene): Promise<void> => {
  for (const pod of await cluster.jobManagers()) {
    const jobs = await until('the sidecar to tell every job', PATIENCE_MS, async () => {
      const told = (await rest(namespace, pod, '/jobs', PORT_POD)) as JobDocument[]
      return told.length === JOBS ? told : undefined
    })
    t.same([...new Set(jobs.map(({ state }) => state))], ['led'], `${pod.name} tells all of them led`)
    const sizes = jobs.map(({ bytes }) => bytes ?? 0).sort((a, b) => a - b)
    t.comment(`ConfigMaps of ${jobs.length} jobs: ${sizes[0]} to ${sizes.at(-1)} bytes`)
  }
  const lock = await namespace.configMap(LOCK)
  t.comment(`the cluster's ConfigMap: ${dataBytes(lock ?? {})} bytes, ${Object.keys(lock?.data ?? {}).length} keys`)
}

/** The cluster's ConfigMap has no room for one more job. */
const checkFull = async (t: Test, scene: Scene): Promise<void> => {
  const { cluster, namespace } = scene
  const leader = await cluster.leader()
  const before = await plans(scene)
  const room = MAX_DATA_BYTES - dataBytes((await namespace.configMap(LOCK)) ?? {})
  await fill(scene, 'x'.repeat(room - 100))
  const { jobid, errors = [] } = await cluster.submission(leader)
  t.equal(jobid, undefined, 'a job that has no room is refused')
  t.match(errors.join('\n'), /its data would have \d+ bytes/, 'Flink tells why')
  t.same(await plans(scene), before, 'nothing of it is stored, and the others keep what they had')
  t.equal((await cluster.leader()).name, leader.name, 'the leader stays')
  await othersGoOn(scene, leader)
  await fill(scene)
  const late = await cluster.submit(leader)
  await cluster.running(leader, late, PATIENCE_MS)
  t.pass('with room again it is taken')
}

const plans = async ({ namespace }: Scene): Promise<string[]> =>
  Object.keys((await namespace.configMap(LOCK))?.data ?? {})
    .filter(key => STORED_PLAN.test(key))
    .sort()

/** By server-side apply: without the key, it is taken away again. */
const fill = async ({ namespace }: Scene, filler?: string): Promise<void> => {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: LOCK }, data: { filler } }
  await namespace.kubectl(['apply', '--server-side', '--field-manager=filler', '-f', '-'], JSON.stringify(object))
}

const othersGoOn = async (scene: Scene, leader: Pod): Promise<void> => {
  const counters = async () =>
    new Map((await storedJobs(scene)).map(({ metadata, data }) => [metadata.name, Number(data?.['counter'])]))
  const before = await counters()
  await until('every job to complete another checkpoint', PATIENCE_MS, async () => {
    const now = await counters()
    return [...before].every(([name, counter]) => (now.get(name) ?? 0) > counter) || undefined
  })
  await scene.cluster.running(leader, scene.jobId, PATIENCE_MS)
}
