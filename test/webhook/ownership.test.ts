import t from 'tap'
import type { KubeObject } from '../../shared/list-watch.ts'
import {
  isHaConfigMap,
  type JobManagers,
  ownerPatch,
  ownersAdded,
  ownersOfConfigMap,
  ownersOfService,
  ownersOfTaskManagers,
} from '../../webhook/ownership.ts'
import { type Meta, serviceOf, type Workload, workloadOf } from '../../webhook/workload.ts'
import { service, type WorkloadInput, workload } from '../world/flink-objects.ts'

const of = (input: WorkloadInput): Workload => {
  const read = workloadOf(input.kind ?? 'Deployment', workload(input) as unknown as KubeObject)
  return { ...read, metadata: { ...read.metadata, uid: `uid-${input.name}` } }
}
const jm = (input: WorkloadInput, ids: string[] = []): JobManagers => ({ workload: of(input), ids })
const tm = (input: WorkloadInput): Workload => of({ component: 'taskmanager', ...input })
const namesOf = (owners: Workload[]): string[] => owners.map(({ metadata }) => metadata.name)

t.test('HA ConfigMaps are known by any one of their marks', async t => {
  const job = '0123456789abcdef0123456789abcdef'
  const table: [Meta, boolean][] = [
    [{ name: 'c-cluster-config-map' }, true],
    [{ name: `c-${job}-config-map` }, true],
    [{ name: 'any', labels: { 'configmap-type': 'high-availability' } }, true],
    [{ name: 'any', annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}' } }, true],
    [{ name: 'flink-config' }, false],
    [{ name: 'flink-config-map' }, false],
    [{ name: 'flink-config-c', labels: { type: 'flink-native-kubernetes', app: 'c' } }, false],
    [{ name: 'c-0123-config-map' }, false],
  ]
  for (const [meta, isHa] of table) t.equal(isHaConfigMap(meta), isHa, JSON.stringify(meta))
})

t.test('TaskManagers belong to the JobManagers of their cluster', async t => {
  const [a, b] = [jm({ name: 'a', app: 'x' }, ['a']), jm({ name: 'b', app: 'x' }, ['b'])]
  const unknown = jm({ name: 'u', app: 'y' })
  const job = jm({ name: 'j', app: 'z', kind: 'Job' }, ['j'])
  const table: [string, Workload, JobManagers[], string[]][] = [
    ['by the id', tm({ name: 't', clusterId: 'a', app: 'other' }), [a, b], ['a']],
    ['an id that nobody has', tm({ name: 't', clusterId: 'c', app: 'x' }), [a], []],
    ['by the app, when it names one', tm({ name: 't', app: 'x' }), [a, unknown], ['a']],
    ['not by an app that names two', tm({ name: 't', app: 'x' }), [a, b], []],
    [
      'by the app, while the JobManagers’ id is not known',
      tm({ name: 't', clusterId: 'c', app: 'y' }),
      [a, unknown],
      ['u'],
    ],
    ['another app', tm({ name: 't', app: 'q' }), [a], []],
    ['a Job owns no TaskManagers', tm({ name: 't', clusterId: 'j', app: 'z' }), [job], []],
    ['TaskManagers as a StatefulSet', tm({ name: 't', kind: 'StatefulSet', clusterId: 'a' }), [a], ['a']],
    ['TaskManagers as a Job', tm({ name: 't', kind: 'Job', clusterId: 'a' }), [a], []],
    ['JobManagers are no TaskManagers', of({ name: 't', clusterId: 'a' }), [a], []],
    [
      'two of one cluster',
      tm({ name: 't', clusterId: 'a' }),
      [a, jm({ name: 'a2', kind: 'StatefulSet' }, ['a'])],
      ['a', 'a2'],
    ],
    ['left alone', tm({ name: 't', clusterId: 'a', labels: { 'flink-ha.io/inject': 'false' } }), [a], []],
  ]
  for (const [what, taskManagers, jobManagers, owners] of table)
    t.strictSame(namesOf(ownersOfTaskManagers(taskManagers, jobManagers)), owners, what)
})

t.test('Services belong to the JobManagers that they select, if they select nothing else', async t => {
  const [a, b] = [jm({ name: 'a', app: 'x' }, ['a']), jm({ name: 'b', app: 'y' }, ['b'])]
  const job = jm({ name: 'j', app: 'j', kind: 'Job' }, ['j'])
  const out = of({ name: 'o', app: 'o', labels: { 'flink-ha.io/inject': 'false' } })
  const taskManagers = [tm({ name: 'ta', app: 'ta', clusterId: 'a' }), tm({ name: 'tq', app: 'tq', clusterId: 'q' })]
  const table: [{ [name: string]: string }, string[]][] = [
    [{ app: 'ta', component: 'taskmanager' }, ['a']],
    [{ component: 'taskmanager' }, []],
    [{ app: 'nobody', component: 'taskmanager' }, []],
    [{ app: 'x', component: 'jobmanager' }, ['a']],
    [{ 'flink-ha.io/cluster': 'a' }, ['a']],
    [{ component: 'jobmanager', 'flink-ha.io/role': 'leader', app: 'o' }, []],
    [{ 'flink-ha.io/cluster': 'b', 'flink-ha.io/role': 'leader' }, ['b']],
    [{ component: 'jobmanager', 'flink-ha.io/role': 'leader', app: 'y' }, ['b']],
    [{ app: 'x' }, []],
    [{ 'flink-ha.io/role': 'leader' }, []],
    [{ app: 'x', component: 'taskmanager' }, []],
    [{ component: 'jobmanager', constructor: 'x' }, []],
    [{}, []],
  ]
  for (const [selector, owners] of table) {
    const facts = serviceOf(service('s', selector) as unknown as KubeObject)
    const workloads = [a, b, job].map(({ workload }) => workload)
    const all = [...taskManagers, ...workloads, out]
    t.strictSame(namesOf(ownersOfService(facts, all, [a, b, job])), owners, JSON.stringify(selector))
  }
  t.strictSame(ownersOfService({ metadata: { name: 's' }, spec: { type: 'ExternalName' } }, [], [a]), [])
})

t.test('a Service that leads to JobManagers that can own nothing as well has no owner', async t => {
  const [a, b] = [jm({ name: 'a', app: 'x' }, ['a']), jm({ name: 'b', app: 'y' }, ['b'])]
  const job = jm({ name: 'j', app: 'x', kind: 'Job' }, ['j'])
  const out = of({ name: 'o', app: 'x', labels: { 'flink-ha.io/inject': 'false' } })
  const ownersWith = (selector: { [name: string]: string }, jobManagers: JobManagers[], ...others: Workload[]) => {
    const workloads = [...jobManagers.map(({ workload }) => workload), ...others]
    return namesOf(ownersOfService(serviceOf(service('s', selector) as unknown as KubeObject), workloads, jobManagers))
  }
  const all = { component: 'jobmanager' }
  t.strictSame(ownersWith(all, [a, b]), ['a', 'b'])
  t.strictSame(ownersWith(all, [a, b, job]), [], 'a Job')
  t.strictSame(ownersWith(all, [a, b], out), [], 'opted out')
  t.strictSame(ownersWith({ ...all, app: 'x' }, [a, b, job]), [], 'a Job of the same app')
  t.strictSame(ownersWith({ ...all, app: 'x' }, [a, b], out), [], 'opted out, of the same app')
  t.strictSame(ownersWith({ ...all, app: 'y' }, [a, b, job], out), ['b'], 'others do not matter')
  const ofCluster = { ...all, app: 'x', 'flink-ha.io/cluster': 'a' }
  t.strictSame(ownersWith(ofCluster, [a, b, job], out), ['a'], 'nor do those without the label of the cluster')
  const ofLeader = { ...all, app: 'x', 'flink-ha.io/role': 'leader' }
  t.strictSame(ownersWith(ofLeader, [a, b], out), ['a'], 'nor those that are never the leader')
})

t.test('a ConfigMap belongs to whoever mounts it as configuration, unless somebody else needs it', async t => {
  const a = jm({ name: 'a', configuration: 'm' }, ['a'])
  const b = jm({ name: 'b', configuration: 'm' }, ['b'])
  const job = jm({ name: 'j', kind: 'Job', configuration: 'm' }, ['j'])
  const taskManagers = tm({ name: 't', clusterId: 'a', configuration: 'm' })
  const strangers = tm({ name: 's', clusterId: 'q', app: 'q', configuration: 'm' })
  const web = of({ name: 'web', component: 'server', other: 'm' })
  const table: [string, JobManagers[], Workload[], string[]][] = [
    ['one', [a], [], ['a']],
    ['with its TaskManagers', [a], [taskManagers], ['a']],
    ['two clusters', [a, b], [], ['a', 'b']],
    ['used by another workload', [a], [web], []],
    ['used by other TaskManagers', [a], [strangers], []],
    ['used by a Job', [a, job], [], []],
    ['used by nobody', [], [], []],
    ['mounted elsewhere', [jm({ name: 'a', other: 'm' }, ['a'])], [], []],
  ]
  for (const [what, jobManagers, others, owners] of table) {
    const workloads = [...jobManagers.map(({ workload }) => workload), ...others]
    t.strictSame(namesOf(ownersOfConfigMap({ name: 'm' }, workloads, jobManagers)), owners, what)
  }
  const ha = jm({ name: 'a', configuration: 'c-cluster-config-map' })
  t.strictSame(ownersOfConfigMap({ name: 'c-cluster-config-map' }, [ha.workload], [ha]), [], 'never an HA ConfigMap')
})

const a = of({ name: 'a' })
const b = of({ name: 'b', kind: 'StatefulSet' })
const refOf = ({ apiVersion, kind, metadata: { name, uid = '' } }: Workload) => ({ apiVersion, kind, name, uid })
const foreign = { apiVersion: 'v1', kind: 'Thing', name: 'foreign', uid: 'uid-foreign', controller: true }
const noted = (...uids: string[]) => ({ annotations: { 'flink-ha.io/owner': uids.join(',') } })
const patched = (ownerReferences: object[], ...uids: string[]) => ({
  ownerReferences,
  annotations: { 'flink-ha.io/owner': uids.length === 0 ? null : uids.join(',') },
})

t.test('what we set is noted, and no more than that is ever taken back', async t => {
  const table: [string, Omit<Meta, 'name'>, Workload[], object | undefined][] = [
    ['nothing to do', {}, [], undefined],
    ['set', {}, [a], patched([refOf(a)], 'uid-a')],
    ['set two', {}, [b, a], patched([refOf(a), refOf(b)], 'uid-a', 'uid-b')],
    ['as it should be', { ownerReferences: [refOf(a)], ...noted('uid-a') }, [a], undefined],
    [
      'one more',
      { ownerReferences: [refOf(a)], ...noted('uid-a') },
      [a, b],
      patched([refOf(a), refOf(b)], 'uid-a', 'uid-b'),
    ],
    [
      'one less',
      { ownerReferences: [refOf(a), refOf(b)], ...noted('uid-a', 'uid-b') },
      [b],
      patched([refOf(b)], 'uid-b'),
    ],
    ['taken back', { ownerReferences: [refOf(a)], ...noted('uid-a') }, [], patched([])],
    ['somebody else’s is left alone', { ownerReferences: [foreign] }, [a], undefined],
    ['so is the same one, set by somebody else', { ownerReferences: [refOf(a)] }, [], undefined],
    [
      'ours goes when another comes',
      { ownerReferences: [refOf(a), foreign], ...noted('uid-a') },
      [a],
      patched([foreign]),
    ],
    ['hands off', noted('none'), [a], undefined],
    ['hands off, whoever set what is there', { ownerReferences: [refOf(a)], ...noted('none') }, [b], undefined],
    ['a note without an owner goes', { ...noted('uid-x') }, [], patched([])],
  ]
  for (const [what, metadata, owners, wanted] of table)
    t.strictSame(ownerPatch({ name: 'x', ...metadata }, owners, [a, b]), wanted, what)
})

t.test('an owner that is gone stays named: the garbage collector may be on its way', async t => {
  const gone = { ...refOf(a), name: 'gone', uid: 'uid-gone' }
  t.equal(ownerPatch({ name: 'x', ownerReferences: [gone], ...noted('uid-gone') }, [], [a]), undefined)
  t.strictSame(
    ownerPatch({ name: 'x', ownerReferences: [gone], ...noted('uid-gone') }, [a], [a]),
    patched([gone, refOf(a)], 'uid-gone', 'uid-a'),
  )
})

t.test('a workload that is being deleted keeps what it has, and gets nothing', async t => {
  const ending: Workload = { ...a, metadata: { ...a.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }
  t.equal(ownerPatch({ name: 'x' }, [ending], [ending]), undefined)
  t.equal(ownerPatch({ name: 'x', ownerReferences: [refOf(a)], ...noted('uid-a') }, [ending], [ending]), undefined)
})

t.test('the owners that a patch adds are those that the object has not', async t => {
  const meta = { name: 'x', ownerReferences: [refOf(a)], ...noted('uid-a') }
  const added = (metadata: Meta, owners: Workload[]) =>
    namesOf(ownersAdded(metadata, ownerPatch(metadata, owners, [a, b]), owners))
  t.strictSame(added(meta, [a, b]), ['b'])
  t.strictSame(added({ name: 'x' }, [a, b]), ['a', 'b'])
  t.strictSame(added(meta, []), [])
  t.strictSame(added({ name: 'x', ownerReferences: [foreign] }, [a]), [], 'somebody else’s object')
})

t.test('a patch names the version that it was decided on', async t => {
  t.equal(ownerPatch({ name: 'x', resourceVersion: '7' }, [a], [a])?.resourceVersion, '7')
})
