// `flink-ha status --orphans`: what no cluster uses, and nothing that one might.
import t from 'tap'
import { type Orphan, orphans } from '../../cli/orphans.ts'
import { HaCluster, ID, JOB_A, NAMESPACE } from '../world/ha-cluster.ts'

const look = (world: HaCluster, namespace: string | undefined = NAMESPACE, json = true) =>
  world.run((of, io) => orphans({ namespace, json }, of, io))
const found = async (world: HaCluster, namespace?: string): Promise<string[]> => {
  const { code, out, err } = await look(world, namespace)
  if (code !== 0) throw new Error(err)
  return (JSON.parse(out) as Orphan[]).map(one => `${one.namespace}/${one.clusterId}`)
}
const template = (labels: object, args: string[] = [], volumes: object[] = []) => ({
  metadata: { labels: { app: 'x', ...labels } },
  spec: { containers: [{ name: 'jobmanager', image: 'f', args }], restartPolicy: 'Always', volumes },
})
const deployment = (name: string, of: object) => ({
  metadata: { name },
  spec: { replicas: 0, selector: { matchLabels: { app: 'x' } }, template: of },
})

t.test('HA data that nobody uses is told with size, jobs and age', async t => {
  const world = new HaCluster()
  world.addHaData({ holder: '' })
  world.addHaData({ id: 'd', namespace: 'other', holder: '' })
  world.nowMs = 3 * 86_400_000
  const { out } = await look(world)
  t.match(JSON.parse(out), [
    {
      namespace: NAMESPACE,
      clusterId: ID,
      configMaps: { length: 2 },
      jobs: [JOB_A],
      createdAt: '2026-06-01T00:00:00Z',
      ageSeconds: 3 * 86_400,
    },
  ])
  const all = await world.run((of, io) => orphans({ namespace: undefined, json: false }, of, io))
  t.match(all.out, /^flink +c +2 +\S+ kB +1 +3 d$/m)
  t.match(all.out, /^other +d /m)
  t.match((await look(new HaCluster(), NAMESPACE, false)).out, 'there is no HA data that nobody uses')
})

t.test('what somebody names is in use, also when it is scaled to nothing', async t => {
  const id = `kubernetes.cluster-id=${ID}`
  const users: [string, (world: HaCluster) => void][] = [
    ['a pod', world => void world.addPod('p', { 'flink-ha.io/cluster': ID })],
    [
      'a Deployment by its arguments',
      world => world.cluster.create('deployments', NAMESPACE, deployment('jm', template({}, ['jobmanager', '-D', id]))),
    ],
    [
      'a Deployment that opted out',
      world =>
        world.cluster.create(
          'deployments',
          NAMESPACE,
          deployment(
            'jm',
            template({ component: 'jobmanager', 'flink-ha.io/inject': 'false' }, ['jobmanager', '-D', id]),
          ),
        ),
    ],
    [
      'a StatefulSet by its configuration',
      world => {
        world.cluster.create('configmaps', NAMESPACE, {
          metadata: { name: 'flink-config' },
          data: { 'config.yaml': `high-availability.type: kubernetes\nkubernetes.cluster-id: ${ID}\n` },
        })
        const volumes = [{ name: 'conf', configMap: { name: 'flink-config' } }]
        world.cluster.create('statefulsets', NAMESPACE, deployment('jm', template({}, [], volumes)))
      },
    ],
    [
      'a Job of native labels',
      world => {
        const labels = { app: ID, type: 'flink-native-kubernetes' }
        const of = template(labels)
        of.spec.restartPolicy = 'Never'
        world.cluster.create('jobs', NAMESPACE, { metadata: { name: 'j' }, spec: { template: of } })
      },
    ],
    [
      'a FlinkDeployment',
      world => {
        const { connecting } = world
        world.connecting = async () => {
          const { server, request } = await connecting()
          return {
            server,
            request: async (method, path, body) =>
              path.includes('/flinkdeployments')
                ? { status: 200, body: { items: [{ metadata: { name: ID } }] }, warnings: [] }
                : await request(method, path, body),
          }
        }
      },
    ],
  ]
  for (const [name, use] of users) {
    const world = new HaCluster()
    world.addHaData({ holder: '' })
    t.same(await found(world), [`${NAMESPACE}/${ID}`], `${name}: before`)
    use(world)
    t.same(await found(world), [], name)
  }
})

t.test('what is only similar does not use it', async t => {
  const world = new HaCluster()
  world.addHaData({ holder: '' })
  world.addPod('longer', { 'flink-ha.io/cluster': `${ID}-2` })
  world.addPod('elsewhere', { 'flink-ha.io/cluster': ID }, { namespace: 'other' })
  world.addPod('done', { 'flink-ha.io/cluster': ID }, { phase: 'Succeeded' })
  t.same(await found(world), [`${NAMESPACE}/${ID}`])
})

t.test('a lock that somebody renews is in use, whoever it is', async t => {
  const world = new HaCluster()
  world.addHaData()
  world.addHaData({ id: 'd' })
  world.onPause = () => world.touch(`${ID}-cluster-config-map`)
  t.same(await found(world), [`${NAMESPACE}/d`])
})

t.test('JobManagers whose cluster id nothing tells make it unsure, and that is said', async t => {
  const world = new HaCluster()
  world.addHaData({ holder: '' })
  world.cluster.create('deployments', NAMESPACE, deployment('mystery', template({ component: 'jobmanager' })))
  t.match(await look(world), { code: 0, err: /may be of Deployment mystery/ })
})

t.test('what is not shown is told, and no orphan made of it', async t => {
  const world = new HaCluster()
  world.addHaData({ holder: '' })
  world.cluster.forbidden.add(`/apis/apps/v1/namespaces/${NAMESPACE}/deployments`)
  t.match(await look(world), { code: 1, out: '', err: /deployments is not shown to you/ })
  world.cluster.forbidden.add('/api/v1/configmaps')
  t.match(await world.run((of, io) => orphans({ namespace: undefined, json: true }, of, io)), {
    code: 1,
    err: /not shown/,
  })
})
