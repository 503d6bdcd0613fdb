import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeAuthority, makeServer } from '../../webhook/authority.ts'
import { certificatesOf, type PairFiles } from '../../webhook/tls-check.ts'
import { FilesTls } from '../../webhook/tls-files.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { CONFIGURATION, DAY_MS, DatedClient, KeptLog, NAMES, TlsWorld } from '../world/tls-replicas.ts'

const POLL_MS = 5_000
const NOW = Date.UTC(2026, 0, 1)
const ca = await makeAuthority(NOW)
const pairOf = async (signer = ca, nowMs = NOW): Promise<PairFiles> => ({
  ...(await makeServer(signer, NAMES, nowMs)),
  caPem: signer.certPem,
})
const half = (text: string): string => text.slice(0, Math.floor(text.length / 2))

class Folder {
  readonly world: TlsWorld
  readonly dir: string
  readonly log = new KeptLog()
  readonly tls: FilesTls
  readonly client: DatedClient
  leads = true
  #looks = 0

  constructor(world: TlsWorld, dir: string) {
    this.world = world
    this.dir = dir
    const { clock, server } = world
    const after = (delayMs: number, run: () => void): (() => void) => {
      // A look ends by setting the time of the next one.
      if (delayMs === POLL_MS) this.#looks++
      return clock.after(delayMs, run)
    }
    this.client = new DatedClient(server.url, 'files', clock.wallMs)
    this.tls = new FilesTls({
      client: this.client,
      clock: { ...clock, after },
      log: this.log,
      wallMs: clock.wallMs,
      leading: () => this.leads,
      dir,
      webhookConfiguration: CONFIGURATION,
      name: NAMES[0],
    })
  }

  get certPem(): string | undefined {
    return this.tls.current()?.certPem
  }
  put(files: Partial<PairFiles>): void {
    const names = { certPem: 'tls.crt', keyPem: 'tls.key', caPem: 'ca.crt' } as const
    for (const [field, text] of Object.entries(files))
      writeFileSync(join(this.dir, names[field as keyof PairFiles]), text)
  }
  /** As the kubelet does: a folder of a new version, and one link moved to it. */
  swap(version: string, files: PairFiles): void {
    const to = join(this.dir, version)
    mkdirSync(to)
    writeFileSync(join(to, 'tls.crt'), files.certPem)
    writeFileSync(join(to, 'tls.key'), files.keyPem)
    writeFileSync(join(to, 'ca.crt'), files.caPem)
    symlinkSync(version, join(this.dir, '..tmp'))
    renameSync(join(this.dir, '..tmp'), join(this.dir, '..data'))
  }
  /** So many looks at the folder. */
  async looks(count: number): Promise<void> {
    for (let look = 0; look < count; look++) {
      const before = this.#looks
      this.world.clock.advance(POLL_MS)
      await this.world.until(() => this.#looks > before, 'the folder is looked at')
      await this.world.rest()
    }
  }
}

const folderOf = async (t: Test): Promise<Folder> => {
  const world = new TlsWorld()
  await world.listen()
  const folder = new Folder(world, t.testdir({}))
  t.teardown(async () => {
    folder.tls.stop()
    folder.client.close()
    await world.close()
  })
  return folder
}
/** A folder with a good pair that is served. */
const serving = async (t: Test, files: PairFiles): Promise<Folder> => {
  const folder = await folderOf(t)
  folder.world.configure()
  folder.put(files)
  await folder.tls.start()
  await folder.looks(1)
  return folder
}

t.test('what is in the folder is served, and its bundle published by the replica that leads', async t => {
  const pair = await pairOf()
  const folder = await serving(t, pair)
  t.match(folder.tls.current(), { ...pair, notAfterMs: NOW + 90 * DAY_MS })
  t.same(folder.world.bundles, [ca.certPem, ca.certPem])
  t.equal(folder.log.count('error'), 0)
})

t.test('a replica that does not lead publishes nothing', async t => {
  const folder = await folderOf(t)
  folder.leads = false
  folder.world.configure()
  folder.put(await pairOf())
  await folder.tls.start()
  await folder.looks(2)
  t.same(folder.world.bundles, ['', ''])
})

t.test('without ca.crt, or with an empty one, the configuration is left alone', async t => {
  for (const files of [{}, { caPem: '' }]) {
    const { certPem, keyPem } = await pairOf()
    const folder = await folderOf(t)
    folder.world.configure()
    folder.put({ certPem, keyPem, ...files })
    await folder.tls.start()
    await folder.looks(2)
    t.equal(folder.certPem, certPem)
    t.same(folder.world.bundles, ['', ''])
    t.same(folder.world.writes('files'), [])
  }
})

t.test('files that come late are served when they are there, whole', async t => {
  const folder = await folderOf(t)
  const pair = await pairOf()
  const started = folder.tls.start()
  await folder.looks(3)
  t.equal(folder.log.count(/cannot be read: ENOENT/), 1, 'said once')
  folder.put({ ...pair, keyPem: half(pair.keyPem) })
  await folder.looks(1)
  t.equal(folder.certPem, undefined)
  folder.put(pair)
  await folder.looks(1)
  await started
  t.equal(folder.certPem, pair.certPem)
})

t.test('a renewed pair is served within two looks, without a restart', async t => {
  const folder = await serving(t, await pairOf())
  const changes: string[] = []
  folder.tls.onChange(({ certPem }) => changes.push(certPem))
  const next = await pairOf(ca, NOW + DAY_MS)
  folder.world.clock.jump(DAY_MS)
  folder.put(next)
  await folder.looks(2)
  t.equal(folder.certPem, next.certPem)
  t.same(changes, [next.certPem])
})

t.test('a bad pair never replaces a good one, is named once, and is forgotten when a good one comes', async t => {
  const good = await pairOf()
  const next = await pairOf()
  const stranger = await pairOf(await makeAuthority(NOW))
  const old = await pairOf(ca, NOW - 200 * DAY_MS)
  const otherName = { ...(await makeServer(ca, ['w.other.svc'], NOW)), caPem: ca.certPem }
  const cases: [string, Partial<PairFiles>, RegExp][] = [
    ['empty', { certPem: '', keyPem: '', caPem: '' }, /the certificate is empty/],
    ['a certificate half-written', { ...next, certPem: half(next.certPem) }, /middle of a certificate/],
    ['a key half-written', { ...next, keyPem: half(next.keyPem) }, /private key cannot be read/],
    ['a new certificate, the key still old', { certPem: next.certPem }, /not the certificate’s/],
    ['a new key, the certificate still old', { keyPem: next.keyPem }, /not the certificate’s/],
    ['expired', old, /expired/],
    ['for another name', otherName, /not for flink-ha-webhook.flink-ha.svc/],
    ['of another CA than ca.crt', { ...stranger, caPem: ca.certPem }, /signed by no valid CA/],
    ['a bundle half-written', { ...next, caPem: half(ca.certPem) }, /CA bundle cannot be read/],
    ['no file at all', {}, /ENOENT/],
  ]
  for (const [what, change, words] of cases) {
    const folder = await serving(t, good)
    if (what === 'no file at all') rmSync(join(folder.dir, 'tls.crt'))
    else folder.put(change)
    await folder.looks(4)
    t.equal(folder.certPem, good.certPem, what)
    t.equal(folder.log.count(words), 1, `${what}: said once`)
    t.same(folder.world.bundles, [ca.certPem, ca.certPem], `${what}: the bundle stays`)
    folder.put(next)
    await folder.looks(3)
    t.equal(folder.certPem, next.certPem, `${what}: and then a good one`)
  }
})

t.test('an expired pair is better than none, and a good one better than that', async t => {
  const folder = await folderOf(t)
  const old = await pairOf(ca, NOW - 200 * DAY_MS)
  folder.put(old)
  await folder.tls.start()
  t.equal(folder.certPem, old.certPem)
  t.equal(folder.log.count(/expired at .*/), 1)
  t.equal(folder.log.count(/for want of a better one/), 1)
  const good = await pairOf()
  folder.put(good)
  await folder.looks(1)
  t.equal(folder.certPem, good.certPem)
})

t.test('a pair that expires while it is served goes on, and it is said', async t => {
  const pair = await pairOf()
  const folder = await serving(t, pair)
  folder.world.clock.jump(DAY_MS * 91)
  await folder.looks(2)
  t.equal(folder.certPem, pair.certPem)
  t.equal(folder.log.count(/expired at/), 1)
})

t.test('files are read through the kubelet’s link, so that they are of one version', async t => {
  const folder = await folderOf(t)
  const [first, second] = [await pairOf(), await pairOf()]
  // What a slow look through single links would see: the old certificate, the new key.
  folder.put({ certPem: first.certPem, keyPem: second.keyPem })
  folder.swap('..v1', first)
  await folder.tls.start()
  t.equal(folder.certPem, first.certPem)
  folder.swap('..v2', second)
  await folder.looks(2)
  t.equal(folder.certPem, second.certPem)
})

t.test('a pair of another CA is served when the configuration trusts it, and the old CA stays for a day', async t => {
  const first = await pairOf()
  const folder = await serving(t, first)
  const otherCa = await makeAuthority(NOW)
  const second = await pairOf(otherCa)
  folder.put(second)
  await folder.looks(1)
  t.equal(folder.certPem, first.certPem, 'not yet')
  const both = otherCa.certPem + ca.certPem
  t.same(
    folder.world.bundles.map(pem => certificatesOf(pem).length),
    [2, 2],
  )
  await folder.looks(2)
  t.equal(folder.certPem, second.certPem)
  t.same(
    folder.world.bundles.map(pem => certificatesOf(pem).map(String).join('')),
    [both, both].map(joined),
  )
  folder.world.clock.jump(DAY_MS)
  await folder.looks(2)
  t.same(folder.world.bundles, [otherCa.certPem, otherCa.certPem].map(joined))
})
/** As a union writes it. */
const joined = (pem: string): string => certificatesOf(pem).map(String).join('')

t.test('a replica that does not lead waits for the leader to publish the other CA, but not for ever', async t => {
  const first = await pairOf()
  const folder = await serving(t, first)
  folder.leads = false
  const second = await pairOf(await makeAuthority(NOW))
  folder.put(second)
  await folder.looks(30)
  t.equal(folder.certPem, first.certPem)
  await folder.looks(40)
  t.equal(folder.certPem, second.certPem, 'five minutes at most')
})

/** As another replica does. */
const publish = ({ server }: TlsWorld, bundlePem: string): void => {
  const value = Buffer.from(bundlePem).toString('base64')
  const operation = (index: number) => ({ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value })
  const of = resourceOf('mutatingwebhookconfigurations')
  server.store.patch(of, '', CONFIGURATION, 'json', [operation(0), operation(1)])
}
/** A replica whose Secret has a pair of another CA than the one that is published, just started. */
const startingAnew = async (t: Test) => {
  const folder = await folderOf(t)
  folder.leads = false
  folder.world.configure()
  publish(folder.world, ca.certPem)
  const otherCa = await makeAuthority(NOW)
  const pair = await pairOf(otherCa)
  folder.put(pair)
  void folder.tls.start()
  return { folder, pair, otherCa }
}

t.test(
  'a replica that starts serves nothing before the configuration trusts its pair, and that at once then',
  async t => {
    const { folder, pair, otherCa } = await startingAnew(t)
    await folder.looks(30)
    t.equal(folder.certPem, undefined)
    t.equal(folder.log.count(/waits until the webhook configuration trusts it/), 1, 'said once')
    publish(folder.world, ca.certPem + otherCa.certPem)
    await folder.world.until(() => folder.certPem === pair.certPem, 'it is served')
    t.same(folder.world.writes('files'), [])
  },
)

t.test('a replica that starts with a pair that is trusted serves it at once', async t => {
  const folder = await folderOf(t)
  folder.leads = false
  folder.world.configure()
  publish(folder.world, ca.certPem)
  const pair = await pairOf()
  folder.put(pair)
  await folder.tls.start()
  t.equal(folder.certPem, pair.certPem)
})

t.test(
  'a replica that starts waits five minutes at most: for the configuration to trust it, or to be seen',
  async t => {
    const { folder, pair } = await startingAnew(t)
    await folder.looks(59)
    t.equal(folder.certPem, undefined)
    await folder.looks(2)
    t.equal(folder.certPem, pair.certPem)
    const blind = await folderOf(t)
    blind.world.server.fail({ times: 1_000 })
    blind.put(pair)
    void blind.tls.start()
    await blind.looks(59)
    t.equal(blind.certPem, undefined)
    await blind.looks(2)
    t.equal(blind.certPem, pair.certPem)
  },
)

t.test(
  'a starting replica that begins to lead publishes its CA beside what it finds, for a day, and serves',
  async t => {
    const { folder, pair, otherCa } = await startingAnew(t)
    await folder.looks(2)
    folder.leads = true
    await folder.looks(1)
    await folder.world.until(() => folder.certPem === pair.certPem, 'it is served')
    const both = joined(otherCa.certPem + ca.certPem)
    t.same(folder.world.bundles, [both, both])
    folder.world.clock.jump(DAY_MS)
    await folder.looks(2)
    t.same(folder.world.bundles, [otherCa.certPem, otherCa.certPem].map(joined))
  },
)

t.test('a new leader with the old files keeps the new CA that the leader before published', async t => {
  const folder = await serving(t, await pairOf())
  folder.leads = false
  await folder.looks(1)
  const otherCa = await makeAuthority(NOW)
  const both = joined(otherCa.certPem + ca.certPem)
  publish(folder.world, both)
  await folder.world.rest()
  folder.leads = true
  await folder.looks(2)
  t.same(
    folder.world.bundles.map(pem => new Set(certificatesOf(pem).map(String))),
    [both, both].map(pem => new Set(certificatesOf(pem).map(String))),
  )
})

t.test('a starting leader whose bundle is kept by others waits for them for a look, no longer', async t => {
  const folder = await folderOf(t)
  folder.world.configure({ 'cert-manager.io/inject-ca-from': 'flink-ha/flink-ha-webhook' })
  publish(folder.world, ca.certPem)
  const pair = await pairOf(await makeAuthority(NOW))
  folder.put(pair)
  void folder.tls.start()
  await folder.world.rest()
  t.equal(folder.certPem, undefined)
  await folder.looks(2)
  t.equal(folder.certPem, pair.certPem)
  t.same(folder.world.writes('files'), [])
})

t.test('without a configuration there is nothing to wait for', async t => {
  const folder = await folderOf(t)
  folder.put(await pairOf())
  await folder.tls.start()
  await folder.looks(1)
  const second = await pairOf(await makeAuthority(NOW))
  folder.put(second)
  await folder.looks(1)
  t.equal(folder.certPem, second.certPem)
})

t.test('stop ends the looks and a start that is still waiting', async t => {
  const folder = await folderOf(t)
  const started = folder.tls.start()
  folder.tls.stop()
  await started
  folder.put(await pairOf())
  for (let times = 0; times < 3; times++) {
    folder.world.clock.advance(POLL_MS)
    await folder.world.rest()
  }
  t.equal(folder.certPem, undefined)
})
