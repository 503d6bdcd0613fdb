// Makes a certificate authority and the server certificates that it signs: EC P-256, the time is given. Node reads
// certificates but makes none, so @peculiar/x509 does; it is loaded only by the replica that has one to make, a few times
// a year.
import { createPrivateKey, KeyObject, randomUUID, webcrypto, X509Certificate } from 'node:crypto'
import { BACKDATE_MS, CA_LIFE_MS, SERVER_LIFE_MS } from './tls-plan.ts'

/** A certificate and its private key (PKCS #8), both in PEM. */
export type Issued = { certPem: string; keyPem: string }

const KEY_TYPE = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const

const loadX509 = async () => {
  // Its dependency tsyringe throws while it is loaded without this polyfill (tsyringe, `dist/cjs/index.js`).
  await import('reflect-metadata')
  return await import('@peculiar/x509')
}

const newKeys = () => webcrypto.subtle.generateKey(KEY_TYPE, true, ['sign', 'verify'])

const pemOf = (key: webcrypto.CryptoKey): string =>
  KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }).toString()

/** A new authority, for a year; it signs servers and no further authorities. */
export const makeAuthority = async (nowMs: number): Promise<Issued> => {
  const x509 = await loadX509()
  const keys = await newKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    // Verifiers look for a signer by its name first: no two authorities in one bundle share theirs.
    name: [{ CN: [`flink-ha CA ${randomUUID().slice(0, 8)}`] }],
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(nowMs + CA_LIFE_MS),
    keys,
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certPem: `${certificate.toString('pem')}\n`, keyPem: pemOf(keys.privateKey) }
}

/** A server certificate for these names, for 90 days, but never for longer than its authority. */
export const makeServer = async (authority: Issued, names: readonly string[], nowMs: number): Promise<Issued> => {
  const x509 = await loadX509()
  const keys = await newKeys()
  const issuer = new x509.X509Certificate(authority.certPem)
  const caEndMs = Date.parse(new X509Certificate(authority.certPem).validTo)
  const certificate = await x509.X509CertificateGenerator.create({
    // Nobody reads it: clients go by the alternative names. A Service's full name may be over the 64 characters of a CN.
    subject: [{ CN: ['flink-ha-webhook'] }],
    issuer: issuer.subjectName,
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(Math.min(nowMs + SERVER_LIFE_MS, caEndMs)),
    publicKey: keys.publicKey,
    signingKey: await signingKeyOf(authority.keyPem),
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names.map(value => ({ type: 'dns', value }))),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certPem: `${certificate.toString('pem')}\n`, keyPem: pemOf(keys.privateKey) }
}

const signingKeyOf = (pem: string): Promise<webcrypto.CryptoKey> => {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' })
  return webcrypto.subtle.importKey('pkcs8', der, KEY_TYPE, false, ['sign'])
}
