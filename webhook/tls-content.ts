// The content of our TLS Secret: read into what the plan needs to know, and carried on to what the plan's step makes of it.
import { createPrivateKey, type X509Certificate } from 'node:crypto'
import { unreachable } from '../shared/assert.ts'
import { type Issued, makeAuthority, makeServer } from './authority.ts'
import { beginMs, certificatesOf, checkPair, endMs, isSignedBy, namesHost } from './tls-check.ts'
import type { Holdings, Span, Step } from './tls-plan.ts'

/** '' for what is missing. `caPem` is the bundle that clients trust. */
export type Content = { caPem: string; caKeyPem: string; certPem: string; keyPem: string }

/** `name`: what clients call the server by. */
export const holdingsOf = (content: Content, name: string): Holdings => {
  const { broken } = checkPair({ ...content, caPem: '' }, [], 0)
  if (content.caKeyPem === '' && broken.length === 0) return { kind: 'given' }
  const authorities = authoritiesOf(content)
  if (typeof authorities === 'string') return { kind: 'spoilt', problem: authorities }
  const [newest, ...older] = authorities
  return {
    kind: 'ours',
    authorities: [spanOf(newest), ...older.map(spanOf)],
    server: broken[0] === undefined ? serverOf(content, authorities, name) : { problem: broken[0] },
  }
}

/** What the step makes of the content; `content` is what `held` was read from. */
export const carryOut = async (
  step: Exclude<Step, { do: 'use' }>,
  content: Content | undefined,
  names: readonly string[],
  nowMs: number,
): Promise<Content> => {
  if (step.do === 'make' || content === undefined) {
    const made = await makeAuthority(nowMs)
    return { caPem: made.certPem, caKeyPem: made.keyPem, ...serverFields(await makeServer(made, names, nowMs)) }
  }
  const authorities = authoritiesOf(content)
  if (typeof authorities === 'string') throw new Error(authorities)
  const [newest] = authorities
  switch (step.do) {
    case 'renew-server': {
      const signer: Issued = { certPem: newest.toString(), keyPem: content.caKeyPem }
      return { ...content, ...serverFields(await makeServer(signer, names, nowMs)) }
    }
    case 'rotate-ca': {
      const made = await makeAuthority(nowMs)
      const still = authorities.filter(authority => endMs(authority) > nowMs)
      return { ...content, caPem: made.certPem + bundleOf(still), caKeyPem: made.keyPem }
    }
    case 'retire-ca':
      return { ...content, caPem: bundleOf([newest]) }
    default:
      return unreachable(step.do)
  }
}

const serverFields = ({ certPem, keyPem }: Issued): { certPem: string; keyPem: string } => ({ certPem, keyPem })
const bundleOf = (certificates: readonly X509Certificate[]): string => certificates.map(String).join('')
const spanOf = (certificate: X509Certificate): Span => ({ fromMs: beginMs(certificate), toMs: endMs(certificate) })

/** The CAs of the bundle, the one that the key belongs to first; or what is wrong with them. */
const authoritiesOf = ({ caPem, caKeyPem }: Content): [X509Certificate, ...X509Certificate[]] | string => {
  try {
    const key = createPrivateKey(caKeyPem)
    const all = certificatesOf(caPem).filter(certificate => certificate.ca)
    const newest = all.find(certificate => certificate.checkPrivateKey(key))
    if (newest === undefined) return 'ca.key belongs to no CA of ca.crt'
    return [newest, ...all.filter(certificate => certificate !== newest)]
  } catch (error) {
    return `ca.crt or ca.key cannot be read: ${(error as Error).message}`
  }
}

const serverOf = (
  { certPem }: Content,
  authorities: readonly X509Certificate[],
  name: string,
): (Span & { signer: number }) | { problem: string } => {
  const [leaf] = certificatesOf(certPem)
  if (leaf === undefined) return { problem: 'there is no certificate' }
  if (!namesHost(leaf, name)) return { problem: `the certificate is not for ${name}` }
  const signer = authorities.findIndex(authority => isSignedBy(leaf, authority))
  if (signer === -1) return { problem: 'the certificate is signed by no CA of the bundle' }
  return { ...spanOf(leaf), signer }
}
