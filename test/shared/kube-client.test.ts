import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { KubeClient } from '../../shared/kube-client.ts'

/** An API server that notes the credential of each request. */
const world = async (t: Test) => {
  const credentials: (string | undefined)[] = []
  const server = createServer((request, response) => {
    credentials.push(request.headers.authorization)
    response.end('{}')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const tokenFile = join(t.testdir({ token: 'first\n' }), 'token')
  let nowMs = 0
  const client = new KubeClient({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tokenFile,
    userAgent: 'test',
    monoMs: () => nowMs,
  })
  t.teardown(() => {
    client.close()
    server.close()
  })
  const ask = () => client.request('GET', '/version', { timeoutMs: 5_000 })
  const pass = (ms: number): void => {
    nowMs += ms
  }
  return { client, credentials, tokenFile, ask, pass }
}

t.test('a token that the kubelet replaced is in use within half a minute, without a restart', async t => {
  const { credentials, tokenFile, ask, pass } = await world(t)
  await ask()
  writeFileSync(tokenFile, 'second')
  pass(29_000)
  await ask()
  pass(1_001)
  await ask()
  t.same(credentials, ['Bearer first', 'Bearer first', 'Bearer second'])
})

t.test('a stream is opened with the new one too', async t => {
  const { client, credentials, tokenFile, ask, pass } = await world(t)
  await ask()
  writeFileSync(tokenFile, 'second')
  pass(30_001)
  const { signal } = new AbortController()
  const stream = await client.stream('/api/v1/pods?watch=true', 5_000, signal)
  stream.destroy()
  t.same(credentials, ['Bearer first', 'Bearer second'])
})

t.test('a token that cannot be read is no answer, and is asked for again', async t => {
  const { credentials, tokenFile, ask, pass } = await world(t)
  await ask()
  rmSync(tokenFile)
  pass(30_001)
  await t.rejects(ask(), { name: 'Unreachable', message: /token cannot be read/ })
  writeFileSync(tokenFile, 'third')
  await ask()
  t.same(credentials, ['Bearer first', 'Bearer third'])
})
