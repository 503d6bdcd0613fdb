// Real handshakes: an HTTPS server that takes over every pair it is told of, and clients that trust a published bundle.
import { Agent, createServer, request, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { makeTlsSource, serverNames } from '../../webhook/tls.ts'
import { checkPair } from '../../webhook/tls-check.ts'
import { type Content, carryOut } from '../../webhook/tls-content.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { KubeServer } from '../world/kube-server.ts'
import { CONFIGURATION, DatedClient, KeptLog, NAMESPACE, SECRET, TlsWorld } from '../world/tls-replicas.ts'
import { VirtualClock } from '../world/virtual-clock.ts'

const SERVICE = 'flink-ha-webhook'
const NAMES = serverNames(SERVICE, NAMESPACE)

class Https {
  readonly server: Server
  constructor({ certPem, keyPem }: Content) {
    this.server = createServer({ cert: certPem, key: keyPem }, (_, response) => response.end('yes'))
    this.server.keepAliveTimeout = 120_000
  }
  async listen(): Promise<number> {
    await new Promise<void>(resolve => this.server.listen(0, '127.0.0.1', resolve))
    return (this.server.address() as AddressInfo).port
  }
  use({ certPem, keyPem }: Content): void {
    this.server.setSecureContext({ cert: certPem, key: keyPem })
  }
}

/** The serial number of the certificate that the answer came under; rejects when the server is not trusted. */
const call = (port: number, agent: Agent): Promise<string> =>
  new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, servername: NAMES[0], agent }, response => {
      const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate()
      response.resume()
      response.on('end', () => resolve(serialNumber))
    })
    asked.on('error', reject)
    asked.end()
  })
const trusting = (caPem: string): Agent => new Agent({ ca: caPem, keepAlive: true, maxSockets: 1 })

const listening = async (t: Test, content: Content) => {
  const https = new Https(content)
  const port = await https.listen()
  t.teardown(() => {
    https.server.closeAllConnections()
    https.server.close()
  })
  return { https, port }
}
const make = (nowMs: number): Promise<Content> => carryOut({ do: 'make', why: '' }, undefined, NAMES, nowMs)

t.test(
  'through a rotation every client is answered: on the connection it has, on a new one, with the bundle before',
  async t => {
    const nowMs = Date.now()
    const first = await make(nowMs)
    const { https, port } = await listening(t, first)
    const kept = trusting(first.caPem)
    t.teardown(() => kept.destroy())
    const serial = await call(port, kept)
    let before = first
    let content = first
    for (const step of ['renew-server', 'rotate-ca', 'renew-server', 'retire-ca', 'renew-server'] as const) {
      before = content
      content = await carryOut({ do: step, why: '' }, content, NAMES, nowMs)
      https.use(content)
      t.equal(await call(port, kept), serial, `${step}: a connection from the beginning goes on as it is`)
      for (const { caPem } of [before, content]) {
        const agent = trusting(caPem)
        await t.resolves(call(port, agent), `${step}: a new connection, by the bundle before and after`)
        agent.destroy()
      }
    }
    const late = trusting(content.caPem)
    t.not(await call(port, late), serial, 'a new connection sees the new certificate')
    late.destroy()
    await t.rejects(call(port, trusting(first.caPem)), 'who still has the first bundle then is refused')
  },
)

t.test('what the check refuses a client refuses too, and what it lets pass a client takes', async t => {
  const nowMs = Date.now()
  const day = 86_400_000
  const [good, other] = [await make(nowMs), await make(nowMs)]
  const named = (names: readonly string[]) => carryOut({ do: 'renew-server', why: '' }, good, names, nowMs)
  const cases: [string, Content, string][] = [
    ['good', good, good.caPem],
    ['another CA', good, other.caPem],
    ['expired', await carryOut({ do: 'renew-server', why: '' }, good, NAMES, nowMs - 91 * day), good.caPem],
    ['not yet valid', await carryOut({ do: 'renew-server', why: '' }, good, NAMES, nowMs + 2 * day), good.caPem],
    ['another name', await named(['other.ns.svc']), good.caPem],
    ['a bundle of two', good, other.caPem + good.caPem],
  ]
  for (const [what, content, caPem] of cases) {
    const { port } = await listening(t, content)
    const { broken, refused } = checkPair({ ...content, caPem }, [NAMES[0]], nowMs)
    t.same(broken, [], what)
    const agent = trusting(caPem)
    const answered = await call(port, agent).then(
      () => true,
      () => false,
    )
    agent.destroy()
    t.equal(answered, refused.length === 0, what)
  }
})

t.test('from nothing to an admission that the API server gets through: Secret, bundle, handshake', async t => {
  const clock = new VirtualClock(Date.now())
  let port = 0
  const server = new KubeServer({ namespaces: [NAMESPACE], resolveService: () => `https://127.0.0.1:${port}` })
  await server.listen()
  const client = new DatedClient(server.url, 'webhook', clock.wallMs)
  const source = makeTlsSource(
    {
      mode: 'builtin',
      dir: '',
      secretName: SECRET,
      namespace: NAMESPACE,
      serviceName: SERVICE,
      webhookConfiguration: CONFIGURATION,
    },
    { client, clock, log: new KeptLog(), wallMs: clock.wallMs, leading: () => true },
  )
  t.teardown(async () => {
    source.stop()
    client.close()
    await server.close()
  })
  await source.start()
  const pair = source.current()
  if (pair === undefined) return t.fail('start resolved without a pair')
  const { https, port: listens } = await listening(t, { ...pair, caKeyPem: '' })
  port = listens
  https.server.removeAllListeners('request')
  https.server.on('request', async (incoming, response) => {
    let text = ''
    for await (const chunk of incoming) text += chunk
    const { uid } = (JSON.parse(text) as { request: { uid: string } }).request
    response.setHeader('content-type', 'application/json')
    response.end(
      JSON.stringify({
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: { uid, allowed: false, status: { message: 'it was asked' } },
      }),
    )
  })
  server.store.create(resourceOf('mutatingwebhookconfigurations'), '', {
    metadata: { name: CONFIGURATION },
    webhooks: [
      {
        name: 'inject.flink-ha.io',
        clientConfig: { service: { namespace: NAMESPACE, name: SERVICE, path: '/mutate' } },
        rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
        failurePolicy: 'Fail',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        timeoutSeconds: 5,
      },
    ],
  })
  const world = { server, until: TlsWorld.prototype.until }
  const hasBundle = (): boolean => {
    const found = server.store.get(resourceOf('mutatingwebhookconfigurations'), '', CONFIGURATION)
    return JSON.stringify(found).includes('caBundle')
  }
  await world.until(hasBundle, 'the bundle is published')
  const pod = { metadata: { name: 'jm' }, spec: { containers: [{ name: 'main', image: 'flink' }] } }
  const answer = await client.request('POST', `/api/v1/namespaces/${NAMESPACE}/pods`, { body: pod, timeoutMs: 10_000 })
  t.match(JSON.stringify(answer.body), /it was asked/)
})

t.test('a Service is called by its name, its namespace and svc', async t => {
  t.same(serverNames('w', 'ns'), ['w.ns.svc', 'w.ns', 'w.ns.svc.cluster.local'])
})
