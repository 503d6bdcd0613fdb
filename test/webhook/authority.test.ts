import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { makeAuthority, makeServer } from '../../webhook/authority.ts'
import { checkPair } from '../../webhook/tls-check.ts'

const NOW = Date.UTC(2026, 5, 1, 12)
const DAY = 86_400_000
const NAMES = ['w.ns.svc', 'w.ns', 'w.ns.svc.cluster.local']

t.test('a CA signs servers and no further CA, for a year', async t => {
  const ca = new X509Certificate((await makeAuthority(NOW)).certPem)
  t.equal(ca.ca, true)
  t.equal(Date.parse(ca.validTo), NOW + 365 * DAY)
  t.ok(ca.checkIssued(ca) && ca.verify(ca.publicKey), 'by itself')
  t.equal(ca.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1')
})

t.test('two CAs never share a name, nor a serial number', async t => {
  const [a, b] = [await makeAuthority(NOW), await makeAuthority(NOW)].map(({ certPem }) => new X509Certificate(certPem))
  t.not(a?.subject, b?.subject)
  t.not(a?.serialNumber, b?.serialNumber)
})

t.test('a server certificate is good for every name that was asked for, and for no other', async t => {
  const ca = await makeAuthority(NOW)
  const server = await makeServer(ca, NAMES, NOW)
  t.match(checkPair({ ...server, caPem: ca.certPem }, NAMES, NOW), { broken: [], refused: [] })
  t.match(checkPair({ ...server, caPem: ca.certPem }, ['w.other.svc'], NOW).refused, [/not for w.other.svc$/])
  t.equal(new X509Certificate(server.certPem).ca, false)
})

t.test('a Service whose names are as long as they may be gets its certificate', async t => {
  const ca = await makeAuthority(NOW)
  const name = `${'w'.repeat(63)}.${'n'.repeat(63)}.svc`
  t.match(checkPair({ ...(await makeServer(ca, [name], NOW)), caPem: ca.certPem }, [name], NOW), { refused: [] })
})

t.test('a client whose clock is up to an hour behind takes it', async t => {
  const ca = await makeAuthority(NOW)
  const pair = { ...(await makeServer(ca, NAMES, NOW)), caPem: ca.certPem }
  t.same(checkPair(pair, NAMES, NOW - 3_599_000).refused, [])
  t.match(checkPair(pair, NAMES, NOW - 3_601_000).refused, [/not valid before/, /no valid CA/])
})

t.test('a server certificate lasts for 90 days, but never for longer than its CA', async t => {
  const ca = await makeAuthority(NOW)
  const endOf = async (nowMs: number) =>
    Date.parse(new X509Certificate((await makeServer(ca, NAMES, nowMs)).certPem).validTo)
  t.equal(await endOf(NOW), NOW + 90 * DAY)
  t.equal(await endOf(NOW + 300 * DAY), NOW + 365 * DAY)
})

t.test('a certificate that ends after 2049 is dated right', async t => {
  const late = Date.UTC(2049, 11, 1)
  t.equal(Date.parse(new X509Certificate((await makeAuthority(late)).certPem).validTo), late + 365 * DAY)
})
