import { once } from 'node:events'
import { Agent } from 'node:https'
import { connect } from 'node:tls'
import jsonpatch from 'jsonpatch'
import t, { type Test } from 'tap'
import type { Pod } from '../../webhook/pod.ts'
import { jobManagerPod, reviewOf } from '../world/admission-review.ts'
import { FACTS, TestAdmission } from '../world/admission-server.ts'
import { makeTestPair, SERVER_NAME } from '../world/key-pair.ts'
import { VirtualClock } from '../world/virtual-clock.ts'

const started = async (t: Test, options: ConstructorParameters<typeof TestAdmission>[0] = {}) => {
  const admission = new TestAdmission(options)
  await admission.start()
  t.teardown(() => admission.stop())
  return admission
}
const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'jm', uid: 'd-1' } as const

t.test('a JobManager comes out with sidecar and owner, over HTTPS', async t => {
  const admission = await started(t, { deploymentOf: async () => ({ owner }) })
  const { status, headers, body } = await admission.post(reviewOf(jobManagerPod()))
  t.equal(status, 200)
  t.match(headers['content-type'], /^application\/json/)
  t.match(body.response, { uid: '705ab4f5-6393-11e8-b7cc-42010a800002', allowed: true, patchType: 'JSONPatch' })
  const pod: Pod = jsonpatch.apply_patch(
    jobManagerPod(),
    JSON.parse(Buffer.from(body.response?.patch ?? '', 'base64').toString()),
  )
  t.equal(pod.spec.initContainers?.[0]?.name, 'flink-ha')
  t.match(pod.metadata.ownerReferences?.at(-1), owner)
  t.match(admission.outcomes, [{ decision: 'inject', reason: 'jobmanager' }])
})

t.test('the entry of the configuration says whether the namespace asks', async t => {
  const admission = await started(t)
  const { body } = await admission.post(reviewOf(jobManagerPod()), { path: '/mutate/ask?timeout=5s' })
  t.same(body.response, { uid: '705ab4f5-6393-11e8-b7cc-42010a800002', allowed: true })
  t.match(admission.outcomes, [{ decision: 'skip', reason: 'namespace-not-labelled' }])
})

t.test('what is not a review is refused with a status that says why', async t => {
  const admission = await started(t)
  const review = JSON.stringify(reviewOf(jobManagerPod()))
  for (const [body, call, status, error] of [
    ['', {}, 400, /body is empty/],
    ['{', {}, 400, /body is not JSON/],
    ['null', {}, 400, /the body is null/],
    ['\ufeff{}', {}, 400, /./],
    ['{}', {}, 400, /apiVersion is missing/],
    [reviewOf({}), {}, 400, /request.object.metadata is missing/],
    [{ ...reviewOf(jobManagerPod()), apiVersion: 'admission.k8s.io/v1beta1' }, {}, 400, /v1beta1/],
    [review, { headers: { 'content-type': 'text/plain' } }, 415, /content-type/],
    [review, { headers: { 'content-type': 'application/jsonp' } }, 415, /content-type/],
    [review, { headers: { 'content-type': '' } }, 415, /content-type/],
    [review, { headers: { 'content-encoding': 'gzip' } }, 415, /compressed/],
    [review, { path: '/' }, 404, /only \/mutate/],
    [review, { path: '/mutate/constructor' }, 404, /only \/mutate/],
    [review, { method: 'PUT' }, 405, /POST/],
    [Buffer.alloc(6 * 1024 * 1024 + 1, ' '), {}, 413, /over 6291456 bytes/],
  ] as const) {
    const reply = await admission.post(body, call)
    t.equal(reply.status, status, `${String(error)} ${JSON.stringify(call)}`)
    t.match(reply.body.error, error)
  }
  t.same(admission.outcomes, [])
  t.match(await admission.registry.metrics(), /flink_ha_bad_requests_total\{status="415"\} 4/)
})

t.test('a pod of 3 MiB is injected, and one of just under 6 MiB read', async t => {
  const admission = await started(t)
  for (const megabytes of [3, 5.9]) {
    const pod = jobManagerPod()
    pod.metadata.annotations = { 'example.com/large': 'x'.repeat(megabytes * 1024 * 1024) }
    const { status, body } = await admission.post(reviewOf(pod))
    t.equal(status, 200)
    t.equal(body.response?.patchType, 'JSONPatch')
    t.ok((body.response?.patch?.length ?? 0) < 10_000, 'the patch carries what is new alone')
  }
})

t.test('a dry run is answered the same, and counted apart, without an effect', async t => {
  const admission = await started(t)
  const { body } = await admission.post(reviewOf(jobManagerPod(), { dryRun: true }))
  t.equal(body.response?.patchType, 'JSONPatch')
  t.same(admission.outcomes, [])
  const text = await admission.registry.metrics()
  t.match(text, /flink_ha_dry_run_admissions_total\{decision="inject",reason="jobmanager"\} 1/)
  t.notMatch(text, /flink_ha_admissions_total\{/)
})

t.test('an owner that cannot be read costs a warning, not the sidecar', async t => {
  const admission = await started(t, {
    deploymentOf: async () => ({ problem: 'ReplicaSet jm-5d cannot be read: 403' }),
  })
  const { body } = await admission.post(reviewOf(jobManagerPod()))
  t.equal(body.response?.patchType, 'JSONPatch')
  t.same(body.response?.warnings, ['flink-ha: no owner reference: ReplicaSet jm-5d cannot be read: 403'])
})

t.test('a TaskManager’s owner is not looked up', async t => {
  let asked = 0
  const admission = await started(t, {
    deploymentOf: async () => {
      asked++
      return {}
    },
  })
  const pod = { metadata: { labels: { component: 'taskmanager' } }, spec: { containers: [{ name: 'taskmanager' }] } }
  t.equal((await admission.post(reviewOf(pod))).body.response?.patchType, 'JSONPatch')
  t.equal(asked, 0)
})

t.test('out of time, a JobManager that asked is refused and nothing is counted as injected', async t => {
  const clock = new VirtualClock()
  const limits: number[] = []
  const admission = await started(t, {
    clock,
    deploymentOf: async (_, __, limitMs) => {
      limits.push(limitMs)
      clock.advance(4_500)
      return {}
    },
  })
  const { body } = await admission.post(reviewOf(jobManagerPod()), { path: '/mutate?timeout=5s' })
  t.match(body.response, { allowed: false, status: { code: 503, message: /no time left/ } })
  t.same(limits, [4_400], 'the look-up is given what the deadline leaves')
  t.match(admission.outcomes, [{ decision: 'deadline', reason: 'jobmanager' }])
  t.notMatch(await admission.registry.metrics(), /decision="inject"/)
})

t.test('until the facts are known no answer is made up', async t => {
  const admission = await started(t, { factsOf: () => undefined })
  const { status, body } = await admission.post(reviewOf(jobManagerPod()))
  t.equal(status, 503)
  t.match(body.error, /starting/)
})

t.test('a mistake of ours is a 500 with a log line, and the next request is served', async t => {
  let broken = true
  const admission = await started(t, {
    factsOf: () => {
      if (broken) throw new Error('secret detail')
      return FACTS
    },
  })
  const { status, body } = await admission.post(reviewOf(jobManagerPod()))
  t.equal(status, 500)
  t.same(body, { error: 'internal error' })
  t.equal(admission.log.count('error'), 1)
  broken = false
  t.equal((await admission.post(reviewOf(jobManagerPod()))).status, 200)
})

t.test('a caller that hung up did not get an injection', async t => {
  let release: () => void = () => {}
  const asked = new Promise<void>(resolve => {
    release = resolve
  })
  let arrived: () => void = () => {}
  const arrival = new Promise<void>(resolve => {
    arrived = resolve
  })
  const admission = await started(t, {
    deploymentOf: async () => {
      arrived()
      await asked
      return {}
    },
  })
  const agent = new Agent()
  const call = admission.post(reviewOf(jobManagerPod()), { agent }).catch(() => 'hung up')
  await arrival
  agent.destroy()
  t.equal(await call, 'hung up')
  const outcome = new Promise<void>(resolve => {
    const poll = (): void => void (admission.outcomes.length > 0 ? resolve() : setImmediate(poll))
    setImmediate(() => setImmediate(release))
    poll()
  })
  await outcome
  t.match(admission.outcomes, [{ decision: 'deadline', message: 'the caller hung up' }])
})

t.test('a new certificate is served to new connections, without a restart; an unusable one is not', async t => {
  const admission = await started(t)
  const kept = new Agent({ keepAlive: true })
  t.teardown(() => kept.destroy())
  t.equal((await admission.post(reviewOf(jobManagerPod()), { agent: kept })).status, 200)
  const first = admission.pair
  admission.server.setPair({ certPem: 'not a certificate', keyPem: first.keyPem })
  t.equal(admission.log.count('error'), 1)
  t.equal((await admission.post(reviewOf(jobManagerPod()), { agent: new Agent() })).status, 200, 'the one before stays')
  const second = await makeTestPair()
  admission.server.setPair(second)
  t.equal((await admission.post(reviewOf(jobManagerPod()), { agent: kept })).status, 200, 'an open connection stays')
  await t.rejects(
    admission.post(reviewOf(jobManagerPod()), { agent: new Agent() }),
    'the old CA does not know the new one',
  )
  admission.pair = second
  t.equal((await admission.post(reviewOf(jobManagerPod()), { agent: new Agent() })).status, 200)
})

t.test('TLS 1.2 and 1.3 are spoken, older versions and weak ciphers are not, whatever a client would take', async t => {
  const admission = await started(t)
  /** What came of a handshake: the version, or why not. */
  const shaken = async (options: object): Promise<string> => {
    const socket = connect({
      host: '127.0.0.1',
      port: admission.port,
      ca: admission.pair.caPem,
      servername: SERVER_NAME,
      ...options,
    })
    const outcome = await Promise.race([
      once(socket, 'secureConnect').then(() => String(socket.getProtocol())),
      once(socket, 'close').then(() => 'closed'),
    ]).catch((error: { code?: string }) => error.code ?? 'no code')
    socket.destroy()
    return outcome
  }
  for (const version of ['TLSv1.2', 'TLSv1.3'])
    t.equal(await shaken({ minVersion: version, maxVersion: version }), version)
  // Below security level 1 OpenSSL lets a client offer anything.
  const anything = { minVersion: 'TLSv1', ciphers: 'ALL:eNULL@SECLEVEL=0' }
  t.equal(await shaken({ ...anything, maxVersion: 'TLSv1.1' }), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  const at12 = { ...anything, maxVersion: 'TLSv1.2' }
  t.equal(await shaken(at12), 'TLSv1.2')
  for (const ciphers of ['eNULL', 'aNULL', 'CAMELLIA'])
    t.match(await shaken({ ...at12, ciphers: `${ciphers}@SECLEVEL=0` }), /^ERR_SSL_.*HANDSHAKE_FAILURE$/, ciphers)
})

t.test('at the end requests on open connections are still served, and told to go', async t => {
  const clock = new VirtualClock()
  const admission = new TestAdmission({ clock })
  await admission.start()
  t.match((await admission.post(reviewOf(jobManagerPod()))).headers.connection, 'keep-alive')
  const stopped = admission.server.stop(5_000)
  t.equal(admission.server.draining, true)
  const { status, headers } = await admission.post(reviewOf(jobManagerPod()))
  t.equal(status, 200)
  t.equal(headers.connection, 'close')
  t.equal((await admission.post(reviewOf(jobManagerPod()), { agent: new Agent() })).status, 200, 'new ones too')
  clock.advance(5_000)
  await stopped
  await t.rejects(admission.post(reviewOf(jobManagerPod()), { agent: new Agent() }))
  admission.agent.destroy()
})

t.test('a connection that sends nothing does not hold up the end', async t => {
  const clock = new VirtualClock()
  const admission = new TestAdmission({ clock })
  await admission.start()
  const socket = connect({ host: '127.0.0.1', port: admission.port, ca: admission.pair.caPem, servername: SERVER_NAME })
  await once(socket, 'secureConnect')
  socket.write('POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{')
  socket.on('error', () => {})
  const closed = new Promise(resolve => socket.on('close', resolve))
  const stopped = admission.server.stop(0)
  clock.advance(0)
  await new Promise(resolve => setImmediate(resolve))
  clock.advance(5_000)
  await Promise.all([stopped, closed])
  t.pass('closed')
})
