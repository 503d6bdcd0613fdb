// Real Flink on a real cluster: its leader dies, its pod is deleted, the term is handed over; and what the endpoint tells.
import t, { type Test } from 'tap'
import { LABEL_ROLE, LEADER_KEY_PREFIX, LOCK_SUFFIX, PORT_LOCAL, PORT_POD } from '../../shared/names.ts'
import { PROFILES } from '../../shared/timings.ts'
import { Audit, auditLog, tally } from './audit.ts'
import { nowMs, type Pod, sleep, until } from './cluster.ts'
import { CLUSTER_ID } from './manifests.ts'
import { checkNothingLost, checkRound, checkTokensGrow, identityOf } from './promises.ts'
import { playRound } from './rounds.ts'
import { noCluster, type Scene, stage } from './scene.ts'

const ROUNDS = Number(process.env['FLINK_HA_LIVE_ROUNDS'] ?? 3)
const FLINK = process.env['FLINK_HA_LIVE_FLINK'] ?? '2.3.0'
// A leader that dies without a word is overtaken after its lease; the sidecar's word comes long before.
const BOUND_MS = PROFILES.default.leaseMs / 2

t.test(`failover, Flink ${FLINK}`, { skip: noCluster }, async t => {
  const scene = await stage(t, 'failover', { mode: 'flink-ha', flink: FLINK })
  const { cluster, agent, observer, jobId } = scene

  for (let round = 1; round <= ROUNDS; round++)
    await t.test(`SIGKILL of the leading JVM, round ${round}`, async t => {
      checkRound(t, await playRound(cluster, agent, observer, jobId, 'crash'), BOUND_MS)
    })
  for (let round = 1; round <= ROUNDS; round++)
    await t.test(`deletion of the leader's pod, round ${round}`, async t => {
      checkRound(t, await playRound(cluster, agent, observer, jobId, 'graceful'), BOUND_MS)
    })

  await t.test('the endpoint while the leader dies', t => checkNeverStale(t, scene))
  await t.test('the endpoint on the pod port', t => checkEndpoint(t, scene))
  await t.test('a switchover, and a reader that waits for it', t => checkSwitchover(t, scene))
  await t.test('requests per completed checkpoint', t => checkCheckpointCost(t, scene))

  await checkNothingLost(t, scene)
  checkTokensGrow(t, scene)
})

type Answer = { status: number; headers: string; body: string }

/** Asked from within the cluster, by the agent. */
const ask = async ({ agent }: Scene, pod: Pod, path: string, options = '', port = PORT_POD): Promise<Answer> => {
  const text = await agent.shell(`curl -s -i -m 60 ${options} 'http://${pod.ip}:${port}${path}'`)
  const [headers = '', ...body] = text.replaceAll('\r', '').split('\n\n')
  return { status: Number(headers.split(' ')[1]), headers, body: body.join('\n\n') }
}

/** Long enough for a kill and all that follows it. */
const POLL_S = 12
/** Within this an endpoint has seen what the lock says: a watch event's way on a machine that is busy with a failover. */
const TOLD_MS = 2_000

/** Asks both endpoints again and again, from before the SIGKILL until all is over, who leads. */
const checkNeverStale = async (t: Test, scene: Scene): Promise<void> => {
  const { cluster, agent, observer, jobId } = scene
  const old = await cluster.leader()
  const standby = await cluster.standby(old)
  await cluster.running(old, jobId, 120_000)
  const polled = agent.shell(`end=$(($(date +%s) + ${POLL_S}))
    while [ $(date +%s) -lt $end ]; do for ip in ${old.ip} ${standby.ip}; do
      echo "$(date +%s%N) $ip $(curl -s -m 2 http://$ip:${PORT_POD}/leader)"; sleep 0.02
    done; done`)
  await sleep(2_000)
  const killedMs = await agent.signal(old.name, ['java'], 'KILL')
  const isNext = ({ holder }: { holder: string }) => holder === identityOf(standby)
  const moved = await observer.first('the lock names the standby', killedMs, BOUND_MS, isNext)
  const answers = (await polled).split('\n').map(line => {
    const [, ns = '', ip = '', body = ''] = /^(\d+) (\S+) (.*)$/.exec(line) ?? []
    return {
      atMs: agent.here(Number(ns) / 1e6),
      ip,
      ...(JSON.parse(body) as { name: string | null; validForMs: number }),
    }
  })
  for (const { name, ip } of [old, standby]) {
    const told = answers.filter(answer => answer.ip === ip)
    t.comment(`${name}: ${told.length} answers`)
    t.ok(
      told.some(answer => answer.atMs < killedMs && answer.name === old.name),
      `${name} named the old leader before`,
    )
    t.equal(told.at(-1)?.name, standby.name, `${name} names the new one in the end`)
    const first = told.findIndex(answer => answer.name === standby.name)
    t.notOk(
      told.slice(first).some(answer => answer.name === old.name),
      `${name}: and never the old one again`,
    )
    const late = told.filter(answer => answer.name === old.name && answer.atMs > moved.atMs + TOLD_MS)
    t.same(late, [], `${name}: nor after the lock named the other`)
    const hollow = told.filter(answer => answer.name !== null && !(answer.validForMs > 0))
    t.same(hollow, [], `${name}: nobody is named whose term is over`)
  }
  await cluster.running(standby, jobId, 120_000, agent.there(killedMs))
  await scene.namespace.deletePod(old.name)
}

const checkEndpoint = async (t: Test, scene: Scene): Promise<void> => {
  const { cluster, namespace, jobId } = scene
  const leader = await cluster.leader()
  const standby = await cluster.standby(leader)
  for (const pod of [leader, standby]) {
    const role = pod === leader ? 'leader' : 'standby'
    const { status, headers, body } = await ask(scene, pod, '/leader')
    t.equal(status, 200, `${role}: /leader answers`)
    t.match(headers, /^x-flink-ha-index: \d+$/im, `${role}: with an index`)
    const document = JSON.parse(body)
    t.match(document, { clusterId: CLUSTER_ID, name: leader.name, isLeader: pod === leader, token: Number }, role)
    t.ok(document.validForMs > 0 && document.validForMs <= PROFILES.default.leaseMs, `${role}: and for how long`)
    t.equal(document.components.restserver.address, `http://${leader.ip}:8081`, `${role}: where Flink's REST is`)
    t.match(document.components.jobs[jobId]?.address, `${leader.ip}:6123`, `${role}: and who runs the job`)
    t.match(JSON.parse((await ask(scene, pod, '/')).body), { name: leader.name }, `${role}: as elector sidecars do`)
    t.equal((await ask(scene, pod, '/primary')).status, pod === leader ? 200 : 503, `${role}: /primary`)
    t.equal((await ask(scene, pod, '/replica')).status, pod === leader ? 503 : 200, `${role}: /replica`)
    for (const path of ['/members', '/history', '/jobs', '/healthz', '/readyz', '/metrics'])
      t.equal((await ask(scene, pod, path)).status, 200, `${role}: ${path}`)
    for (const path of ['/nothing', `/api/v1/namespaces/${namespace.name}/secrets`, '/apis/apps/v1/deployments'])
      t.equal((await ask(scene, pod, path)).status, 404, `${role}: ${path}`)
    t.match(
      (await ask(scene, pod, '/switchover', '-X POST -d {}')).status,
      /^40[45]$/,
      `${role}: no switchover from outside`,
    )
    const lock = `/api/v1/namespaces/${namespace.name}/configmaps/${CLUSTER_ID}${LOCK_SUFFIX}`
    const { data = {} } = JSON.parse((await ask(scene, pod, lock)).body) as { data?: { [key: string]: string } }
    t.ok(Object.keys(data).length > 0, `${role}: leader keys`)
    t.same(
      Object.keys(data).filter(key => !key.startsWith(LEADER_KEY_PREFIX)),
      [],
      `${role}: and no others`,
    )
    const write = await ask(
      scene,
      pod,
      lock,
      `-X PATCH -H 'Content-Type: application/merge-patch+json' -d '{"data":{"x":"y"}}'`,
    )
    t.ok(write.status >= 400 && write.status < 500, `${role}: and no writing`, { write })
    t.equal(pod.raw.metadata.labels?.[LABEL_ROLE], role, `${role}: its label`)
  }
  t.match(
    JSON.parse((await ask(scene, leader, '/members')).body),
    [leader, standby].map(({ name }) => ({ name, healthy: true })).sort((a, b) => a.name.localeCompare(b.name)),
    '/members names both',
  )
}

const checkSwitchover = async (t: Test, scene: Scene): Promise<void> => {
  const { cluster, namespace, observer, agent, jobId } = scene
  const old = await cluster.leader()
  const next = await cluster.standby(old)
  const index = /x-flink-ha-index: (\d+)/i.exec((await ask(scene, next, '/leader')).headers)?.[1]
  const told = ask(scene, next, `/leader?wait=50s&index=${index}`)
  await sleep(2_000)
  const fromMs = nowMs()
  const answer = await namespace.kubectl([
    ...['exec', old.name, '-c', 'jobmanager', '--', 'curl', '-s', '-w', '%{http_code}'],
    ...['-X', 'POST', '-d', '{"candidate":null}', `http://127.0.0.1:${PORT_LOCAL}/switchover`],
  ])
  t.match(answer, /20[02]$/, 'the switchover is done or under way')
  const sight = await observer.first('the lock names the other', fromMs, BOUND_MS, s => s.holder === identityOf(next))
  t.ok(sight.token > 0, 'under a token')
  t.equal((await told).status < 600, true, 'the reader that waited is answered')
  await until('every sidecar to name the new leader', BOUND_MS, async () => {
    const names = await Promise.all(
      [old, next].map(async pod => JSON.parse((await ask(scene, pod, '/leader')).body).name),
    )
    return names.every(name => name === next.name)
  })
  t.ok(await cluster.running(next, jobId, 120_000, agent.there(fromMs)), 'the job runs on under the new leader')
}

const checkCheckpointCost = async (t: Test, { cluster, namespace, agent, jobId }: Scene): Promise<void> => {
  const path = await auditLog()
  if (path === undefined) return t.comment('no audit log to read: see FLINK_HA_AUDIT_LOG')
  const leader = await cluster.leader()
  await cluster.standby(leader)
  await cluster.checkpoints(leader, jobId, 2)
  const audit = await Audit.begin(path)
  const before = await cluster.completed(leader, jobId)
  const fromMs = agent.there(nowMs())
  await sleep(40_000)
  const completed = (await cluster.completed(leader, jobId)) - before
  const asked = await audit.of(namespace.name, fromMs, agent.there(nowMs()))
  t.comment(`${completed} checkpoints`, tally(asked))
  // Renewals are the price of the election, not of the checkpoints.
  const forCheckpoints = asked.filter(({ name }) => name !== `${CLUSTER_ID}${LOCK_SUFFIX}`)
  t.ok(completed >= 10, 'checkpoints are completed', { completed })
  t.ok(forCheckpoints.length <= 4 * completed, 'at most four requests for each', {
    asked: tally(forCheckpoints),
    completed,
  })
}
