// Judges a certificate and its key as the API server will, before anything is served: `setSecureContext` takes an empty
// pair without a word and then fails every handshake, and an expired one shows only in the errors of others.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

/** `caPem`: the bundle that clients trust; '' when somebody else keeps it, then the signature is not judged. */
export type PairFiles = { certPem: string; keyPem: string; caPem: string }
export type PairCheck = {
  /** Why no TLS server can use the pair. */
  broken: string[]
  /** Why a client would refuse it, though TLS as such works. */
  refused: string[]
  /** When the certificate ends; 0 when it cannot be read. */
  notAfterMs: number
}

const BEGIN = '-----BEGIN CERTIFICATE-----'
const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g
/** Extended key usages, RFC 5280 section 4.2.1.12: server authentication, any. */
const FOR_SERVERS = ['1.3.6.1.5.5.7.3.1', '2.5.29.37.0']
const MAX_CHAIN = 5

/** Every certificate of a PEM text, in order; none for an empty one. @throws Error that says what is wrong */
export const certificatesOf = (pem: string): X509Certificate[] => {
  const blocks = pem.match(BLOCK) ?? []
  // A file that is still being written ends within one.
  if (blocks.length !== pem.split(BEGIN).length - 1) throw new Error('it ends in the middle of a certificate')
  return blocks.map(block => new X509Certificate(block))
}

export const beginMs = (certificate: X509Certificate): number => Date.parse(certificate.validFrom)
export const endMs = (certificate: X509Certificate): number => Date.parse(certificate.validTo)

/** Whether `issuer` signed `certificate`, dates aside. */
export const isSignedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean => {
  try {
    return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  } catch {
    // A key of another type than the signature.
    return false
  }
}

/** Clients go by the alternative names alone (Go since 1.15 ignores the common name). */
export const namesHost = (certificate: X509Certificate, name: string): boolean =>
  certificate.checkHost(name, { subject: 'never' }) !== undefined

/** `names`: what clients call the server by. */
export const checkPair = (pair: PairFiles, names: readonly string[], nowMs: number): PairCheck => {
  const broken: string[] = []
  const refused: string[] = []
  const [leaf, ...between] = read(pair.certPem, 'the certificate', broken)
  if (leaf === undefined) {
    if (broken.length === 0) broken.push('the certificate is empty')
    return { broken, refused, notAfterMs: 0 }
  }
  broken.push(...keyProblems(pair, leaf))
  refused.push(...dateProblems(leaf, nowMs))
  for (const name of names)
    if (!namesHost(leaf, name))
      refused.push(`the certificate is for ${leaf.subjectAltName ?? 'no name'}, not for ${name}`)
  // The types call it a string list that is always there; without the extension it is undefined.
  const usages = leaf.keyUsage as string[] | undefined
  if (usages !== undefined && !usages.some(usage => FOR_SERVERS.includes(usage)))
    refused.push('the certificate is not for servers (extended key usage)')
  const roots = read(pair.caPem, 'the CA bundle', refused)
  if (roots.length > 0 && !leadsTo(leaf, between, roots, nowMs))
    refused.push('the certificate is signed by no valid CA of the bundle')
  return { broken, refused, notAfterMs: endMs(leaf) }
}

const read = (pem: string, what: string, problems: string[]): X509Certificate[] => {
  try {
    const found = certificatesOf(pem)
    if (found.length === 0 && pem.trim() !== '') problems.push(`${what} is not in PEM`)
    return found
  } catch (error) {
    problems.push(`${what} cannot be read: ${(error as Error).message}`)
    return []
  }
}

const keyProblems = ({ certPem, keyPem }: PairFiles, leaf: X509Certificate): string[] => {
  if (keyPem.trim() === '') return ['the private key is empty']
  try {
    if (!leaf.checkPrivateKey(createPrivateKey(keyPem))) return ['the private key is not the certificate’s']
  } catch (error) {
    return [`the private key cannot be read: ${(error as Error).message}`]
  }
  try {
    // What is left to find is what OpenSSL's own rules say, such as a key that is too short.
    createSecureContext({ cert: certPem, key: keyPem })
    return []
  } catch (error) {
    return [`TLS does not take the pair: ${(error as Error).message}`]
  }
}

const dateProblems = (leaf: X509Certificate, nowMs: number): string[] => {
  if (nowMs >= endMs(leaf)) return [`the certificate expired at ${new Date(endMs(leaf)).toISOString()}`]
  if (nowMs < beginMs(leaf)) return [`the certificate is not valid before ${new Date(beginMs(leaf)).toISOString()}`]
  return []
}

/** Whether a client that trusts `roots` gets there from issuer to issuer; a root may be the certificate itself. */
const leadsTo = (
  certificate: X509Certificate,
  between: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  nowMs: number,
  depth = 0,
): boolean => {
  const isIssuer = (issuer: X509Certificate): boolean =>
    dateProblems(issuer, nowMs).length === 0 && isSignedBy(certificate, issuer)
  if (roots.some(root => root.fingerprint256 === certificate.fingerprint256 || isIssuer(root))) return true
  if (depth === MAX_CHAIN) return false
  return between.some(next => isIssuer(next) && leadsTo(next, between, roots, nowMs, depth + 1))
}

/** The certificates of all bundles, each once, without those that have expired; a bundle that cannot be read counts for none. */
export const unionOf = (bundles: readonly string[], nowMs: number): string => {
  const all = bundles.flatMap(pem => read(pem, '', [])).filter(certificate => endMs(certificate) > nowMs)
  const byFingerprint = new Map(all.map(certificate => [certificate.fingerprint256, certificate]))
  return [...byFingerprint.values()].map(String).join('')
}
