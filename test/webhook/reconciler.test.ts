// The reconciler against the embedded API, which has real HTTP, watches and garbage collection by owner reference.
import t, { type Test } from 'tap'
import { configMap, haConfigMap, jobManagerPod, service, workload } from '../world/flink-objects.ts'
import { ReconcilerWorld } from '../world/reconciler-world.ts'

const JOB = '0123456789abcdef0123456789abcdef'

const newWorld = async (t: Test): Promise<ReconcilerWorld> => {
  const world = new ReconcilerWorld()
  await world.server.listen()
  t.teardown(() => world.close())
  return world
}

/** A session cluster as in Flink's documentation. */
const makeSession = (world: ReconcilerWorld): void => {
  world.create('configmaps', configMap('flink-config'))
  world.create('deployments', workload({ name: 'jm', clusterId: 'c', account: 'flink', configuration: 'flink-config' }))
  world.create(
    'deployments',
    workload({ name: 'tm', component: 'taskmanager', clusterId: 'c', configuration: 'flink-config' }),
  )
  world.create('services', service('flink-jobmanager', { app: 'flink', component: 'jobmanager' }))
  world.create('configmaps', haConfigMap('c-cluster-config-map', 'c', 1))
  world.create('configmaps', haConfigMap(`c-${JOB}-config-map`, 'c'))
}

t.test('to label a namespace is enough: Service, rights and ownership tree, and then silence', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.replica()
  await world.clock.pass(3_000)
  t.strictSame(world.writes(), [], 'nobody asked')
  world.label('flink')
  await world.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the tree')
  await world.until(() => world.find('rolebindings', 'flink-ha-flink') !== undefined, 'the rights')
  const made = world.find('services', 'c-ha')
  t.match(made, {
    metadata: { labels: { 'app.kubernetes.io/managed-by': 'flink-ha', 'flink-ha.io/cluster': 'c' } },
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: { component: 'jobmanager', 'flink-ha.io/cluster': 'c' },
      ports: [{ name: 'flink-ha', port: 4041 }],
    },
  })
  t.match(world.find('rolebindings', 'flink-ha-flink'), {
    roleRef: { kind: 'ClusterRole', name: 'flink-ha-candidate' },
    subjects: [{ kind: 'ServiceAccount', name: 'flink', namespace: 'flink' }],
  })
  t.strictSame(world.find('rolebindings', 'flink-ha-flink')?.metadata.ownerReferences, undefined)
  for (const [plural, name] of [
    ['services', 'c-ha'],
    ['services', 'flink-jobmanager'],
    ['configmaps', 'flink-config'],
    ['deployments', 'tm'],
  ] as const) {
    t.strictSame(world.owners(plural, name), ['Deployment jm'], name)
    const [owner] = world.find(plural, name)?.metadata.ownerReferences ?? []
    t.notOk(owner?.controller || owner?.blockOwnerDeletion, 'neither controlling nor blocking')
  }
  for (const name of ['c-cluster-config-map', `c-${JOB}-config-map`]) t.strictSame(world.owners('configmaps', name), [])
  const { length } = world.writes()
  t.equal(length, 5)
  await world.clock.pass(30_000, 100)
  t.equal(world.writes().length, length, 'nothing is written twice')
  t.strictSame(world.events().sort(), ['OwnerSet', 'OwnerSet', 'OwnerSet', 'RightsGranted', 'ServiceMade'])
  t.strictSame(world.warnings, [])
})

t.test('to delete the JobManagers takes the tree along, and leaves the HA ConfigMaps', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.label('flink')
  world.replica()
  await world.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the tree')
  await world.until(() => world.names('services').length === 2, 'the Service')
  await world.until(() => world.names('rolebindings').length === 1, 'the rights')
  world.delete('deployments', 'jm')
  t.strictSame(world.names('deployments'), [])
  t.strictSame(world.names('services'), [])
  t.strictSame(world.names('configmaps'), [`c-${JOB}-config-map`, 'c-cluster-config-map'])
  await world.until(() => world.names('rolebindings').length === 0, 'the end of the rights')
})

t.test('a cluster id that only the sidecar knows is taken from its pod', async t => {
  const world = await newWorld(t)
  world.label('flink')
  world.create('deployments', workload({ name: 'jm' }))
  world.replica()
  await world.until(() => world.names('rolebindings').length === 1, 'the rights come first')
  t.strictSame(world.names('services'), [])
  world.create('pods', jobManagerPod({ name: 'jm-1' }))
  await world.clock.pass(2_000)
  t.strictSame(world.names('services'), [])
  world.patch('pods', 'jm-1', { metadata: { labels: { 'flink-ha.io/cluster': 'learned' } } })
  await world.until(() => world.find('services', 'learned-ha') !== undefined, 'the Service')
  t.strictSame(world.owners('services', 'learned-ha'), ['Deployment jm'])
  world.delete('pods', 'jm-1')
  await world.clock.pass(3_000)
  t.ok(world.find('services', 'learned-ha'), 'it stays while no pod is there')
})

t.test('when the label goes, what was made goes, and nothing else, once no sidecar needs it', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.create('services', service('mine', { app: 'flink' }))
  world.create('pods', jobManagerPod({ name: 'jm-1', clusterId: 'c', account: 'flink' }))
  world.label('flink')
  world.replica()
  await world.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the tree')
  await world.until(() => world.names('rolebindings').length === 1, 'the rights')
  world.label('flink', null)
  await world.until(() => world.owners('configmaps', 'flink-config').length === 0, 'the owners are taken back')
  for (const [plural, name] of [
    ['services', 'flink-jobmanager'],
    ['configmaps', 'flink-config'],
    ['deployments', 'tm'],
  ] as const)
    t.strictSame([world.owners(plural, name), world.find(plural, name)?.metadata.annotations], [[], undefined], name)
  await world.clock.pass(5_000)
  t.ok(
    world.find('services', 'c-ha') && world.find('rolebindings', 'flink-ha-flink'),
    'a running sidecar keeps its rights',
  )
  world.delete('pods', 'jm-1')
  await world.until(() => world.names('rolebindings').length === 0, 'the end of the rights')
  t.strictSame(world.names('services'), ['flink-jobmanager', 'mine'])
  t.strictSame(world.names('deployments'), ['jm', 'tm'])
})

t.test('a label that went while nobody was looking is noticed', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.label('flink')
  const first = world.replica()
  await world.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the tree')
  await world.until(() => world.names('rolebindings').length === 1, 'the rights')
  first.stop()
  world.label('flink', 'disabled')
  world.replica()
  await world.until(() => world.names('rolebindings').length === 0, 'the end')
  t.strictSame(world.owners('deployments', 'tm'), [])
  t.strictSame(world.names('services'), ['flink-jobmanager'])
})

t.test('only the leader writes, and whoever leads next goes on', async t => {
  const world = await newWorld(t)
  const [one, two] = [{ now: false }, { now: false }]
  makeSession(world)
  world.label('flink')
  world.replica(one, 'one')
  world.replica(two, 'two')
  await world.clock.pass(5_000)
  t.strictSame(world.server.requests, [], 'not even a question')
  one.now = true
  await world.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the tree')
  one.now = false
  two.now = true
  await world.clock.pass(3_000)
  world.create('deployments', workload({ name: 'jm2', app: 'b', clusterId: 'b' }))
  await world.until(() => world.find('services', 'b-ha') !== undefined, 'the Service')
  const writers = world.server.requests.filter(({ path, verb }) => verb === 'create' && path.endsWith('/services'))
  t.strictSame(
    writers.map(({ userAgent }) => userAgent),
    ['test one', 'test two'],
  )
})

t.test('what fails is tried again every few seconds, and keeps nothing else from being done', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.label('flink')
  const isPatchOfConfigMap = ({ method, path }: { method: string; path: string }): boolean =>
    method === 'PATCH' && path.includes('/configmaps/')
  world.server.fail({ match: isPatchOfConfigMap, status: 403, times: 1_000 })
  world.replica()
  await world.until(() => world.names('rolebindings').length === 1, 'the rights')
  await world.clock.pass(60_000, 100)
  t.strictSame(world.owners('deployments', 'tm'), ['Deployment jm'])
  const tries = world.server.requests.filter(({ status }) => status === 403).length
  t.ok(tries > 2 && tries < 12, `${tries} tries in a minute`)
  t.equal(world.events().filter(reason => reason === 'ReconcileFailed').length, 1, 'said once')
  await world.clock.pass(300_000, 1_000)
  world.create('deployments', workload({ name: 'jm2', app: 'b', clusterId: 'b', account: 'b' }))
  const isThere = (): boolean => world.find('rolebindings', 'flink-ha-b') !== undefined
  await world.clock.until(isThere, 'the rights of a new workload, at once', 1_000, 5)
  world.server.heal()
  await world.clock.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the tree', 16_000)
})

t.test('a conflict over a ConfigMap is tried again, on its newest version, and is not worth a word', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.label('flink')
  const isPatch = ({ method, path }: { method: string; path: string }): boolean =>
    method === 'PATCH' && path.endsWith('/configmaps/flink-config')
  world.server.fail({ match: isPatch, status: 409, times: 1 })
  world.replica()
  const conflicts = (): number => world.server.requests.filter(({ status }) => status === 409).length
  await world.until(() => conflicts() === 1, 'the first conflict')
  // Somebody else writes between our sight of it and our write: this one is the API server's own.
  world.server.dropWatchEvents(true)
  world.patch('configmaps', 'flink-config', { data: { 'config.yaml': 'a: c' } })
  await world.until(() => conflicts() >= 2, 'a real one')
  t.strictSame(world.owners('configmaps', 'flink-config'), [], 'what was judged on an old version is not written')
  world.server.dropWatchEvents(false)
  world.server.expireWatches()
  await world.clock.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the owner', 60_000, 50)
  t.match(world.find('configmaps', 'flink-config')?.['data'], { 'config.yaml': 'a: c' })
  t.notOk(world.events().includes('ReconcileFailed'))
})

t.test('without rights over ConfigMaps the rest is done', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.label('flink')
  world.server.fail({ match: ({ path }) => path.includes('/configmaps'), status: 403, times: 1_000 })
  world.replica()
  await world.until(() => world.owners('services', 'flink-jobmanager').length === 1, 'the tree')
  t.strictSame(world.owners('deployments', 'tm'), ['Deployment jm'])
  t.strictSame(world.owners('configmaps', 'flink-config'), [])
  t.match(world.warnings, [/ConfigMaps cannot be followed/])
  await world.clock.pass(1_300_000, 2_000)
  t.equal(world.warnings.filter(text => /ConfigMaps cannot be followed/.test(text)).length, 1, 'said once')
  world.server.heal()
  const isOwned = (): boolean => world.owners('configmaps', 'flink-config').length === 1
  await world.clock.until(isOwned, 'ConfigMaps as well, when they are asked for again', 700_000, 500)
})

t.test('a new object is never given an owner that is gone, however old the news of owners is', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.label('flink')
  world.replica()
  const isSettled = (): boolean =>
    world.owners('configmaps', 'flink-config').length === 1 && world.owners('services', 'c-ha').length === 1
  await world.until(isSettled, 'the tree')
  await world.until(() => world.names('rolebindings').length === 1, 'the rights')
  const isWatchOfDeployments = ({ path }: { path: string }): boolean => /\/deployments\?.*watch=true/.test(path)
  world.server.fail({ match: isWatchOfDeployments, status: 503, times: 10_000 })
  world.server.breakWatches()
  await world.clock.pass(5_000)
  world.delete('deployments', 'jm')
  t.strictSame([world.names('services'), world.find('configmaps', 'flink-config')], [[], undefined])
  const made = [
    world.create('configmaps', configMap('flink-config')),
    world.create('services', service('flink-jobmanager', { app: 'flink', component: 'jobmanager' })),
  ]
  const writes = world.writes().length
  await world.clock.pass(20_000)
  const present = [world.find('configmaps', 'flink-config'), world.find('services', 'flink-jobmanager')]
  t.strictSame(
    present.map(object => object?.metadata.uid),
    made.map(object => object.metadata.uid),
    'they are still there',
  )
  t.equal(world.writes().length, writes, 'nothing is given to, or made for, who is gone')
  world.create('deployments', workload({ name: 'jm', clusterId: 'c', account: 'flink', configuration: 'flink-config' }))
  await world.clock.pass(20_000)
  t.equal(world.writes().length, writes, 'nor for one of the same name')
  world.server.heal()
  await world.until(isSettled, 'the new tree')
  const [owner] = world.find('configmaps', 'flink-config')?.metadata.ownerReferences ?? []
  t.equal(owner?.uid, world.find('deployments', 'jm')?.metadata.uid)
})

t.test('an owner that is being deleted is given nothing', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.patch('deployments', 'jm', { metadata: { finalizers: ['example.com/wait'] } })
  world.label('flink')
  const isWatchOfDeployments = ({ path }: { path: string }): boolean => /\/deployments\?.*watch=true/.test(path)
  world.server.fail({ match: isWatchOfDeployments, status: 503, times: 10_000 })
  world.replica()
  await world.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the tree')
  world.delete('deployments', 'jm')
  t.ok(world.find('deployments', 'jm')?.metadata.deletionTimestamp)
  world.create('services', service('late', { app: 'flink', component: 'jobmanager' }))
  await world.clock.pass(5_000)
  t.strictSame(world.owners('services', 'late'), [])
})

const ASKS = { 'flink-ha.io/inject': 'true' }

t.test(
  'in a namespace without the label, those that ask by themselves get Service and rights, and no owners',
  async t => {
    const world = await newWorld(t)
    world.create('configmaps', configMap('flink-config'))
    world.create('services', service('flink-jobmanager', { app: 'flink', component: 'jobmanager' }))
    const asking = { name: 'jm', clusterId: 'c', account: 'flink', configuration: 'flink-config', labels: ASKS }
    world.create('deployments', workload(asking))
    world.create('deployments', workload({ name: 'other', app: 'o', clusterId: 'o', account: 'o' }))
    world.replica()
    await world.clock.pass(3_000)
    const lists = (): number => world.server.requests.filter(({ path }) => path.includes('/namespaces/')).length
    t.equal(lists(), 0, 'without a pod that asks, nothing in any namespace is looked at')
    world.create('pods', jobManagerPod({ name: 'o-1', app: 'o', clusterId: 'o', account: 'o', injected: false }))
    await world.clock.pass(3_000)
    t.equal(lists(), 0, 'nor because of JobManagers that have nothing to do with us')
    world.create('pods', jobManagerPod({ name: 'jm-1', clusterId: 'c', account: 'flink', labels: ASKS }))
    await world.until(() => world.find('services', 'c-ha') !== undefined, 'the Service')
    await world.clock.pass(3_000)
    t.strictSame(world.names('rolebindings'), ['flink-ha-flink'])
    t.strictSame(world.names('services'), ['c-ha', 'flink-jobmanager'])
    for (const name of ['c-ha', 'flink-jobmanager']) t.strictSame(world.owners('services', name), [], name)
    t.strictSame(world.owners('configmaps', 'flink-config'), [])
    t.equal(world.writes().length, 2)
    world.delete('pods', 'jm-1')
    await world.clock.pass(3_000)
    t.equal(world.writes().length, 2, 'they stay for a workload that asks, with pods or without')
    world.delete('deployments', 'jm')
    await world.until(() => world.names('rolebindings').length === 0, 'the end of the rights')
    t.strictSame(world.names('services'), ['flink-jobmanager'])
  },
)

t.test('a pod’s probes are no reason to look at anything', async t => {
  const world = await newWorld(t)
  world.create('pods', jobManagerPod({ name: 'jm-1', clusterId: 'c' }))
  let questions = 0
  const leading = {
    get now(): boolean {
      questions += 1
      return true
    },
  }
  world.replica(leading)
  await world.until(() => world.find('services', 'c-ha') !== undefined, 'the Service of a pod that has the sidecar')
  await world.until(() => world.names('rolebindings').length === 1, 'its rights')
  await world.clock.pass(1_000)
  questions = 0
  for (let probe = 0; probe < 20; probe += 1) {
    world.patch('pods', 'jm-1', { metadata: { annotations: { 'example.com/probe': `${probe}` } } })
    await world.clock.pass(200)
  }
  t.ok(questions <= 5, `asked ${questions} times whether it leads: once a second, and before each look`)
})

t.test('an HA ConfigMap with an owner is reported as long as it has one, and left as it is', async t => {
  const world = await newWorld(t)
  makeSession(world)
  const { uid = '' } = world.find('deployments', 'jm')?.metadata ?? {}
  const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'jm', uid }]
  world.patch('configmaps', `c-${JOB}-config-map`, { metadata: { ownerReferences } })
  world.label('flink')
  const reconciler = world.replica()
  const events = (): number => world.events().filter(reason => reason === 'HaConfigMapOwned').length
  await world.until(() => events() === 1, 'the Event')
  await world.clock.pass(1_900_000, 2_000)
  t.equal(events(), 1, 'once, as long as the API server keeps it')
  t.equal(reconciler.findings().HaConfigMapOwned, 1)
  await world.clock.pass(2_400_000, 2_000)
  t.equal(events(), 2, 'and once more after that')
  t.equal(world.warnings.filter(text => text.includes('HaConfigMapOwned')).length, 1, 'logged once')
  t.strictSame(world.owners('configmaps', `c-${JOB}-config-map`), ['Deployment jm'])
  world.patch('configmaps', `c-${JOB}-config-map`, { metadata: { ownerReferences: null } })
  await world.clock.until(() => reconciler.findings().HaConfigMapOwned === 0, 'the end of it', 700_000, 2_000)
})

t.test('HA ConfigMaps are found by each label, and by name alone', async t => {
  const world = await newWorld(t)
  makeSession(world)
  const { uid = '' } = world.find('deployments', 'jm')?.metadata ?? {}
  const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'jm', uid }]
  const labels: { [name: string]: string }[] = [
    { type: 'flink-native-kubernetes' },
    { 'configmap-type': 'high-availability' },
    { type: 'flink-native-kubernetes', 'configmap-type': 'high-availability' },
    {},
  ]
  for (const [index, given] of labels.entries()) {
    const made = configMap(`d${index}-cluster-config-map`)
    world.create('configmaps', { ...made, metadata: { ...made.metadata, labels: given, ownerReferences } })
  }
  const leading = { now: true }
  world.label('flink')
  const reconciler = world.replica(leading)
  await world.until(() => reconciler.findings().HaConfigMapOwned === 4, 'each of them, once')
  world.label('flink', null)
  await world.until(() => reconciler.findings().HaConfigMapOwned === 0, 'nothing where nobody asks')
  world.label('flink')
  await world.until(() => reconciler.findings().HaConfigMapOwned === 4, 'and again')
  leading.now = false
  await world.until(() => reconciler.findings().HaConfigMapOwned === 0, 'nothing on a replica that does not lead')
})

t.test('a Service of the same name that is not ours is left alone, and reported', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.create('services', service('c-ha', { x: 'y' }))
  world.label('flink')
  world.replica()
  await world.until(() => world.events().includes('NameTaken'), 'the Event')
  t.strictSame(world.find('services', 'c-ha')?.['spec'], service('c-ha', { x: 'y' }).spec)
})

t.test('what somebody spoils is put right', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.label('flink')
  world.replica()
  await world.until(() => world.names('rolebindings').length === 1, 'the rights')
  await world.until(() => world.owners('services', 'c-ha').length === 1, 'the Service')
  world.patch('services', 'c-ha', { spec: { selector: { app: 'x' }, publishNotReadyAddresses: false } })
  await world.until(() => world.events().includes('ServiceCorrected'), 'the correction')
  t.match(world.find('services', 'c-ha'), { spec: { publishNotReadyAddresses: true } })
  t.strictSame((world.find('services', 'c-ha')?.['spec'] as { selector?: object } | undefined)?.selector, {
    component: 'jobmanager',
    'flink-ha.io/cluster': 'c',
  })
  world.delete('services', 'c-ha')
  await world.until(() => world.find('services', 'c-ha') !== undefined, 'the Service again')
  world.patch('rolebindings', 'flink-ha-flink', { subjects: [] })
  await world.until(() => world.events().includes('RightsRemoved'), 'the wrong one goes')
  await world.until(
    () => (world.find('rolebindings', 'flink-ha-flink')?.['subjects'] as object[] | undefined)?.length === 1,
    'the right one comes',
  )
})

t.test('an unanswered API server, lost watches and a lost history leave nothing undone', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.label('flink')
  world.replica()
  await world.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the tree')
  await world.server.refuse()
  world.create('deployments', workload({ name: 'jm2', app: 'b', clusterId: 'b' }))
  world.delete('services', 'flink-jobmanager')
  world.server.compact()
  await world.clock.pass(5_000)
  await world.server.accept()
  await world.until(() => world.find('services', 'b-ha') !== undefined, 'the Service')
  t.strictSame(world.names('services'), ['b-ha', 'c-ha'])
})

t.test('our own namespace and those of Kubernetes are left alone, labelled or not', async t => {
  const world = await newWorld(t)
  world.create('deployments', workload({ name: 'jm', clusterId: 'c' }), 'flink-ha')
  world.label('flink-ha')
  world.replica()
  await world.clock.pass(5_000)
  t.strictSame(world.writes(), [])
})

t.test('a namespace that is deleted is not worked in', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.label('flink')
  world.replica()
  await world.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the tree')
  const before = world.writes().length
  world.delete('namespaces', 'flink', '')
  await world.clock.pass(5_000)
  t.equal(world.writes().length, before)
})

t.test(
  'the manifests of Flink’s documentation, which name no cluster id in a template, make a tree as well',
  async t => {
    const world = await newWorld(t)
    world.label('flink')
    world.replica()
    world.create('configmaps', configMap('flink-config'))
    world.create('services', service('flink-jobmanager', { app: 'flink', component: 'jobmanager' }))
    world.create('services', service('flink-taskmanager-query-state', { app: 'flink', component: 'taskmanager' }))
    world.create('deployments', workload({ name: 'flink-jobmanager', configuration: 'flink-config' }))
    world.create(
      'deployments',
      workload({ name: 'flink-taskmanager', component: 'taskmanager', configuration: 'flink-config' }),
    )
    world.create('pods', jobManagerPod({ name: 'flink-jobmanager-1', clusterId: 'learned' }))
    await world.until(() => world.names('services').length === 3, 'the Service')
    await world.until(() => world.owners('configmaps', 'flink-config').length === 1, 'the tree')
    await world.until(
      () => world.names('services').every(name => world.owners('services', name).length === 1),
      'all of it',
    )
    t.strictSame(world.names('rolebindings'), ['flink-ha-default'])
    world.create('configmaps', haConfigMap('learned-cluster-config-map', 'learned'))
    world.delete('deployments', 'flink-jobmanager')
    t.strictSame(
      [world.names('deployments'), world.names('services'), world.names('configmaps')],
      [[], [], ['learned-cluster-config-map']],
    )
  },
)

t.test('an application’s Job gets its Service and rights, and takes nothing else along', async t => {
  const world = await newWorld(t)
  world.label('flink')
  world.replica()
  world.create('configmaps', configMap('flink-config'))
  const job = { kind: 'Job', name: 'jm', clusterId: 'c', configuration: 'flink-config' } as const
  world.create('jobs', workload(job))
  world.create('deployments', workload({ name: 'tm', component: 'taskmanager', clusterId: 'c' }))
  await world.until(() => world.names('services').length === 1, 'the Service')
  await world.clock.pass(3_000)
  t.strictSame(world.owners('services', 'c-ha'), ['Job jm'])
  world.delete('jobs', 'jm')
  t.strictSame(
    [world.names('deployments'), world.names('services'), world.names('configmaps')],
    [['tm'], [], ['flink-config']],
  )
})

t.test('a replica that loses the lead in the middle of its work writes nothing more', async t => {
  const world = await newWorld(t)
  makeSession(world)
  world.label('flink')
  const leading = {
    get now(): boolean {
      return world.writes().length === 0
    },
  }
  world.replica(leading)
  await world.until(() => world.writes().length === 1, 'the first write')
  await world.clock.pass(5_000)
  t.strictSame(world.writes(), ['create /apis/rbac.authorization.k8s.io/v1/namespaces/flink/rolebindings'])
})
