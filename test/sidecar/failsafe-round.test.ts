// What a leader takes for a promise: the member's own signature under this very question, and nothing else.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { systemClock } from '../../shared/clock.ts'
import type { Event } from '../../shared/election.ts'
import { Failsafe } from '../../sidecar/failsafe.ts'
import { promiseText, type Question } from '../../sidecar/failsafe-question.ts'
import { makeMetrics } from '../../sidecar/metrics.ts'
import { makeSigner, type Signer } from '../../sidecar/signer.ts'

const MEMBER = 'jm-1_uid'
const ROUND = { type: 'ask-promises', members: [MEMBER], token: 7, leaseMs: 1_000, sentAtMs: 5 } as const
const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** The events of a round in which the member answers so. */
const asked = async (
  t: Test,
  answer: (question: Question, member: Signer) => { status?: number; body: string } | undefined,
  rounds = 1,
): Promise<{ events: Event[]; questions: Question[] }> => {
  const [leader, member] = [await makeSigner(), await makeSigner()]
  const [events, questions]: [Event[], Question[]] = [[], []]
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', chunk => {
      text += chunk
    })
    request.on('end', () => {
      const question = JSON.parse(text) as Question
      questions.push(question)
      const told = answer(question, member)
      if (told === undefined) return
      response.statusCode = told.status ?? 200
      response.end(told.body)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const told = `127.0.0.1:${(server.address() as AddressInfo).port}#${member.key}`
  const readings = () => ({}) as never
  const failsafe = new Failsafe({
    identity: 'jm-0_uid',
    signer: leader,
    clock: systemClock,
    log: silent,
    metrics: makeMetrics(() => '', readings),
    timeoutMs: 500,
    joined: () => ({ [MEMBER]: told }),
    dispatch: event => events.push(event),
  })
  for (let i = 0; i < rounds; i++) await failsafe.ask(ROUND)
  return { events, questions }
}
const signed = (question: Question, by: Signer, as = question) =>
  ({ body: JSON.stringify({ signature: by.sign(promiseText(as)) }) }) as const

t.test('the member’s own promise counts, from the sending of the round', async t => {
  const { events, questions } = await asked(t, (question, member) => signed(question, member))
  t.same(events, [{ type: 'vouched', sentAtMs: 5 }])
  t.match(questions, [{ leader: 'jm-0_uid', member: MEMBER, token: 7, leaseMs: 1_000, round: 1 }])
})

t.test('nothing else does', async t => {
  const stranger = await makeSigner()
  for (const [what, answer] of Object.entries({
    'somebody else’s signature': (question: Question) => signed(question, stranger),
    'a promise of another term': (q: Question, member: Signer) => signed(q, member, { ...q, token: 6 }),
    'a promise of a shorter lease': (q: Question, member: Signer) => signed(q, member, { ...q, leaseMs: 999 }),
    'no signature': () => ({ body: '{}' }),
    'no JSON': () => ({ body: 'yes' }),
    'a promise that is called a refusal': (q: Question, member: Signer) => ({ ...signed(q, member), status: 409 }),
    'an endless answer': () => ({ body: 'x'.repeat(100_000) }),
    'no answer': () => undefined,
  }))
    t.same((await asked(t, answer)).events, [], what)
})

t.test('a promise that was recorded in an earlier round is none in the next', async t => {
  let first: { body: string } | undefined
  const { events, questions } = await asked(
    t,
    (question, member) => {
      first ??= signed(question, member)
      return first
    },
    2,
  )
  t.equal(events.length, 1)
  t.ok(questions[0]?.nonce !== questions[1]?.nonce && questions[1]?.round === 2)
})
