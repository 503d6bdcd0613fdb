// Our TLS Secret as an object of the API, and back. Its keys are those of a kubernetes.io/tls Secret plus the CA's own, but
// its type is Opaque, so that nobody takes it for one that cert-manager keeps.
import type { Metadata } from '../shared/lock.ts'
import type { Content } from './tls-content.ts'

export type Secret = {
  apiVersion?: string
  kind?: string
  type?: string
  metadata: Metadata
  data?: { [key: string]: string }
  [field: string]: unknown
}

/** File names in a Secret that is mounted, too. */
export const KEYS = { caPem: 'ca.crt', caKeyPem: 'ca.key', certPem: 'tls.crt', keyPem: 'tls.key' } as const

export const contentOf = ({ data }: Secret): Content => {
  const text = (key: string): string => Buffer.from(data?.[key] ?? '', 'base64').toString('utf8')
  return {
    caPem: text(KEYS.caPem),
    caKeyPem: text(KEYS.caKeyPem),
    certPem: text(KEYS.certPem),
    keyPem: text(KEYS.keyPem),
  }
}

const dataOf = (content: Content): { [key: string]: string } => {
  const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64')
  return {
    [KEYS.caPem]: base64(content.caPem),
    [KEYS.caKeyPem]: base64(content.caKeyPem),
    [KEYS.certPem]: base64(content.certPem),
    [KEYS.keyPem]: base64(content.keyPem),
  }
}

/** Body of the POST. */
export const newSecret = (name: string, content: Content): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'Opaque',
  metadata: { name, labels: { 'app.kubernetes.io/name': 'flink-ha' } },
  data: dataOf(content),
})

/** Body of the PUT: everything else as it was read, its resourceVersion too, which makes it a compare-and-set. */
export const secretWith = (secret: Secret, content: Content): Secret => ({
  ...secret,
  data: { ...secret.data, ...dataOf(content) },
})
