// The deletion of the own pod, as the API server tells it.
import t, { type Test } from 'tap'
import { KubeClient } from '../../shared/kube-client.ts'
import { followOwnPod } from '../../sidecar/own-pod.ts'
import { resourceOf } from '../world/kube-resources.ts'
import type { KubeServer } from '../world/kube-server.ts'
import { NAMESPACE } from '../world/sidecar.ts'
import { anApi } from '../world/stage.ts'
import { SteppedClock } from '../world/stepped-clock.ts'

const PODS = resourceOf('pods')
const pod = (name: string) => ({
  metadata: { name },
  spec: { nodeName: 'n', containers: [{ name: 'm', image: 'flink' }] },
})

type Scene = { api: KubeServer; clock: SteppedClock; seen: () => number; warnings: string[]; stop: () => void }

const follow = async (t: Test, api: KubeServer, podUid: string): Promise<Scene> => {
  const clock = new SteppedClock()
  const client = new KubeClient({ url: api.url, userAgent: 'test', monoMs: clock.monoMs })
  let seen = 0
  const onDeleted = (): void => {
    seen++
  }
  const warnings: string[] = []
  const log = { debug() {}, info() {}, warn: (_: object, text: string) => void warnings.push(text), error() {} }
  const stop = followOwnPod({ client, clock, log, namespace: NAMESPACE, podName: 'jm-0', podUid, onDeleted })
  t.teardown(async () => {
    stop()
    client.close()
    await api.close()
  })
  return { api, clock, seen: () => seen, warnings, stop }
}

t.test('a deletionTimestamp on the own pod is noticed, and on nobody else’s', async t => {
  const api = await anApi()
  const { metadata } = api.store.create(PODS, NAMESPACE, pod('jm-0'))
  api.store.create(PODS, NAMESPACE, pod('jm-1'))
  const all = await follow(t, api, metadata.uid ?? '')
  await all.clock.until(() => api.openWatches === 1, 'the watch')
  api.store.delete(PODS, NAMESPACE, 'jm-1', { gracePeriodSeconds: 30 })
  api.store.patch(PODS, NAMESPACE, 'jm-0', 'merge', { metadata: { labels: { a: 'b' } } })
  await all.clock.pass(1_000)
  t.equal(all.seen(), 0)
  api.store.delete(PODS, NAMESPACE, 'jm-0', { gracePeriodSeconds: 30 })
  await all.clock.until(() => all.seen() > 0, 'the deletion')
})

t.test('a pod of the same name with another uid is another pod', async t => {
  const api = await anApi()
  api.store.create(PODS, NAMESPACE, pod('jm-0'))
  const all = await follow(t, api, 'of-an-older-one')
  await all.clock.until(() => api.openWatches === 1, 'the watch')
  api.store.delete(PODS, NAMESPACE, 'jm-0', { gracePeriodSeconds: 30 })
  await all.clock.pass(1_000)
  t.equal(all.seen(), 0)
})

t.test('a deletion that came while the watch was broken is noticed, from the list', async t => {
  const api = await anApi()
  const { metadata } = api.store.create(PODS, NAMESPACE, pod('jm-0'))
  const all = await follow(t, api, metadata.uid ?? '')
  await all.clock.until(() => api.openWatches === 1, 'the watch')
  await api.refuse()
  api.store.delete(PODS, NAMESPACE, 'jm-0', { gracePeriodSeconds: 30 })
  api.compact()
  await all.clock.pass(500)
  await api.accept()
  await all.clock.until(() => all.seen() > 0, 'the deletion')
})

t.test(
  'where it is forbidden it is tried again, less and less often, told once, and works when it is allowed',
  async t => {
    const api = await anApi()
    const { metadata } = api.store.create(PODS, NAMESPACE, pod('jm-0'))
    api.fail({ status: 403, times: 1_000 })
    const all = await follow(t, api, metadata.uid ?? '')
    await all.clock.until(() => api.requests.length === 4, 'three more tries', 60_000)
    t.ok(all.clock.nowMs >= 2_000 + 4_000 + 8_000, `${all.clock.nowMs} ms`)
    await all.clock.pass(300_000, 500)
    t.ok(api.requests.length <= 12, `${api.requests.length} requests in five minutes`)
    t.equal(all.warnings.length, 1)
    api.heal()
    await all.clock.until(() => api.openWatches === 1, 'the watch')
    api.store.delete(PODS, NAMESPACE, 'jm-0', { gracePeriodSeconds: 30 })
    await all.clock.until(() => all.seen() > 0, 'the deletion')
  },
)

t.test('whoever stopped following asks nothing more', async t => {
  const api = await anApi()
  const { metadata } = api.store.create(PODS, NAMESPACE, pod('jm-0'))
  const all = await follow(t, api, metadata.uid ?? '')
  await all.clock.until(() => api.openWatches === 1, 'the watch')
  all.stop()
  await all.clock.until(() => api.openWatches === 0, 'its end')
  const asked = api.requests.length
  api.store.delete(PODS, NAMESPACE, 'jm-0', { gracePeriodSeconds: 30 })
  await all.clock.pass(30_000, 100)
  t.equal(all.seen(), 0)
  t.equal(api.requests.length, asked)
})
