// The contract of the endpoint, row by row, against a real sidecar on the embedded API.
import { createServer, get, request as httpRequest } from 'node:http'
import { type AddressInfo, createConnection } from 'node:net'
import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { haLabels } from '../../shared/lock.ts'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { formatRecord, formatTime } from '../../shared/record.ts'
import type { JobDocument, Problem } from '../../sidecar/ha-data.ts'
import type { LeaderDocument } from '../../sidecar/leader.ts'
import { statePointer } from '../world/flink-records.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { KubeServer } from '../world/kube-server.ts'
import { CLUSTER_ID, LOCK, NAMESPACE, TestSidecar } from '../world/sidecar.ts'

const CONFIG_MAPS = resourceOf('configmaps')
const KEY = 'org.apache.flink.k8s.leader.'
let stamp = 0
/** A record of another candidate, as freshly renewed. */
const record = (holder: string, leaseMs = 60_000): string => {
  const time = formatTime(1.7e15 + ++stamp)
  return formatRecord({ holder, leaseMs, acquireTime: time, renewTime: time, transitions: 4 })
}

type Stage = { api: KubeServer; sidecar: TestSidecar; hold: (holder: string, leaseMs?: number, data?: object) => void }

const stage = async (t: Test, clock: Clock = systemClock): Promise<Stage> => {
  const api = new KubeServer()
  await api.listen()
  api.store.create(resourceOf('namespaces'), '', { metadata: { name: NAMESPACE } })
  api.store.create(CONFIG_MAPS, NAMESPACE, {
    metadata: { name: LOCK, annotations: { [ANNOTATION_LEADER]: record('') } },
  })
  const sidecar = new TestSidecar({ apiUrl: api.url, name: 'jm-0', jvmPort: 1, clock })
  await sidecar.start()
  t.teardown(async () => {
    await sidecar.crash()
    await api.close()
  })
  await until(() => sidecar.candidate.lock !== undefined)
  const hold = (holder: string, leaseMs?: number, data?: object): void => {
    const annotations = { [ANNOTATION_LEADER]: record(holder, leaseMs), 'flink-ha.io/token': '77' }
    api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { metadata: { annotations }, ...(data && { data }) })
  }
  return { api, sidecar, hold }
}

const until = async (fits: () => boolean | Promise<boolean>): Promise<void> => {
  const end = Date.now() + 15_000
  while (!(await fits())) {
    if (Date.now() > end) throw new Error(`never came: ${fits}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
const json = async (url: string, init?: RequestInit): Promise<{ status: number; headers: Headers; body: unknown }> => {
  const response = await fetch(url, init)
  return { status: response.status, headers: response.headers, body: await response.json() }
}
const leads = (sidecar: TestSidecar, name: string | null) => async (): Promise<boolean> =>
  ((await json(`${sidecar.url}/leader`)).body as LeaderDocument).name === name

t.test('GET /leader tells the leader with its components, on both ports', async t => {
  const { sidecar, hold } = await stage(t)
  hold('jm-1_uid', 60_000, {
    [`${KEY}restserver`]: 's-1,http://10.0.0.1:8081',
    [`${KEY}dispatcher`]: 's-1,pekko.tcp://flink@10.0.0.1:6123/user/rpc/dispatcher_1',
    [`${KEY}job-00000000000000000000000000000001`]: 's-1,pekko.tcp://flink@10.0.0.1:6123/user/rpc/jobmanager_2',
    [`${KEY}resourcemanager`]: 'garbage',
  })
  await until(leads(sidecar, 'jm-1'))
  for (const base of [sidecar.url, sidecar.podUrl]) {
    const { status, headers, body } = await json(`${base}/leader`)
    t.equal(status, 200)
    t.match(headers.get('x-flink-ha-index'), /^\d+$/)
    t.match(body, {
      clusterId: CLUSTER_ID,
      name: 'jm-1',
      isLeader: false,
      token: 77,
      transitions: 4,
      lastUpdate: /^\d{4}-.*Z$/,
      components: {
        restserver: { sessionId: 's-1', address: 'http://10.0.0.1:8081' },
        dispatcher: { sessionId: 's-1' },
        jobs: { '00000000000000000000000000000001': { sessionId: 's-1' } },
      },
    })
    t.notOk((body as LeaderDocument).components.resourcemanager, 'what cannot be read is not told')
    t.ok((body as LeaderDocument).validForMs > 0)
  }
})

t.test('a new leader is not told with the addresses of the last one', async t => {
  const { sidecar, hold } = await stage(t)
  const restserver = (session: string, host: string) => ({ [`${KEY}restserver`]: `${session},http://${host}:8081` })
  hold('jm-1_uid', 60_000, restserver('s-1', '10.0.0.1'))
  await until(leads(sidecar, 'jm-1'))
  hold('jm-2_uid')
  await until(leads(sidecar, 'jm-2'))
  const components = async () => ((await json(`${sidecar.url}/leader`)).body as LeaderDocument).components
  t.same(await components(), { jobs: {} })
  hold('jm-2_uid', 60_000, restserver('s-2', '10.0.0.2'))
  await until(async () => (await components()).restserver?.sessionId === 's-2')
  t.pass('but with its own as soon as it wrote them')
})

t.test('nobody leads: 503, the same shape, no name', async t => {
  const { sidecar } = await stage(t)
  const { status, body } = await json(`${sidecar.url}/leader`)
  t.equal(status, 503)
  t.match(body, {
    clusterId: CLUSTER_ID,
    name: null,
    isLeader: false,
    token: 0,
    validForMs: 0,
    components: { jobs: {} },
  })
})

t.test('never a stale name: after losing touch for a lease, 503', async t => {
  const { api, sidecar, hold } = await stage(t)
  hold('jm-1_uid', 1_000)
  await until(leads(sidecar, 'jm-1'))
  await api.refuse()
  const { body } = await json(`${sidecar.url}/leader`)
  t.ok((body as LeaderDocument).validForMs <= 1_000)
  await until(leads(sidecar, null))
  t.equal((await json(`${sidecar.url}/leader`)).status, 503)
  await api.accept()
})

t.test('what waited in the socket of a sidecar that was stopped is as old as its sleep', async t => {
  let [sleptMs, asleep] = [0, false]
  const late: (() => void)[] = []
  // Timers that are due are late: what waited in sockets is read before them.
  const after: Clock['after'] = (delayMs, run) => systemClock.after(delayMs, () => (asleep ? late.push(run) : run()))
  const { sidecar, hold } = await stage(t, { ...systemClock, monoMs: () => systemClock.monoMs() + sleptMs, after })
  hold('jm-1_uid', 60_000)
  await until(leads(sidecar, 'jm-1'))
  asleep = true
  sleptMs = 100_000
  const before = sidecar.candidate.lock?.version
  hold('jm-1_uid', 60_000)
  await until(() => sidecar.candidate.lock?.version !== before)
  t.ok(await leads(sidecar, null)(), 'its renewal may be 100 s old')
  asleep = false
  for (const run of late) run()
  await until(async () => {
    hold('jm-1_uid', 60_000)
    return await leads(sidecar, 'jm-1')()
  })
})

t.test(
  'a long poll is answered at once when the index moved on, else at the next change, else after its time',
  async t => {
    const { sidecar, hold } = await stage(t)
    const first = await json(`${sidecar.url}/leader?wait=30s&index=1`)
    const index = first.headers.get('x-flink-ha-index')
    const waiting = json(`${sidecar.url}/leader?wait=30s&index=${index}`)
    hold('jm-1_uid')
    t.match((await waiting).body, { name: 'jm-1' })
    const next = (await json(`${sidecar.url}/leader`)).headers.get('x-flink-ha-index')
    t.ok(Number(next) > Number(index))
    t.equal((await json(`${sidecar.url}/leader?wait=50ms&index=${next}`)).headers.get('x-flink-ha-index'), next)
  },
)

t.test('a renewal moves no index', async t => {
  const { sidecar, hold } = await stage(t)
  hold('jm-1_uid')
  await until(leads(sidecar, 'jm-1'))
  const index = (): number => sidecar.status.index
  const before = index()
  const { lock } = sidecar.candidate
  hold('jm-1_uid')
  await until(() => sidecar.candidate.lock !== lock)
  t.equal(index(), before)
})

t.test('bad long polls are told what is wrong', async t => {
  const { sidecar } = await stage(t)
  t.match(await json(`${sidecar.url}/leader?wait=soon`), { status: 400, body: { error: /wait is "soon"/ } })
  t.match(await json(`${sidecar.url}/leader?wait=301s`), { status: 400 })
  t.match(await json(`${sidecar.url}/leader?wait=1s&index=x`), { status: 400, body: { error: /index is "x"/ } })
})

t.test('the event stream begins with the present, tells changes, and goes on from the last id', async t => {
  const { sidecar, hold } = await stage(t)
  const text = { all: '' }
  const request = get(`${sidecar.url}/leader/stream`, response => {
    t.match(response.headers['content-type'], /^text\/event-stream/)
    response.on('data', chunk => {
      text.all += chunk
    })
    response.on('error', () => {})
  })
  request.on('error', () => {})
  t.teardown(() => request.destroy())
  await until(() => /^id: \d+\ndata: \{.*"name":null.*\}\n\n/.test(text.all))
  hold('jm-1_uid')
  await until(() => text.all.includes('"name":"jm-1"'))
  const last = [...text.all.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1] ?? ''
  const again = { all: '' }
  const second = get(`${sidecar.url}/leader/stream`, { headers: { 'last-event-id': last } }, response => {
    response.on('data', chunk => {
      again.all += chunk
    })
    response.on('error', () => {})
  })
  second.on('error', () => {})
  t.teardown(() => second.destroy())
  await until(() => again.all.startsWith(':'))
  t.notOk(again.all.includes('data:'), 'nothing was missed')
})

t.test('GET / answers as leader-elector sidecars do, and a page to a browser', async t => {
  const { sidecar, hold } = await stage(t)
  t.match((await json(`${sidecar.url}/`)).body, { name: '' })
  hold('jm-1_uid')
  await until(leads(sidecar, 'jm-1'))
  t.match((await json(`${sidecar.url}/`)).body, { name: 'jm-1', last_update: /Z$/ })
  const page = await fetch(`${sidecar.url}/`, { headers: { accept: 'text/html,*/*' } })
  t.match(page.headers.get('content-type'), /^text\/html/)
  t.match(await page.text(), /<title>flink-ha<\/title>/)
})

t.test('/primary and /replica answer by this pod’s role, HEAD too', async t => {
  const { sidecar } = await stage(t)
  t.equal((await json(`${sidecar.url}/primary`)).status, 503)
  t.equal((await json(`${sidecar.url}/replica`)).status, 503, 'without a JVM it is no replica either')
  sidecar.candidate.jvmEvent({ type: 'socket-opened' })
  sidecar.candidate.jvmEvent({ type: 'elector-heard' })
  await until(() => sidecar.candidate.leading())
  t.match(await json(`${sidecar.url}/primary`), { status: 200, body: { name: 'jm-0', isLeader: true } })
  const head = await fetch(`${sidecar.url}/primary`, { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(await head.text(), '')
  t.equal((await json(`${sidecar.url}/replica`)).status, 503)
})

t.test('/history tells past terms with their reason', async t => {
  const { sidecar, hold } = await stage(t)
  hold('jm-1_uid')
  await until(leads(sidecar, 'jm-1'))
  hold('jm-2_uid')
  await until(leads(sidecar, 'jm-2'))
  const { body } = await json(`${sidecar.url}/history`)
  t.match(body, [
    { name: 'jm-1', reason: 'expired', to: /Z$/ },
    { name: 'jm-2', to: null, reason: null },
  ])
})

t.test('/jobs tells leader, counter and newest checkpoints, and steps over what it cannot read', async t => {
  const { api, sidecar, hold } = await stage(t)
  const [id, left] = ['0000000000000000000000000000000a', '0000000000000000000000000000000b']
  const pointer = statePointer('s3://x', false)
  const rest = createServer((_, response) => response.end(JSON.stringify({ jobs: [{ jid: id, name: 'Ticker' }] })))
  await new Promise<void>(resolve => rest.listen(0, '127.0.0.1', resolve))
  t.teardown(() => rest.close())
  hold('jm-1_uid', 60_000, {
    [`${KEY}restserver`]: `s,http://127.0.0.1:${(rest.address() as AddressInfo).port}`,
    [`executionPlan-${id}`]: pointer,
    [`${KEY}job-${id}`]: 's,pekko.tcp://flink@h:1/u',
    'executionPlan-xyz': '?',
  })
  const create = (name: string, labels: { [name: string]: string }, data: { [key: string]: string }): void =>
    void api.store.create(CONFIG_MAPS, NAMESPACE, { metadata: { name, labels }, data })
  create(`c-${id}-config-map`, haLabels('c'), {
    counter: '8',
    'checkpointID-0000000000000000007': pointer,
    'checkpointID-0000000000000000006': pointer,
    'checkpointID-0000000000000000005': 'x',
    'checkpointID-oops': pointer,
  })
  create(`c-${left}-config-map`, haLabels('c'), {})
  create('c-mine-config-map', haLabels('c'), { counter: '1' })
  await until(leads(sidecar, 'jm-1'))
  await until(async () => ((await json(`${sidecar.url}/jobs`)).body as { name: string }[])[0]?.name === 'Ticker')
  for (const base of [sidecar.url, sidecar.podUrl]) {
    const { body } = await json(`${base}/jobs`)
    t.match(body, [
      { id, state: 'led', planStored: true, checkpointCounter: 8, checkpoints: [7, 6], leader: { sessionId: 's' } },
      { id: left, name: null, state: 'leftover', planStored: false, leader: null, problems: [] },
    ])
    const [{ bytes, sizePercent, problems }] = body as [JobDocument]
    t.ok(bytes > 2_000)
    t.equal(sizePercent, Math.round(bytes / 1_000) / 10)
    t.same(problems.map(({ key }) => key).sort(), ['checkpointID-0000000000000000005', 'checkpointID-oops'])
    const all = (await json(`${base}/problems`)).body as Problem[]
    t.same(all.map(({ configMap, key }) => `${configMap}/${key}`).sort(), [
      `c-${id}-config-map/checkpointID-0000000000000000005`,
      `c-${id}-config-map/checkpointID-oops`,
      'c-cluster-config-map/executionPlan-xyz',
      'c-mine-config-map/',
    ])
  }
})

t.test('/jobs tells what it could not read, and asks once for all who ask within a second', async t => {
  const { api, sidecar, hold } = await stage(t)
  const id = '0000000000000000000000000000000a'
  hold('jm-1_uid', 60_000, { [`executionPlan-${id}`]: statePointer('s3://x', false) })
  await until(leads(sidecar, 'jm-1'))
  const name = `c-${id}-config-map`
  const isOfJob = ({ path }: { path: string }): boolean => path.endsWith(name)
  api.fail({ match: isOfJob, times: 1, status: 403 })
  const unread = { configMap: name, key: '', problem: 'it is not read: the API server answered 403' }
  for (const path of ['/jobs', '/problems', '/jobs']) {
    const [first] = (await json(`${sidecar.podUrl}${path}`)).body as [JobDocument | Problem]
    t.same('problems' in first ? first.problems : [first], [unread], path)
  }
  t.equal(api.requests.filter(isOfJob).length, 1)
})

t.test('/members tells this pod, the leader, and whoever joined and answers', async t => {
  const { api, sidecar, hold } = await stage(t)
  hold('jm-1_uid')
  await until(leads(sidecar, 'jm-1'))
  const other = new TestSidecar({ apiUrl: api.url, name: 'jm-2', jvmPort: 1 })
  await other.start()
  t.teardown(() => other.crash())
  const at = other.podUrl.slice('http://'.length)
  const joined = { 'jm-2_uid': at, 'jm-3_uid': '127.0.0.1:1', 'jm-4_uid': 'nowhere', 'jm-5_uid': at }
  const candidates = JSON.stringify(joined)
  const annotations = { 'flink-ha.io/candidates': candidates }
  api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { metadata: { annotations } })
  await until(() => sidecar.candidate.cached?.object?.metadata.annotations?.['flink-ha.io/candidates'] === candidates)
  t.same((await json(`${sidecar.url}/members`)).body, [
    { name: 'jm-0', role: 'standby', healthy: false, address: null },
    { name: 'jm-1', role: 'leader', healthy: false, address: null },
    { name: 'jm-2', role: 'standby', healthy: false, address: '127.0.0.1' },
  ])
})

t.test('POST /switchover is for the leader, and for a candidate that is healthy', async t => {
  const { sidecar } = await stage(t)
  const post = (body: string) => json(`${sidecar.url}/switchover`, { method: 'POST', body })
  t.equal((await post('{"candidate":null}')).status, 409)
  sidecar.candidate.jvmEvent({ type: 'socket-opened' })
  sidecar.candidate.jvmEvent({ type: 'elector-heard' })
  await until(() => sidecar.candidate.leading())
  t.match(await post('{"candidate":null}'), { status: 412, body: { error: 'no healthy candidate' } })
  t.match(await post('{"candidate":"jm-9"}'), { status: 412, body: { error: /"jm-9"/ } })
  t.equal((await post('{"candidate":9}')).status, 400)
  t.equal((await post('{')).status, 400)
  t.ok(sidecar.candidate.leading(), 'and nothing was given up')
})

t.test('unknown paths and methods are nobody else’s answer', async t => {
  const { sidecar } = await stage(t)
  for (const path of ['/leaders', '/leader/', '/sse', '/constructor', '/__proto__', '/api', '/favicon.ico'])
    t.equal((await fetch(`${sidecar.url}${path}`)).status, 404, path)
  t.equal((await fetch(`${sidecar.url}/leader`, { method: 'POST' })).status, 405)
  t.equal((await fetch(`${sidecar.url}/switchover`)).status, 405)
})

t.test('/healthz, /readyz and /metrics answer on both ports', async t => {
  const { sidecar, hold } = await stage(t)
  hold('jm-1_uid')
  await until(leads(sidecar, 'jm-1'))
  for (const base of [sidecar.url, sidecar.podUrl]) {
    t.match(await json(`${base}/healthz`), { status: 200, body: { ok: true } })
    t.match(await json(`${base}/readyz`), { status: 200, body: { ready: true, role: 'standby', standing: false } })
    const text = await (await fetch(`${base}/metrics`)).text()
    for (const line of [
      `leader_election_master_status{name="${LOCK}"} 0`,
      'flink_ha_term_token 77',
      'flink_ha_jvm_state{phase="absent"} 1',
      'flink_ha_renewal_age_seconds 0',
    ])
      t.ok(text.includes(line), line)
  }
})

t.test('a reader that does not read is cut off, and nobody waits for it', async t => {
  const { api, sidecar, hold } = await stage(t)
  hold('jm-1_uid')
  await until(leads(sidecar, 'jm-1'))
  const { hostname, port } = new URL(sidecar.url)
  const sleeper = createConnection({ host: hostname, port: Number(port) })
  sleeper.on('error', () => {})
  t.teardown(() => sleeper.destroy())
  const path = `/api/v1/namespaces/${NAMESPACE}/configmaps?watch=true&fieldSelector=metadata.name%3D${LOCK}`
  sleeper.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
  sleeper.pause()
  await until(() => sidecar.gateway.watchers.size === 1)
  const big = 'x'.repeat(900_000)
  for (let i = 0; i < 60 && sidecar.gateway.watchers.size > 0; i++) {
    const { cached } = sidecar.candidate
    api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { data: { big: `${big}${i}` } })
    await until(() => sidecar.candidate.cached !== cached)
  }
  t.equal(sidecar.gateway.watchers.size, 0)
  t.equal((await fetch(`${sidecar.url}/leader`)).status, 200)
  t.match(await (await fetch(`${sidecar.url}/metrics`)).text(), /flink_ha_streams_cut_off_total 1/)
})

t.test('a request that is no HTTP or has no readable path harms nobody', async t => {
  const { sidecar } = await stage(t)
  const { hostname, port } = new URL(sidecar.url)
  const odd = createConnection({ host: hostname, port: Number(port) }, () =>
    odd.write('\u0016\u0003\u0001 hello\r\n\r\n'),
  )
  await new Promise(resolve =>
    odd
      .once('close', resolve)
      .on('error', () => {})
      .resume(),
  )
  const request = httpRequest({ host: hostname, port, path: '//[' })
  const status = await new Promise<number>((resolve, reject) => {
    request.on('response', response => resolve(response.resume().statusCode ?? 0))
    request.on('error', reject)
    request.end()
  })
  t.ok([400, 404].includes(status))
  t.equal((await fetch(`${sidecar.url}/healthz`)).status, 200)
})
