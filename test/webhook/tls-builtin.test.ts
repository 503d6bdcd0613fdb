import t, { type Test } from 'tap'
import { makeAuthority, makeServer } from '../../webhook/authority.ts'
import { certificatesOf, checkPair } from '../../webhook/tls-check.ts'
import { newSecret } from '../../webhook/tls-secret.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { CONFIGURATION, DAY_MS, NAMES, NAMESPACE, SECRET, TlsWorld } from '../world/tls-replicas.ts'

const MINUTE_MS = 60_000

const worldOf = async (t: Test): Promise<TlsWorld> => {
  const world = new TlsWorld()
  await world.listen()
  t.teardown(() => world.close())
  return world
}
/** A world at rest, with a leader and another replica, both serving. */
const settled = async (t: Test) => {
  const world = await worldOf(t)
  world.configure()
  const leader = world.replica('leader', true)
  const other = world.replica('other')
  await Promise.all([leader.tls.start(), other.tls.start()])
  await world.until(() => world.bundles.every(bundle => bundle === world.content.caPem), 'the bundle is published')
  await world.rest()
  return { world, leader, other }
}
const isWrite = (write: string): boolean => write.startsWith('PUT') || write.startsWith('POST')

t.test('of two replicas that start together one makes the Secret, and both serve from it', async t => {
  const world = await worldOf(t)
  world.configure()
  const [a, b] = [world.replica('a'), world.replica('b')]
  await Promise.all([a.tls.start(), b.tls.start()])
  await world.until(() => world.bundles.every(bundle => bundle !== ''), 'a bundle is published, though nobody leads')
  await world.rest()
  t.equal([...world.writes('a'), ...world.writes('b')].filter(write => write.startsWith('POST')).length, 1)
  t.equal(a.certPem, world.content.certPem)
  t.equal(b.certPem, world.content.certPem)
  t.same(world.bundles, [world.content.caPem, world.content.caPem], 'of each webhook')
  const { certPem, keyPem } = world.content
  t.match(checkPair({ certPem, keyPem, caPem: world.bundles[0] ?? '' }, NAMES, world.clock.wallMs()), {
    broken: [],
    refused: [],
  })
  t.equal(a.served.length, 1, 'said once')
})

t.test('a replica that comes later takes what is there', async t => {
  const { world } = await settled(t)
  const late = world.replica('late')
  await late.tls.start()
  await world.live(DAY_MS)
  t.equal(late.certPem, world.content.certPem)
  t.same(world.writes('late'), [])
})

t.test('at rest nothing is asked and nothing is written', async t => {
  const { world, leader, other } = await settled(t)
  const before = world.server.requests.length
  for (let round = 0; round < 10; round++) {
    world.clock.advance(5_000)
    await world.rest()
  }
  t.equal(world.server.requests.length, before)
  t.equal(leader.log.count('error') + other.log.count('error'), 0)
})

t.test('the leader renews, the other one takes it over, and writes nothing', async t => {
  const { world, leader, other } = await settled(t)
  const first = world.content
  const writes = world.writes('other')
  await world.live(DAY_MS * 61)
  t.not(world.content.certPem, first.certPem)
  t.equal(world.content.caPem, first.caPem)
  t.equal(leader.certPem, world.content.certPem)
  t.equal(other.certPem, world.content.certPem)
  t.same(other.served, leader.served)
  t.same(world.writes('other'), writes)
})

t.test('who does not lead never renews', async t => {
  const { world, leader, other } = await settled(t)
  leader.leads = false
  const first = world.content
  await world.live(DAY_MS * 80)
  t.same(world.content, first)
  other.leads = true
  await world.live(5_000)
  t.not(world.content.certPem, first.certPem, 'until it leads')
  t.ok(world.writes('other').some(write => write.startsWith('PUT')))
})

t.test('a CA is replaced in three writes, with both in the bundle between them, by whoever leads', async t => {
  const { world, leader, other } = await settled(t)
  for (let day = 0; day < 240; day += 61) await world.live(DAY_MS * 61)
  const before = world.content
  t.equal(certificatesOf(before.caPem).length, 2, 'the new CA is in')
  const [, old] = certificatesOf(before.caPem)
  t.ok(old !== undefined && certificatesOf(before.certPem)[0]?.verify(old.publicKey), 'the old one’s pair is served')
  t.same(world.bundles, [before.caPem, before.caPem])
  leader.leads = false
  other.leads = true
  await world.live(MINUTE_MS * 11)
  const after = world.content
  t.equal(after.caPem, before.caPem)
  t.not(after.certPem, before.certPem, 'the new one has signed')
  t.equal(leader.certPem, after.certPem)
  t.equal(other.certPem, after.certPem)
  await world.live(DAY_MS * 1.1)
  t.equal(certificatesOf(world.content.caPem).length, 1, 'the old one is out')
  t.same(world.bundles, [world.content.caPem, world.content.caPem])
  t.equal(world.content.certPem, after.certPem)
})

t.test('a new CA that cannot be published signs nothing', async t => {
  const { world, leader } = await settled(t)
  for (let day = 0; day < 183; day += 61) await world.live(DAY_MS * 61)
  world.server.fail({ match: ({ method }) => method === 'PATCH', status: 403, times: 1_000 })
  await world.live(DAY_MS * 61)
  const before = world.content
  t.equal(certificatesOf(before.caPem).length, 2)
  await world.live(DAY_MS * 10)
  t.equal(world.content.certPem, before.certPem)
  t.ok(leader.log.count(/cannot be written to the webhook configuration: 403/) > 0)
  world.server.heal()
  await world.live(MINUTE_MS)
  t.equal(world.content.certPem, before.certPem, 'it has been public for a minute only')
  await world.live(MINUTE_MS * 11)
  t.not(world.content.certPem, before.certPem)
})

t.test('a Secret that is deleted is made again with its CA and a new one; nobody is refused meanwhile', async t => {
  const { world, leader, other } = await settled(t)
  const before = world.content
  const writes = world.writes('other')
  world.server.store.delete(resourceOf('secrets'), NAMESPACE, SECRET)
  await world.until(() => world.secret !== undefined, 'it is there again')
  await world.live(0)
  t.equal(certificatesOf(world.content.caPem).length, 2)
  t.ok(world.content.caPem.endsWith(before.caPem))
  t.equal(world.content.certPem, before.certPem)
  t.equal(other.certPem, before.certPem)
  t.same(world.writes('other'), writes)
  await world.live(MINUTE_MS * 11)
  t.not(leader.certPem, before.certPem)
  t.equal(other.certPem, leader.certPem)
})

t.test('an empty or spoilt Secret is filled, and what else is in it is kept', async t => {
  for (const data of [undefined, { 'tls.crt': '', 'tls.key': '' }, { 'ca.crt': 'cnViYmlzaA==', 'ca.key': '!' }]) {
    const world = await worldOf(t)
    const metadata = { name: SECRET, labels: { mine: 'yes' } }
    world.server.store.create(resourceOf('secrets'), NAMESPACE, { metadata, type: 'Opaque', ...(data && { data }) })
    const replica = world.replica('a')
    await replica.tls.start()
    t.match(checkPair(world.content, NAMES, world.clock.wallMs()), { broken: [], refused: [] })
    t.match(world.secret?.metadata.labels, { mine: 'yes' })
  }
})

t.test('a Secret that is spoilt while it is served does no harm, and is mended by the leader', async t => {
  const { world, leader, other } = await settled(t)
  const { certPem, caPem } = world.content
  const data = { 'ca.crt': null, 'ca.key': null, 'tls.crt': null, 'tls.key': null }
  leader.leads = false
  world.server.store.patch(resourceOf('secrets'), NAMESPACE, SECRET, 'merge', { data })
  await world.live(MINUTE_MS)
  t.equal(leader.certPem, certPem)
  t.equal(other.certPem, certPem)
  t.same(world.bundles, [caPem, caPem], 'the bundle stays')
  t.equal(other.log.count(/the certificate is empty/), 1, 'and it is said, once')
  leader.leads = true
  await world.live(5_000)
  t.equal(world.content.certPem, certPem)
  t.ok(world.content.caPem.endsWith(caPem))
})

t.test('a pair somebody gave without the CA’s key is served, published, and never written', async t => {
  const world = await worldOf(t)
  world.configure()
  const ca = await makeAuthority(world.clock.wallMs())
  const given = { ...(await makeServer(ca, NAMES, world.clock.wallMs())), caPem: ca.certPem, caKeyPem: '' }
  world.server.store.create(resourceOf('secrets'), NAMESPACE, newSecret(SECRET, given))
  const replica = world.replica('a', true)
  await replica.tls.start()
  await world.live(DAY_MS * 200)
  t.equal(replica.certPem, given.certPem)
  t.same(world.bundles, [ca.certPem, ca.certPem])
  t.same(world.writes('a').filter(isWrite), [])
  t.ok(replica.log.count(/expired/) > 0, 'that it expired is said')
})

t.test('a bundle that somebody overwrites is put back, and nothing else is touched', async t => {
  const { world } = await settled(t)
  const { caPem } = world.content
  const writes = world.writes('other')
  const patch = [
    { op: 'replace', path: '/webhooks/1/clientConfig/caBundle', value: 'cnViYmlzaA==' },
    { op: 'add', path: '/webhooks/0/timeoutSeconds', value: 3 },
  ]
  world.server.store.patch(resourceOf('mutatingwebhookconfigurations'), '', CONFIGURATION, 'json', patch)
  await world.live(5_000)
  t.same(world.bundles, [caPem, caPem])
  t.match(world.configuration, { webhooks: [{ timeoutSeconds: 3 }, { sideEffects: 'NoneOnDryRun' }] })
  t.same(world.writes('other'), writes)
})

t.test('a configuration that comes later, or again, gets its bundle', async t => {
  const world = await worldOf(t)
  const replica = world.replica('a', true)
  await replica.tls.start()
  await world.rest()
  t.ok(replica.log.count(/no MutatingWebhookConfiguration/) > 0)
  for (let times = 0; times < 2; times++) {
    world.configure()
    await world.live(5_000)
    t.same(world.bundles, [world.content.caPem, world.content.caPem])
    world.server.store.delete(resourceOf('mutatingwebhookconfigurations'), '', CONFIGURATION)
    await world.live(5_000)
  }
})

t.test('a configuration that cert-manager injects is left alone', async t => {
  const world = await worldOf(t)
  world.configure({ 'cert-manager.io/inject-ca-from': 'flink-ha/x' })
  const replica = world.replica('a', true)
  await replica.tls.start()
  await world.live(MINUTE_MS)
  t.same(world.bundles, ['', ''])
  t.ok(replica.log.count(/cert-manager keeps the CA bundle/) > 0)
})

t.test('a write whose answer is lost is not made twice', async t => {
  const { world, leader } = await settled(t)
  await world.live(DAY_MS * 55)
  const writes = (): number => world.writes('leader').filter(write => write.startsWith('PUT')).length
  const first = world.content.certPem
  world.server.fail({ match: ({ method }) => method === 'PUT', afterCommit: true, times: 1 })
  await world.live(DAY_MS * 6)
  t.not(world.content.certPem, first)
  t.equal(leader.certPem, world.content.certPem)
  t.equal(writes(), 0, 'none was answered')
  const second = world.content.certPem
  await world.live(MINUTE_MS)
  t.equal(world.content.certPem, second)
})

t.test('of two that believe they lead, one writes each step', async t => {
  const { world, leader, other } = await settled(t)
  other.leads = true
  await world.live(DAY_MS * 61)
  t.equal(leader.certPem, other.certPem)
  t.equal(leader.certPem, world.content.certPem)
  t.equal([...world.writes('leader'), ...world.writes('other')].filter(write => write.startsWith('PUT')).length, 1)
})

t.test('an API server that is away changes nothing about what is served, and what is due is made up for', async t => {
  const { world, leader } = await settled(t)
  const { certPem } = world.content
  await world.server.refuse()
  for (let times = 0; times < 20; times++) world.clock.jump(DAY_MS * 3.05)
  await world.rest()
  t.equal(leader.certPem, certPem)
  await world.server.accept()
  await world.live(MINUTE_MS)
  await world.live(MINUTE_MS)
  t.not(leader.certPem, certPem)
})

t.test('a replica starts as soon as it may read and write the Secret, and says what it may not', async t => {
  const world = await worldOf(t)
  world.server.fail({ match: ({ method }) => method === 'POST', status: 403, times: 2 })
  const replica = world.replica('a')
  const started = replica.tls.start()
  await world.rest()
  t.equal(replica.tls.current(), undefined)
  t.equal(replica.log.count(/the Secret cannot be written: 403/), 1)
  await world.live(10_000)
  await started
  t.ok(replica.certPem)
})

t.test('a leader whose clock is years ahead rotates nothing: the API server’s clock counts', async t => {
  const { world, leader } = await settled(t)
  const before = world.content
  leader.skewMs = 900 * DAY_MS
  await world.live(MINUTE_MS)
  t.same(world.content, before)
  t.ok(leader.log.count(/our clock differs/) > 0)
})

t.test('stop ends a start that is still waiting', async t => {
  const world = await worldOf(t)
  await world.server.refuse()
  const replica = world.replica('a')
  const started = replica.tls.start()
  replica.tls.stop()
  await started
  t.equal(replica.tls.current(), undefined)
})
