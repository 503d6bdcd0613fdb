// Relays in front of real sidecars on the embedded API: what a TaskManager sees while JobManagers come, go, stall and lie.
import { get } from 'node:http'
import { createConnection } from 'node:net'
import t, { type Test } from 'tap'
import type { ConfigMap } from '../../shared/lock.ts'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { formatRecord, formatTime } from '../../shared/record.ts'
import type { LeaderDocument } from '../../sidecar/leader.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { KubeServer } from '../world/kube-server.ts'
import { FalsePeer, SilentPeer, TestRelay } from '../world/relay.ts'
import { CLUSTER_ID, LOCK, NAMESPACE, TestSidecar } from '../world/sidecar.ts'

const CONFIG_MAPS = resourceOf('configmaps')
const KEY = 'org.apache.flink.k8s.leader.'
const SELECTOR = `fieldSelector=metadata.name%3D${LOCK}`
const pathOf = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps`

let stamp = 0
/** A record of a candidate, as freshly renewed. */
const record = (holder: string, leaseMs: number): string => {
  const time = formatTime(1.7e15 + ++stamp)
  return formatRecord({ holder, leaseMs, acquireTime: time, renewTime: time, transitions: 4 })
}
const until = async (fits: () => boolean | Promise<boolean>): Promise<void> => {
  const end = Date.now() + 20_000
  while (!(await fits())) {
    if (Date.now() > end) throw new Error(`never came: ${fits}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
const json = async (url: string, init?: RequestInit): Promise<{ status: number; headers: Headers; body: unknown }> => {
  const response = await fetch(url, init)
  return { status: response.status, headers: response.headers, body: await response.json() }
}
const leader = async (relay: TestRelay): Promise<LeaderDocument> =>
  (await json(`${relay.url}/leader`)).body as LeaderDocument
const leads = (relay: TestRelay, name: string | null) => async (): Promise<boolean> =>
  (await leader(relay)).name === name

/** Two JobManagers' sidecars on one API, with a lock that the test writes. */
class Cluster {
  readonly api = new KubeServer()
  sidecars: TestSidecar[] = []
  readonly relays: TestRelay[] = []
  /** What a look-up finds. */
  peers: string[] = []
  #token = 0

  async start(t: Test, sidecars = 2): Promise<void> {
    await this.api.listen()
    this.api.store.create(resourceOf('namespaces'), '', { metadata: { name: NAMESPACE } })
    t.teardown(async () => {
      for (const relay of this.relays) await relay.stop()
      for (const sidecar of this.sidecars) await sidecar.crash()
      await this.api.close()
    })
    this.api.store.create(CONFIG_MAPS, NAMESPACE, {
      metadata: { name: LOCK, annotations: { [ANNOTATION_LEADER]: record('', 1_000) } },
    })
    for (let i = 0; i < sidecars; i++) await this.add(`sc-${i}`)
  }
  async add(name: string): Promise<TestSidecar> {
    const sidecar = new TestSidecar({ apiUrl: this.api.url, name, jvmPort: 1 })
    await sidecar.start()
    await until(() => sidecar.candidate.lock !== undefined)
    this.sidecars.push(sidecar)
    this.peers.push(sidecar.podUrl)
    return sidecar
  }
  async crashAll(): Promise<void> {
    for (const sidecar of this.sidecars) await sidecar.crash()
    this.sidecars = []
    this.peers = []
  }
  /** A term of somebody, with a token above the last. */
  lead(holder: string, leaseMs = 60_000, data?: { [key: string]: string | null }): void {
    const token = String(++this.#token)
    const annotations = { [ANNOTATION_LEADER]: record(holder, leaseMs), 'flink-ha.io/token': token }
    const dispatcher = { [`${KEY}dispatcher`]: `s-${token},pekko.tcp://flink@${holder}:6123/user/rpc/dispatcher_0` }
    const patch = { metadata: { annotations }, data: data ?? dispatcher }
    this.api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', patch)
  }
  async relay(options: { learn?: boolean } = {}): Promise<TestRelay> {
    const relay = new TestRelay({ peers: () => this.peers, ...options })
    await relay.start()
    this.relays.push(relay)
    return relay
  }
}

type WatchEvent = { type: string; object: ConfigMap }
/** A watch as a TaskManager holds it. */
class Reader {
  readonly events: WatchEvent[] = []
  ended = false
  #request: ReturnType<typeof get> | undefined

  open(t: Test, url: string, from: string, namespace = 'default'): this {
    const query = `?allowWatchBookmarks=true&${SELECTOR}&resourceVersion=${from}&timeoutSeconds=600&watch=true`
    let rest = ''
    this.#request = get(`${url}${pathOf(namespace)}${query}`, { headers: { 'user-agent': 'flink' } }, response => {
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n')
        rest = lines.pop() ?? ''
        this.events.push(...lines.map(line => JSON.parse(line) as WatchEvent))
      })
      response.on('close', () => {
        this.ended = true
      })
      response.on('error', () => {})
    })
    this.#request.on('error', () => {})
    t.teardown(() => this.#request?.destroy())
    return this
  }
  dispatcher(): string | undefined {
    return this.events.at(-1)?.object.data?.[`${KEY}dispatcher`]
  }
  versions(): number[] {
    return this.events.map(({ object }) => Number(object.metadata.resourceVersion))
  }
}
const grow = (versions: number[]): boolean =>
  versions.every((version, i) => i === 0 || version > (versions[i - 1] ?? 0))

t.test('a TaskManager is told who leads, and of each change, from memory', async t => {
  const cluster = new Cluster()
  await cluster.start(t)
  cluster.lead('jm-0_uid')
  const relay = await cluster.relay()
  await until(leads(relay, 'jm-0'))
  const listed = await json(`${relay.url}${pathOf('default')}?${SELECTOR}&resourceVersion=0`)
  t.match(listed, { status: 200, body: { kind: 'ConfigMapList', items: [{ metadata: { name: LOCK } }] } })
  const { metadata } = listed.body as { metadata: { resourceVersion: string } }
  const reader = new Reader().open(t, relay.url, metadata.resourceVersion)
  cluster.lead('jm-1_uid')
  await until(() => reader.dispatcher()?.startsWith('s-2,') === true)
  await until(leads(relay, 'jm-1'))
  t.match(await leader(relay), {
    clusterId: CLUSTER_ID,
    isLeader: false,
    token: 2,
    transitions: 4,
    components: { dispatcher: { sessionId: 's-2' } },
  })
  t.equal(reader.events.length, 1)
  t.match(reader.events[0], { type: 'MODIFIED', object: { kind: 'ConfigMap', apiVersion: 'v1' } })
  t.notOk(
    cluster.api.requests.some(({ userAgent }) => userAgent === 'test relay'),
    'the API server is not asked',
  )
})

t.test('the leader keys alone come out of a relay', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  cluster.lead('jm-0_uid', 60_000, { [`${KEY}restserver`]: 's,http://h:8081', 'executionPlan-0a': 'rO0AB' })
  const relay = await cluster.relay()
  await until(leads(relay, 'jm-0'))
  const { body } = await json(`${relay.url}${pathOf('default')}/${LOCK}`)
  t.same((body as ConfigMap).data, { [`${KEY}restserver`]: 's,http://h:8081' })
})

t.test('the namespace that Flink names is the one that it is answered in; the peers are asked for theirs', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  cluster.lead('jm-0_uid')
  const relay = await cluster.relay({ learn: true })
  for (const namespace of ['default', NAMESPACE, 'elsewhere']) {
    const { body } = await json(`${relay.url}${pathOf(namespace)}?${SELECTOR}`)
    t.match(body, { items: [{ metadata: { namespace } }] })
    const one = await json(`${relay.url}${pathOf(namespace)}/${LOCK}`)
    t.match(one.body, { metadata: { namespace } })
    const reader = new Reader().open(t, relay.url, '1', namespace)
    await until(() => reader.events.length === 1)
    t.match(reader.events[0], { object: { metadata: { namespace } } })
  }
  t.same(relay.relay.target, { namespace: NAMESPACE, clusterId: CLUSTER_ID })
})

t.test(
  'all JobManagers gone: the view stays, no watch ends, and /leader says 503 with the age when the term is over',
  async t => {
    const cluster = new Cluster()
    await cluster.start(t)
    cluster.lead('jm-0_uid', 3_000)
    const relay = await cluster.relay()
    await until(leads(relay, 'jm-0'))
    await until(() => relay.relay.cached !== undefined)
    const reader = new Reader().open(t, relay.url, '1')
    await until(() => reader.events.length === 1)
    await cluster.crashAll()
    const gone = Date.now()
    t.equal((await leader(relay)).name, 'jm-0', 'its term can still be valid')
    await until(leads(relay, null))
    t.ok(Date.now() - gone < 3_500)
    const told = await json(`${relay.url}/leader`)
    t.match(told, { status: 503, body: { clusterId: CLUSTER_ID, name: null, token: 0, components: { jobs: {} } } })
    t.ok(Number((told.body as LeaderDocument).ageSeconds) > 0)
    t.match((await json(`${relay.url}${pathOf('default')}?${SELECTOR}`)).body, {
      items: [{ metadata: { name: LOCK } }],
    })
    t.equal(reader.ended, false)
    t.equal(reader.events.length, 1)
    t.equal((await json(`${relay.url}/readyz`)).status, 200)
    t.equal((await json(`${relay.url}/healthz`)).status, 200)
    for (const path of ['/members', '/history', '/jobs', '/problems'])
      t.match(
        await json(`${relay.url}${path}`),
        { status: 503, body: { error: /no JobManager/, ageSeconds: Number } },
        path,
      )
  },
)

t.test('every sidecar restarted: the watch goes on, and its versions grow', async t => {
  const cluster = new Cluster()
  await cluster.start(t)
  cluster.lead('jm-0_uid')
  const relay = await cluster.relay()
  const reader = new Reader().open(t, relay.url, '0')
  await until(() => reader.dispatcher()?.startsWith('s-1,') === true)
  await cluster.crashAll()
  cluster.lead('jm-3_uid')
  await cluster.add('sc-3')
  await until(() => reader.dispatcher()?.startsWith('s-2,') === true)
  await until(leads(relay, 'jm-3'))
  t.equal(reader.ended, false)
  t.ok(grow(reader.versions()), String(reader.versions()))
  t.notOk(reader.events.some(({ type }) => type === 'DELETED'))
})

t.test('a restarted relay goes on where its reader was', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  cluster.lead('jm-0_uid')
  const first = await cluster.relay()
  const before = new Reader().open(t, first.url, '0')
  await until(() => before.events.length === 1)
  await first.stop()
  const second = await cluster.relay()
  const after = new Reader().open(t, second.url, String(before.versions().at(-1)))
  cluster.lead('jm-1_uid')
  await until(() => after.dispatcher()?.startsWith('s-2,') === true)
  t.ok(grow([...before.versions(), ...after.versions()]))
})

t.test('a TaskManager that comes before the JobManagers is given an empty list and then the addition', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 0)
  const relay = await cluster.relay()
  const started = Date.now()
  const listed = await json(`${relay.url}${pathOf('default')}?${SELECTOR}&resourceVersion=0`)
  t.match(listed, { status: 200, body: { kind: 'ConfigMapList', metadata: { resourceVersion: '0' }, items: [] } })
  t.ok(Date.now() - started > 7_000, 'held as long as Flink waits')
  t.ok(Date.now() - started < 9_500)
  const reader = new Reader().open(t, relay.url, '0')
  await until(() => relay.gateway.watchers.size === 1)
  t.equal((await json(`${relay.url}/readyz`)).status, 503)
  t.match(await json(`${relay.url}/leader`), { status: 503, body: { name: null, ageSeconds: null } })
  cluster.lead('jm-0_uid')
  await cluster.add('sc-0')
  await until(() => reader.events.length > 0)
  t.match(reader.events[0], { type: 'ADDED', object: { metadata: { name: LOCK, namespace: 'default' } } })
})

t.test('a list that is waiting is answered as soon as a JobManager is there', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 0)
  const relay = await cluster.relay()
  const started = Date.now()
  const listing = json(`${relay.url}${pathOf('default')}?${SELECTOR}`)
  const getting = json(`${relay.url}${pathOf('default')}/${LOCK}`)
  cluster.lead('jm-0_uid')
  await cluster.add('sc-0')
  t.match((await listing).body, { items: [{ metadata: { name: LOCK } }] })
  t.equal((await getting).status, 200)
  t.ok(Date.now() - started < 7_000)
})

t.test('a lock that nobody made yet is an empty list at once, and its making an addition', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 0)
  cluster.api.store.delete(CONFIG_MAPS, NAMESPACE, LOCK)
  // A candidate would make it at once.
  cluster.api.fail({ match: ({ method }) => method === 'POST', status: 503, times: 1_000 })
  await cluster.add('sc-0')
  const relay = await cluster.relay()
  const started = Date.now()
  const { body } = await json(`${relay.url}${pathOf('default')}?${SELECTOR}&resourceVersion=0`)
  t.match(body, { items: [] })
  t.ok(Date.now() - started < 5_000)
  const { resourceVersion } = (body as { metadata: { resourceVersion: string } }).metadata
  t.ok(Number(resourceVersion) > 0, 'the real version of the store')
  t.equal((await json(`${relay.url}${pathOf('default')}/${LOCK}`)).status, 404)
  const reader = new Reader().open(t, relay.url, resourceVersion)
  await until(() => relay.gateway.watchers.size === 1)
  cluster.api.store.create(CONFIG_MAPS, NAMESPACE, { metadata: { name: LOCK } })
  await until(() => reader.events.length === 1)
  t.match(reader.events[0], { type: 'ADDED' })
  t.ok(grow([Number(resourceVersion), ...reader.versions()]))
})

t.test('a deleted lock is not told: the view is only that it is gone for who lists', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  cluster.lead('jm-0_uid')
  const relay = await cluster.relay()
  const reader = new Reader().open(t, relay.url, '0')
  await until(() => reader.events.length === 1)
  cluster.api.store.delete(CONFIG_MAPS, NAMESPACE, LOCK)
  cluster.api.store.create(CONFIG_MAPS, NAMESPACE, {
    metadata: { name: LOCK },
    data: { [`${KEY}dispatcher`]: 's-9,a' },
  })
  await until(() => reader.dispatcher() === 's-9,a')
  t.notOk(reader.events.some(({ type }) => type === 'DELETED'))
  t.ok(grow(reader.versions()))
})

t.test('a silent peer is left within seconds', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 0)
  const silent = new SilentPeer()
  cluster.peers = [await silent.start()]
  t.teardown(() => silent.stop())
  const relay = await cluster.relay()
  await until(() => silent.connections === 1)
  const since = Date.now()
  cluster.lead('jm-0_uid')
  await cluster.add('sc-0')
  await until(leads(relay, 'jm-0'))
  t.ok(Date.now() - since < 6_000)
  t.match(await relay.metrics.registry.metrics(), /flink_ha_relay_left_total\{reason="silent"\} 1/)
})

t.test('a sidecar that falls silent later is left within seconds, and what it told stays', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 0)
  const document = { clusterId: CLUSTER_ID, name: 'jm-9', token: 3, validForMs: 60_000, transitions: 0 }
  const dying = new FalsePeer((request, response) => {
    if (request.url?.startsWith('/leader/stream')) response.write(`data: ${JSON.stringify(document)}\n\n`)
  })
  cluster.peers = [await dying.start()]
  t.teardown(() => dying.stop())
  const relay = await cluster.relay()
  await until(leads(relay, 'jm-9'))
  t.ok(dying.asked.some(path => path.includes(`of=${NAMESPACE}%2F${CLUSTER_ID}`)))
  await until(() => relay.relay.connected === false)
  t.match(await relay.metrics.registry.metrics(), /left_total\{reason="(silent|unreachable)"\} 1/)
  t.equal((await leader(relay)).name, 'jm-9')
})

t.test('a peer that tells an older term is not believed, nor is its ConfigMap', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  for (let i = 0; i < 5; i++) cluster.lead('jm-0_uid')
  const relay = await cluster.relay()
  const reader = new Reader().open(t, relay.url, '0')
  await until(leads(relay, 'jm-0'))
  await until(() => reader.events.length === 1)
  const document = { clusterId: CLUSTER_ID, name: 'old', token: 4, validForMs: 60_000, transitions: 0 }
  const lagging = new FalsePeer((request, response) => {
    if (request.url?.startsWith('/leader/stream')) response.write(`data: ${JSON.stringify(document)}\n\n`)
    else response.end('{}')
  })
  await cluster.crashAll()
  cluster.peers = [await lagging.start()]
  t.teardown(() => lagging.stop())
  await until(() => lagging.asked.length >= 2)
  t.ok(
    lagging.asked.every(path => path.startsWith('/leader/stream')),
    'its ConfigMap is not even asked for',
  )
  t.equal((await leader(relay)).name, 'jm-0')
  t.match(await relay.metrics.registry.metrics(), /left_total\{reason="old-token"\}/)
})

t.test('peers that refuse, end, talk nonsense or belong to others are left, and the good one is found', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 0)
  const answers: ((response: import('node:http').ServerResponse) => void)[] = [
    response => response.writeHead(503).end('busy'),
    response => response.end(),
    response => response.end('data: {"name":7}\n\n'),
    response =>
      response.write(`data: ${JSON.stringify({ clusterId: 'other', name: 'x', token: 1, validForMs: 9 })}\n\n`),
    response => response.destroy(),
    response => response.write('event: beat\ndata: soon\n\n'),
  ]
  for (const answer of answers) {
    const peer = new FalsePeer((_, response) => answer(response))
    cluster.peers.push(await peer.start())
    t.teardown(() => peer.stop())
  }
  cluster.peers.push('http://127.0.0.1:1')
  cluster.lead('jm-0_uid')
  await cluster.add('sc-0')
  const relay = await cluster.relay()
  await until(leads(relay, 'jm-0'))
  t.equal((await leader(relay)).token, 1)
})

t.test('a sidecar of another namespace’s cluster with the same id turns the relay away', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  cluster.lead('jm-0_uid')
  const base = `${cluster.peers[0]}/leader/stream`
  const other = await json(`${base}?of=elsewhere/${CLUSTER_ID}`)
  t.match(other, {
    status: 421,
    body: { error: `of is "elsewhere/${CLUSTER_ID}": this pod is of "${NAMESPACE}/${CLUSTER_ID}"` },
  })
})

t.test('a sidecar that knows of no leader is left for one that does, also when that came later', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  cluster.lead('jm-9_uid', 1_000)
  const relay = await cluster.relay()
  await until(leads(relay, 'jm-9'))
  await until(leads(relay, null))
  const document = { clusterId: CLUSTER_ID, name: 'jm-9', token: 9, validForMs: 60_000, transitions: 0 }
  const knowing = new FalsePeer((request, response) => {
    if (request.url?.startsWith('/leader/stream')) response.write(`data: ${JSON.stringify(document)}\n\n`)
    else response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }))
  })
  cluster.peers.push(await knowing.start())
  t.teardown(() => knowing.stop())
  await until(leads(relay, 'jm-9'))
  t.match(await relay.metrics.registry.metrics(), /left_total\{reason="no-leader"\} 1/)
})

t.test('a reader that does not read is cut off, and the others are served on', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  cluster.lead('jm-0_uid')
  const relay = await cluster.relay()
  await until(leads(relay, 'jm-0'))
  const { hostname, port } = new URL(relay.url)
  const sleeper = createConnection({ host: hostname, port: Number(port) })
  sleeper.on('error', () => {})
  t.teardown(() => sleeper.destroy())
  sleeper.write(`GET ${pathOf('default')}?watch=true&${SELECTOR} HTTP/1.1\r\nHost: x\r\n\r\n`)
  sleeper.pause()
  await until(() => relay.gateway.watchers.size === 1)
  const big = 'x'.repeat(900_000)
  for (let i = 0; i < 60 && relay.gateway.watchers.size > 0; i++) {
    const { cached } = relay.relay
    cluster.lead('jm-0_uid', 60_000, { [`${KEY}job-0a`]: `${big}${i}` })
    await until(() => relay.relay.cached !== cached)
  }
  t.equal(relay.gateway.watchers.size, 0)
  t.equal((await fetch(`${relay.url}/leader`)).status, 200)
  t.match(await (await fetch(`${relay.url}/metrics`)).text(), /flink_ha_streams_cut_off_total 1/)
})

t.test('the cluster is learned from Flink’s first request, of either dialect, and from nobody else', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  cluster.lead('jm-0_uid')
  const labels = encodeURIComponent(`app=${CLUSTER_ID},type=flink-native-kubernetes,configmap-type=high-availability`)
  for (const query of [SELECTOR, `labelSelector=${labels}`]) {
    const relay = await cluster.relay({ learn: true })
    t.equal((await json(`${relay.url}/readyz`)).status, 200, 'before Flink asks there is nothing to be ready for')
    t.match(await json(`${relay.url}/members`), { status: 503, body: { error: /no Flink cluster is known/ } })
    t.equal((await json(`${relay.podUrl}${pathOf('default')}?${SELECTOR}`)).status, 403)
    t.match(await json(`${relay.url}${pathOf('default')}`), { status: 403, body: { kind: 'Status' } })
    const odd = encodeURIComponent('metadata.name=../x-cluster-config-map')
    t.equal((await json(`${relay.url}${pathOf('default')}?fieldSelector=${odd}`)).status, 403)
    t.equal(relay.relay.target, undefined)
    t.match((await json(`${relay.url}${pathOf('default')}?${query}`)).body, { items: [{ metadata: { name: LOCK } }] })
    t.same(relay.relay.target, { namespace: NAMESPACE, clusterId: CLUSTER_ID })
  }
})

t.test('nothing is written through a relay, and nothing else is read', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  cluster.lead('jm-0_uid')
  const relay = await cluster.relay()
  await until(() => relay.relay.cached !== undefined)
  for (const base of [relay.url, relay.podUrl])
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
      t.match(await json(`${base}${pathOf('default')}/${LOCK}`, { method }), { status: 405, body: { kind: 'Status' } })
  for (const [path, status] of [
    ['/api/v1/namespaces/default/secrets', 404],
    ['/apis/apps/v1/deployments', 404],
    [`${pathOf('default')}/kube-root-ca.crt`, 403],
    [`${pathOf('default')}/c-0a-config-map`, 403],
    [pathOf('default'), 403],
    [`${pathOf('default')}?fieldSelector=metadata.name%3Dother-cluster-config-map`, 403],
    [`${pathOf('default')}?labelSelector=app%3Dother`, 403],
    ['/leaders', 404],
    ['/__proto__', 404],
  ] as const)
    t.equal((await fetch(`${relay.url}${path}`)).status, status, path)
  t.equal((await fetch(`${relay.url}/switchover`, { method: 'POST' })).status, 404, 'a relay has nothing to hand over')
})

t.test('/primary and /replica are 503, the rest of the endpoint is answered or passed on', async t => {
  const cluster = new Cluster()
  await cluster.start(t)
  cluster.lead('jm-0_uid')
  const relay = await cluster.relay()
  await until(leads(relay, 'jm-0'))
  for (const base of [relay.url, relay.podUrl]) {
    t.match(await json(`${base}/primary`), { status: 503, body: { name: 'jm-0', isLeader: false } })
    t.match(await json(`${base}/replica`), { status: 503, body: { name: 'jm-0' } })
    t.match((await json(`${base}/`)).body, { name: 'jm-0', last_update: /Z$/ })
    t.match(await json(`${base}/history`), { status: 200, body: [{ name: 'jm-0' }] })
    t.match(await json(`${base}/jobs`), { status: 200, body: [] })
    t.ok(Array.isArray((await json(`${base}/members`)).body))
    t.match(await json(`${base}/readyz`), { status: 200, body: { ready: true, role: 'relay', connected: true } })
    const text = await (await fetch(`${base}/metrics`)).text()
    for (const line of ['flink_ha_relay_connected 1', 'flink_ha_term_token 1']) t.ok(text.includes(line), line)
  }
})

t.test('a long poll of a relay is answered at the change of leader', async t => {
  const cluster = new Cluster()
  await cluster.start(t, 1)
  cluster.lead('jm-0_uid')
  const relay = await cluster.relay()
  await until(leads(relay, 'jm-0'))
  const index = (await json(`${relay.url}/leader`)).headers.get('x-flink-ha-index')
  const poll = (from: string | null) => json(`${relay.url}/leader?wait=30s&index=${from}`)
  const waiting = poll(index)
  // The record alone: a sidecar tells of a change of data and of the record one after the other.
  cluster.lead('jm-1_uid', 60_000, {})
  let told = await waiting
  // For that reason news of the first leader may have been on their way.
  while ((told.body as LeaderDocument).name === 'jm-0') told = await poll(told.headers.get('x-flink-ha-index'))
  t.match(told.body, { name: 'jm-1', token: 2 })
  t.ok(Number(relay.status.index) > Number(index))
})
