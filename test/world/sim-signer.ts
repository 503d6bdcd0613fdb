// Signatures that cost nothing, for worlds in which nobody forges any: as long as real ones, and only the owner's fits.
import type { Signer } from '../../sidecar/signer.ts'
import { hexOf } from './flink-records.ts'
import type { Chance } from './sim-time.ts'

export const simSigner = (chance: Chance): Signer => {
  // 32 bytes as base64url have 43 characters.
  const key = hexOf(chance, 22).slice(0, 43)
  return {
    key,
    sign: text => signatureOf(key, text),
    verify: (text, signature, by) => signature === signatureOf(by, text),
    nonce: () => hexOf(chance, 16),
  }
}

const signatureOf = (key: string, text: string): string => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return `${key}${(hash >>> 0).toString(16)}`.padEnd(86, '0')
}
