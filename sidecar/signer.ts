// One key pair (Ed25519) of one process: made at its start, never written down. The public half is told in the lock, where
// only who may write the lock can put it.

export type Signer = {
  /** 32 bytes as base64url. */
  key: string
  sign: (text: string) => string
  /** Whether the owner of a key signed the text; false as well when key or signature are none. */
  verify: (text: string, signature: string, key: string) => boolean
  nonce: () => string
}

/** node:crypto is loaded here and not before: only who has failsafe on needs it. */
export const makeSigner = async (): Promise<Signer> => {
  const { createPublicKey, generateKeyPairSync, randomBytes, sign, verify } = await import('node:crypto')
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const publicKeyOf = (x: string) => createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return {
    key: publicKey.export({ format: 'jwk' }).x ?? '',
    sign: text => sign(null, Buffer.from(text), privateKey).toString('base64url'),
    verify: (text, signature, key) => {
      try {
        return verify(null, Buffer.from(text), publicKeyOf(key), Buffer.from(signature, 'base64url'))
      } catch {
        return false
      }
    },
    nonce: () => randomBytes(16).toString('base64url'),
  }
}
