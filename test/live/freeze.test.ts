// Parts of the leader stop, vanish and come back: nobody writes as a leader that is none any more.
import t from 'tap'
import { CONTAINER_SIDECAR, LABEL_ROLE } from '../../shared/names.ts'
import { PROFILES } from '../../shared/timings.ts'
import { nowMs, sleep, until } from './cluster.ts'
import { REVOKED } from './flink.ts'
import { checkNothingLost, checkSilent, checkTokensGrow, identityOf } from './promises.ts'
import { playRound } from './rounds.ts'
import { noCluster, stage } from './scene.ts'

const { leaseMs } = PROFILES.default
/** Flink's own lease: a JVM that is silent for longer has lost leadership by its own account. */
const JVM_LEASE_MS = 15_000
/** For the machine: the bounds are leases. */
const SLACK_MS = 4_000

t.test('a leader that stops, vanishes or comes back', { skip: noCluster }, async t => {
  const scene = await stage(t, 'freeze', { mode: 'flink-ha', flink: '2.3.0' })
  const { namespace, cluster, agent, observer, jobId } = scene

  // First, because the kubelet lets a container wait that ends again and again.
  await t.test('SIGKILL of the sidecar alone: it resumes its own term, and Flink does not notice', async t => {
    const leader = await cluster.leader()
    await cluster.standby(leader)
    const before = observer.sights.at(-1)
    const incarnation = await cluster.incarnation(leader, jobId)
    const restarts = leader.restarts[CONTAINER_SIDECAR] ?? 0
    const log = namespace.follow(leader.name, 'jobmanager')
    const fromMs = await agent.signal(leader.name, ['node'], 'KILL')
    await until('the sidecar to come back', 30_000, async () =>
      (await cluster.jobManagers()).some(
        pod => pod.name === leader.name && pod.restarts[CONTAINER_SIDECAR] === restarts + 1,
      ),
    )
    await sleep(leaseMs + JVM_LEASE_MS)
    const sights = observer.sights.filter(({ atMs }) => atMs >= fromMs)
    t.ok(sights.length > 0, 'it renews')
    t.same([...new Set(sights.map(({ holder }) => holder))], [identityOf(leader)], 'the lock names the same pod')
    t.same([...new Set(sights.map(({ token }) => token))], [before?.token], 'under the same token')
    await cluster.checkpoints(leader, jobId, 1)
    t.equal(await cluster.incarnation(leader, jobId), incarnation, 'the job was not restarted')
    const revoked = log.lines.filter(({ atMs, line }) => agent.here(atMs) >= fromMs && REVOKED.test(line))
    t.same(revoked, [], 'Flink does not log that leadership was revoked')
    log.stop()
  })

  await t.test(
    'the JVM frozen for longer than its lease: the standby leads, the thawed one writes nothing',
    async t => {
      const old = await cluster.leader()
      const next = await cluster.standby(old)
      const frozenMs = await agent.signal(old.name, ['java'], 'STOP')
      const boundMs = JVM_LEASE_MS + SLACK_MS
      const sight = await observer.first(
        'the lock names the standby',
        frozenMs,
        60_000,
        s => s.holder === identityOf(next),
      )
      t.ok(sight.atMs - frozenMs < boundMs, `the lock names the standby within ${boundMs} ms`, {
        tookMs: sight.atMs - frozenMs,
      })
      await cluster.running(next, jobId, 120_000, agent.there(frozenMs))
      const thawedMs = await agent.signal(old.name, ['java'], 'CONT')
      await checkSilent(t, scene, old, next, thawedMs)
      t.equal((await cluster.standby(next)).name, old.name, 'the thawed one becomes a standby')
      await cluster.checkpoints(next, jobId, 1)
    },
  )

  await t.test(
    'the sidecar frozen for longer than its lease: the standby leads, the thawed one writes nothing',
    async t => {
      const old = await cluster.leader()
      const next = await cluster.standby(old)
      const frozenMs = await agent.signal(old.name, ['node'], 'STOP')
      const boundMs = leaseMs + SLACK_MS
      const sight = await observer.first(
        'the lock names the standby',
        frozenMs,
        60_000,
        s => s.holder === identityOf(next),
      )
      t.ok(sight.atMs - frozenMs < boundMs, `the lock names the standby within ${boundMs} ms`, {
        tookMs: sight.atMs - frozenMs,
      })
      // Not before its lease is over by its own clock.
      t.ok(
        sight.atMs - frozenMs > PROFILES.default.renewDeadlineMs - PROFILES.default.retryMs,
        'and not before its term ended',
      )
      await sleep(3_000)
      const thawedMs = await agent.signal(old.name, ['node'], 'CONT')
      await checkSilent(t, scene, old, next, thawedMs)
      await cluster.running(next, jobId, 120_000, agent.there(frozenMs))
      t.equal((await cluster.standby(next)).name, old.name, 'the thawed one becomes a standby')
      const pods = await cluster.jobManagers()
      t.same(
        pods.map(pod => [pod.name, pod.raw.metadata.labels?.[LABEL_ROLE]]).sort(),
        [
          [next.name, 'leader'],
          [old.name, 'standby'],
        ].sort(),
        'the labels tell',
      )
      await cluster.checkpoints(next, jobId, 1)
    },
  )

  await t.test('SIGKILL of the JVM and its sidecar at once: the standby leads within the lease', async t => {
    const startMs = nowMs()
    const sample = await playRound(cluster, agent, observer, jobId, 'crash-pod')
    t.comment(`after ${Math.round(nowMs() - startMs)} ms in all`, sample)
    t.ok(sample.lockMs < leaseMs + SLACK_MS, `the lock names the standby within ${leaseMs + SLACK_MS} ms`, { sample })
    t.ok(sample.restored >= sample.completed, 'no older checkpoint than the last completed one is restored', { sample })
  })

  await checkNothingLost(t, scene)
  checkTokensGrow(t, scene)
})
