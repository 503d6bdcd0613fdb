import { webcrypto } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { type Issued, makeAuthority, makeServer } from '../../webhook/authority.ts'
import { certificatesOf, checkPair, unionOf } from '../../webhook/tls-check.ts'

const NOW = Date.UTC(2026, 5, 1)
const DAY = 86_400_000
const NAME = 'w.ns.svc'

const ca = await makeAuthority(NOW)
const otherCa = await makeAuthority(NOW)
const server = await makeServer(ca, [NAME], NOW)
const otherServer = await makeServer(ca, [NAME], NOW)
const good = { ...server, caPem: ca.certPem }
const half = (text: string): string => text.slice(0, Math.floor(text.length / 2))

t.test('a good pair has no problem, with the old CA in the bundle, or without any bundle', async t => {
  for (const caPem of [ca.certPem, otherCa.certPem + ca.certPem, ''])
    t.same(checkPair({ ...good, caPem }, [NAME], NOW), { broken: [], refused: [], notAfterMs: NOW + 90 * DAY })
})

t.test('what TLS cannot use is broken, and it is said why', async t => {
  const cases: [string, object, RegExp][] = [
    ['no certificate', { certPem: '' }, /^the certificate is empty$/],
    ['white space', { certPem: ' \n' }, /^the certificate is empty$/],
    ['another format', { certPem: 'MIIB' }, /^the certificate is not in PEM$/],
    ['half a certificate', { certPem: half(server.certPem) }, /middle of a certificate/],
    ['one and a half', { certPem: server.certPem + half(ca.certPem) }, /middle of a certificate/],
    ['a spoilt one', { certPem: server.certPem.replace('-----\n', '-----\nAAAA') }, /^the certificate cannot be read/],
    ['no key', { keyPem: '' }, /^the private key is empty$/],
    ['half a key', { keyPem: half(server.keyPem) }, /^the private key cannot be read/],
    ['a certificate for a key', { keyPem: server.certPem }, /^the private key cannot be read/],
    ['the key of another one', { keyPem: otherServer.keyPem }, /^the private key is not the certificate’s$/],
    ['the key of the CA', { keyPem: ca.keyPem }, /^the private key is not the certificate’s$/],
  ]
  for (const [what, change, words] of cases)
    t.match(checkPair({ ...good, ...change }, [NAME], NOW).broken, [words], what)
})

t.test('what clients would refuse is not broken, and it is said why', async t => {
  const cases: [string, object, string, number, RegExp[]][] = [
    ['expired', {}, NAME, NOW + 90 * DAY, [/expired at 2026-08-30T00:00:00.000Z/]],
    ['not yet', {}, NAME, NOW - 1 * DAY, [/not valid before/, /signed by no valid CA/]],
    ['another name', {}, 'other.ns.svc', NOW, [/is for DNS:w.ns.svc, not for other.ns.svc/]],
    ['another CA', { caPem: otherCa.certPem }, NAME, NOW, [/signed by no valid CA of the bundle/]],
    ['half a bundle', { caPem: half(ca.certPem) }, NAME, NOW, [/the CA bundle cannot be read/]],
    ['a bundle of another format', { caPem: 'MIIB' }, NAME, NOW, [/the CA bundle is not in PEM/]],
  ]
  for (const [what, change, name, nowMs, words] of cases) {
    const { broken, refused } = checkPair({ ...good, ...change }, [name], nowMs)
    t.same(broken, [], what)
    t.equal(refused.length, words.length, what)
    t.match(refused, words, what)
  }
})

/** What `makeServer` does not make: other issuers, usages and names. */
const issue = async (
  subject: string,
  signer: (Issued & { name: string }) | undefined,
  options: { ca?: boolean; usage?: string; toMs?: number },
) => {
  const x509 = await import('@peculiar/x509')
  const type = { name: 'ECDSA', namedCurve: 'P-256' }
  const keys = await webcrypto.subtle.generateKey(type, true, ['sign', 'verify'])
  const der = (pem: string) => Buffer.from(pem.replace(/-----.*-----|\s/g, ''), 'base64')
  const signingKey = signer && (await webcrypto.subtle.importKey('pkcs8', der(signer.keyPem), type, false, ['sign']))
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${subject}`,
    issuer: `CN=${signer?.name ?? subject}`,
    notBefore: new Date(NOW - DAY),
    notAfter: new Date(options.toMs ?? NOW + DAY),
    publicKey: keys.publicKey,
    signingKey: signingKey ?? keys.privateKey,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.BasicConstraintsExtension(options.ca === true, undefined, true),
      ...(options.usage === undefined ? [] : [new x509.ExtendedKeyUsageExtension([options.usage])]),
      ...(options.ca === true ? [] : [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: NAME }])]),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const keyPem = `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`
  return { name: subject, certPem: `${certificate.toString('pem')}\n`, keyPem }
}

t.test('a chain with a CA in between is followed, and missed when it is not sent', async t => {
  const root = await issue('root', undefined, { ca: true })
  const between = await issue('between', root, { ca: true })
  const leaf = await issue('leaf', between, {})
  const chain = { certPem: leaf.certPem + between.certPem, keyPem: leaf.keyPem, caPem: root.certPem }
  t.match(checkPair(chain, [NAME], NOW), { broken: [], refused: [] })
  t.match(checkPair({ ...chain, certPem: leaf.certPem }, [NAME], NOW).refused, [/no valid CA/])
})

t.test('a certificate whose CA has expired is refused, though its own dates are good', async t => {
  const root = await issue('root', undefined, { ca: true, toMs: NOW - 1_000 })
  const leaf = await issue('leaf', root, {})
  t.match(checkPair({ ...leaf, caPem: root.certPem }, [NAME], NOW).refused, [/no valid CA/])
  t.same(checkPair({ ...leaf, caPem: root.certPem }, [NAME], NOW - 2_000).refused, [])
})

t.test('who signed without being a CA is no signer', async t => {
  const root = await issue('root', undefined, {})
  const leaf = await issue('leaf', root, {})
  t.match(checkPair({ ...leaf, caPem: root.certPem }, [NAME], NOW).refused, [/no valid CA/])
})

t.test('a certificate that is in the bundle itself is trusted', async t => {
  const self = await issue('self', undefined, {})
  t.match(checkPair({ ...self, caPem: self.certPem }, [NAME], NOW), { broken: [], refused: [] })
})

t.test('a certificate for clients only is refused', async t => {
  const leaf = await issue('leaf', undefined, { usage: '1.3.6.1.5.5.7.3.2' })
  t.match(checkPair({ ...leaf, caPem: leaf.certPem }, [NAME], NOW).refused, [/not for servers/])
})

t.test('no text makes it throw', async t => {
  const pieces = fc.constantFrom(
    server.certPem,
    server.keyPem,
    ca.certPem,
    half(server.certPem),
    '-----BEGIN CERTIFICATE-----',
  )
  const text = fc.array(fc.oneof(pieces, fc.string()), { maxLength: 4 }).map(parts => parts.join(''))
  const property = fc.property(text, text, text, (certPem, keyPem, caPem) => {
    checkPair({ certPem, keyPem, caPem }, [NAME], NOW)
    unionOf([certPem, caPem], NOW)
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 300 }))
})

t.test('a union of bundles has each CA once, the first one first, and none that expired', async t => {
  const old = await makeAuthority(NOW - 400 * DAY)
  const union = unionOf([ca.certPem, otherCa.certPem + ca.certPem, old.certPem, 'rubbish', half(ca.certPem)], NOW)
  t.same(
    certificatesOf(union).map(({ subject }) => subject),
    certificatesOf(ca.certPem + otherCa.certPem).map(({ subject }) => subject),
  )
  t.equal(unionOf(['', ''], NOW), '')
})
