// The server's faults, over real sockets.
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { nextOf } from './conformance-target.ts'
import { KubeProbe } from './kube-probe.ts'
import { resourceOf } from './kube-resources.ts'
import { KubeServer, type ServerOptions } from './kube-server.ts'

const MAPS = '/api/v1/namespaces/flink/configmaps'
const MERGE = { 'content-type': 'application/merge-patch+json' }
const maps = resourceOf('configmaps')

const start = async (t: Test, options: ServerOptions = {}) => {
  const server = new KubeServer({ namespaces: ['flink'], ...options })
  await server.listen()
  t.teardown(() => server.close())
  server.store.create(maps, 'flink', { metadata: { name: 'a' }, data: { n: '0' } })
  const probe = new KubeProbe(server.url)
  const set = (n: string) => probe.request('PATCH', `${MAPS}/a`, { data: { n } }, MERGE)
  const watch = () => probe.watch(`${MAPS}?watch=true&resourceVersion=${server.store.version}`)
  const value = () => (server.store.get(maps, 'flink', 'a')['data'] as { n: string }).n
  return { server, probe, set, watch, value }
}

/** Until the server has seen that many requests. */
const seen = async (server: KubeServer, count: number): Promise<void> => {
  while (server.requests.length < count) await new Promise(resolve => setImmediate(resolve))
}

t.test('a frozen server does and tells nothing until it thaws, and then everything in order', async t => {
  const { server, set, watch, value } = await start(t)
  const events = await watch()
  server.freeze()
  let isAnswered = false
  let isTold = false
  const first = nextOf(events).then(event => {
    isTold = true
    return event
  })
  const writing = set('1').then(answer => {
    isAnswered = true
    return answer
  })
  server.store.patch(maps, 'flink', 'a', 'merge', { data: { n: 'inside' } })
  await seen(server, 2)
  await new Promise(resolve => setTimeout(resolve, 50))
  t.notOk(isAnswered || isTold)
  t.equal(value(), 'inside')
  t.equal(server.requests[1]?.status, 0)
  server.thaw()
  t.equal((await writing).status, 200)
  t.equal((await first)?.object.data.n, 'inside')
  t.equal((await nextOf(events))?.object.data.n, '1')
  events.close()
})

t.test('a write that was given up while the server was frozen is dropped, or done late if wanted', async t => {
  for (const abandoned of ['dropped', 'done'] as const) {
    const { server, value } = await start(t)
    server.freeze(abandoned)
    const body = JSON.stringify({ data: { n: 'late' } })
    const { port, hostname } = new URL(server.url)
    const socket = connect(Number(port), hostname)
    socket.write(
      `PATCH ${MAPS}/a HTTP/1.1\r\nHost: x\r\nContent-Type: ${MERGE['content-type']}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await seen(server, 1)
    socket.destroy()
    await new Promise(resolve => setTimeout(resolve, 50))
    server.thaw()
    await new Promise(resolve => setTimeout(resolve, 20))
    t.equal(value(), abandoned === 'done' ? 'late' : '0')
    t.equal(server.requests[0]?.status, 0)
  }
})

t.test('a server that refuses cuts all connections, and listens again on the same port', async t => {
  const { server, probe, watch } = await start(t)
  const events = await watch()
  const { url } = server
  await server.refuse()
  await t.rejects(events.next(), 'the watch breaks')
  await t.rejects(probe.request('GET', `${MAPS}/a`), { code: 'ECONNREFUSED' })
  await server.accept()
  t.equal(server.url, url)
  t.equal((await probe.request('GET', `${MAPS}/a`)).status, 200)
})

t.test('watches break, expire, or lose events, and requests go on', async t => {
  const { server, set, watch } = await start(t)
  const broken = await watch()
  server.breakWatches()
  await t.rejects(broken.next())
  const expired = await watch()
  server.expireWatches()
  t.match(await expired.next(), { type: 'ERROR', object: { code: 410, reason: 'Expired' } })
  t.equal(await expired.next(), undefined, 'it ends properly')
  const lossy = await watch()
  server.dropWatchEvents(true)
  t.equal((await set('lost')).status, 200)
  server.dropWatchEvents(false)
  await set('told')
  t.equal((await nextOf(lossy))?.object.data.n, 'told')
  lossy.close()
  while (server.openWatches > 0) await new Promise(resolve => setImmediate(resolve))
})

t.test('requests fail as told: which, how often, with what', async t => {
  const { server, probe, set, value } = await start(t)
  server.fail({ match: ({ method }) => method === 'PATCH', status: 429, retryAfterSeconds: 7, times: 2 })
  t.equal((await probe.request('GET', `${MAPS}/a`)).status, 200)
  const first = await set('1')
  t.equal(first.status, 429)
  t.equal(first.headers['retry-after'], '7')
  t.match(first.body, { kind: 'Status', reason: 'TooManyRequests', details: { retryAfterSeconds: 7 }, code: 429 })
  t.equal((await set('2')).status, 429)
  t.equal(value(), '0')
  t.equal((await set('3')).status, 200)
  server.fail({ status: 503, times: 1_000 })
  t.equal((await set('4')).status, 503)
  server.heal()
  t.equal((await set('5')).status, 200)
})

t.test('a write can be made and go unanswered', async t => {
  const { server, set, value } = await start(t)
  server.fail({ times: 1, afterCommit: true })
  await t.rejects(set('1'), { code: 'ECONNRESET' })
  t.equal(value(), '1')
  t.equal((await set('2')).status, 200)
})

t.test('answers can be slow, before or after the write', async t => {
  const waiting: (() => void)[] = []
  const { server, set, value } = await start(t, {
    after: (ms, run) => {
      if (ms === 40_000) waiting.push(run)
      return () => {}
    },
  })
  for (const [when, wanted] of [
    ['before', '0'],
    ['after', '2'],
  ] as const) {
    server.delay(40_000, when)
    const writing = set(when === 'before' ? '1' : '2')
    while (waiting.length === 0) await new Promise(resolve => setImmediate(resolve))
    t.equal(value(), wanted, when)
    waiting.pop()?.()
    t.equal((await writing).status, 200)
  }
})

t.test('compaction makes old versions 410', async t => {
  const { server, probe, set } = await start(t)
  const from = server.store.version
  await set('1')
  server.compact()
  const events = await probe.watch(`${MAPS}?watch=true&resourceVersion=${from}`)
  t.match(await events.next(), { type: 'ERROR', object: { code: 410 } })
  t.equal(await events.next(), undefined)
})

t.test('every request is noted, with its verb, who asked and what was answered', async t => {
  const { server, probe, watch } = await start(t, { journalSize: 4 })
  const events = await watch()
  await probe.request('GET', `${MAPS}/a`, undefined, { 'user-agent': 'flink' })
  await probe.request('GET', `${MAPS}?labelSelector=x`)
  await probe.request('DELETE', `${MAPS}/b`)
  t.match(server.requests, [
    { verb: 'watch', status: 200 },
    { verb: 'get', method: 'GET', path: `${MAPS}/a`, query: '', userAgent: 'flink', status: 200 },
    { verb: 'list', query: 'labelSelector=x' },
    { verb: 'delete', status: 404 },
  ])
  await probe.request('PUT', `${MAPS}/a`, { metadata: { name: 'a' } })
  t.strictSame(
    server.requests.map(({ verb }) => verb),
    ['get', 'list', 'delete', 'update'],
  )
  events.close()
})

t.test('tokens are asked for only when some are given', async t => {
  const { probe } = await start(t, { tokens: ['secret'] })
  const refused = await probe.request('GET', `${MAPS}/a`)
  t.equal(refused.status, 401)
  t.match(refused.body, { kind: 'Status', reason: 'Unauthorized', code: 401 })
  t.equal((await probe.request('GET', `${MAPS}/a`, undefined, { authorization: 'Bearer wrong' })).status, 401)
  t.equal((await probe.request('GET', `${MAPS}/a`, undefined, { authorization: 'Bearer secret' })).status, 200)
})

t.test('a client that does not read its watch is cut off, and others are not delayed', async t => {
  const { server, watch } = await start(t)
  const { port, hostname } = new URL(server.url)
  const deaf = connect(Number(port), hostname)
  deaf.on('error', () => {})
  deaf.pause()
  deaf.write(`GET ${MAPS}?watch=true&resourceVersion=${server.store.version} HTTP/1.1\r\nHost: x\r\n\r\n`)
  const reading = await watch()
  while (server.openWatches < 2) await new Promise(resolve => setImmediate(resolve))
  const big = 'x'.repeat(900_000)
  for (let i = 0; i < 60 && server.openWatches === 2; i++) {
    server.store.patch(maps, 'flink', 'a', 'merge', { data: { n: `${i}`, big } })
    t.equal((await nextOf(reading))?.object.data.n, `${i}`)
  }
  t.equal(server.openWatches, 1)
  reading.close()
  deaf.destroy()
})

t.test('a webhook behind a Service is called over HTTP', async t => {
  const paths: string[] = []
  const hook = createServer((request, response) => {
    paths.push(request.url ?? '')
    let text = ''
    request.on('data', chunk => {
      text += chunk
    })
    request.on('end', () => {
      const { uid } = JSON.parse(text).request
      const patch = Buffer.from('[{"op":"add","path":"/metadata/labels","value":{"seen":"yes"}}]').toString('base64')
      response.end(JSON.stringify({ response: { uid, allowed: true, patchType: 'JSONPatch', patch } }))
    })
  })
  await new Promise<void>(resolve => hook.listen(0, '127.0.0.1', resolve))
  t.teardown(() => hook.close())
  const { port } = hook.address() as AddressInfo
  const { server, probe } = await start(t, {
    resolveService: ({ name, namespace }) => {
      t.equal(`${namespace}/${name}`, 'flink-ha/webhook')
      return `http://127.0.0.1:${port}`
    },
  })
  server.store.create(resourceOf('mutatingwebhookconfigurations'), '', {
    metadata: { name: 'hooks' },
    webhooks: [
      {
        name: 'one',
        clientConfig: { service: { namespace: 'flink-ha', name: 'webhook', path: '/inject' } },
        rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
      },
    ],
  })
  const pod = { metadata: { name: 'a' }, spec: { containers: [{ name: 'c' }] } }
  const made = await probe.request('POST', '/api/v1/namespaces/flink/pods', pod)
  t.equal(made.status, 201)
  t.strictSame(made.body.metadata.labels, { seen: 'yes' })
  t.strictSame(paths, ['/inject'])
})
