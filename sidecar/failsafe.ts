/**
 * The shell of failsafe: asks the other candidates in the leader's name, and answers such questions. It decides nothing of
 * the election; it makes sure that a question is that leader's and a promise that member's, by the keys that stand in the
 * lock. Promises: a round counts only if every member signed this very question; nobody else can make a member promise.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import type { Action, Event } from '../shared/election.ts'
import type { Log } from '../shared/log.ts'
import { type PostQuestion, postQuestion } from './failsafe-post.ts'
import { MAX_QUESTION_BYTES, parseQuestion, promiseText, type Question, questionText } from './failsafe-question.ts'
import { answer, readJson, refuse } from './http.ts'
import type { Metrics } from './metrics.ts'
import type { Signer } from './signer.ts'
import { type Joined, parseAddress, parseKey } from './standbys.ts'

export type FailsafeOptions = {
  identity: string
  signer: Signer
  clock: Clock
  log: Log
  metrics: Metrics
  /** How long a member has to answer: the next round comes then. */
  timeoutMs: number
  joined: () => Joined
  dispatch: (event: Event) => void
  /** By HTTP when missing. */
  postQuestion?: PostQuestion
}
type Round = Action & { type: 'ask-promises' }
/** `why` is for the log. */
type Answer = { result: 'promised' | 'refused' | 'unanswered'; why: string }

export class Failsafe {
  #options: FailsafeOptions
  #round = 0
  #asked = 0
  #waiting = new Map<number, (given: boolean) => void>()
  /** The newest round of the leader that asked last: of its key, so that a restarted leader begins anew. */
  #heard = { key: '', round: 0 }

  constructor(options: FailsafeOptions) {
    this.#options = options
  }

  /** Our public key, to be told in the lock. */
  get key(): string {
    return this.#options.signer.key
  }

  // ---- the leader's side ----

  async ask(round: Round): Promise<void> {
    const { identity, signer, metrics, log, dispatch } = this.#options
    const { token, leaseMs, sentAtMs, members } = round
    const asked = { leader: identity, token, leaseMs, round: ++this.#round, nonce: signer.nonce() }
    const answers = await Promise.all(members.map(member => this.#askOne({ ...asked, member })))
    const missing = answers.filter(({ result }) => result !== 'promised')
    const outcome = missing.find(({ result }) => result === 'refused')?.result ?? missing[0]?.result ?? 'promised'
    metrics.failsafeRounds.inc({ outcome })
    if (outcome === 'promised') dispatch({ type: 'vouched', sentAtMs })
    else
      log.warn(
        { outcome, members, why: missing.map(({ why }) => why) },
        'failsafe: not all candidates promised to wait',
      )
  }

  async #askOne(question: Question): Promise<Answer> {
    const { signer, clock, timeoutMs, joined, postQuestion: post = postQuestion } = this.#options
    const { member } = question
    const told = joined()[member]
    const [address, key] = [parseAddress(told), parseKey(told)]
    if (address === undefined || key === undefined)
      return { result: 'unanswered', why: `${member}: no address or key in the lock` }
    const body = JSON.stringify({ ...question, signature: signer.sign(questionText(question)) })
    try {
      const { status, text } = await post(address, body, { clock, timeoutMs })
      const { signature, message } = textIn(text)
      const promised = status === 200 && signer.verify(promiseText(question), signature, key)
      return { result: promised ? 'promised' : 'refused', why: `${member}: ${status} ${message}` }
    } catch (error) {
      return { result: 'unanswered', why: `${member}: ${(error as Error).message}` }
    }
  }

  // ---- the member's side ----

  /** `POST /failsafe`, the one write on the pod port: it is as good as its signature. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { metrics, signer } = this.#options
    if (request.method !== 'POST') {
      response.setHeader('allow', 'POST')
      return refuse(response, 405, 'POST is needed')
    }
    const body = await readJson(request, MAX_QUESTION_BYTES)
    const parsed = body.ok ? parseQuestion(body.value) : body.message
    if (typeof parsed === 'string') {
      metrics.failsafeQuestions.inc({ outcome: 'malformed' })
      return refuse(response, body.ok ? 400 : body.status, parsed)
    }
    const { question, signature } = parsed
    const stranger = this.#unauthenticated(question, signature)
    if (stranger !== undefined) {
      metrics.failsafeQuestions.inc({ outcome: 'unauthenticated' })
      return refuse(response, 403, stranger)
    }
    const given = await this.#decide(question)
    metrics.failsafeQuestions.inc({ outcome: given ? 'promised' : 'refused' })
    if (given) return answer(response, 200, { signature: signer.sign(promiseText(question)) })
    refuse(response, 409, `the lock as last seen here does not name ${question.leader} with token ${question.token}`)
  }

  /** Why a question is not that leader's to us, now; undefined when it is. */
  #unauthenticated(question: Question, signature: string): string | undefined {
    const { identity, joined, signer } = this.#options
    if (question.member !== identity) return `this is ${identity}`
    const key = parseKey(joined()[question.leader])
    if (key === undefined) return `${question.leader} has no key in the lock as last seen here`
    if (!signer.verify(questionText(question), signature, key)) return `${question.leader} did not sign this`
    if (key === this.#heard.key && question.round <= this.#heard.round)
      return `round ${question.round} is not above ${this.#heard.round}`
    this.#heard = { key, round: question.round }
    return undefined
  }

  #decide({ leader, token, leaseMs }: Question): Promise<boolean> {
    const id = ++this.#asked
    return new Promise(resolve => {
      this.#waiting.set(id, resolve)
      this.#options.dispatch({ type: 'promise-asked', ask: { id, leader, token, leaseMs } })
    })
  }
  /** The election's answer. */
  decided(id: number, given: boolean): void {
    this.#waiting.get(id)?.(given)
    this.#waiting.delete(id)
  }
}

const textIn = (body: string): { signature: string; message: string } => {
  try {
    const { signature, message } = JSON.parse(body) as { signature?: unknown; message?: unknown }
    return { signature: String(signature), message: String(message) }
  } catch {
    return { signature: '', message: '' }
  }
}
