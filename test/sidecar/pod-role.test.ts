// The labels of the sidecar's own pod, after whatever the API server answers.
import t, { type Test } from 'tap'
import { KubeClient } from '../../shared/kube-client.ts'
import type { Candidate } from '../../sidecar/candidate.ts'
import { PodRole } from '../../sidecar/pod-role.ts'
import type { Failure } from '../world/kube-faults.ts'
import { resourceOf } from '../world/kube-resources.ts'
import type { KubeServer } from '../world/kube-server.ts'
import { LOCK, NAMESPACE } from '../world/sidecar.ts'
import { anApi } from '../world/stage.ts'
import { SteppedClock } from '../world/stepped-clock.ts'

const PODS = resourceOf('pods')
const POD = {
  metadata: { name: 'jm-0', labels: { mine: 'kept' } },
  spec: { containers: [{ name: 'm', image: 'flink' }] },
}

class Scene {
  readonly clock = new SteppedClock()
  readonly warnings: string[] = []
  readonly api: KubeServer
  leads = false
  target: { namespace: string; clusterId: string; name: string } | undefined
  #listeners: (() => void)[] = []

  constructor(t: Test, api: KubeServer) {
    this.api = api
    const client = new KubeClient({ url: api.url, userAgent: 'test', monoMs: this.clock.monoMs })
    const scene = this
    const candidate = {
      leading: () => scene.leads,
      get target() {
        return scene.target
      },
      onChange: (listener: () => void) => void scene.#listeners.push(listener),
    } as unknown as Candidate
    const log = { debug() {}, info() {}, warn: (_: object, text: string) => void this.warnings.push(text), error() {} }
    new PodRole({ candidate, client, clock: this.clock, log, podName: 'jm-0' })
    t.teardown(async () => {
      client.close()
      await api.close()
    })
  }
  change(leads: boolean): void {
    this.leads = leads
    for (const listener of this.#listeners) listener()
  }
  labels(): { [name: string]: string } {
    return this.api.store.find(PODS, NAMESPACE, 'jm-0')?.metadata.labels ?? {}
  }
  async labelled(role: string): Promise<void> {
    await this.clock.until(() => this.labels()['flink-ha.io/role'] === role, `the label ${role}`)
  }
}

const scene = async (t: Test): Promise<Scene> => {
  const made = new Scene(t, await anApi())
  made.target = { namespace: NAMESPACE, clusterId: 'c', name: LOCK }
  return made
}

t.test('a pod is labelled by its role and its cluster, and keeps what it has', async t => {
  const all = await scene(t)
  all.api.store.create(PODS, NAMESPACE, POD)
  all.change(false)
  await all.labelled('standby')
  t.match(all.labels(), { mine: 'kept', 'flink-ha.io/cluster': 'c' })
  all.change(true)
  await all.labelled('leader')
  all.change(false)
  await all.labelled('standby')
  t.equal(all.warnings.length, 0)
})

t.test('nothing is written while no cluster is known, nor when the role is what it was', async t => {
  const all = await scene(t)
  all.api.store.create(PODS, NAMESPACE, POD)
  const { target } = all
  all.target = undefined
  all.change(false)
  await all.clock.pass(2_000)
  t.equal(all.api.requests.length, 0)
  all.target = target
  for (let i = 0; i < 20; i++) all.change(false)
  await all.labelled('standby')
  for (let i = 0; i < 20; i++) all.change(false)
  await all.clock.pass(2_000)
  t.equal(all.api.requests.length, 1)
})

const FAULTS: { [name: string]: Failure } = {
  'a conflict': { status: 409, times: 3 },
  'a refusal': { status: 403, times: 3 },
  'too many requests': { status: 429, retryAfterSeconds: 1, times: 3 },
  'an error': { status: 500, times: 3 },
  'an answer that got lost': { afterCommit: true, times: 2 },
}
for (const [name, failure] of Object.entries(FAULTS))
  t.test(`after ${name} the label is set all the same, ever more slowly`, async t => {
    const all = await scene(t)
    all.api.store.create(PODS, NAMESPACE, POD)
    all.api.fail(failure)
    all.change(true)
    await all.labelled('leader')
    await all.clock.until(() => all.api.requests.length === failure.times + 1, 'the last try')
    await all.clock.pass(60_000, 200)
    t.equal(all.api.requests.length, failure.times + 1, 'once for each failure, and once more')
    t.equal(all.warnings.length, failure.times)
    t.ok(all.clock.nowMs >= 60_000 + 500 * (2 ** failure.times - 1))
  })

t.test('a pod that is not there yet (404) is labelled when it is', async t => {
  const all = await scene(t)
  all.change(false)
  await all.clock.until(() => all.warnings.length === 2, 'two tries')
  all.api.store.create(PODS, NAMESPACE, POD)
  await all.labelled('standby')
})

t.test('after an outage the label tells the role of then, not the one that could not be told', async t => {
  const all = await scene(t)
  all.api.store.create(PODS, NAMESPACE, POD)
  all.change(false)
  await all.labelled('standby')
  await all.api.refuse()
  all.change(true)
  await all.clock.until(() => all.warnings.length >= 3, 'three tries')
  all.change(false)
  all.change(true)
  all.change(false)
  await all.api.accept()
  const seen = all.api.requests.length
  await all.clock.pass(40_000, 100)
  t.equal(all.labels()['flink-ha.io/role'], 'standby')
  t.ok(all.api.requests.length - seen <= 1)
  all.change(true)
  await all.labelled('leader')
})
