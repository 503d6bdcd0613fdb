// The API server is slow, away, or refuses: nobody loses leadership for it, no job restarts. And when it stays away, nobody
// is told a stale name.
import t, { type Test } from 'tap'
import { PORT_POD } from '../../shared/names.ts'
import { PROFILES } from '../../shared/timings.ts'
import { nowMs, type Pod, sleep, until } from './cluster.ts'
import { type Fault, freezeApiServer, metBy, order, rig, startFaultProxy } from './faults.ts'
import { rest } from './flink.ts'
import { checkNothingLost, checkTokensGrow } from './promises.ts'
import { noCluster, type Scene, stage } from './scene.ts'

const { leaseMs, renewDeadlineMs } = PROFILES.default
/** Flink's REST server shows a job as it was up to so long ago. */
const REST_CACHE_MS = 3_500

const FAULTS: { [name: string]: Fault & { lastsMs: number } } = {
  'frozen for 5 s': { fault: 'freeze', seconds: 5, lastsMs: 5_000 },
  'breaks every watch': { fault: 'break-watches', lastsMs: 3_000 },
  'answers watches with 410': { fault: 'expire-watches', count: 8, lastsMs: 8_000 },
  'answers writes with 409 for 5 s': { fault: 'conflict', seconds: 5, lastsMs: 5_000 },
  'answers 429 with Retry-After for 5 s': { fault: 'throttle', seconds: 5, lastsMs: 5_000 },
  'answers 500 ms late for 10 s': { fault: 'slow', seconds: 10, ms: 500, lastsMs: 10_000 },
}

t.test('faults of the API server', { skip: noCluster }, async t => {
  const scene = await stage(t, 'api-faults', { mode: 'flink-ha', flink: '2.3.0' }, startFaultProxy)
  const { namespace } = scene

  for (const [name, { lastsMs, ...fault }] of Object.entries(FAULTS))
    await t.test(`the API server ${name}`, async t => {
      await checkCalm(t, scene, async () => {
        const before = await metBy(namespace, fault.fault)
        await order(namespace, fault)
        await sleep(lastsMs)
        t.ok((await metBy(namespace, fault.fault)) > before, 'the sidecars met the fault')
      })
    })

  await t.test('the real API server frozen for 5 s', { skip: rig === '' && 'FLINK_HA_RIG names no rig' }, async t => {
    await checkCalm(t, scene, () => freezeApiServer(5))
  })

  await t.test('the API server away for longer than the lease: nobody leads, and nobody is named', t =>
    checkCutOff(t, scene),
  )

  await checkNothingLost(t, scene)
  checkTokensGrow(t, scene)
})

/** Nothing of leadership and nothing of the job changes. */
const checkCalm = async (t: Test, { cluster, observer, jobId }: Scene, fault: () => Promise<void>): Promise<void> => {
  const leader = await cluster.leader()
  await cluster.standby(leader)
  await cluster.checkpoints(leader, jobId, 1)
  await sleep(REST_CACHE_MS)
  const incarnation = await cluster.incarnation(leader, jobId)
  const before = observer.sights.at(-1)
  const fromMs = nowMs()
  await fault()
  // Long enough for a leader that lost its way to be overtaken.
  await sleep(leaseMs)
  await cluster.checkpoints(leader, jobId, 1)
  await sleep(REST_CACHE_MS)
  const sights = observer.sights.filter(({ atMs }) => atMs >= fromMs)
  t.ok(sights.length > 0, 'the lock is renewed')
  t.same([...new Set(sights.map(({ holder }) => holder))], [before?.holder], 'the leader stays')
  t.same([...new Set(sights.map(({ token }) => token))], [before?.token], 'and so does its term')
  t.equal(await cluster.incarnation(leader, jobId), incarnation, 'the job is not restarted')
}

const checkCutOff = async (t: Test, { cluster, namespace, agent, jobId }: Scene): Promise<void> => {
  const leader = await cluster.leader()
  const pods = [leader, await cluster.standby(leader)]
  const seconds = (leaseMs * 2) / 1000
  await order(namespace, { fault: 'black-hole', seconds })
  const fromMs = nowMs()
  const told: { afterMs: number; pod: string; name: string | null }[] = []
  while (nowMs() < fromMs + seconds * 1000 - 1_000) {
    for (const pod of pods) {
      const sentMs = nowMs()
      told.push({ afterMs: sentMs - fromMs, pod: pod.name, name: await nameToldBy(namespace, pod) })
    }
    await sleep(250)
  }
  // The leader goes by the sending of its last write, a follower by its sight of it.
  const stale = told.filter(
    ({ afterMs, pod, name }) => name !== null && afterMs > (pod === leader.name ? renewDeadlineMs : leaseMs),
  )
  t.same(stale, [], 'no name is told when the term can be over')
  t.same([...new Set(told.map(({ name }) => name))].sort(), [leader.name, null].sort(), 'and never another name')
  await sleep(2_000)
  const back = await until('a leader again', 60_000, async () => {
    const names = await Promise.all(pods.map(pod => nameToldBy(namespace, pod)))
    return names[0] !== null && names[0] === names[1] ? pods.find(({ name }) => name === names[0]) : undefined
  })
  t.ok(await cluster.running(back, jobId, 120_000, agent.there(fromMs)), 'the job runs again')
}

const nameToldBy = async (namespace: Scene['namespace'], pod: Pod): Promise<string | null> => {
  const { name } = (await rest(namespace, pod, '/leader', PORT_POD)) as { name: string | null }
  return name
}
