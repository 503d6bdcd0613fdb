// How a whole sidecar process comes to its end, by each sign that there is.
import t, { type Test } from 'tap'
import type { ConfigMap } from '../../shared/lock.ts'
import { HandMadeJvm, holderIn, PATH } from '../world/hand-made-jvm.ts'
import { type KubeObject, resourceOf } from '../world/kube-resources.ts'
import type { KubeServer } from '../world/kube-server.ts'
import { LOCK, NAMESPACE, TestSidecar } from '../world/sidecar.ts'
import { SidecarProcess } from '../world/sidecar-process.ts'
import { anApi, until, VACANT_LOCK } from '../world/stage.ts'

const CONFIG_MAPS = resourceOf('configmaps')
const PODS = resourceOf('pods')
const JOB = { metadata: { name: 'c-00000000000000000000000000000001-config-map' } }
const JSON_TYPE = { 'content-type': 'application/json' }

type Scene = { api: KubeServer; jvm: HandMadeJvm; sidecar: SidecarProcess; real: () => KubeObject }

/** A process that leads, with a Flink that claimed. */
const leading = async (t: Test): Promise<Scene> => {
  const api = await anApi()
  api.store.create(CONFIG_MAPS, NAMESPACE, VACANT_LOCK)
  const spec = { nodeName: 'n', containers: [{ name: 'main', image: 'flink' }] }
  const pod = api.store.create(PODS, NAMESPACE, { metadata: { name: 'jm-0' }, spec })
  const jvm = new HandMadeJvm()
  await jvm.start()
  const podUid = pod.metadata.uid ?? ''
  const sidecar = new SidecarProcess({ apiUrl: api.url, podName: 'jm-0', podUid, jvmPort: jvm.port })
  t.teardown(async () => {
    await sidecar.kill()
    await jvm.die()
    await api.close()
  })
  await sidecar.serving()
  jvm.url = sidecar.url
  t.equal((await jvm.lead()).status, 200)
  return { api, jvm, sidecar, real: () => api.store.get(CONFIG_MAPS, NAMESPACE, LOCK) }
}
const holder = (real: KubeObject): string | undefined => holderIn(real as unknown as ConfigMap)

/** Another pod's sidecar that stands and joined. */
const joined = async (t: Test, { api, real }: Scene): Promise<TestSidecar> => {
  const jvm = new HandMadeJvm('jvm-2')
  await jvm.start()
  const standby = new TestSidecar({ apiUrl: api.url, name: 'jm-1', jvmPort: jvm.port })
  await standby.start()
  jvm.url = standby.url
  t.teardown(async () => {
    await standby.crash()
    await jvm.die()
  })
  jvm.ask('GET', `${PATH}/${LOCK}`).catch(() => {})
  await until(() => (real().metadata.annotations?.['flink-ha.io/candidates'] ?? '').includes('"jm-1_uid"'))
  // It is asked at once whether it stands; by then it was.
  await new Promise(resolve => setTimeout(resolve, 300))
  return standby
}

t.test('SIGTERM releases the lock, ends streams properly and exits 0', async t => {
  const { sidecar, real } = await leading(t)
  const stream = await fetch(`${sidecar.url}/leader/stream`)
  const watch = await fetch(`${sidecar.url}${PATH}?watch=true&fieldSelector=metadata.name%3D${LOCK}`)
  sidecar.signal('SIGTERM')
  t.equal(await sidecar.exited(), 0)
  t.equal(holder(real()), '')
  t.equal(real().metadata.annotations?.['flink-ha.io/reason'], 'shutdown')
  t.match(await stream.text(), /"name":"jm-0"/, 'a stream came to its end, not to a broken connection')
  t.match(await watch.text(), /"type":"ADDED"/, 'and so did a watch')
  t.same(sidecar.errors, [])
})

t.test('SIGINT does the same', async t => {
  const { sidecar, real } = await leading(t)
  sidecar.signal('SIGINT')
  t.equal(await sidecar.exited(), 0)
  t.equal(holder(real()), '')
})

t.test('SIGTERM while the API server does not answer: it waits for 3 s, and exits 0', async t => {
  const { api, sidecar } = await leading(t)
  api.freeze()
  const asked = Date.now()
  sidecar.signal('SIGTERM')
  t.equal(await sidecar.exited(), 0)
  const tookMs = Date.now() - asked
  t.ok(tookMs > 2_500 && tookMs < 10_000, `${tookMs} ms`)
  api.thaw()
})

t.test('a second SIGTERM exits 1 at once', async t => {
  const { api, sidecar } = await leading(t)
  api.freeze()
  sidecar.signal('SIGTERM')
  await sidecar.said('stopping')
  const asked = Date.now()
  sidecar.signal('SIGTERM')
  t.equal(await sidecar.exited(), 1)
  t.ok(Date.now() - asked < 2_500, 'it did not wait for the release')
  api.thaw()
})

/** The term has gone on, and the old pod is still there to keep its Flink from writing. */
const fences = async (t: Test, { api, jvm, sidecar }: Scene): Promise<void> => {
  t.not(holderIn((await jvm.ask('GET', `${PATH}/${LOCK}`)).body), 'jvm-1', 'its Flink is told')
  t.equal((await jvm.claim('99999')).status, 409)
  t.equal((await jvm.ask('PUT', `${PATH}/${LOCK}`, { metadata: { name: LOCK }, data: {} }, JSON_TYPE)).status, 409)
  t.equal((await jvm.ask('POST', PATH, JOB, JSON_TYPE)).status, 409)
  t.equal(api.store.find(CONFIG_MAPS, NAMESPACE, JOB.metadata.name), undefined)
  await new Promise(resolve => setTimeout(resolve, 500))
  t.notOk(sidecar.ended, 'it stays')
  t.equal((await fetch(`${sidecar.url}/readyz`)).status, 200)
}

t.test('SIGUSR2, the preStop hook: the term is handed over by name, the process stays and fences', async t => {
  const scene = await leading(t)
  const standby = await joined(t, scene)
  const before = Number(scene.real().metadata.annotations?.['flink-ha.io/token'])
  scene.sidecar.signal('SIGUSR2')
  await until(() => standby.candidate.leading())
  t.ok(standby.candidate.token > before)
  t.match(standby.candidate.history.terms.at(-2), { name: 'jm-0', reason: 'pod-deleted' })
  await fences(t, scene)
  t.equal(holder(scene.real()), 'jm-1_uid', 'and takes nothing back')
  scene.sidecar.signal('SIGTERM')
  t.equal(await scene.sidecar.exited(), 0)
  t.equal(holder(scene.real()), 'jm-1_uid')
})

t.test('SIGUSR2 without a standby: the lock is vacated, and not taken again', async t => {
  const scene = await leading(t)
  scene.sidecar.signal('SIGUSR2')
  await until(() => holder(scene.real()) === '')
  await fences(t, scene)
  t.equal(holder(scene.real()), '')
})

t.test('a deletionTimestamp on its pod does the same, before any signal comes', async t => {
  const scene = await leading(t)
  const standby = await joined(t, scene)
  scene.api.store.delete(PODS, NAMESPACE, 'jm-0', { gracePeriodSeconds: 30 })
  await until(() => standby.candidate.leading())
  await scene.sidecar.said('the pod is being deleted')
  await fences(t, scene)
  scene.sidecar.signal('SIGUSR2')
  await new Promise(resolve => setTimeout(resolve, 300))
  t.equal(holder(scene.real()), 'jm-1_uid', 'the signal that follows changes nothing')
})

t.test('SIGKILL releases nothing: the lease has to run out', async t => {
  const { sidecar, real } = await leading(t)
  await sidecar.kill()
  t.match(holder(real()), /^jm-0_/)
})
