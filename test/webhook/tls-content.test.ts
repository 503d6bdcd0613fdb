import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { makeAuthority, makeServer } from '../../webhook/authority.ts'
import { certificatesOf, checkPair, type PairFiles } from '../../webhook/tls-check.ts'
import { type Content, carryOut, holdingsOf } from '../../webhook/tls-content.ts'
import { DAY_MS, type Holdings, plan, SPREAD_MS } from '../../webhook/tls-plan.ts'

const NOW = Date.UTC(2026, 5, 1)
const NAMES = ['w.ns.svc', 'w.ns']
const NAME = 'w.ns.svc'
const MINUTE_MS = 60_000

const start = () => carryOut({ do: 'make', why: '' }, undefined, NAMES, NOW)
const subjects = (pem: string): string[] => certificatesOf(pem).map(({ subject }) => subject)

t.test('what was made is ours, and good', async t => {
  const content = await start()
  t.match(holdingsOf(content, NAME), { kind: 'ours', server: { signer: 0, toMs: NOW + 90 * DAY_MS } })
  t.match(checkPair(content, NAMES, NOW), { broken: [], refused: [] })
})

t.test('a rotation puts the new CA first, keeps the old one and the pair, and throws the old key away', async t => {
  const before = await start()
  const after = await carryOut({ do: 'rotate-ca', why: '' }, before, NAMES, NOW)
  t.same(subjects(after.caPem).slice(1), subjects(before.caPem))
  t.equal(after.certPem, before.certPem)
  t.equal(after.keyPem, before.keyPem)
  t.not(after.caKeyPem, before.caKeyPem)
  t.match(holdingsOf(after, NAME), { kind: 'ours', server: { signer: 1 } })
  const renewed = await carryOut({ do: 'renew-server', why: '' }, after, NAMES, NOW)
  t.match(holdingsOf(renewed, NAME), { kind: 'ours', server: { signer: 0 } })
  t.equal(renewed.caPem, after.caPem)
  const retired = await carryOut({ do: 'retire-ca', why: '' }, renewed, NAMES, NOW)
  t.same(subjects(retired.caPem), subjects(after.caPem).slice(0, 1))
  t.match(checkPair(retired, NAMES, NOW), { broken: [], refused: [] })
})

t.test('a rotation does not keep a CA that has expired', async t => {
  const old = await makeAuthority(NOW - 400 * DAY_MS)
  const content = await start()
  const after = await carryOut(
    { do: 'rotate-ca', why: '' },
    { ...content, caPem: content.caPem + old.certPem },
    NAMES,
    NOW,
  )
  t.equal(certificatesOf(after.caPem).length, 2)
})

t.test('the CA that the key belongs to is the newest, in whatever order somebody put them', async t => {
  const before = await start()
  const after = await carryOut({ do: 'rotate-ca', why: '' }, before, NAMES, NOW + DAY_MS)
  const turned = certificatesOf(after.caPem).reverse().map(String).join('')
  t.same(holdingsOf({ ...after, caPem: turned }, NAME), holdingsOf(after, NAME))
})

t.test('a pair without the CA’s key is a given one', async t => {
  t.same(holdingsOf({ ...(await start()), caKeyPem: '' }, NAME), { kind: 'given' })
  t.same(holdingsOf({ ...(await start()), caKeyPem: '', caPem: '' }, NAME), { kind: 'given' })
})

t.test('a Secret that nothing can be made of is spoilt, and it is said why', async t => {
  const content = await start()
  const other = await makeAuthority(NOW)
  const cases: [Partial<Content>, RegExp][] = [
    [{ caPem: '', caKeyPem: '', certPem: '', keyPem: '' }, /cannot be read/],
    [{ caKeyPem: '', keyPem: '' }, /cannot be read/],
    [{ caPem: '' }, /ca.key belongs to no CA/],
    [{ caPem: content.certPem }, /ca.key belongs to no CA/],
    [{ caKeyPem: other.keyPem }, /ca.key belongs to no CA/],
    [{ caKeyPem: content.caKeyPem.slice(0, 60) }, /cannot be read/],
    [{ caPem: content.caPem.slice(0, 300) }, /middle of a certificate/],
  ]
  for (const [change, problem] of cases)
    t.match(holdingsOf({ ...content, ...change }, NAME), { kind: 'spoilt', problem }, String(problem))
})

t.test('a server pair that cannot be used is told apart from its CA, which can', async t => {
  const content = await start()
  const stranger = await makeServer(await makeAuthority(NOW), NAMES, NOW)
  const cases: [Partial<Content>, string, RegExp][] = [
    [{ certPem: '' }, NAME, /empty/],
    [{ keyPem: '' }, NAME, /empty/],
    [{ keyPem: stranger.keyPem }, NAME, /not the certificate’s/],
    [stranger, NAME, /signed by no CA/],
    [{}, 'renamed.ns.svc', /not for renamed/],
  ]
  for (const [change, name, problem] of cases)
    t.match(holdingsOf({ ...content, ...change }, name), { kind: 'ours', server: { problem } }, String(problem))
})

/** Three years of a Secret, looked at every few minutes around its changes and every few hours else. */
class Life {
  readonly versions: { atMs: number; content: Content }[] = []
  readonly steps: string[] = []
  nowMs = NOW
  #published: { caPem: string; atMs: number } | undefined
  #held: { content: Content; holdings: Holdings } | undefined
  #publishDelayMs: number

  constructor(publishDelayMs: number) {
    this.#publishDelayMs = publishDelayMs
  }

  get content(): Content | undefined {
    return this.versions.at(-1)?.content
  }
  /** As it was `lagMs` ago; the first one when it was not there then. */
  past(lagMs: number): Content {
    const found = this.versions.findLast(({ atMs }) => atMs <= this.nowMs - lagMs) ?? this.versions[0]
    if (found === undefined) throw new Error('nothing was made yet')
    return found.content
  }
  /** The bundle that is public: written late, and read by a client later still. */
  bundle(lagMs: number): string {
    return this.past(lagMs + this.#publishDelayMs).caPem
  }

  async look(): Promise<void> {
    const { content, nowMs } = this
    const caPem = content?.caPem
    if (caPem === undefined || this.bundle(0) !== caPem) this.#published = undefined
    else if (this.#published?.caPem !== caPem) this.#published = { caPem, atMs: nowMs }
    const knownForMs = this.#published && nowMs - this.#published.atMs
    if (content !== undefined && this.#held?.content !== content)
      this.#held = { content, holdings: holdingsOf(content, NAME) }
    const step = plan({ held: this.#held?.holdings, lost: false, nowMs, knownForMs })
    if (step.do === 'use') return
    this.steps.push(step.do)
    this.versions.push({ atMs: nowMs, content: await carryOut(step, content, NAMES, nowMs) })
  }

  /** Short steps as long as something happened lately. */
  pass(): void {
    const lastMs = this.versions.at(-1)?.atMs ?? 0
    const busyMs = 40 * MINUTE_MS + Math.min(this.#publishDelayMs, 60 * MINUTE_MS)
    this.nowMs += this.nowMs - lastMs < busyMs ? 2 * MINUTE_MS : 7 * 60 * MINUTE_MS
  }
}

t.test('for three years no client is refused, though clients and replicas are behind', async t => {
  const lagsMs = [0, MINUTE_MS, SPREAD_MS - MINUTE_MS]
  for (const publishDelayMs of [0, 60 * MINUTE_MS]) {
    const life = new Life(publishDelayMs)
    await life.look()
    // A pair and a bundle that met: judged at the first and at the last moment, as validity is a span.
    const met = new Map<string, { pair: PairFiles; firstMs: number; lastMs: number }>()
    const refusals: string[] = []
    while (life.nowMs < NOW + 3 * 365 * DAY_MS) {
      life.pass()
      await life.look()
      for (const servedLagMs of lagsMs)
        for (const clientLagMs of lagsMs) {
          const { certPem, keyPem } = life.past(servedLagMs)
          const caPem = life.bundle(clientLagMs)
          const key = certPem + caPem
          const { firstMs } = met.get(key) ?? { firstMs: life.nowMs }
          met.set(key, { pair: { certPem, keyPem, caPem }, firstMs, lastMs: life.nowMs })
        }
    }
    for (const { pair, firstMs, lastMs } of met.values())
      for (const atMs of [firstMs, lastMs]) {
        const { broken, refused } = checkPair(pair, [NAME], atMs)
        for (const problem of [...broken, ...refused]) refusals.push(`${new Date(atMs).toISOString()}: ${problem}`)
      }
    t.same(refusals.slice(0, 5), [], `published ${publishDelayMs} ms late`)
    const count = (name: string): number => life.steps.filter(step => step === name).length
    t.equal(count('make'), 1, 'all was made once')
    t.equal(count('rotate-ca'), 4, 'every 243 days')
    t.equal(count('retire-ca'), 4)
    t.ok(count('renew-server') >= 17 && count('renew-server') <= 24, `${count('renew-server')} server certificates`)
  }
})

t.test('a CA that is never published does not keep the server certificate from being renewed in the end', async t => {
  const life = new Life(Number.POSITIVE_INFINITY)
  await life.look()
  while (life.nowMs < NOW + 400 * DAY_MS) {
    life.pass()
    await life.look()
    const { certPem } = life.past(0)
    if (life.nowMs >= Date.parse(new X509Certificate(certPem).validTo)) t.fail('an expired certificate is served')
  }
})
