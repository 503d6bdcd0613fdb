// Every Flink that is run today, beside its own built-in high availability: a session cluster of two JobManagers is crashed,
// jobs of it are canceled and finish, the whole cluster is taken away and brought back. FLINK_HA_LIVE_VERSIONS names
// versions whose images are on the node, FLINK_HA_LIVE_ROUNDS how often the leader is crashed.
import t, { type Test } from 'tap'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { parseRecord } from '../../shared/record.ts'
import { PROFILES } from '../../shared/timings.ts'
import { jobConfigMapName, lockName } from '../../sidecar/ha-names.ts'
import { type Pod, until } from './cluster.ts'
import { type FlinkCluster, STORED_PLAN } from './flink.ts'
import { CLUSTER_ID } from './manifests.ts'
import { checkOperatorsView } from './operator.ts'
import { checkNothingLost, checkRound, checkTokensGrow } from './promises.ts'
import { playRound, type Sample } from './rounds.ts'
import { noCluster, type Scene, stage } from './scene.ts'

const VERSIONS = (process.env['FLINK_HA_LIVE_VERSIONS'] ?? '').split(',').filter(version => version !== '')
const ROUNDS = Number(process.env['FLINK_HA_LIVE_ROUNDS'] ?? 1)
/** Of what the same version needs without us. */
const SHARE = 1 / 4
const LOCK = lockName(CLUSTER_ID)
const PATIENCE_MS = 120_000

if (VERSIONS.length === 0) t.test('versions', { skip: 'FLINK_HA_LIVE_VERSIONS names none' }, async () => {})
for (const flink of VERSIONS)
  t.test(`Flink ${flink}`, { skip: noCluster }, async t => {
    const [ours, builtin] = await Promise.all([
      stage(t, `versions-${label(flink)}`, { mode: 'flink-ha', flink, relay: true }),
      stage(t, `versions-${label(flink)}-builtin`, { mode: 'builtin', flink }),
    ])
    const errors = [new Set<string>(), new Set<string>()] as const
    const both = async (act: (scene: Scene) => Promise<unknown>): Promise<void> => {
      await Promise.all([act(ours), act(builtin)])
      await Promise.all([ours, builtin].map((scene, i) => collectErrors(scene, errors[i] as Set<string>)))
    }

    await t.test('SIGKILL of the leading JVM', async t => {
      const samples: { ours: Sample[]; builtin: Sample[] } = { ours: [], builtin: [] }
      for (let round = 0; round < ROUNDS; round++)
        await both(async scene => {
          const sample = await playRound(scene.cluster, scene.agent, scene.observer, scene.jobId, 'crash')
          samples[scene === ours ? 'ours' : 'builtin'].push(sample)
          if (scene === ours) checkRound(t, sample, PROFILES.default.leaseMs / 2)
        })
      const [mine, theirs] = [spread(samples.ours), spread(samples.builtin)]
      t.comment(`Flink ${flink}: crash to RUNNING ${mine.text}, built-in HA ${theirs.text}`)
      t.ok(mine.median <= theirs.median * SHARE, 'the job runs again in a quarter of the time', { mine, theirs })
    })
    await t.test('jobs that end', async t => {
      await both(scene => checkEnds(t, scene))
    })
    await t.test('the whole cluster is taken away and comes back', async t => {
      await both(scene => checkRestart(t, scene))
    })
    for (const scene of [ours, builtin]) await checkOperatorsView(t, scene)
    await checkNothingLost(t, ours)
    checkTokensGrow(t, ours)
    const more = [...errors[0]].filter(error => !errors[1].has(error))
    t.comment(
      'errors that built-in high availability logged as well',
      [...errors[0]].filter(e => errors[1].has(e)),
    )
    t.same(more, [], 'no error in Flink’s log that built-in high availability would not have')
  })

/** Of the milliseconds from the crash until all tasks were RUNNING. */
const spread = (samples: readonly Sample[]): { median: number; text: string } => {
  const all = samples.map(({ runningMs }) => runningMs).sort((a, b) => a - b)
  const median = all[all.length >> 1] ?? Number.NaN
  const [least = Number.NaN, most = Number.NaN] = [all[0], all.at(-1)]
  return { median, text: `${median.toFixed(0)} (${least.toFixed(0)}–${most.toFixed(0)}) ms` }
}

function label(flink: string): string {
  return flink.replaceAll('.', '-')
}

/** A job is canceled, one finishes: what the HA store had of it goes, and nothing else. */
const checkEnds = async (t: Test, { cluster, jobId }: Scene): Promise<void> => {
  const leader = await cluster.leader()
  const who = cluster.setup.mode
  const canceled = await cluster.submit(leader)
  await cluster.running(leader, canceled, PATIENCE_MS)
  await until('its first checkpoint', PATIENCE_MS, async () => {
    const data = (await jobMap(cluster, canceled))?.data ?? {}
    return Object.keys(data).some(key => key.startsWith('checkpointID-')) || undefined
  })
  await cluster.cancel(leader, canceled)
  await checkGone(t, cluster, leader, canceled, 'CANCELED')
  // Half a thousand numbers a second.
  await checkGone(t, cluster, leader, await cluster.submit(leader, [2_500]), 'FINISHED')
  t.equal(await cluster.state(leader, jobId), 'RUNNING', `${who}: the other job goes on`)
  t.ok(await jobMap(cluster, jobId), `${who}: and keeps its ConfigMap`)
}

const checkGone = async (t: Test, cluster: FlinkCluster, leader: Pod, job: string, state: string): Promise<void> => {
  const who = cluster.setup.mode
  await until(`${who}: the job to be ${state}`, PATIENCE_MS, async () => {
    return (await cluster.state(leader, job)) === state || undefined
  })
  await until(`${who}: the HA data of the ${state} job to go`, PATIENCE_MS, async () => {
    const lock = await cluster.namespace.configMap(LOCK)
    const left = Object.keys(lock?.data ?? {}).filter(key => key.includes(job))
    return (left.length === 0 && (await jobMap(cluster, job)) === undefined) || undefined
  })
  t.pass(`${who}: nothing is left of a job that is ${state}`)
}

const checkRestart = async (t: Test, { cluster, namespace, jobId }: Scene): Promise<void> => {
  const who = cluster.setup.mode
  const before = await cluster.leader()
  await cluster.checkpoints(before, jobId, 1)
  await cluster.scale(false)
  const [lock, job] = [await namespace.configMap(LOCK), await jobMap(cluster, jobId)]
  const counter = Number(job?.data?.['counter'])
  const newest = Math.max(
    ...Object.keys(job?.data ?? {}).map(key => Number(/^checkpointID-0*(\d+)$/.exec(key)?.[1] ?? 0)),
  )
  t.ok(counter > 1 && newest > 0, `${who}: the job’s ConfigMap stays`)
  t.ok(
    Object.keys(lock?.data ?? {}).some(key => STORED_PLAN.test(key) && key.endsWith(jobId)),
    `${who}: its plan stays`,
  )
  // Flink leaves leader keys behind when its pod ends (seen with 1.18 and 2.0): who holds the lock decides.
  if (who === 'flink-ha')
    t.equal(parseRecord(lock?.metadata.annotations?.[ANNOTATION_LEADER])?.holder, '', 'the lock is held by nobody')
  await cluster.scale(true)
  const leader = await cluster.leader()
  await cluster.running(leader, jobId, PATIENCE_MS)
  const restored = await cluster.restored(leader)
  t.ok(restored >= newest, `${who}: the job goes on from its last checkpoint`, { restored, newest })
  await cluster.checkpoints(leader, jobId, 1)
  const after = Number((await jobMap(cluster, jobId))?.data?.['counter'])
  t.ok(after > counter, `${who}: the counter goes on`, { counter, after })
}

const jobMap = (cluster: FlinkCluster, job: string) => cluster.namespace.configMap(jobConfigMapName(CLUSTER_ID, job))

/** Kinds of errors that the JobManagers logged: without what differs from one to the next. */
const collectErrors = async ({ cluster, namespace }: Scene, into: Set<string>): Promise<void> => {
  for (const pod of await cluster.jobManagers())
    for (const previous of [false, true])
      for (const { line } of await namespace.logs(pod.name, 'jobmanager', previous)) {
        const [, text] = / ERROR (.*)/.exec(line) ?? []
        if (text !== undefined) into.add(text.replace(/[0-9a-f]{8,}|\d+/g, '#').slice(0, 200))
      }
}
