/**
 * A leader's question to another candidate, as it is sent (`POST /failsafe`), and what both of them sign. Both signatures
 * cover every field: a promise is good for that leader, member, term, length and round, and for nothing else, and its nonce
 * makes it one that nobody can have recorded earlier. Pure.
 */
import { MAX_LEASE_MS } from '../shared/record.ts'

export type Question = {
  leader: string
  member: string
  token: number
  leaseMs: number
  /** Counts up in one process of the leader, which signs by a key of its own: an old question cannot be asked again. */
  round: number
  nonce: string
}
export type SignedQuestion = { question: Question; signature: string }

/** Longer than any question: identities have at most 253 + 1 + 36 characters. */
export const MAX_QUESTION_BYTES = 2_048

const textOf = (kind: 'question' | 'promise', q: Question): string =>
  JSON.stringify([`flink-ha failsafe ${kind}`, q.leader, q.member, q.token, q.leaseMs, q.round, q.nonce])
export const questionText = (question: Question): string => textOf('question', question)
export const promiseText = (question: Question): string => textOf('promise', question)

/** The question in a body, or what is wrong with it. */
export const parseQuestion = (body: unknown): SignedQuestion | string => {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return 'the body is not a JSON object'
  const { leader, member, token, leaseMs, round, nonce, signature } = body as { [field: string]: unknown }
  if (!isIdentity(leader)) return 'leader: an identity is needed'
  if (!isIdentity(member)) return 'member: an identity is needed'
  if (!isCount(token)) return 'token: a positive whole number is needed'
  if (typeof leaseMs !== 'number' || !(leaseMs > 0 && leaseMs <= MAX_LEASE_MS))
    return `leaseMs: a number up to ${MAX_LEASE_MS} is needed`
  if (!isCount(round)) return 'round: a positive whole number is needed'
  if (typeof nonce !== 'string' || !/^[\w-]{16,64}$/.test(nonce)) return 'nonce: 16 to 64 characters are needed'
  if (typeof signature !== 'string' || !/^[\w-]{86}$/.test(signature))
    return 'signature: 64 bytes as base64url are needed'
  return { question: { leader, member, token, leaseMs, round, nonce }, signature }
}

const isIdentity = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= 300

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0
