// Flink's own TaskManager client, as recorded from 1.17, 1.20 and 2.3, on a relay: it never ends, whatever happens upstream.
import t, { type Test } from 'tap'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { formatRecord, formatTime } from '../../shared/record.ts'
import type { Dialect } from '../world/flink-dialect.ts'
import { Events } from '../world/flink-stage.ts'
import { FlinkTaskManagerClient } from '../world/flink-taskmanager.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { KubeServer } from '../world/kube-server.ts'
import { TestRelay } from '../world/relay.ts'
import { CLUSTER_ID, LOCK, NAMESPACE, TestSidecar } from '../world/sidecar.ts'

const CONFIG_MAPS = resourceOf('configmaps')
const KEY = 'org.apache.flink.k8s.leader.resourcemanager'

class Scene {
  readonly api = new KubeServer()
  peers: string[] = []
  #sidecars: TestSidecar[] = []
  #stamp = 0

  async start(t: Test): Promise<void> {
    await this.api.listen()
    this.api.store.create(resourceOf('namespaces'), '', { metadata: { name: NAMESPACE } })
    this.api.store.create(CONFIG_MAPS, NAMESPACE, { metadata: { name: LOCK } })
    t.teardown(async () => {
      await this.crash()
      await this.api.close()
    })
  }
  async sidecar(name: string): Promise<void> {
    const sidecar = new TestSidecar({ apiUrl: this.api.url, name, jvmPort: 1 })
    await sidecar.start()
    this.#sidecars.push(sidecar)
    this.peers.push(sidecar.podUrl)
  }
  async crash(): Promise<void> {
    for (const sidecar of this.#sidecars) await sidecar.crash()
    this.#sidecars = []
    this.peers = []
  }
  lead(session: string): void {
    const time = formatTime(1.7e15 + ++this.#stamp)
    const holder = `jm-${this.#stamp}_uid`
    const record = formatRecord({
      holder,
      leaseMs: 60_000,
      acquireTime: time,
      renewTime: time,
      transitions: this.#stamp,
    })
    const annotations = { [ANNOTATION_LEADER]: record, 'flink-ha.io/token': String(this.#stamp) }
    const data = { [KEY]: `${session},pekko.tcp://flink@10.0.0.1:6123/user/rpc/resourcemanager_0` }
    this.api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { metadata: { annotations }, data })
  }
  async relay(t: Test, port = 0): Promise<TestRelay> {
    const relay = new TestRelay({ peers: () => this.peers, learn: true, holdMs: 300, port })
    await relay.start()
    t.teardown(() => relay.stop())
    return relay
  }
}

/** As its documentation's manifests leave it: `kubernetes.namespace` is not set. */
const taskManager = (t: Test, relay: TestRelay, dialect: Dialect) => {
  const events = new Events()
  const client = new FlinkTaskManagerClient({
    master: relay.url,
    clusterId: CLUSTER_ID,
    namespace: 'default',
    dialect,
    onEvent: events.take,
    rewatchMs: 20,
    relistMs: 20,
    fallbackMs: 20,
  })
  t.teardown(() => client.kill())
  const seen = (session: string): Promise<unknown> => events.when('leader-seen', event => event.session === session)
  return { client, events, seen }
}

for (const dialect of ['1.17', '1.20', '2.3'] as const) {
  t.test(
    `${dialect}: starts before any JobManager, sees the leader when one comes, through a restart of all`,
    async t => {
      const scene = new Scene()
      await scene.start(t)
      const relay = await scene.relay(t)
      const { client, events, seen } = taskManager(t, relay, dialect)
      t.equal(await client.start(), true, 'its process does not end')
      scene.lead('s-1')
      await scene.sidecar('sc-0')
      await seen('s-1')
      await scene.sidecar('sc-1')
      scene.lead('s-2')
      await seen('s-2')
      await scene.crash()
      scene.lead('s-3')
      await scene.sidecar('sc-2')
      await seen('s-3')
      t.same(events.of('fatal'), [])
      t.same(events.of('refused'), [])
      const sessions = events.of('leader-seen').map(event => event.session)
      t.same(sessions, ['s-1', 's-2', 's-3'], 'and nothing in between, not even that nobody leads')
    },
  )
}

t.test('a relay that restarts goes on with the same TaskManager', async t => {
  const scene = new Scene()
  await scene.start(t)
  scene.lead('s-1')
  await scene.sidecar('sc-0')
  const first = await scene.relay(t)
  const { client, events, seen } = taskManager(t, first, '2.3')
  t.equal(await client.start(), true)
  await seen('s-1')
  await first.stop()
  scene.lead('s-2')
  await scene.relay(t, Number(new URL(first.url).port))
  await seen('s-2')
  t.same(events.of('fatal'), [])
  t.equal(events.of('listed').length, 1, 'its watch goes on from the last version')
})
