// Everybody finds the leader, the old one and the next: TaskManager and JobManagers by what the job does, the command line by
// Flink's own lookup in the ConfigMap from outside of the pods, and whoever speaks HTTP by a Service that selects the leader.
import t, { type Test } from 'tap'
import { LABEL_ROLE } from '../../shared/names.ts'
import { Client, type Way } from './client.ts'
import { type Pod, until } from './cluster.ts'
import { rest } from './flink.ts'
import { noCluster, type Scene, stage } from './scene.ts'

const SERVICE = 'leader-rest'
const WAYS: readonly Way[] = ['by ConfigMap', { service: SERVICE }]
const PATIENCE_MS = 60_000

/** As docs/operations.md shows it. */
const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: SERVICE },
  spec: {
    selector: { app: 'flink', component: 'jobmanager', [LABEL_ROLE]: 'leader' },
    ports: [{ name: 'rest', port: 8081 }],
  },
}

for (const flink of (process.env['FLINK_HA_LIVE_VERSIONS'] ?? '2.3.0').split(','))
  t.test(`leader retrieval, Flink ${flink}`, { skip: noCluster }, async t => {
    const scene = await stage(t, `retrieval-${flink.replaceAll('.', '-')}`, { mode: 'flink-ha', flink, relay: true })
    const { namespace, cluster, agent, jobId } = scene
    await namespace.apply([service])
    const client = await Client.start(namespace, cluster.node, flink)
    const leader = await cluster.leader()
    await checkFound(t, scene, client, leader)
    const standby = await cluster.standby(leader)
    await agent.signal(leader.name, ['java'], 'KILL')
    await until('the standby to lead', PATIENCE_MS, async () => (await cluster.leaderNow())?.name === standby.name)
    await cluster.running(standby, jobId, PATIENCE_MS)
    await checkFound(t, scene, client, standby)
  })

const checkFound = async (
  t: Test,
  { namespace, cluster, jobId }: Scene,
  client: Client,
  leader: Pod,
): Promise<void> => {
  for (const way of WAYS) {
    const listed = await until(`flink list ${JSON.stringify(way)}`, PATIENCE_MS, () => client.list(way), 1_000)
    t.match(listed, jobId, `flink list finds the job, ${JSON.stringify(way)}`)
  }
  const endpoints = JSON.parse(await namespace.kubectl(['get', 'endpoints', SERVICE, '-o', 'json'])) as {
    subsets?: { addresses?: { ip: string }[] }[]
  }
  t.same(
    endpoints.subsets?.flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip)),
    [leader.ip],
    'the Service has the leader alone',
  )
  // The ResourceManager knows the TaskManager, and the JobManager that is asked knows both.
  for (const pod of [leader, await cluster.standby(leader)]) {
    const { taskmanagers } = (await rest(namespace, pod, '/taskmanagers')) as { taskmanagers: unknown[] }
    t.equal(taskmanagers.length, 1, `${pod === leader ? 'the leader' : 'the standby'} tells of the TaskManager`)
  }
}
