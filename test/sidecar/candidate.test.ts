// What the candidate says of its term between two events, when nothing but the clock can tell.
import t from 'tap'
import type { Clock } from '../../shared/clock.ts'
import type { ConfigMap } from '../../shared/lock.ts'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { formatRecord } from '../../shared/record.ts'
import { PROFILES } from '../../shared/timings.ts'
import { Candidate } from '../../sidecar/candidate.ts'
import { makeMetrics } from '../../sidecar/metrics.ts'
import { Status } from '../../sidecar/status.ts'
import { ScriptedClient, settled } from '../world/scripted-client.ts'
import { CLUSTER_ID, LOCK, NAMESPACE } from '../world/sidecar.ts'
import { VirtualClock } from '../world/virtual-clock.ts'

const TIMINGS = PROFILES.default
const VACANT = formatRecord({ holder: '', leaseMs: 1_000, acquireTime: '', renewTime: '', transitions: 0 })
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const figures = {
  leading: false,
  renewalAgeSeconds: 0,
  validitySeconds: 0,
  token: 0,
  watchers: 0,
  lockBytes: 0,
  vouchedFor: false,
}

/** A leader whose process can be put to sleep: then time passes, and no timer of its own fires. */
const leader = async (t: { teardown: (run: () => void) => void }) => {
  const metadata = { name: LOCK, resourceVersion: '10', annotations: { [ANNOTATION_LEADER]: VACANT } }
  const client = new ScriptedClient((method, _, body) => {
    if (method === 'GET') return { status: 200, body: { metadata: { resourceVersion: '10' }, items: [{ metadata }] } }
    return { status: 200, body: { metadata: { ...(body as ConfigMap).metadata, name: LOCK, resourceVersion: '11' } } }
  })
  const time = new VirtualClock()
  let sleptMs = 0
  const clock: Clock = { monoMs: () => time.monoMs() + sleptMs, wallUs: time.wallUs, after: time.after }
  const candidate = new Candidate({
    identity: 'jm-0_uid',
    lockKind: 'configmap',
    timings: TIMINGS,
    jvmAddress: { host: '127.0.0.1', port: 1 },
    address: () => '',
    client,
    clock,
    log: silent,
    metrics: makeMetrics(
      () => LOCK,
      () => ({ ...figures, jvmPhase: 'absent' }),
    ),
  })
  const status = new Status(candidate, 1, clock.after)
  t.teardown(() => {
    candidate.abandon()
    status.stop()
    client.close()
  })
  candidate.attach(NAMESPACE, CLUSTER_ID)
  candidate.jvmEvent({ type: 'elector-heard' })
  while (!candidate.leading()) await settled()
  const sleep = (ms: number): void => {
    sleptMs += ms
  }
  return { candidate, status, sleep }
}

t.test('a process that slept past its deadline does not lead, before any event told it so', async t => {
  const { candidate, sleep } = await leader(t)
  sleep(TIMINGS.renewDeadlineMs - 1)
  t.ok(candidate.leading())
  t.equal(candidate.validForMs(), 1)
  sleep(1)
  t.notOk(candidate.leading())
  t.notOk(candidate.ready())
  t.equal(candidate.validForMs(), 0)
})

t.test('nor does it tell its own name, though the lease of its record still runs', async t => {
  const { candidate, status, sleep } = await leader(t)
  t.match(status.leader(), { name: 'jm-0', isLeader: true })
  sleep(TIMINGS.renewDeadlineMs)
  t.ok(candidate.recordValidForMs() > 0, 'the others still wait')
  t.match(status.leader(), { name: null, isLeader: false, token: 0, validForMs: 0 })
})
