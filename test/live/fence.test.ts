// The fenced store with real Flink: the stamp of a term, what is too large, and two bugs of Flink's own that cannot happen
// behind the gateway.
import t, { type Test } from 'tap'
import { ANNOTATION_TOKEN, LEADER_KEY_PREFIX, LOCK_SUFFIX, PORT_LOCAL } from '../../shared/names.ts'
import { PROFILES } from '../../shared/timings.ts'
import { MAX_DATA_BYTES } from '../../sidecar/size-limit.ts'
import { type Pod, sleep, until } from './cluster.ts'
import { CLUSTER_ID, GRANTED } from './flink.ts'
import { checkNothingLost, checkTokensGrow, identityOf } from './promises.ts'
import { noCluster, type Scene, stage } from './scene.ts'

t.test('the fenced store', { skip: noCluster }, async t => {
  const scene = await stage(t, 'fence', { mode: 'flink-ha', flink: '2.3.0' })
  await t.test('a job is of the term whose leader runs it', t => checkStamp(t, scene))
  await t.test('a write near the limit of a ConfigMap is refused, and the job goes on', t => checkLimit(t, scene))
  await t.test('leadership lost and granted again: every leader key is there (FLINK-40114)', t => checkKeys(t, scene))
  await t.test('SIGTERM of the leading JVM: it does not take the lock back', t => checkTerminated(t, scene))
  await checkNothingLost(t, scene)
  checkTokensGrow(t, scene)
})

const tokenOf = async ({ namespace }: Scene, name: string): Promise<number> =>
  Number((await namespace.configMap(name))?.metadata.annotations?.[ANNOTATION_TOKEN])

const checkStamp = async (t: Test, scene: Scene): Promise<void> => {
  const { cluster, jobId } = scene
  await cluster.checkpoints(await cluster.leader(), jobId, 1)
  const term = await tokenOf(scene, `${CLUSTER_ID}${LOCK_SUFFIX}`)
  t.ok(term > 0)
  t.equal(await tokenOf(scene, `${CLUSTER_ID}-${jobId}-config-map`), term)
}

/** What a JVM may ask for anybody in its pod may: here it is curl. */
const asked = async ({ namespace }: Scene, pod: Pod, script: string): Promise<string> =>
  await namespace.kubectl(['exec', pod.name, '-c', 'jobmanager', '--', 'sh', '-c', script])

const checkLimit = async (t: Test, scene: Scene): Promise<void> => {
  const { cluster, namespace, jobId } = scene
  const leader = await cluster.leader()
  const path = `/api/v1/namespaces/${namespace.name}/configmaps/${CLUSTER_ID}-${jobId}-config-map`
  const url = `http://127.0.0.1:${PORT_LOCAL}${path}`
  const answer = await asked(
    scene,
    leader,
    `{ printf '{"data":{"large":"'; head -c ${MAX_DATA_BYTES} /dev/zero | tr '\\0' x; printf '"}}'; } |
     curl -s -X PATCH -H 'Content-Type: application/merge-patch+json' --data-binary @- ${url}`,
  )
  t.match(JSON.parse(answer), { kind: 'Status', code: 413, reason: 'RequestEntityTooLarge' })
  const metrics = await asked(scene, leader, `curl -s http://127.0.0.1:${PORT_LOCAL}/metrics`)
  t.match(metrics, /flink_ha_oversize_writes_total\{kind="job"\} 1/)
  t.notOk((await namespace.configMap(path.split('/').at(-1) ?? ''))?.data?.['large'], 'nothing of it was written')
  await cluster.checkpoints(leader, jobId, 1)
}

/** Hands the term over; resolves when the other's Flink has published and runs the job. */
const switchOver = async (scene: Scene): Promise<Pod> => {
  const { cluster, jobId } = scene
  const old = await cluster.leader()
  const next = await cluster.standby(old)
  const order = `curl -s -X POST -d '{"candidate":"${next.name}"}' http://127.0.0.1:${PORT_LOCAL}/switchover`
  let answer = ''
  // A candidate that is too slow to take the lock (202) leaves it to whoever is not: that is asked for again.
  await until('the other to take the lock', 60_000, async () => {
    if ((await cluster.leader()).name === next.name) return true
    answer = await asked(scene, old, order)
    return (JSON.parse(answer) as { leader?: string | null }).leader === next.name || undefined
  }).catch(cause => {
    throw new Error(`the last answer was ${answer}`, { cause })
  })
  await until('the other to publish', 60_000, async () => (await cluster.leader()).name === next.name || undefined)
  await cluster.running(next, jobId, 120_000)
  return next
}

const checkKeys = async (t: Test, scene: Scene): Promise<void> => {
  const { cluster, namespace, jobId } = scene
  const first = await cluster.leader()
  for (const time of ['first', 'second']) {
    await switchOver(scene)
    t.equal((await switchOver(scene)).name, first.name, `leadership was lost and granted again for the ${time} time`)
    // Later than any belated removal of a key of the term that was lost.
    await sleep(10_000)
    const { data = {} } = (await namespace.configMap(`${CLUSTER_ID}${LOCK_SUFFIX}`)) ?? {}
    const keys = ['dispatcher', 'resourcemanager', 'restserver', `job-${jobId}`].map(name => LEADER_KEY_PREFIX + name)
    const values = keys.map(key => data[key] ?? '')
    for (const [i, value] of values.entries()) t.match(value, first.ip, `${keys[i]} is the present leader’s`)
    t.equal(new Set(values.map(value => value.split(',')[0])).size, 1, 'all of one session')
  }
  await cluster.checkpoints(first, jobId, 1)
}

const checkTerminated = async (t: Test, scene: Scene): Promise<void> => {
  const { cluster, namespace, agent, observer, jobId } = scene
  const old = await cluster.leader()
  const next = await cluster.standby(old)
  const log = namespace.follow(next.name, 'jobmanager')
  const fromMs = await agent.signal(old.name, ['java'], 'TERM')
  const granted = await until('the standby to be granted leadership', 60_000, () =>
    log.lines.find(({ atMs, line }) => agent.here(atMs) >= fromMs && GRANTED.test(line)),
  )
  log.stop()
  const tookMs = agent.here(granted.atMs) - fromMs
  t.comment(`granted after ${Math.round(tookMs)} ms`)
  t.ok(tookMs < PROFILES.default.leaseMs / 2, 'long before its lease is over', { tookMs })
  await cluster.running(next, jobId, 120_000, agent.there(fromMs))
  await sleep(5_000)
  const handedOver = observer.sights.findIndex(({ atMs, holder }) => atMs >= fromMs && holder === identityOf(next))
  const after = new Set(observer.sights.slice(handedOver).map(({ holder }) => holder))
  t.same([...after], [identityOf(next)], 'and the lock stays with the standby')
}
