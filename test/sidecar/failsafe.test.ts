// Failsafe with whole sidecars: the API is away for longer than a lease, and the model of Flink's client notices nothing.
import { type AddressInfo, createServer, type Server } from 'node:net'
import t, { type Test } from 'tap'
import { ANNOTATION_CANDIDATES, ANNOTATION_FAILSAFE } from '../../shared/names.ts'
import { type Question, questionText } from '../../sidecar/failsafe-question.ts'
import type { LeaderDocument } from '../../sidecar/leader.ts'
import { makeSigner, type Signer } from '../../sidecar/signer.ts'
import { parseJoined } from '../../sidecar/standbys.ts'
import { FlinkClient } from '../world/flink-client.ts'
import { Events } from '../world/flink-stage.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { KubeServer } from '../world/kube-server.ts'
import { TestRelay } from '../world/relay.ts'
import { CLUSTER_ID, LOCK, NAMESPACE, TestSidecar } from '../world/sidecar.ts'

const CONFIG_MAPS = resourceOf('configmaps')
const VACANT = '{"holderIdentity":"","leaseDuration":1,"acquireTime":"","renewTime":"","leaderTransitions":0}'
/**
 * Half of the deadline is longer than a relay's beat, and the silence after which a leader's loop is unwell, 30 retry
 * periods, is over before the outage is.
 */
const TIMINGS = { leaseMs: 5_500, renewDeadlineMs: 4_400, retryMs: 300 }
/** Longer than the lease, let alone the deadline. */
const OUTAGE_MS = 2 * TIMINGS.leaseMs

// They wait most of the time.
t.jobs = 5
const BUFFERED = { buffered: true }

class Member {
  readonly signer: Signer | undefined
  readonly sidecar: TestSidecar
  readonly events = new Events()
  readonly #port: Server
  #client: FlinkClient | undefined
  constructor(sidecar: TestSidecar, signer: Signer | undefined, port: Server) {
    this.sidecar = sidecar
    this.signer = signer
    this.#port = port
  }
  async start(): Promise<void> {
    await this.sidecar.start()
    this.#client = new FlinkClient({
      master: this.sidecar.url,
      clusterId: CLUSTER_ID,
      namespace: NAMESPACE,
      dialect: '2.3',
      rpcAddress: `127.0.0.1:${(this.#port.address() as AddressInfo).port}`,
      onEvent: this.events.take,
      retryPeriodMs: 500,
    })
    await this.#client.start()
  }
  async crash(): Promise<void> {
    this.#client?.kill()
    await this.sidecar.crash()
    await new Promise(resolve => this.#port.close(resolve))
  }
  leads(): boolean {
    return this.sidecar.candidate.leading()
  }
  async get(path: string): Promise<{ status: number; body: LeaderDocument }> {
    const response = await fetch(`${this.sidecar.podUrl}${path}`)
    return { status: response.status, body: (await response.json()) as LeaderDocument }
  }
  async metric(name: string): Promise<string> {
    const text = await (await fetch(`${this.sidecar.podUrl}/metrics`)).text()
    return text.split('\n').find(line => line.startsWith(name)) ?? ''
  }
}

class Stage {
  readonly api = new KubeServer()
  readonly members: Member[] = []

  async start(t: Test): Promise<void> {
    await this.api.listen()
    this.api.store.create(resourceOf('namespaces'), '', { metadata: { name: NAMESPACE } })
    const annotations = { 'control-plane.alpha.kubernetes.io/leader': VACANT }
    this.api.store.create(CONFIG_MAPS, NAMESPACE, { metadata: { name: LOCK, annotations } })
    t.teardown(async () => {
      for (const member of this.members) await member.crash()
      await this.api.close()
    })
  }
  async join(failsafe: boolean, lockKind: 'configmap' | 'lease' = 'configmap'): Promise<Member> {
    const port = createServer(socket => socket.destroy())
    await new Promise<void>(resolve => port.listen(0, '127.0.0.1', resolve))
    const { port: jvmPort } = port.address() as AddressInfo
    const signer = failsafe ? await makeSigner() : undefined
    const name = `jm-${this.members.length}`
    const sidecar = new TestSidecar({
      apiUrl: this.api.url,
      name,
      jvmPort,
      lockKind,
      timings: TIMINGS,
      ...(signer && { signer }),
    })
    const member = new Member(sidecar, signer, port)
    this.members.push(member)
    await member.start()
    return member
  }
  annotation(name: string): string {
    return this.api.store.get(CONFIG_MAPS, NAMESPACE, LOCK)?.metadata.annotations?.[name] ?? ''
  }
  /** A leader with its Flink, and a standby that it knows. */
  async pair(t: Test, failsafe = true, lockKind: 'configmap' | 'lease' = 'configmap'): Promise<[Member, Member]> {
    await this.start(t)
    const leader = await this.join(failsafe, lockKind)
    await leader.events.nth('leading')
    const standby = await this.join(failsafe, lockKind)
    const id = standby.sidecar.candidate.identity
    await until(() => Object.keys(parseJoined(standby.sidecar.candidate.cached?.object)).length === 2)
    if (failsafe) await until(() => leader.sidecar.candidate.lock?.roster.includes(id) === true)
    await until(() => standby.sidecar.candidate.lock?.version === leader.sidecar.candidate.lock?.version)
    return [leader, standby]
  }
}

const until = async (fits: () => boolean | Promise<boolean>): Promise<void> => {
  const end = Date.now() + 20_000
  while (!(await fits())) {
    if (Date.now() > end) throw new Error(`never came: ${fits}`)
    await pause(10)
  }
}
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

const away = {
  'refuses connections': { begin: (api: KubeServer) => api.refuse(), end: (api: KubeServer) => api.accept() },
  'is frozen': { begin: (api: KubeServer) => api.freeze(), end: (api: KubeServer) => api.thaw() },
}
for (const lockKind of ['configmap', 'lease'] as const)
  for (const [fault, { begin, end }] of Object.entries(away))
    t.test(`${lockKind}: Flink notices nothing when the API ${fault} for longer than a lease`, BUFFERED, async t => {
      const stage = new Stage()
      const [leader, standby] = await stage.pair(t, true, lockKind)
      const relay = new TestRelay({ peers: () => [leader.sidecar.podUrl, standby.sidecar.podUrl] })
      await relay.start()
      t.teardown(() => relay.stop())
      await until(() => relay.relay.leader().name === 'jm-0')
      const { token } = leader.sidecar.candidate
      await begin(stage.api)
      const untilMs = Date.now() + OUTAGE_MS
      while (Date.now() < untilMs) {
        t.ok(leader.leads(), 'leads all the time')
        for (const member of [leader, standby]) {
          const { status, body } = await member.get('/leader')
          t.match({ status, name: body.name }, { status: 200, name: 'jm-0' }, 'and is told everywhere')
          t.equal((await member.get('/healthz')).status, 200)
        }
        t.equal(relay.relay.leader().name, 'jm-0')
        await pause(100)
      }
      t.match(await leader.metric('flink_ha_failsafe_active'), / 1$/)
      t.match(await leader.metric('flink_ha_failsafe_rounds_total{outcome="promised"}'), / [1-9]\d*$/)
      t.match(await standby.metric('flink_ha_failsafe_questions_total{outcome="promised"}'), / [1-9]\d*$/)
      await end(stage.api)
      await until(() => leader.sidecar.candidate.renewalAgeMs() < TIMINGS.renewDeadlineMs / 2)
      // A round may have been sent after the write that is acknowledged first.
      await until(async () => / 0$/.test(await leader.metric('flink_ha_failsafe_active')))
      t.equal(leader.sidecar.candidate.token, token, 'the same term')
      t.equal(leader.events.of('leading').length, 1)
      t.same(leader.events.of('revoked'), [])
      t.same(standby.events.of('leading'), [])
    })

t.test('without failsafe it steps down, and nothing of it is to be seen', BUFFERED, async t => {
  const stage = new Stage()
  const [leader] = await stage.pair(t, false)
  t.notMatch(stage.annotation(ANNOTATION_CANDIDATES), '#')
  t.equal(stage.annotation(ANNOTATION_FAILSAFE), '')
  const post = { method: 'POST', body: '{}' }
  t.equal((await fetch(`${leader.sidecar.podUrl}/failsafe`, post)).status, 404)
  await stage.api.refuse()
  await until(() => !leader.leads())
  await leader.events.nth('revoked')
  t.match(await leader.metric('flink_ha_failsafe_rounds_total'), '')
  await stage.api.accept()
})

t.test('one candidate goes on by itself', BUFFERED, async t => {
  const stage = new Stage()
  await stage.start(t)
  const leader = await stage.join(true)
  await leader.events.nth('leading')
  t.equal(stage.annotation(ANNOTATION_FAILSAFE), '["jm-0_uid"]')
  await stage.api.refuse()
  await pause(OUTAGE_MS)
  t.ok(leader.leads())
  await stage.api.accept()
})

t.test(
  'a member that does not answer ends the term at its deadline, and is told of it by nobody',
  BUFFERED,
  async t => {
    const stage = new Stage()
    const [leader, standby] = await stage.pair(t)
    await stage.api.refuse()
    await until(() => leader.sidecar.candidate.vouchedFor())
    await standby.crash()
    stage.members.pop()
    const start = Date.now()
    await until(() => !leader.leads())
    t.ok(Date.now() - start < TIMINGS.renewDeadlineMs + 1_000)
    t.match(await leader.metric('flink_ha_failsafe_rounds_total{outcome="unanswered"}'), / [1-9]\d*$/)
    await stage.api.accept()
  },
)

t.test('a term that is handed over in time is taken at once, whatever was promised', BUFFERED, async t => {
  const stage = new Stage()
  const [leader, standby] = await stage.pair(t)
  await stage.api.refuse()
  await until(() => leader.sidecar.candidate.vouchedFor())
  await stage.api.accept()
  await until(() => !leader.sidecar.candidate.vouchedFor())
  await until(() => standby.sidecar.candidate.silenceMs() < 500)
  leader.sidecar.candidate.retire('pod-deleted')
  const start = Date.now()
  await until(() => standby.leads())
  t.ok(Date.now() - start < 1_000)
})

t.test('a promise is given to the leader alone, by its signature, once a round', BUFFERED, async t => {
  const stage = new Stage()
  const [leader, standby] = await stage.pair(t)
  const { token } = leader.sidecar.candidate
  const good: Question = {
    leader: 'jm-0_uid',
    member: 'jm-1_uid',
    token,
    leaseMs: TIMINGS.leaseMs,
    round: 1_000,
    nonce: 'n'.repeat(16),
  }
  const ask = async (fields: Partial<Question>, signer: Signer | undefined, more: object = {}) => {
    const question = { ...good, ...fields }
    const signature = signer?.sign(questionText(question))
    const body = JSON.stringify({ ...question, signature, ...more })
    const response = await fetch(`${standby.sidecar.podUrl}/failsafe`, { method: 'POST', body })
    return { ...((await response.json()) as { message?: string; signature?: string }), status: response.status }
  }
  t.match(await ask({}, await makeSigner()), { status: 403, message: 'jm-0_uid did not sign this' })
  t.match(await ask({}, standby.signer), { status: 403 })
  t.match(await ask({ leader: 'jm-9_uid' }, leader.signer), { status: 403, message: /^jm-9_uid has no key/ })
  t.match(await ask({ member: 'jm-2_uid' }, leader.signer), { status: 403, message: 'this is jm-1_uid' })
  const signature = leader.signer?.sign(questionText(good))
  t.match(await ask({ token: token + 1 }, undefined, { signature }), { status: 403 }, 'signed, but not this')
  t.match(await ask({ token: token + 1 }, leader.signer), { status: 409, message: /does not name jm-0_uid/ })
  t.match(await ask({ round: 1_001 }, leader.signer), { status: 200, signature: /^[\w-]{86}$/ })
  t.match(await ask({ round: 1_001 }, leader.signer), { status: 403, message: 'round 1001 is not above 1001' })
  for (const [fields, wanted] of [
    [{ leader: '' }, /^leader/],
    [{ member: 7 }, /^member/],
    [{ token: 0 }, /^token/],
    [{ leaseMs: 1e9 }, /^leaseMs/],
    [{ round: 1.5 }, /^round/],
    [{ nonce: 'short' }, /^nonce/],
    [{ signature: 'x' }, /^signature/],
  ] as const)
    t.match(await ask({}, leader.signer, fields), { status: 400, message: wanted })
  const send = async (body: string, method = 'POST') =>
    (await fetch(`${standby.sidecar.podUrl}/failsafe`, { method, body })).status
  t.equal(await send('{'), 400)
  t.equal(await send('[]'), 400)
  t.equal(await send(' '.repeat(3_000)), 413)
  t.equal(await send('{}', 'PUT'), 405)
  t.equal((await fetch(`${standby.sidecar.podUrl}/failsafe`)).status, 405)
  t.equal((await fetch(`${standby.sidecar.url}/failsafe`, { method: 'POST', body: '{}' })).status, 404, 'not here')
  t.match(await standby.metric('flink_ha_failsafe_questions_total{outcome="unauthenticated"}'), / 6$/)
  t.match(await standby.metric('flink_ha_failsafe_questions_total{outcome="malformed"}'), / 10$/)
})
