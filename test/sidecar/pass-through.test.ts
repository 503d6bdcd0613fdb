// What is not high availability's goes on to the API server as it came: two real servers with the sidecar's part between.
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { KubeClient } from '../../shared/kube-client.ts'
import { hasCredential, passOn } from '../../sidecar/pass-through.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

const listen = async (t: Test, handler: Handler): Promise<{ server: Server; url: string }> => {
  const server = createServer(handler)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** An API server of the given behaviour, and the address of what passes on to it. */
const stage = async (t: Test, api: Handler): Promise<{ url: string; statuses: number[]; api: Server }> => {
  const upstream = await listen(t, api)
  const client = new KubeClient({ url: upstream.url, userAgent: 'flink-ha', monoMs: () => 0 })
  t.teardown(() => client.close())
  const statuses: number[] = []
  const { url } = await listen(t, (asked, response) => {
    void passOn(client, asked, response).then(status => statuses.push(status))
  })
  return { url, statuses, api: upstream.server }
}

type Told = { status: number; headers: IncomingMessage['headers']; text: string }

const ask = (url: string, method = 'GET', body = '', headers: { [name: string]: string } = {}): Promise<Told> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, response => {
      let text = ''
      response.on('data', chunk => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body)
  })

t.test('path, body, type and credential go on as they came, the answer comes back as it is', async t => {
  const seen: {
    method?: string | undefined
    url?: string | undefined
    headers: IncomingMessage['headers']
    body: string
  }[] = []
  const { url, statuses } = await stage(t, (asked, response) => {
    let body = ''
    asked.on('data', chunk => {
      body += chunk
    })
    asked.on('end', () => {
      seen.push({ method: asked.method, url: asked.url, headers: asked.headers, body })
      response.writeHead(201, { 'content-type': 'application/json', warning: '299 - "old"' })
      response.end('{"made":true}')
    })
  })
  const headers = { authorization: 'Bearer jvm', 'content-type': 'application/json', connection: 'close' }
  const told = await ask(`${url}/api/v1/namespaces/ns/pods?dryRun=All`, 'POST', '{"kind":"Pod"}', headers)
  t.match(told, { status: 201, text: '{"made":true}', headers: { warning: '299 - "old"' } })
  t.match(seen, [
    {
      method: 'POST',
      url: '/api/v1/namespaces/ns/pods?dryRun=All',
      body: '{"kind":"Pod"}',
      headers: { authorization: 'Bearer jvm', 'content-type': 'application/json' },
    },
  ])
  t.same(statuses, [201])
})

t.test('refusals of the API server come back as they are', async t => {
  const { url } = await stage(t, (_, response) => {
    response.writeHead(403, { 'content-type': 'application/json' })
    response.end('{"kind":"Status","code":403}')
  })
  t.match(await ask(`${url}/api/v1/pods`), { status: 403, text: '{"kind":"Status","code":403}' })
})

t.test('a watch is told event by event, and ends on the one side when it ends on the other', async t => {
  let end = (): void => {}
  let gone: (() => void) | undefined
  const left = new Promise<void>(resolve => {
    gone = resolve
  })
  const { url } = await stage(t, (asked, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    response.write('{"type":"ADDED"}\n')
    end = () => response.end('{"type":"DELETED"}\n')
    asked.on('close', () => gone?.())
  })
  const open = (onLine: (text: string) => void, onEnd: () => void): Promise<() => void> =>
    new Promise(resolve => {
      const sent = request(`${url}/api/v1/pods?watch=1`, { agent: false }, response => {
        response.on('data', chunk => onLine(String(chunk)))
        response.on('end', onEnd)
        response.on('error', () => {})
        resolve(() => sent.destroy())
      })
      sent.on('error', () => {})
      sent.end()
    })
  const lines: string[] = []
  await new Promise<void>(resolve => {
    void open(
      line => {
        lines.push(line)
        if (lines.length === 1) end()
      },
      () => resolve(),
    )
  })
  t.same(lines.join(''), '{"type":"ADDED"}\n{"type":"DELETED"}\n')
  let first: (() => void) | undefined
  const told = new Promise<void>(resolve => {
    first = resolve
  })
  const leave = await open(
    () => first?.(),
    () => {},
  )
  await told
  leave()
  await left
  t.pass('the API server notices that the reader has left')
})

t.test('an API server that is away is a 503, not a hanging request', async t => {
  const { url, api, statuses } = await stage(t, (_, response) => response.end())
  api.close()
  api.closeAllConnections()
  t.match(await ask(`${url}/api/v1/pods`), { status: 503, text: /cannot be reached/ })
  t.same(statuses, [503])
})

t.test('only who brings a credential is passed on', async t => {
  const headers = (authorization?: string) => ({ headers: { authorization } }) as IncomingMessage
  t.ok(hasCredential(headers('Bearer x')))
  t.notOk(hasCredential(headers()))
})
