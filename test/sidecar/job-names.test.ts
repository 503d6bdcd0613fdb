import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { JobNames } from '../../sidecar/job-names.ts'

const A = 'a'.repeat(32)
const B = 'b'.repeat(32)

const restServer = async (t: Test, listener: RequestListener): Promise<string> => {
  const server = createServer(listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('names are asked of the leader’s REST endpoint, and kept', async t => {
  let asked = 0
  const url = await restServer(t, ({ url }, response) => {
    asked++
    t.equal(url, '/jobs/overview')
    response.end(JSON.stringify({ jobs: [{ jid: A, name: 'Ticker', state: 'RUNNING' }, { jid: 'x' }, null] }))
  })
  const names = new JobNames()
  t.same([...(await names.of([A], url))], [[A, 'Ticker']])
  t.same([...(await names.of([A], `${url}/`))], [[A, 'Ticker']])
  t.same([...(await names.of([A], undefined))], [[A, 'Ticker']], 'a name that is known needs no leader')
  t.equal(asked, 1)
  t.same([...(await names.of([A, B], url))], [[A, 'Ticker']], 'a job that Flink does not know has none')
  t.equal(asked, 2)
  t.same([...(await names.of([], url))], [], 'and what is gone is forgotten')
})

t.test('without a usable answer there are no names, and no error', async t => {
  const names = new JobNames()
  const answers: RequestListener[] = [
    (_, response) => response.end('{'),
    (_, response) => response.end('[]'),
    (_, response) => response.end('{"jobs":7}'),
    (_, response) => response.writeHead(503).end(JSON.stringify({ jobs: [{ jid: A, name: 'x' }] })),
    (_, response) => response.end('x'.repeat(2 * 1024 * 1024)),
    ({ socket }) => socket.destroy(),
  ]
  for (const answer of answers) t.equal((await names.of([A], await restServer(t, answer))).size, 0)
  t.equal((await names.of([A], 'http://127.0.0.1:1')).size, 0)
  t.equal((await names.of([A], 'https://127.0.0.1:1')).size, 0, 'TLS is not spoken')
  // As somebody may write it into the lock.
  for (const address of ['http://h:99999', 'http://:8081', 'http://', 'http://a b:1', 'http://h\u0000:1'])
    t.equal((await names.of([A], address)).size, 0, JSON.stringify(address))
})

t.test('a silent endpoint is waited for a second', async t => {
  const url = await restServer(t, () => {})
  const startMs = performance.now()
  t.equal((await new JobNames().of([A], url)).size, 0)
  t.ok(performance.now() - startMs < 5_000)
})
