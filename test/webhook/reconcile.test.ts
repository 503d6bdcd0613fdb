import t from 'tap'
import type { KubeObject } from '../../shared/list-watch.ts'
import { type Change, Retries } from '../../webhook/change.ts'
import { newRoleBinding, newService, roleBindingName } from '../../webhook/cluster-objects.ts'
import { findOwnedHaConfigMaps, type Observed, planOf } from '../../webhook/reconcile.ts'
import { injectedPodOf, roleBindingOf, serviceOf, type Workload, workloadOf } from '../../webhook/workload.ts'
import { jobManagerPod, service, type WorkloadInput, workload } from '../world/flink-objects.ts'

const named = <T>(object: T, uid: string, resourceVersion = '1'): KubeObject => {
  const given = object as unknown as KubeObject
  return { ...given, metadata: { ...given.metadata, uid, resourceVersion } }
}
const of = (input: WorkloadInput): Workload =>
  workloadOf(input.kind ?? 'Deployment', named(workload(input), `uid-${input.name}`))
const pod = (input: Parameters<typeof jobManagerPod>[0]) =>
  injectedPodOf(named(jobManagerPod(input), `uid-${input.name}`))
const haService = (id: string, owners: Workload[] = []) => serviceOf(named(newService(id, owners), `uid-${id}-ha`))
const binding = (account: string) => roleBindingOf(named(newRoleBinding('ns', account), `uid-rb-${account}`))
const observed = (given: Partial<Observed>): Observed => ({
  namespace: 'ns',
  asks: true,
  workloads: [],
  pods: [],
  services: [],
  roleBindings: [],
  configMaps: [],
  ...given,
})
/** The changes, each as `verb path reason`. */
const planned = (given: Partial<Observed>): string[] =>
  planOf(observed(given)).changes.map(({ verb, path, body, reason }) => {
    const { metadata } = body as { metadata?: { name?: string } }
    return `${verb} ${path.replace(/.*\/namespaces\/ns\//, '')}${verb === 'create' ? `/${metadata?.name}` : ''} ${reason}`
  })

const flinksOwn = serviceOf(named(service('s', { app: 'flink', component: 'jobmanager' }), 'uid-s'))
const jm = of({ name: 'jm', clusterId: 'c', account: 'flink' })

t.test('what a labelled namespace should hold', async t => {
  const settled = { workloads: [jm], services: [haService('c', [jm])], roleBindings: [binding('flink')] }
  const made = ['create rolebindings/flink-ha-flink RightsGranted', 'create services/c-ha ServiceMade']
  const learned = pod({ name: 'p', clusterId: 'l' })
  const table: [string, Partial<Observed>, string[]][] = [
    ['nothing of Flink’s, nothing to do', { workloads: [of({ name: 'web', component: 'server' })] }, []],
    ['JobManagers', { workloads: [jm] }, made],
    ['as it should be', settled, []],
    ['not asked', { ...settled, services: [], roleBindings: [], asks: false }, []],
    ['left alone', { workloads: [of({ name: 'jm', clusterId: 'c', labels: { 'flink-ha.io/inject': 'false' } })] }, []],
    ['TaskManagers alone', { workloads: [of({ name: 'tm', component: 'taskmanager', clusterId: 'c' })] }, []],
    [
      'an id not known yet',
      { workloads: [of({ name: 'jm' })] },
      ['create rolebindings/flink-ha-default RightsGranted'],
    ],
    [
      'an id that a pod learned',
      { workloads: [of({ name: 'jm' })], pods: [learned] },
      ['create rolebindings/flink-ha-default RightsGranted', 'create services/l-ha ServiceMade'],
    ],
    [
      'a pod without the sidecar knows nothing',
      { workloads: [of({ name: 'jm' })], pods: [pod({ name: 'p', clusterId: 'l', injected: false })] },
      ['create rolebindings/flink-ha-default RightsGranted'],
    ],
    ['an application’s Job', { workloads: [of({ name: 'jm', kind: 'Job', clusterId: 'c', account: 'flink' })] }, made],
    ['pods of nobody’s workload', { pods: [pod({ name: 'p', clusterId: 'c', account: 'flink' })] }, made],
    [
      'JobManagers are gone',
      { services: [haService('c')], roleBindings: [binding('flink')] },
      ['delete services/c-ha ServiceRemoved', 'delete rolebindings/flink-ha-flink RightsRemoved'],
    ],
    [
      'another account, and pods of the old one',
      {
        ...settled,
        roleBindings: [binding('flink'), binding('old')],
        pods: [pod({ name: 'p', clusterId: 'c', account: 'old' })],
      },
      [],
    ],
    [
      'another account, and no pods of the old one',
      { ...settled, roleBindings: [binding('flink'), binding('old')] },
      ['delete rolebindings/flink-ha-old RightsRemoved'],
    ],
    [
      'the Service of an id that was learned stays without pods',
      {
        workloads: [of({ name: 'jm' })],
        services: [haService('l', [of({ name: 'jm' })])],
        roleBindings: [binding('default')],
      },
      [],
    ],
    [
      'an id that is none',
      { pods: [pod({ name: 'p', clusterId: 'No_id', account: 'a' })], roleBindings: [binding('a')] },
      [],
    ],
  ]
  for (const [what, given, changes] of table) t.strictSame(planned(given), changes, what)
})

t.test('when a namespace no longer asks, what nobody needs goes, the rights last', async t => {
  const tm = of({ name: 'tm', component: 'taskmanager', clusterId: 'c' })
  const reference = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'jm', uid: 'uid-jm' }
  const owned = {
    ...tm,
    metadata: { ...tm.metadata, ownerReferences: [reference], annotations: { 'flink-ha.io/owner': 'uid-jm' } },
  }
  const given = {
    asks: false,
    workloads: [jm, owned],
    services: [haService('c', [jm])],
    roleBindings: [binding('flink')],
  }
  t.strictSame(planned(given), ['patch deployments/tm OwnerTakenBack', 'delete services/c-ha ServiceRemoved'])
  const second = { ...given, workloads: [jm, tm], services: [] }
  t.strictSame(planned(second), ['delete rolebindings/flink-ha-flink RightsRemoved'])
  const running = pod({ name: 'p', clusterId: 'c', account: 'flink' })
  t.strictSame(planned({ ...given, workloads: [jm, tm], pods: [running] }), [], 'a sidecar that runs goes on')
  const ended = pod({ name: 'p', clusterId: 'c', account: 'flink', injected: false })
  t.strictSame(planned({ ...second, pods: [ended] }), ['delete rolebindings/flink-ha-flink RightsRemoved'])
})

t.test(
  'in a namespace that is not labelled, those that ask by themselves get what they need, and no owners',
  async t => {
    const asking = of({ name: 'jm', clusterId: 'c', account: 'flink', labels: { 'flink-ha.io/inject': 'true' } })
    const tm = of({ name: 'tm', component: 'taskmanager', clusterId: 'c', labels: { 'flink-ha.io/inject': 'true' } })
    const silent = of({ name: 'other', app: 'o', clusterId: 'o', account: 'o' })
    const made = ['create rolebindings/flink-ha-flink RightsGranted', 'create services/c-ha ServiceMade']
    const settled = { workloads: [asking, tm, silent], services: [haService('c')], roleBindings: [binding('flink')] }
    const table: [string, Partial<Observed>, string[]][] = [
      ['a template', { workloads: [asking, tm, silent] }, made],
      ['a pod of nobody’s workload', { pods: [pod({ name: 'p', clusterId: 'c', account: 'flink' })] }, made],
      ['a pod without the sidecar', { pods: [pod({ name: 'p', clusterId: 'c', injected: false })] }, []],
      ['as it should be', settled, []],
      [
        'the label went, of another cluster nobody asks',
        { ...settled, services: [haService('c'), haService('o')], roleBindings: [binding('flink'), binding('o')] },
        ['delete services/o-ha ServiceRemoved'],
      ],
      [
        'and then its rights',
        { ...settled, roleBindings: [binding('flink'), binding('o')] },
        ['delete rolebindings/flink-ha-o RightsRemoved'],
      ],
      ['a spoiled Service', { ...settled, services: [] }, ['create services/c-ha ServiceMade']],
      ['Services of Flink', { ...settled, services: [haService('c'), flinksOwn], configMaps: [{ name: 'm' }] }, []],
      [
        'nobody asks any more',
        { roleBindings: [binding('flink')] },
        ['delete rolebindings/flink-ha-flink RightsRemoved'],
      ],
    ]
    for (const [what, given, changes] of table) t.strictSame(planned({ ...given, asks: false }), changes, what)
    const [, creation] = planOf(observed({ asks: false, workloads: [asking] })).changes
    t.match(creation, { regarding: { kind: 'Deployment', name: 'jm' }, owners: [] })
    t.notOk('ownerReferences' in (creation!.body as { metadata: object }).metadata)
  },
)

t.test('a change that adds an owner names it', async t => {
  const tm = of({ name: 'tm', component: 'taskmanager', clusterId: 'c' })
  const owners = (given: Partial<Observed>): string[] =>
    planOf(observed(given)).changes.map(
      ({ verb, path, owners = [] }) => `${verb} ${path.split('/').at(-1)} ${owners.map(o => o.metadata.uid)}`,
    )
  t.strictSame(owners({ workloads: [jm, tm], services: [flinksOwn] }), [
    'create rolebindings ',
    'create services uid-jm',
    'patch tm uid-jm',
    'patch s uid-jm',
  ])
  const roleBindings = [binding('flink')]
  t.strictSame(owners({ workloads: [jm], services: [haService('c')], roleBindings }), ['patch c-ha uid-jm'])
  const right = haService('c', [jm])
  const services = [{ ...right, spec: { ...right.spec, ports: [] } }]
  t.strictSame(owners({ workloads: [jm], services, roleBindings }), ['patch c-ha '], 'it has it already')
})

t.test('what failed is tried again by itself, later and later, but for no more than 15 s', async t => {
  const changes = planOf(observed({ workloads: [jm] })).changes as [Change, Change]
  const [first, second] = changes
  const retries = new Retries()
  t.equal(retries.nextMs(), undefined)
  const delays = Array.from({ length: 50 }, () => {
    retries.failed(first, 1_000, 1)
    return (retries.nextMs() ?? 0) - 1_000
  })
  t.strictSame(delays.slice(0, 6), [1_000, 2_000, 4_000, 8_000, 15_000, 15_000])
  t.equal(Math.max(...delays), 15_000)
  t.strictSame([retries.isDue(first, 15_999), retries.isDue(first, 16_000)], [false, true])
  t.ok(retries.isDue(second, 1_000), 'another one does not wait')
  t.strictSame([retries.failures(first), retries.failures(second)], [50, 0])
  retries.keep([second])
  t.strictSame([retries.failures(first), retries.nextMs()], [0, undefined])
})

t.test('a Service of ours is put right field by field, and what belongs to others in it stays', async t => {
  const right = haService('c', [jm])
  const { changes } = planOf(
    observed({
      workloads: [jm],
      roleBindings: [binding('flink')],
      services: [
        { ...right, spec: { ...right.spec, selector: { app: 'x', component: 'jobmanager' }, sessionAffinity: 'None' } },
      ],
    }),
  )
  t.equal(changes.length, 1)
  t.match(changes[0], {
    verb: 'patch',
    body: {
      metadata: { resourceVersion: '1' },
      spec: { selector: { app: null, component: 'jobmanager', 'flink-ha.io/cluster': 'c' } },
    },
  })
  t.notOk('sessionAffinity' in (changes[0]!.body as { spec: object }).spec)
})

t.test('what cannot be changed is made anew', async t => {
  const right = haService('c', [jm])
  const services = [{ ...right, spec: { ...right.spec, clusterIP: '10.0.0.1' } }]
  t.strictSame(planned({ workloads: [jm], roleBindings: [binding('flink')], services }), [
    'delete services/c-ha ServiceRemoved',
  ])
  const wrong = {
    ...binding('flink'),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' },
  }
  t.strictSame(planned({ workloads: [jm], services: [right], roleBindings: [wrong] }), [
    'delete rolebindings/flink-ha-flink RightsRemoved',
  ])
})

t.test('only the object that was judged is deleted', async t => {
  const { changes } = planOf(observed({ services: [haService('c')] }))
  t.strictSame(changes[0]?.body, { preconditions: { uid: 'uid-c-ha', resourceVersion: '1' } })
})

t.test('a Service of the same name that is not ours is reported, not touched', async t => {
  const services = [serviceOf(named(service('c-ha', { x: 'y' }), 'u'))]
  const { changes, findings } = planOf(observed({ workloads: [jm], services, roleBindings: [binding('flink')] }))
  t.strictSame(changes, [])
  t.match(findings, [{ reason: 'NameTaken', regarding: { kind: 'Service', name: 'c-ha' } }])
})

t.test('every change says what and why', async t => {
  for (const { note, regarding, reason } of planOf(observed({ workloads: [jm] })).changes) {
    t.ok(note.length > 20, note)
    t.match(regarding, { kind: 'Deployment', name: 'jm', uid: 'uid-jm' }, reason)
  }
})

t.test('a RoleBinding’s name is short, and another one for each account', async t => {
  t.equal(roleBindingName('flink'), 'flink-ha-flink')
  const long = [`${'a'.repeat(100)}1`, `${'a'.repeat(100)}2`].map(roleBindingName)
  t.equal(new Set(long).size, 2)
  for (const name of long) t.equal(name.length, 63)
})

t.test('HA ConfigMaps with an owner are found', async t => {
  const reference = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'jm', uid: 'u' }
  const found = findOwnedHaConfigMaps('ns', [
    { name: 'c-cluster-config-map', ownerReferences: [reference] },
    { name: 'd-cluster-config-map' },
    { name: 'flink-config-c', ownerReferences: [reference] },
  ])
  t.match(found, [{ reason: 'HaConfigMapOwned', note: /owned by Deployment jm/ }])
  t.equal(found.length, 1)
})
