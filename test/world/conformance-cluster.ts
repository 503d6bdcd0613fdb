// Conformance beyond ConfigMaps: leases, pods, workloads, and the garbage collection that binds them.
import type { Test } from 'tap'
import {
  type Case,
  configMaps,
  eventually,
  leases,
  MERGE,
  make,
  refused,
  type Target,
  versionOf,
} from './conformance-target.ts'
import type { Body } from './kube-probe.ts'

const MICRO_TIME = '2026-01-02T03:04:05.678901Z'

const podSpec = {
  // Nobody schedules it, so nothing runs.
  schedulerName: 'nobody',
  automountServiceAccountToken: false,
  containers: [{ name: 'main', image: 'example.com/none' }],
}
const pods = ({ namespace }: Target): string => `/api/v1/namespaces/${namespace}/pods`
const deployments = ({ namespace }: Target): string => `/apis/apps/v1/namespaces/${namespace}/deployments`

/** Pods cannot be made before the namespace has its service account. */
const makePod = async (t: Test, target: Target, name: string, labels: object = {}): Promise<Body> => {
  let answer = { status: 0, body: undefined as Body }
  await eventually(async () => {
    answer = await target.request('POST', pods(target), { metadata: { name, labels }, spec: podSpec })
    return answer.status !== 403
  })
  t.equal(answer.status, 201, `pod ${name} is created`)
  return answer.body
}

const makeDeployment = async (t: Test, target: Target, name: string): Promise<Body> => {
  const labels = { name }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'example.com/none' }] } }
  const spec = { replicas: 0, selector: { matchLabels: labels }, template }
  const answer = await target.request('POST', deployments(target), { metadata: { name }, spec })
  t.equal(answer.status, 201, `deployment ${name} is created`)
  return answer.body
}

const reference = ({ apiVersion, kind, metadata }: Body) => {
  const { name, uid } = metadata
  return { apiVersion, kind, name, uid }
}

const isGone = (target: Target, path: string) => async (): Promise<boolean> =>
  (await target.request('GET', path)).status === 404

export const clusterCases: Case[] = [
  {
    name: 'a Lease is compare-and-set, and keeps microseconds',
    run: async (t, target) => {
      const spec = { holderIdentity: 'a', leaseDurationSeconds: 10, renewTime: MICRO_TIME, leaseTransitions: 1 }
      const created = await target.request('POST', leases(target), { metadata: { name: 'c-lease' }, spec })
      t.equal(created.status, 201)
      t.equal(created.body.apiVersion, 'coordination.k8s.io/v1')
      t.strictSame(created.body.spec, spec)
      const path = `${leases(target)}/c-lease`
      const renewed = { ...created.body, spec: { ...spec, holderIdentity: 'b' } }
      t.equal((await target.request('PUT', path, renewed)).status, 200)
      const stale = await target.request('PUT', path, renewed)
      refused(t, stale, 409, 'Conflict', 'leases.coordination.k8s.io "c-lease": the object has been modified')
      t.strictSame(stale.body.details, { name: 'c-lease', group: 'coordination.k8s.io', kind: 'leases' })
      const patch = { metadata: { resourceVersion: versionOf(created.body) }, spec: { holderIdentity: 'c' } }
      t.equal((await target.request('PATCH', path, patch, MERGE)).status, 409)
      const deleted = await target.request('DELETE', path)
      t.match(deleted.body, { status: 'Success', details: { group: 'coordination.k8s.io', kind: 'leases' } })
    },
  },
  {
    name: 'a PUT of a Lease has to name a version, unless it is missing: then it creates it',
    run: async (t, target) => {
      const path = `${leases(target)}/c-put`
      const body = { metadata: { name: 'c-put' }, spec: { holderIdentity: 'a' } }
      const created = await target.request('PUT', path, body)
      t.equal(created.status, 201)
      const unversioned = await target.request('PUT', path, body)
      refused(t, unversioned, 422, 'Invalid', 'metadata.resourceVersion: Invalid value: 0: must be specified')
      await target.request('DELETE', path)
      const uid = { ...created.body, metadata: { ...created.body.metadata } }
      t.equal((await target.request('PUT', path, uid)).status, 409, 'but not with the uid of one that was')
      t.equal((await target.request('GET', path)).status, 404)
      const { uid: _, ...metadata } = created.body.metadata
      const late = await target.request('PUT', path, { ...created.body, metadata })
      t.equal(late.status, 201, 'a version alone does not protect')
    },
  },
  {
    name: "a Lease's duration has to be positive",
    run: async (t, target) => {
      const spec = { leaseDurationSeconds: 0 }
      const answer = await target.request('POST', leases(target), { metadata: { name: 'c-zero' }, spec })
      refused(t, answer, 422, 'Invalid', 'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0')
    },
  },
  {
    name: 'a pod begins as Pending, and its labels can be patched',
    run: async (t, target) => {
      const pod = await makePod(t, target, 'c-pod', { app: 'x' })
      t.equal(pod.status.phase, 'Pending')
      t.equal(pod.metadata.generation, 1)
      const path = `${pods(target)}/c-pod`
      const label = (role: string | null) => ({ metadata: { labels: { role } } })
      const labelled = await target.request('PATCH', path, label('leader'), MERGE)
      t.strictSame(labelled.body.metadata.labels, { app: 'x', role: 'leader' })
      t.equal(labelled.body.metadata.generation, 1, 'labels are no change of what was asked for')
      const found = await target.request('GET', `${pods(target)}?labelSelector=role%3Dleader`)
      t.strictSame(
        found.body.items.map((item: Body) => item.metadata.name),
        ['c-pod'],
      )
      const cleared = await target.request('PATCH', path, label(null), MERGE)
      t.strictSame(cleared.body.metadata.labels, { app: 'x' })
      const missing = await target.request('PATCH', `${path}-none`, label('x'), MERGE)
      refused(t, missing, 404, 'NotFound', 'pods "c-pod-none" not found')
      t.equal((await target.request('POST', pods(target), { metadata: { name: 'c-empty' }, spec: {} })).status, 422)
    },
  },
  {
    name: "a pod's status has a path of its own",
    run: async (t, target) => {
      await makePod(t, target, 'c-status')
      const path = `${pods(target)}/c-status`
      const patch = { status: { phase: 'Running' } }
      t.equal((await target.request('PATCH', path, patch, MERGE)).body.status.phase, 'Pending')
      t.equal((await target.request('PATCH', `${path}/status`, patch, MERGE)).body.status.phase, 'Running')
      const running = await target.request('GET', `${pods(target)}?fieldSelector=status.phase%3DRunning`)
      t.strictSame(
        running.body.items.map((item: Body) => item.metadata.name),
        ['c-status'],
      )
      const { status, body } = await target.request('DELETE', path)
      t.equal(status, 200)
      t.equal(body.kind, 'Pod')
      t.equal((await target.request('GET', path)).status, 404, 'a pod on no node is gone at once')
    },
  },
  {
    name: 'a deployment counts generations of its spec and annotations',
    run: async (t, target) => {
      const made = await makeDeployment(t, target, 'c-generation')
      t.equal(made.metadata.generation, 1)
      const path = `${deployments(target)}/c-generation`
      const labelled = await target.request('PATCH', path, { metadata: { labels: { a: 'b' } } }, MERGE)
      t.equal(labelled.body.metadata.generation, 1)
      const noted = await target.request('PATCH', path, { metadata: { annotations: { a: 'b' } } }, MERGE)
      t.equal(noted.body.metadata.generation, 2)
      const paused = await target.request('PATCH', path, { spec: { paused: true } }, MERGE)
      t.equal(paused.body.metadata.generation, 3)
    },
  },
  {
    name: 'what an object owns goes when it is deleted, what nobody owns stays',
    run: async (t, target) => {
      const owner = await makeDeployment(t, target, 'c-owner')
      await make(t, target, 'c-owned', {}, { ownerReferences: [reference(owner)] })
      await make(t, target, 'c-free')
      await target.request('DELETE', `${deployments(target)}/c-owner`)
      t.ok(await eventually(isGone(target, `${configMaps(target)}/c-owned`)))
      t.equal((await target.request('GET', `${configMaps(target)}/c-free`)).status, 200)
    },
  },
  {
    name: 'an object with two owners stays until both are gone; ownership reaches through',
    run: async (t, target) => {
      const [a, b] = [await make(t, target, 'c-two-a'), await make(t, target, 'c-two-b')]
      const middle = await make(t, target, 'c-two-owned', {}, { ownerReferences: [reference(a), reference(b)] })
      await make(t, target, 'c-two-leaf', {}, { ownerReferences: [reference(middle)] })
      await target.request('DELETE', `${configMaps(target)}/c-two-a`)
      const struck = await eventually(async () => {
        const { body } = await target.request('GET', `${configMaps(target)}/c-two-owned`)
        return body.metadata?.ownerReferences?.length === 1
      })
      t.ok(struck, 'the owner that is gone is struck out')
      await target.request('DELETE', `${configMaps(target)}/c-two-b`)
      t.ok(await eventually(isGone(target, `${configMaps(target)}/c-two-leaf`)))
      t.ok(await eventually(isGone(target, `${configMaps(target)}/c-two-owned`)))
    },
  },
  {
    name: 'an owner of the right name and another uid is no owner',
    run: async (t, target) => {
      const owner = await make(t, target, 'c-reborn')
      const uid = '11111111-2222-4333-8444-555555555555'
      await make(t, target, 'c-wrong', {}, { ownerReferences: [{ ...reference(owner), uid }] })
      t.ok(await eventually(isGone(target, `${configMaps(target)}/c-wrong`)))
      t.equal((await target.request('GET', `${configMaps(target)}/c-reborn`)).status, 200)
    },
  },
  {
    name: 'what an orphaning deletion leaves behind has no owner',
    run: async (t, target) => {
      const owner = await make(t, target, 'c-parent')
      await make(t, target, 'c-orphan', {}, { ownerReferences: [reference(owner)] })
      await target.request('DELETE', `${configMaps(target)}/c-parent`, { propagationPolicy: 'Orphan' })
      t.ok(await eventually(isGone(target, `${configMaps(target)}/c-parent`)))
      const { status, body } = await target.request('GET', `${configMaps(target)}/c-orphan`)
      t.equal(status, 200)
      t.notOk(body.metadata.ownerReferences)
    },
  },
]
