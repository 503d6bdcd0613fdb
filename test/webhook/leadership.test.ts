import t, { type Test } from 'tap'
import { KubeClient } from '../../shared/kube-client.ts'
import type { Log } from '../../shared/log.ts'
import { PROFILES } from '../../shared/timings.ts'
import { Leadership } from '../../webhook/leadership.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { KubeServer } from '../world/kube-server.ts'
import { SteppedClock } from '../world/stepped-clock.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }
const timings = PROFILES.default
const LEASES = resourceOf('leases')

class World {
  readonly server = new KubeServer({ namespaces: ['flink-ha'] })
  readonly clock = new SteppedClock()
  readonly replicas: Leadership[] = []
  #clients: KubeClient[] = []

  replica(identity: string): Leadership {
    const { clock } = this
    const client = new KubeClient({ url: this.server.url, userAgent: identity, monoMs: clock.monoMs })
    const options = { client, clock, log: silent, namespace: 'flink-ha', name: 'flink-ha-webhook', identity, timings }
    const leadership = new Leadership(options)
    this.#clients.push(client)
    this.replicas.push(leadership)
    return leadership
  }
  async close(): Promise<void> {
    for (const replica of this.replicas) replica.abandon()
    for (const client of this.#clients) client.close()
    await this.server.close()
  }
  /** Never two at once, on the way there neither. */
  until(isSo: () => boolean, what: string): Promise<void> {
    return this.clock.until(() => {
      if (this.replicas.filter(replica => replica.leading()).length > 1) throw new Error('two lead at once')
      return isSo()
    }, what)
  }
  holder(): unknown {
    const lease = this.server.store.find(LEASES, 'flink-ha', 'flink-ha-webhook')
    return (lease?.['spec'] as { holderIdentity?: string } | undefined)?.holderIdentity
  }
}

const newWorld = async (t: Test): Promise<World> => {
  const world = new World()
  await world.server.listen()
  t.teardown(() => world.close())
  return world
}

t.test('of two replicas one leads, and says so', async t => {
  const world = await newWorld(t)
  const [a, b] = [world.replica('a_1'), world.replica('b_1')]
  let told = 0
  a.onChange(() => told++)
  t.notOk(a.leading())
  a.start()
  a.start()
  b.start()
  await world.until(() => a.leading() || b.leading(), 'a leader')
  t.equal(world.holder(), a.leading() ? 'a_1' : 'b_1')
  t.ok(told > 0)
  const leader = a.leading() ? a : b
  await world.until(() => !leader.leading() || world.clock.nowMs > 60_000, 'a minute')
  t.ok(leader.leading(), 'it goes on leading')
})

t.test('a replica that stops gives the Lease back, and the other leads at once', async t => {
  const world = await newWorld(t)
  const a = world.replica('a_1')
  a.start()
  await world.until(() => a.leading(), 'a leader')
  const b = world.replica('b_1')
  b.start()
  await world.clock.pass(1_000)
  const fromMs = world.clock.nowMs
  let stopped = false
  void a.stop().then(() => {
    stopped = true
  })
  t.notOk(a.leading(), 'from that moment on')
  await world.until(() => b.leading(), 'the next leader')
  t.ok(world.clock.nowMs - fromMs < timings.leaseMs / 2, `after ${world.clock.nowMs - fromMs} ms`)
  await world.until(() => stopped, 'the end of stop')
})

t.test('a replica that dies is waited for, as long as its Lease says', async t => {
  const world = await newWorld(t)
  const a = world.replica('a_1')
  a.start()
  await world.until(() => a.leading(), 'a leader')
  const b = world.replica('b_1')
  b.start()
  await world.clock.pass(1_000)
  const fromMs = world.clock.nowMs
  a.abandon()
  t.notOk(a.leading())
  await world.until(() => b.leading(), 'the next leader')
  const tookMs = world.clock.nowMs - fromMs
  t.ok(tookMs > timings.leaseMs - timings.retryMs - 500 && tookMs < timings.leaseMs + 5_000, `after ${tookMs} ms`)
})

t.test('a leader without an API server stops to lead at its deadline, and leads again', async t => {
  const world = await newWorld(t)
  const a = world.replica('a_1')
  a.start()
  await world.until(() => a.leading(), 'a leader')
  await world.server.refuse()
  const fromMs = world.clock.nowMs
  await world.until(() => !a.leading(), 'the deadline')
  t.ok(world.clock.nowMs - fromMs <= timings.renewDeadlineMs + 100)
  await world.server.accept()
  await world.until(() => a.leading(), 'the next term')
})

t.test('a leader whose process was stopped does not lead when it wakes up', async t => {
  const world = await newWorld(t)
  const a = world.replica('a_1')
  a.start()
  await world.until(() => a.leading(), 'a leader')
  // No timer and no answer in between: as after SIGSTOP.
  world.clock.nowMs += timings.renewDeadlineMs + 1
  t.notOk(a.leading())
})

t.test('a Lease that somebody deletes is made again', async t => {
  const world = await newWorld(t)
  const a = world.replica('a_1')
  a.start()
  await world.until(() => a.leading(), 'a leader')
  world.server.store.delete(LEASES, 'flink-ha', 'flink-ha-webhook')
  await world.until(() => !a.leading(), 'the end of the term')
  await world.until(() => a.leading() && world.holder() === 'a_1', 'the next term')
  t.ok(a.leading())
})

t.test('stop does not hang when there is nobody to give the Lease back to, nor before a start', async t => {
  const world = await newWorld(t)
  const [a, b] = [world.replica('a_1'), world.replica('b_1')]
  await b.stop()
  a.start()
  await world.until(() => a.leading(), 'a leader')
  await world.server.refuse()
  let stopped = false
  void a.stop().then(() => {
    stopped = true
  })
  await world.until(() => stopped, 'the end of stop')
  t.notOk(a.leading())
})
