import t from 'tap'
import { Owners, type ReplicaSet } from '../../webhook/owners.ts'
import type { OwnerReference, Pod } from '../../webhook/pod.ts'
import { jobManagerPod } from '../world/admission-review.ts'
import { type Answer, ScriptedClient, settled } from '../world/scripted-client.ts'
import { VirtualClock } from '../world/virtual-clock.ts'

const PATH = '/apis/apps/v1/namespaces/flink/replicasets/jm-5d'
const deployment: OwnerReference = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  name: 'jm',
  uid: 'd-1',
  controller: true,
}
const replicaSet = (uid = 'rs-1', ownerReferences: OwnerReference[] | null = [deployment]): ReplicaSet => ({
  metadata: { name: 'jm-5d', uid, ownerReferences },
})
const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'jm', uid: 'd-1' }

const world = (cached: ReplicaSet | undefined, answer: Answer = { status: 404, body: { message: 'not found' } }) => {
  const client = new ScriptedClient(() => answer)
  const clock = new VirtualClock()
  const cache = {
    get: (namespace: string, name: string) => (namespace === 'flink' && name === 'jm-5d' ? cached : undefined),
  }
  const owners = new Owners({ client, clock, cache })
  return { client, clock, ask: (pod: Pod = jobManagerPod()) => owners.deploymentOf('flink', pod, 4_000) }
}

t.test('the Deployment is read from the ReplicaSet that is known', async t => {
  const { ask, client } = world(replicaSet())
  t.same(await ask(), { owner })
  t.same(client.asked, [])
})

t.test('one that is not known, or was made anew under the same name, is asked for', async t => {
  for (const cached of [undefined, replicaSet('rs-0')]) {
    const { ask, client } = world(cached, { status: 200, body: replicaSet() })
    t.same(await ask(), { owner })
    t.same(client.asked, [`GET ${PATH}`])
  }
})

t.test('many pods of one rollout ask once', async t => {
  const { ask, client } = world(undefined, { status: 200, body: replicaSet() })
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask()))
  t.ok(answers.every(answer => answer.owner?.uid === 'd-1'))
  t.equal(client.asked.length, 1)
})

t.test('what cannot be read is a problem in words, never a failure or a guess', async t => {
  for (const [answer, problem] of [
    [{ status: 403, body: { message: 'forbidden' } }, /jm-5d cannot be read: 403 .*forbidden/],
    [{ status: 404, body: { message: 'not found' } }, /cannot be read: 404/],
    ['unreachable', /refused/],
    [{ status: 200, body: replicaSet('rs-2') }, /another one by now/],
  ] as [Answer, RegExp][]) {
    const found = await world(undefined, answer).ask()
    t.equal(found.owner, undefined)
    t.match(found.problem, problem)
  }
})

t.test('an API server that does not answer costs no more than the limit', async t => {
  const { ask, clock } = world(undefined, new Promise(() => {}))
  const asked = ask()
  await settled()
  clock.advance(1_500)
  t.match(await asked, { problem: 'no answer about the ReplicaSet within 1500 ms' })
})

t.test('without a ReplicaSet, or without a Deployment, there is no owner and no problem', async t => {
  const pod = jobManagerPod()
  const owned = (reference: Partial<OwnerReference>): Pod => ({
    ...pod,
    metadata: { ...pod.metadata, ownerReferences: [{ ...pod.metadata.ownerReferences![0]!, ...reference }] },
  })
  const { ask } = world(replicaSet())
  for (const other of [
    { ...pod, metadata: {} },
    owned({ kind: 'StatefulSet' }),
    owned({ kind: 'Job', apiVersion: 'batch/v1' }),
    owned({ kind: 'ReplicationController', apiVersion: 'v1' }),
    owned({ controller: false }),
    owned({ apiVersion: 'argoproj.io/v1' }),
  ])
    t.same(await ask(other), {})
  t.same(await world(replicaSet('rs-1', [])).ask(), {})
  t.same(await world(replicaSet('rs-1', null)).ask(), {})
  t.same(await world(replicaSet('rs-1', [{ ...deployment, controller: false }])).ask(), {})
  t.same(await world(replicaSet('rs-1', [{ ...deployment, kind: 'Rollout', apiVersion: 'argoproj.io/v1' }])).ask(), {})
})

t.test('a name cut at 63 characters is no riddle: the Deployment is read, not guessed', async t => {
  const name = 'a'.repeat(63)
  const long = { metadata: { name, uid: 'rs-1', ownerReferences: [{ ...deployment, name: `${'a'.repeat(200)}` }] } }
  const client = new ScriptedClient(() => ({ status: 200, body: long }))
  const owners = new Owners({ client, clock: new VirtualClock(), cache: { get: () => undefined } })
  const pod = jobManagerPod()
  pod.metadata.ownerReferences = [{ ...pod.metadata.ownerReferences![0]!, name }]
  t.same(await owners.deploymentOf('flink', pod, 4_000), { owner: { ...owner, name: 'a'.repeat(200) } })
  t.same(client.asked, [`GET /apis/apps/v1/namespaces/flink/replicasets/${name}`])
})

t.test('of two owners the controller counts', async t => {
  const both = [{ ...deployment, kind: 'Thing', uid: 'x', controller: false }, deployment]
  t.same(await world(replicaSet('rs-1', both)).ask(), { owner })
})
