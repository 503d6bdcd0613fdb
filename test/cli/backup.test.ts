// `flink-ha backup` and `restore`: what is put back is what was kept, and nothing that is there is lost by it unasked.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { backup } from '../../cli/backup.ts'
import { backupOf, readBackup, yamlOf } from '../../cli/backup-file.ts'
import { readHaStore } from '../../cli/ha-store.ts'
import { restore } from '../../cli/restore.ts'
import { type ConfigMap, haLabels, type Lease, lockOfConfigMap, tokenIn } from '../../shared/lock.ts'
import { checkpointKey, jobConfigMapName, leaderKey, lockName, readRecord } from '../world/flink-records.ts'
import { HaCluster, ID, JOB_A, JOB_B, NAMESPACE, POINTER } from '../world/ha-cluster.ts'
import { resourceOf } from '../world/kube-resources.ts'

const [LOCK, MAP_A, MAP_B] = [lockName(ID), jobConfigMapName(ID, JOB_A), jobConfigMapName(ID, JOB_B)]
const RESTORE = { namespace: undefined, replace: false, yes: true }

const keep = (world: HaCluster, file: string, force = false) =>
  world.run((of, io) => backup({ namespace: NAMESPACE, clusterId: ID, file, force }, '0.1.0', of, io))
const putBack = (world: HaCluster, file: string, more = {}) =>
  world.run((of, io) => restore({ ...RESTORE, file, ...more }, of, io))

/** A cluster that crashed, and its backup. */
const kept = async (t: Test, name = 'ha.yaml'): Promise<{ world: HaCluster; file: string }> => {
  const world = new HaCluster()
  world.addHaData()
  world.addJob(JOB_B, { counter: '3' }, { token: 6 })
  const file = join(t.testdir({}), name)
  t.equal((await keep(world, file)).code, 0)
  return { world, file }
}

t.test('a backup is a List with uid and version of each, in YAML or JSON', async t => {
  const folder = t.testdir({})
  const world = new HaCluster()
  world.addHaData()
  const [yaml, json] = [join(folder, 'ha.yaml'), join(folder, 'ha.json')]
  t.match(await keep(world, yaml), { code: 0, out: /written to/, err: /somebody holds the lock/ })
  await keep(world, json)
  const written = JSON.parse(readFileSync(json, 'utf8')) as { items: ConfigMap[] }
  t.match(written, {
    apiVersion: 'v1',
    kind: 'List',
    backup: { format: 1, version: '0.1.0', time: '2026-06-01T00:00:00.000Z', namespace: NAMESPACE, clusterId: ID },
  })
  t.same(parse(readFileSync(yaml, 'utf8')), written)
  for (const [index, name] of [MAP_A, LOCK].entries()) {
    const { uid, resourceVersion, labels, annotations } = world.get(name)!.metadata
    t.match(written.items[index], { kind: 'ConfigMap', metadata: { name, namespace: NAMESPACE, uid, resourceVersion } })
    t.same(written.items[index]?.metadata.labels, labels)
    t.same(written.items[index]?.metadata.annotations, annotations)
    t.same(written.items[index]?.data, world.get(name)?.data)
  }
  t.same(world.writes(), [], 'it changes nothing')
  t.equal(statSync(yaml).mode & 0o077, 0, 'and is its owner’s alone')
})

t.test('a file that is there stays, unless --force', async t => {
  const { world, file } = await kept(t)
  writeFileSync(file, 'mine')
  t.match(await keep(world, file), { code: 1, err: /is there already: --force replaces it/ })
  t.equal(readFileSync(file, 'utf8'), 'mine')
  t.equal((await keep(world, file, true)).code, 0)
  t.match(readFileSync(file, 'utf8'), 'kind: List')
  t.same(readdirSync(join(file, '..')), ['ha.yaml'], 'no draft is left')
  t.match(await keep(world, join(file, 'x', 'y')), { code: 1 })
})

t.test('a lock without Flink’s labels would be left out with its plans: that is no backup', async t => {
  const file = join(t.testdir({}), 'x.yaml')
  const world = new HaCluster()
  world.addHaData()
  world.touch(LOCK, { metadata: { labels: { type: null } } })
  t.match(await keep(world, file), {
    code: 1,
    err: /c-cluster-config-map has the name .* lacks the labels type=flink-/,
  })
  t.notOk(existsSync(file))
})

t.test('without data there is no file', async t => {
  const file = join(t.testdir({}), 'x.yaml')
  const world = new HaCluster()
  world.addHaData({ id: `${ID}-2` })
  t.match(await keep(world, file), { code: 1, err: /has no HA data/ })
  t.notOk(existsSync(file))
})

t.test('what is missing is made: jobs first, the lock last, released, with no addresses', async t => {
  for (const name of ['ha.yaml', 'ha.json']) {
    const { world, file } = await kept(t, name)
    const before = [MAP_A, MAP_B].map(map => world.get(map)?.data)
    for (const map of [MAP_A, MAP_B, LOCK]) world.cluster.delete('configmaps', NAMESPACE, map)
    t.match(await putBack(world, file, { yes: false }), { code: 0, out: /to be created[\s\S]*without --yes/ })
    t.same(world.writes(), [])
    t.equal((await putBack(world, file)).code, 0)
    const bodies = world.writes()
    t.same(bodies, Array(3).fill('POST /api/v1/namespaces/flink/configmaps'))
    t.same(
      [MAP_A, MAP_B].map(map => world.get(map)?.data),
      before,
    )
    const lock = world.get(LOCK)!
    t.same(lock.data, { [`executionPlan-${JOB_A}`]: POINTER })
    t.same(lock.metadata.labels, haLabels(ID))
    t.match(readRecord(lock), { holderIdentity: '', leaderTransitions: 4 }, 'native Flink can read the record')
    t.same(Object.keys(lock.metadata.annotations ?? {}).sort(), [
      'control-plane.alpha.kubernetes.io/leader',
      'flink-ha.io/token',
    ])
    t.equal(tokenIn(lock.metadata), 7)
    t.match(await putBack(world, file), { code: 0, out: /as in the backup/ }, 'twice is the same as once')
    t.equal(world.writes().length, 3)
  }
})

t.test('what is there and differs is shown by key, and a reason to refuse', async t => {
  const { world, file } = await kept(t)
  world.touch(MAP_A, { data: { counter: '9', [checkpointKey(7)]: null, [checkpointKey(8)]: POINTER } })
  world.cluster.delete('configmaps', NAMESPACE, MAP_B)
  const { code, out, err } = await putBack(world, file)
  t.equal(code, 1)
  t.match(out, '~ counter "9" → "8"')
  t.match(out, `+ ${checkpointKey(7)}`)
  t.match(out, `- ${checkpointKey(8)}`)
  t.match(err, /would be overwritten: --replace/)
  t.same(world.writes(), [], 'nothing at all is written')
})

t.test('with --replace it is overwritten, on the version that was read', async t => {
  const { world, file } = await kept(t)
  world.touch(MAP_B, { data: { counter: '9' }, metadata: { annotations: { 'flink-ha.io/token': '7' } } })
  const { uid } = world.get(MAP_B)!.metadata
  t.equal((await putBack(world, file, { replace: true })).code, 0)
  t.same(world.writes(), [`PUT /api/v1/namespaces/flink/configmaps/${MAP_B}`])
  t.equal(world.get(MAP_B)?.data?.['counter'], '3')
  t.equal(world.get(MAP_B)?.metadata.uid, uid)
  t.equal(tokenIn(world.get(MAP_B)!.metadata), 7, 'a fencing token never goes back')
  world.touch(MAP_B, { data: { counter: '9' } })
  world.onRequest = (method, path) => method === 'PUT' && !path.includes('dryRun') && world.touch(MAP_B)
  t.match(await putBack(world, file, { replace: true }), { code: 1, err: /has changed since it was looked at/ })
  t.equal(world.get(MAP_B)?.data?.['counter'], '9')
})

t.test('a lock whose token is behind that of a job is put forward', async t => {
  const { world, file } = await kept(t)
  world.touch(MAP_A, { metadata: { annotations: { 'flink-ha.io/token': '12' } } })
  t.match(await putBack(world, file), { code: 1, out: /~ fencing token 7 → 12/ })
  t.equal((await putBack(world, file, { replace: true })).code, 0)
  t.equal(tokenIn(world.get(LOCK)!.metadata), 12)
})

t.test('a lock that is there keeps the higher token and count, whoever has it', async t => {
  for (const [token, transitions] of [
    [3, 2],
    [30, 20],
  ] as const) {
    const { world, file } = await kept(t)
    world.cluster.delete('configmaps', NAMESPACE, LOCK)
    world.cluster.delete('configmaps', NAMESPACE, MAP_A)
    world.addHaData({ holder: '', token })
    const raw = world.get(LOCK)!.metadata.annotations!['control-plane.alpha.kubernetes.io/leader'] as string
    const annotations = {
      'control-plane.alpha.kubernetes.io/leader': raw.replace(
        '"leaderTransitions":4',
        `"leaderTransitions":${transitions}`,
      ),
    }
    world.touch(LOCK, { metadata: { annotations }, data: { [`executionPlan-${JOB_A}`]: null } })
    t.equal((await putBack(world, file, { replace: true })).code, 0)
    const lock = world.get(LOCK)!
    t.equal(tokenIn(lock.metadata), Math.max(token, 7))
    t.equal(lockOfConfigMap(lock, '').record?.transitions, Math.max(transitions, 4))
  }
})

t.test('a dead leader’s addresses and record are no difference', async t => {
  const { world, file } = await kept(t)
  world.touch(LOCK, { data: { [leaderKey('restserver')]: 's-2,http://10.0.0.2:8081' } })
  t.match(await putBack(world, file), { code: 0, out: /c-cluster-config-map: as in the backup/ })
  t.same(world.writes(), [])
})

t.test('a record that cannot be read is a difference, wherever it is', async t => {
  const { world, file } = await kept(t)
  world.touch(LOCK, { metadata: { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{' } } })
  t.match(await putBack(world, file), { code: 1, out: '~ record "{" cannot be read', err: /--replace/ })
  t.equal((await putBack(world, file, { replace: true })).code, 0)
  t.match(readRecord(world.get(LOCK)!), { holderIdentity: '' })
  t.match(await putBack(world, file), { code: 0, out: /c-cluster-config-map: as in the backup/ })
})

t.test('a job that the backup does not have stays, and is named', async t => {
  const { world, file } = await kept(t)
  const later = jobConfigMapName(ID, 'c'.repeat(32))
  world.addJob('c'.repeat(32), { counter: '1' })
  t.match((await putBack(world, file)).out, `${later}: not in the backup, stays`)
  t.ok(world.get(later))
})

t.test('a cluster that lives gets nothing', async t => {
  const { world, file } = await kept(t)
  world.cluster.delete('configmaps', NAMESPACE, MAP_A)
  world.onPause = () => world.touch(LOCK)
  t.match(await putBack(world, file), { code: 1, err: /the cluster is alive/ })
  world.onPause = () => {}
  world.addPod('jm', { 'flink-ha.io/cluster': ID })
  t.match(await putBack(world, file), { code: 1, err: /of this cluster there is Pod jm/ })
  t.same(world.writes(), [])
})

const template = {
  metadata: { labels: { component: 'jobmanager', app: 'x' } },
  spec: { containers: [{ name: 'jobmanager', image: 'f', args: ['jobmanager', '-D', `kubernetes.cluster-id=${ID}`] }] },
}
const deployment = { metadata: { name: 'jm' }, spec: { selector: { matchLabels: { app: 'x' } }, template } }
const unknown = { ...template, spec: { containers: [{ name: 'jobmanager', image: 'f' }] } }

t.test('one that is about to live, or may, gets nothing either', async t => {
  const cases: [string, (world: HaCluster) => void, RegExp][] = [
    [
      'a JobManager of an unknown cluster id',
      world => void world.addPod('jm', { component: 'jobmanager' }),
      /nothing is written: which cluster is run by Pod jm cannot be told/,
    ],
    [
      'a Deployment that will make pods',
      world => world.cluster.create('deployments', NAMESPACE, deployment),
      /nothing is written: pods of it are about to be made by Deployment jm: scale it to 0/,
    ],
  ]
  for (const [name, add, why] of cases) {
    const { world, file } = await kept(t)
    world.cluster.delete('configmaps', NAMESPACE, MAP_A)
    add(world)
    t.match(await putBack(world, file), { code: 1, err: why }, name)
    t.same(world.writes(), [], name)
  }
  const { world, file } = await kept(t)
  world.cluster.delete('configmaps', NAMESPACE, MAP_A)
  const spec = { ...deployment.spec, template: unknown }
  world.cluster.create('deployments', NAMESPACE, { ...deployment, spec })
  t.match(await putBack(world, file), { code: 0, err: /cannot be told here: Deployment jm/ }, 'what makes pods is said')
})

t.test('what changes meanwhile ends it, and the same command goes on from there', async t => {
  const races: [string, RegExp, (world: HaCluster) => void][] = [
    [
      'somebody makes the job',
      /ConfigMap c-b+-config-map has changed/,
      world => world.addJob(JOB_B, { counter: '99' }),
    ],
    ['somebody takes the lock', /somebody uses the lock/, world => world.touch(LOCK)],
  ]
  for (const [name, why, race] of races) {
    const { world, file } = await kept(t)
    for (const map of [MAP_A, MAP_B]) world.cluster.delete('configmaps', NAMESPACE, map)
    let posts = 0
    world.onRequest = (method, path) => {
      if (method !== 'POST' || path.includes('dryRun') || ++posts > 1) return
      queueMicrotask(() => race(world))
    }
    const { code, err } = await putBack(world, file)
    t.equal(code, 1, name)
    t.match(err, why, name)
    t.match(err, `not done: ConfigMap ${MAP_B}`, name)
    t.ok(world.get(MAP_A), name)
    if (name === 'somebody makes the job') t.equal(world.get(MAP_B)?.data?.['counter'], '99')
    else t.equal((await putBack(world, file)).code, 0, name)
  }
})

t.test('what a dry run refuses is not begun', async t => {
  const { world, file } = await kept(t)
  for (const map of [MAP_A, MAP_B, LOCK]) world.cluster.delete('configmaps', NAMESPACE, map)
  const text = readFileSync(file, 'utf8').replace('counter: "3"', '"not a key": "3"')
  writeFileSync(file, text)
  t.match(await putBack(world, file), { code: 1, err: /cannot be created[\s\S]*nothing is written/ })
  t.same(world.names(), [])
})

t.test('somebody else’s ConfigMap of that name is never overwritten', async t => {
  const { world, file } = await kept(t)
  world.touch(MAP_B, { metadata: { labels: { app: 'somebody' } } })
  t.match(await putBack(world, file, { replace: true }), {
    code: 1,
    err: /without the labels[\s\S]*nothing is written/,
  })
  t.same(world.writes(), [])
})

t.test('another namespace can be named', async t => {
  const { world, file } = await kept(t)
  t.equal((await putBack(world, file, { namespace: 'other' })).code, 0)
  t.same(world.names('other'), [MAP_A, MAP_B, LOCK].sort())
  t.equal(world.get(LOCK, 'other')?.metadata['namespace'], 'other')
})

t.test('into another namespace only while the cluster stands still where the file is from', async t => {
  const cases: [string, (world: HaCluster) => void, RegExp][] = [
    ['a pod', world => void world.addPod('jm', { 'flink-ha.io/cluster': ID }), /the cluster is alive: .* Pod jm/],
    [
      'its lock is written',
      world => {
        world.onPause = () => world.touch(LOCK)
      },
      /the cluster is alive: c-cluster-config-map has changed/,
    ],
    ['a Deployment', world => world.cluster.create('deployments', NAMESPACE, deployment), /about to be made by/],
    ['an unknown JobManager', world => void world.addPod('jm', { component: 'jobmanager' }), /cannot be told/],
    [
      'what is not shown',
      world => void world.cluster.forbidden.add('/api/v1/namespaces/flink/pods'),
      /cannot be told: .*pods is not shown to you: .*forbidden.*; it takes the rights to .* list pods/,
    ],
  ]
  for (const [name, add, why] of cases) {
    const { world, file } = await kept(t)
    add(world)
    const { code, err } = await putBack(world, file, { namespace: 'other' })
    t.equal(code, 1, name)
    t.match(err, /nothing is written: in namespace flink, where the file is from: /, name)
    t.match(err, why, name)
    t.same(world.writes(), [], name)
    t.same(world.names('other'), [], name)
  }
})

t.test('a leader that begins meanwhile where the file is from ends it', async t => {
  const { world, file } = await kept(t)
  let posts = 0
  world.onRequest = (method, path) => {
    if (method === 'POST' && !path.includes('dryRun') && ++posts === 1) queueMicrotask(() => world.touch(LOCK))
  }
  t.match(await putBack(world, file, { namespace: 'other' }), { code: 1, err: /somebody uses the lock/ })
  t.same(world.names('other'), [MAP_A])
})

t.test('a Lease that was the lock comes back released, after the ConfigMap that has no record', async t => {
  const { world } = await kept(t)
  const labels = haLabels(ID)
  const annotations = { 'flink-ha.io/token': '9' }
  const spec = { holderIdentity: 'jm-1_gone', leaseDurationSeconds: 10, leaseTransitions: 6 }
  world.cluster.create('leases', NAMESPACE, { metadata: { name: `${ID}-leader`, labels, annotations }, spec })
  world.touch(LOCK, { metadata: { annotations: { 'control-plane.alpha.kubernetes.io/leader': null } } })
  const file = join(t.testdir({}), 'lease.yaml')
  await keep(world, file)
  world.cluster.delete('configmaps', NAMESPACE, LOCK)
  world.cluster.delete('leases', NAMESPACE, `${ID}-leader`)
  t.equal((await putBack(world, file)).code, 0)
  t.match(world.writes().at(-1), /leases$/)
  const lease = world.cluster.api.store.get(resourceOf('leases'), NAMESPACE, `${ID}-leader`) as unknown as Lease
  t.match(lease, { spec: { holderIdentity: '', leaseTransitions: 6 } })
  t.equal(tokenIn(lease.metadata), 9)
  t.same(Object.keys(world.get(LOCK)?.metadata.annotations ?? {}), ['flink-ha.io/token'])
  t.equal((await putBack(world, file)).code, 0)
  world.cluster.patch('leases', NAMESPACE, `${ID}-leader`, {
    spec: { holderIdentity: 'x', leaseDurationSeconds: null },
  })
  t.match(await putBack(world, file), { code: 1, out: '~ record "x" cannot be read', err: /--replace/ })
})

t.test('every problem of a file is named: field, value, what would be right', async t => {
  const world = new HaCluster()
  world.addHaData()
  const good = backupOf(
    await readHaStore(await world.connecting(), { namespace: NAMESPACE, clusterId: ID }),
    '0.1.0',
    '2026-06-01T00:00:00Z',
  )
  t.same(readBackup(parse(yamlOf(good))).problems, [])
  type Item = { kind: string; metadata: { [field: string]: unknown }; data: { [key: string]: unknown } }
  type File = { kind: unknown; backup: { [field: string]: unknown }; items: Item[] }
  const cases: [string, (file: File) => void, RegExp][] = [
    [
      'kind',
      file => {
        file.kind = 'ConfigMap'
      },
      /^kind is "ConfigMap": "List" is needed/,
    ],
    [
      'format',
      file => {
        file.backup['format'] = 2
      },
      /^backup\.format is 2: 1 is needed/,
    ],
    [
      'namespace',
      file => {
        file.backup['namespace'] = 'X'
      },
      /^backup\.namespace is "X"/,
    ],
    [
      'cluster id',
      file => {
        file.backup['clusterId'] = ''
      },
      /^backup\.clusterId is ""/,
    ],
    [
      'another cluster',
      file => {
        file.backup['clusterId'] = 'd'
      },
      /^items\[0\]\.metadata\.name is "c-a+-config-map": name and labels/,
    ],
    [
      'time',
      file => {
        file.backup['time'] = 'noon'
      },
      /^backup\.time is "noon"/,
    ],
    [
      'no items',
      file => {
        file.items = []
      },
      /^items is an empty list/,
    ],
    [
      'item’s kind',
      file => {
        file.items[0]!.kind = 'Secret'
      },
      /^items\[0\]\.kind is "Secret"/,
    ],
    [
      'item’s namespace',
      file => {
        file.items[0]!.metadata['namespace'] = 'x'
      },
      /^items\[0\]\.metadata\.namespace is "x"/,
    ],
    [
      'labels',
      file => {
        file.items[1]!.metadata['labels'] = {}
      },
      /^items\[1\]\.metadata\.name is "c-cluster/,
    ],
    [
      'uid',
      file => {
        delete file.items[0]!.metadata['uid']
      },
      /^items\[0\]\.metadata\.uid is missing/,
    ],
    [
      'value',
      file => {
        file.items[0]!.data['counter'] = 8
      },
      /^items\[0\]\.data\["counter"\] is 8: a text is needed/,
    ],
    [
      'twice',
      file => {
        file.items.push(file.items[0]!)
      },
      /^items\[2\] is ConfigMap c-a+-config-map: it is there twice/,
    ],
  ]
  for (const [name, spoil, problem] of cases) {
    const file = structuredClone(good) as unknown as File
    spoil(file)
    const { backup, problems } = readBackup(file)
    t.equal(backup, undefined, name)
    t.ok(
      problems.some(one => problem.test(one)),
      `${name}: ${problems.join('; ')}`,
    )
  }
  for (const value of [undefined, null, 7, 'x', [], {}, { apiVersion: 'v1' }])
    t.ok(readBackup(value).problems.length > 0)
})

t.test('a file that cannot be read is a problem by name', async t => {
  const folder = t.testdir({ 'broken.yaml': 'a: [', 'two.yaml': 'a: 1\n---\nb: 1\n', 'empty.yaml': '' })
  const world = new HaCluster()
  for (const name of ['broken.yaml', 'two.yaml', 'empty.yaml', 'missing.yaml'])
    t.match(
      await putBack(world, join(folder, name)),
      { code: 1, err: new RegExp(`${name}[\\s\\S]*nothing is written`) },
      name,
    )
  t.same(world.cluster.requests, [])
})
