// `flink-ha cleanup`: never a cluster that lives, never what was not shown, never what is somebody else's.
import t from 'tap'
import { cleanup } from '../../cli/cleanup.ts'
import { CLEANUP_FLAGS } from '../../cli/flags.ts'
import { readHaArgs } from '../../cli/ha-args.ts'
import { haLabels, newLeaseLock } from '../../shared/lock.ts'
import { formatRecord } from '../../shared/record.ts'
import { jobConfigMapName, lockName } from '../world/flink-records.ts'
import { HaCluster, ID, JOB_A, JOB_B, NAMESPACE } from '../world/ha-cluster.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { problemsOf } from '../world/problems.ts'

const [LOCK, MAP_A, MAP_B] = [lockName(ID), jobConfigMapName(ID, JOB_A), jobConfigMapName(ID, JOB_B)]
const clean = (world: HaCluster, yes = true, clusterId = ID) =>
  world.run((of, io) => cleanup({ namespace: NAMESPACE, clusterId, yes }, of, io))
const stage = (options = {}): HaCluster => {
  const world = new HaCluster()
  world.addHaData(options)
  return world
}
const addLease = (world: HaCluster, holder: string, labels: { [name: string]: string } = haLabels(ID)): void => {
  const raw = formatRecord({ holder, leaseMs: 15_000, acquireTime: '', renewTime: '', transitions: 1 })
  const write = { raw, token: 9, kind: 'acquire', reason: '', successor: '', roster: undefined }
  const { metadata, spec } = newLeaseLock(write as never, `${ID}-leader`, labels)
  world.cluster.create('leases', NAMESPACE, {
    metadata,
    spec: { ...spec, acquireTime: undefined, renewTime: undefined },
  })
}

t.test('it shows what it would remove, and removes nothing without --yes', async t => {
  const world = stage()
  const { code, out } = await clean(world, false)
  t.equal(code, 0)
  t.match(out, MAP_A)
  t.match(out, /job a{32} \(recovering\), newest checkpoint 7/)
  t.match(out, /the lock, plans of 1 job/)
  t.match(out, /nothing is removed without --yes/)
  t.same(world.writes(), [])
  t.same(world.names(), [MAP_A, LOCK].sort())
})

t.test('with --yes it removes the lock, then the jobs, each by its uid and version', async t => {
  const world = stage()
  world.addJob(JOB_B, {})
  const { code, out } = await clean(world)
  t.equal(code, 0)
  t.same(
    world.writes(),
    [LOCK, MAP_A, MAP_B].map(name => `DELETE /api/v1/namespaces/flink/configmaps/${name}`),
  )
  t.match(out, `removed ConfigMap ${LOCK}`)
  t.same(world.names(), [])
  t.match(await clean(world), { code: 0, out: /has no HA data/ }, 'and then there is nothing')
})

t.test('a lock that nobody holds is not waited for, one that is held for its whole lease and more', async t => {
  const free = stage({ holder: '' })
  t.equal((await clean(free)).code, 0)
  t.equal(free.nowMs, 0)
  const held = stage({ leaseMs: 15_000 })
  t.match(await clean(held), { code: 0, err: /watching it for up to 19 s/ })
  t.ok(held.nowMs >= 18_000)
})

t.test('a leader that goes on without the API server is waited for as long as it may', async t => {
  const world = stage({ leaseMs: 10_000 })
  world.touch(LOCK, { metadata: { annotations: { 'flink-ha.io/failsafe': '["jm-1_gone","jm-2_gone"]' } } })
  t.equal((await clean(world)).code, 0)
  t.ok(world.nowMs > 200_000)
})

t.test('a cluster that lives is refused: pods of it are there', async t => {
  const args = ['/docker-entrypoint.sh jobmanager -D kubernetes.cluster-id=c']
  const templates: [string, object, object?][] = [
    ['native', { app: ID, type: 'flink-native-kubernetes', component: 'taskmanager' }],
    ['injected', { 'flink-ha.io/cluster': ID }],
    ['by its arguments', { component: 'jobmanager' }, { containers: [{ name: 'jobmanager', image: 'f', args }] }],
    ['by its arguments, unlabelled', {}, { containers: [{ name: 'x', image: 'f', args }] }],
    [
      'by its properties',
      { component: 'jobmanager' },
      {
        containers: [
          { name: 'jobmanager', image: 'f', env: [{ name: 'FLINK_PROPERTIES', value: 'kubernetes.cluster-id: c\n' }] },
        ],
      },
    ],
    ['by its configuration', { component: 'jobmanager' }, { volumes: [{ name: 'v', configMap: { name: 'conf' } }] }],
  ]
  for (const [name, labels, spec = {}] of templates) {
    const world = stage({ holder: '' })
    world.cluster.create('configmaps', NAMESPACE, {
      metadata: { name: 'conf' },
      data: { 'config.yaml': 'kubernetes:\n  cluster-id: c\n' },
    })
    world.addPod('p', labels, { spec })
    t.match(await clean(world), { code: 1, err: /the cluster is alive: of this cluster there is Pod p/ }, name)
    t.same(world.writes(), [], name)
  }
})

t.test('pods that are at their end, or of a cluster of a similar id, keep nothing', async t => {
  const world = stage({ holder: '' })
  world.addPod('done', { 'flink-ha.io/cluster': ID }, { phase: 'Succeeded' })
  world.addPod('failed', { app: ID, type: 'flink-native-kubernetes' }, { phase: 'Failed' })
  world.addPod('longer', { app: `${ID}-2`, type: 'flink-native-kubernetes' })
  world.addPod('elsewhere', { 'flink-ha.io/cluster': ID }, { namespace: 'other' })
  t.equal((await clean(world)).code, 0)
})

t.test('a cluster that lives is refused: its holder’s pod is there, or its lock is written', async t => {
  const held = stage()
  const uid = held.addPod('jm-9', {})
  held.touch(LOCK, held.get(LOCK) && { metadata: { annotations: recordOf(`jm-9_${uid}`) } })
  t.match(await clean(held), { code: 1, err: /held by jm-9_/ })
  const renewed = stage()
  renewed.onPause = () => renewed.nowMs > 4_500 && renewed.nowMs < 6_000 && renewed.touch(LOCK)
  t.match(await clean(renewed), { code: 1, err: /the cluster is alive: c-cluster-config-map has changed/ })
  t.ok(renewed.nowMs < 10_000, 'it is not watched any longer than that')
  const unreadable = stage()
  unreadable.touch(LOCK, { metadata: { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{' } } })
  unreadable.onPause = () => unreadable.touch(LOCK)
  t.match(await clean(unreadable), { code: 1 }, 'also when its record cannot be read')
  for (const world of [held, renewed, unreadable]) t.same(world.writes(), [])
})
const recordOf = (holder: string) => ({
  'control-plane.alpha.kubernetes.io/leader': formatRecord({
    holder,
    leaseMs: 15_000,
    acquireTime: '',
    renewTime: '',
    transitions: 1,
  }),
})

t.test('what changes between the look and the removal ends it, and what is left is named', async t => {
  const remake = (world: HaCluster): void =>
    world.cluster.create('configmaps', NAMESPACE, { metadata: { name: LOCK, labels: haLabels(ID) } })
  // While the first is being removed: what happens, what is told to be left, what is there.
  const races: [string, string, (world: HaCluster) => void, string[], string[]][] = [
    ['the lock is written', LOCK, world => world.touch(LOCK), [LOCK, MAP_A, MAP_B], [LOCK, MAP_A, MAP_B]],
    [
      'the lock is gone',
      LOCK,
      world => world.cluster.delete('configmaps', NAMESPACE, LOCK),
      [LOCK, MAP_A, MAP_B],
      [MAP_A, MAP_B],
    ],
    ['the lock is made anew', MAP_A, remake, [MAP_B], [LOCK, MAP_B]],
    ['a job is written', MAP_A, world => world.touch(MAP_B), [MAP_B], [MAP_B]],
    [
      'a job is made anew under its name',
      MAP_A,
      world => {
        world.cluster.delete('configmaps', NAMESPACE, MAP_B)
        world.addJob(JOB_B, {})
      },
      [MAP_B],
      [MAP_B],
    ],
    ['a job is gone', MAP_A, world => world.cluster.delete('configmaps', NAMESPACE, MAP_B), [MAP_B], []],
  ]
  for (const [name, during, race, told, left] of races) {
    const world = stage({ holder: '' })
    world.addJob(JOB_B, {})
    world.onRequest = (method, path) => {
      if (method !== 'DELETE' || !path.endsWith(during)) return
      world.onRequest = () => {}
      race(world)
    }
    const { code, err } = await clean(world)
    t.equal(code, 1, name)
    t.match(err, /has changed since|is gone/, name)
    t.match(err, `nothing more is removed; left: ${told.map(one => `ConfigMap ${one}`).join(', ')}\n`, name)
    t.same(world.names(), left.sort(), name)
  }
})

t.test('interrupted, it leaves no plan without checkpoints, and the same command goes on', async t => {
  for (const nth of [1, 2, 3]) {
    const world = stage({ holder: '' })
    world.addJob(JOB_B, {})
    let deletions = 0
    world.onRequest = method => {
      if (method === 'DELETE' && ++deletions === nth) throw new Error('no answer within 15 s')
    }
    t.equal((await clean(world)).code, 1, `at ${nth}`)
    const left = world.names()
    t.equal(left.length, 4 - nth, `at ${nth}`)
    if (left.includes(LOCK)) t.same(left, [MAP_A, MAP_B, LOCK].sort(), `at ${nth}: all of it or no plan`)
    world.onRequest = () => {}
    t.equal((await clean(world)).code, 0, `at ${nth}`)
    t.same(world.names(), [], `at ${nth}`)
  }
})

t.test('a lock that appears meanwhile is a leader’s', async t => {
  const world = new HaCluster()
  world.addJob(JOB_A, {})
  world.onRequest = method => {
    if (method !== 'DELETE') return
    t.fail('nothing is to be removed')
  }
  const { connecting } = world
  let looks = 0
  world.connecting = async () => {
    const { server, request } = await connecting()
    return {
      server,
      request: async (method, path, body) => {
        if (path.endsWith(LOCK) && ++looks === 2)
          world.cluster.create('configmaps', NAMESPACE, { metadata: { name: LOCK, labels: haLabels(ID) } })
        return await request(method, path, body)
      },
    }
  }
  t.match(await clean(world), { code: 1, err: /somebody uses the lock/ })
  t.ok(world.get(MAP_A))
})

t.test('an answer that never comes is told for what it is', async t => {
  const world = stage({ holder: '' })
  world.onRequest = method => {
    if (method === 'DELETE') throw new Error('no answer within 15 s')
  }
  t.match(await clean(world), {
    code: 1,
    err: /whether ConfigMap c-cluster-config-map was removed is not known[\s\S]*left: /,
  })
})

t.test('foreign ConfigMaps and other clusters’ are never removed', async t => {
  const world = stage({ holder: '' })
  const others: [string, object][] = [
    ['flink-config-c', haLabels(ID)],
    ['autoscaler-c', { ...haLabels(ID), component: 'autoscaler' }],
    [`c-${JOB_B}-config-map`, { app: 'somebody' }],
    ['c-b-config-map', haLabels(ID)],
    ['c-d-cluster-config-map', haLabels('c-d')],
    [`c-d-${JOB_A}-config-map`, haLabels('c-d')],
    ['cc-cluster-config-map', haLabels('cc')],
  ]
  for (const [name, labels] of others) world.cluster.create('configmaps', NAMESPACE, { metadata: { name, labels } })
  const { code, out } = await clean(world)
  t.equal(code, 0)
  t.same(world.names(), others.map(([name]) => name).sort())
  t.match(out, /c-b-config-map: it has the labels of HA data, but not the name/)
  t.match(out, /left alone: c-b-config-map/)
})

t.test('a lock without Flink’s labels may have plans: it is refused, and told what mends it', async t => {
  const world = stage({ holder: '' })
  world.touch(LOCK, { metadata: { labels: { app: null, type: 'x' } } })
  const mending = `kubectl -n flink label --overwrite configmap ${LOCK} app=c type=flink-native-kubernetes`
  const { code, err } = await clean(world)
  t.equal(code, 1)
  t.match(err, /nothing is removed: ConfigMap c-cluster-config-map has the name of this cluster’s lock/)
  t.match(err, `lacks the labels app=c, type=flink-native-kubernetes: if it is the lock, ${mending} mends it`)
  t.same(world.writes(), [])
  world.touch(LOCK, { metadata: { labels: haLabels(ID) } })
  t.equal((await clean(world)).code, 0)
})

t.test('a Lease that is the lock is judged by, and removed first; somebody else’s of that name is not', async t => {
  const path = `/apis/coordination.k8s.io/v1/namespaces/flink/leases/${ID}-leader`
  const world = stage({ holder: '' })
  addLease(world, 'jm-1_gone')
  const { code, err } = await clean(world)
  t.equal(code, 0)
  t.match(err, /watching it/)
  t.equal(world.writes()[0], `DELETE ${path}`)
  const renewed = stage({ holder: '' })
  addLease(renewed, 'jm-1_gone')
  renewed.onPause = () => renewed.cluster.patch('leases', NAMESPACE, `${ID}-leader`, { spec: { leaseTransitions: 5 } })
  t.match(await clean(renewed), { code: 1, err: /alive/ })
  const unreadable = stage({ holder: '' })
  addLease(unreadable, 'jm-1_gone')
  unreadable.cluster.patch('leases', NAMESPACE, `${ID}-leader`, { spec: { leaseDurationSeconds: null } })
  t.match(await clean(unreadable), { code: 0, err: /watching it/ }, 'also when it does not say for how long')
  const foreign = stage({ holder: '' })
  addLease(foreign, 'operator', { app: 'operator' })
  t.match(await clean(foreign), { code: 0, out: /left alone: c-leader/ })
  t.notOk(foreign.writes().includes(`DELETE ${path}`))
})

t.test('where something is not shown, nothing is removed', async t => {
  const paths = [
    '/api/v1/namespaces/flink/configmaps',
    '/api/v1/namespaces/flink/pods',
    '/apis/apps/v1/namespaces/flink/deployments',
    '/apis/apps/v1/namespaces/flink/statefulsets',
    '/apis/batch/v1/namespaces/flink/jobs',
    '/apis/coordination.k8s.io/v1/namespaces/flink/leases/c-leader',
    '/apis/flink.apache.org/v1beta1/namespaces/flink/flinkdeployments',
  ]
  for (const path of paths) {
    const world = stage({ holder: '' })
    world.cluster.served.set('/apis/flink.apache.org/v1beta1', { kind: 'APIResourceList' })
    world.cluster.forbidden.add(path)
    t.match(await clean(world), { code: 1, err: /is not shown to you/ }, path)
    t.same(world.writes(), [], path)
  }
})

t.test('without the operator its objects need no right: rights are judged before there is anything', async t => {
  const world = stage({ holder: '' })
  world.cluster.forbidden.add('/apis/flink.apache.org/v1beta1/namespaces/flink/flinkdeployments')
  t.equal((await clean(world)).code, 0)
})

/** A JobManager whose configuration is mounted. */
const configured = (world: HaCluster, config: string): void => {
  world.cluster.create('configmaps', NAMESPACE, { metadata: { name: 'conf' }, data: { 'config.yaml': config } })
  const volumes = [{ name: 'v', configMap: { name: 'conf' } }]
  world.addPod('jm', { component: 'jobmanager' }, { spec: { volumes } })
}
const withArgs = (world: HaCluster, arg: string, env: object[] = []): void => {
  const containers = [{ name: 'jobmanager', image: 'f', args: ['jobmanager', arg], env }]
  world.addPod('jm', { component: 'jobmanager' }, { spec: { containers } })
}

t.test('a JobManager’s pod whose cluster id cannot be told may be of this cluster', async t => {
  const pods: [string, (world: HaCluster) => void][] = [
    ['says nothing', world => void world.addPod('jm', { component: 'jobmanager' })],
    ['by a variable', world => withArgs(world, '-Dkubernetes.cluster-id=$(CLUSTER_ID)')],
    [
      'in a comment',
      world => withArgs(world, '', [{ name: 'FLINK_PROPERTIES', value: 'a: b\n# kubernetes.cluster-id: d\n' }]),
    ],
    ['ZooKeeper’s id', world => configured(world, 'high-availability.cluster-id: d\n')],
    ['ZooKeeper’s id, nested', world => configured(world, 'high-availability:\n  cluster-id: d\n')],
    ['in a file’s comment', world => configured(world, 'kubernetes:\n  # cluster-id: d\n  namespace: flink\n')],
  ]
  for (const [name, add] of pods) {
    const world = stage({ holder: '' })
    add(world)
    const { code, err } = await clean(world)
    t.equal(code, 1, name)
    t.match(err, /nothing is removed: which cluster is run by Pod jm cannot be told/, name)
    t.match(err, 'by the label flink-ha.io/cluster or the annotation flink-ha.io/cluster-id', name)
    t.match(err, 'kubectl -n flink annotate pod NAME flink-ha.io/cluster-id=ID', name)
    t.same(world.writes(), [], name)
  }
})

t.test('one whose cluster id is another’s is not', async t => {
  const annotated = { 'flink-ha.io/cluster-id': 'd' }
  const pods: [string, (world: HaCluster) => void][] = [
    ['by its label', world => void world.addPod('jm', { component: 'jobmanager', 'flink-ha.io/cluster': 'd' })],
    [
      'by its annotation',
      world => {
        world.addPod('jm', { component: 'jobmanager' })
        world.cluster.patch('pods', NAMESPACE, 'jm', { metadata: { annotations: annotated } })
      },
    ],
    ['by its arguments', world => withArgs(world, '-Dkubernetes.cluster-id=d')],
    ['by its properties', world => withArgs(world, '', [{ name: 'X', value: 'kubernetes.cluster-id: d' }])],
    ['by its configuration', world => configured(world, 'x: y: z\nkubernetes.cluster-id: d # no YAML\n')],
    ['by its configuration, nested', world => configured(world, 'kubernetes:\n  cluster-id: "d"\n')],
    ['by its configuration, in braces', world => configured(world, 'kubernetes: {cluster-id: d}\n')],
  ]
  for (const [name, add] of pods) {
    const world = stage({ holder: '' })
    add(world)
    t.equal((await clean(world)).code, 0, name)
  }
})

const template = {
  metadata: { labels: { component: 'jobmanager', app: 'x' } },
  spec: { containers: [{ name: 'jobmanager', image: 'f', args: ['jobmanager', '-D', `kubernetes.cluster-id=${ID}`] }] },
}
const selector = { matchLabels: { app: 'x' } }
const workload = (plural: string, spec: object) => (world: HaCluster) =>
  world.cluster.create(plural, NAMESPACE, { metadata: { name: 'jm' }, spec: { selector, template, ...spec } })
const job = (spec: object, type?: string) => (world: HaCluster) => {
  const pod = { ...template, spec: { ...template.spec, restartPolicy: 'Never' } }
  world.cluster.create('jobs', NAMESPACE, { metadata: { name: 'jm' }, spec: { template: pod, ...spec } })
  const status = { conditions: [{ type, status: 'True' }] }
  const { store } = world.cluster.api
  if (type !== undefined)
    store.patch(resourceOf('jobs'), NAMESPACE, 'jm', 'merge', { status }, { subresource: 'status' })
}
const flinkDeployment = (spec: object) => (world: HaCluster) =>
  void world.cluster.served.set('/apis/flink.apache.org/v1beta1/namespaces/flink/flinkdeployments', {
    items: [{ metadata: { name: ID }, spec }],
  })

t.test('what will make pods of the cluster is refused, though there are none yet', async t => {
  const cases: [string, (world: HaCluster) => void, string][] = [
    ['a Deployment of one', workload('deployments', {}), 'Deployment jm: scale it to 0'],
    ['a Deployment of two', workload('deployments', { replicas: 2 }), 'Deployment jm: scale it to 0'],
    ['a StatefulSet', workload('statefulsets', { serviceName: 'x' }), 'StatefulSet jm: scale it to 0'],
    ['a Job', job({}), 'Job jm: suspend or delete it'],
    ['a Job that is not over yet', job({}, 'FailureTarget'), 'Job jm: suspend or delete it'],
    [
      'a FlinkDeployment',
      flinkDeployment({ job: { state: 'running' } }),
      'FlinkDeployment c: set its spec.job.state to suspended, or delete it',
    ],
    ['a FlinkDeployment that says no state', flinkDeployment({ job: {} }), 'FlinkDeployment c: set its spec.job.state'],
    ['a session of the operator’s', flinkDeployment({}), 'FlinkDeployment c: delete it'],
  ]
  for (const [name, add, remedy] of cases) {
    const world = stage({ holder: '' })
    add(world)
    const { code, err } = await clean(world)
    t.equal(code, 1, name)
    t.match(err, `nothing is removed: pods of it are about to be made by ${remedy}`, name)
    t.same(world.writes(), [], name)
  }
})

t.test('what is scaled to nothing, suspended or over makes none', async t => {
  const cases: [string, (world: HaCluster) => void][] = [
    ['a Deployment', workload('deployments', { replicas: 0 })],
    ['a StatefulSet', workload('statefulsets', { serviceName: 'x', replicas: 0 })],
    ['a Job that is suspended', job({ suspend: true })],
    ['a Job that is complete', job({}, 'Complete')],
    ['a Job that failed', job({}, 'Failed')],
    ['a FlinkDeployment', flinkDeployment({ job: { state: 'suspended' } })],
  ]
  for (const [name, add] of cases) {
    const world = stage({ holder: '' })
    add(world)
    t.match(await clean(world), { code: 0, err: /still names this cluster id/ }, name)
  }
})

t.test('what would make JobManagers of an unknown cluster id is said', async t => {
  const world = stage({ holder: '' })
  const unknown = { ...template, spec: { containers: [{ name: 'jobmanager', image: 'f' }] } }
  workload('deployments', { template: unknown })(world)
  t.match(await clean(world), { code: 0, err: /which cluster these are of cannot be told here: Deployment jm/ })
})

t.test('what still names the cluster id is said', async t => {
  const world = stage({ holder: '' })
  workload('deployments', { replicas: 0 })(world)
  t.match(await clean(world, false), { code: 0, err: /Deployment jm still names this cluster id/ })
})

t.test('never without being told which cluster', async t => {
  const problems = (...args: string[]) => problemsOf(() => readHaArgs(args, CLEANUP_FLAGS, ['namespace', 'cluster-id']))
  t.match(problems(), [/^namespace is missing/, /^cluster-id is missing: --cluster-id ID is needed/])
  t.match(problems('-n', 'X', '--cluster-id', '*'), [/^namespace is "X"/, /^cluster-id is "\*"/])
  t.match(problems('--all'), [/--all/])
  t.same(problems('-n', 'flink', '--cluster-id', 'c', '--yes'), [])
})
