// `flink-ha status`, against an endpoint that answers as a sidecar does.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { runStatus, status } from '../../cli/status.ts'
import type { JobDocument, Problem } from '../../sidecar/ha-data.ts'
import { CapturedIo } from '../world/captured-io.ts'

const JOB = 'a'.repeat(32)
const leader = {
  clusterId: 'c',
  name: 'jm-1',
  token: 7,
  lastUpdate: '2026-06-01T00:00:00.000Z',
  components: { restserver: { sessionId: 's', address: 'http://10.0.0.1:8081' }, jobs: {} },
}
const members = [{ name: 'jm-1', role: 'leader', healthy: true, address: null }]
const problem: Problem = { configMap: `c-${JOB}-config-map`, key: 'x', problem: 'Flink has no such key here' }
const job: JobDocument = {
  id: JOB,
  name: 'Ticker',
  state: 'led',
  leader: { sessionId: 's', address: 'pekko.tcp://flink@10.0.0.1:6123/user/rpc/jobmanager_2' },
  planStored: true,
  checkpointCounter: 13,
  checkpoints: [12, 11, 10, 9],
  bytes: 1_834,
  sizePercent: 0.2,
  problems: [problem],
}

const sidecar = async (t: Test, answers: { [path: string]: [number, unknown] }): Promise<string> => {
  const server = createServer(({ url = '' }, response) => {
    const [code, body] = answers[url] ?? [404, { error: 'not served' }]
    response.writeHead(code).end(JSON.stringify(body))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
const FULL = {
  '/leader': [200, leader],
  '/members': [200, members],
  '/jobs': [200, [job]],
  '/problems': [200, [problem]],
} as { [path: string]: [number, unknown] }

t.test('the leader, the candidates, the jobs, and what is damaged', async t => {
  const io = new CapturedIo()
  t.equal(await status(await sidecar(t, FULL), false, io), 0)
  t.match(io.outText, /^cluster {5}c\nleader {6}jm-1\n/)
  t.match(io.outText, /^candidate {3}jm-1 leader healthy$/m)
  t.match(io.outText, /^job +name +state +leader +checkpoints +next +size$/m)
  t.match(io.outText, /^a{32} +Ticker +led +pekko\S+ \(session s\) +12, 11, 10, … +13 +1\.8 kB \(0\.2 %\)$/m)
  t.match(io.outText, /^c-a+-config-map, key x: Flink has no such key here$/m)
})

t.test('as JSON, each as the sidecar tells it', async t => {
  const io = new CapturedIo()
  t.equal(await status(await sidecar(t, FULL), true, io), 0)
  t.same(JSON.parse(io.outText), { leader, members, jobs: [job], problems: [problem] })
})

t.test('names and addresses are shown without what a terminal would obey', async t => {
  const evil = '\u001b[2J\n'
  const address = `pekko.tcp://flink@${'h'.repeat(200)}:6123/user/rpc/jobmanager_2`
  const jobs = [{ ...job, name: `Ticker${evil}`, leader: { sessionId: `s${evil}`, address: `${address}${evil}` } }]
  const components = { ...leader.components, restserver: { sessionId: 's', address: `http://h${evil}` } }
  const answers: typeof FULL = { ...FULL, '/jobs': [200, jobs], '/leader': [200, { ...leader, components }] }
  const io = new CapturedIo()
  t.equal(await status(await sidecar(t, answers), false, io), 0)
  t.notMatch(io.outText, '\u001b')
  t.match(io.outText, 'Ticker\\u001b[2J\\n')
  t.match(io.outText, `${address}\\u001b[2J\\n (session s\\u001b[2J\\n)`)
  t.match(io.outText, 'http://h\\u001b[2J\\n')
})

t.test('nobody leads, and nothing else is told: exit code 1 all the same', async t => {
  const nobody = { ...leader, name: null, components: { jobs: {} } }
  const io = new CapturedIo()
  t.equal(await status(await sidecar(t, { '/leader': [503, nobody] }), false, io), 1)
  t.match(io.outText, /^leader {6}nobody is known to lead\n$/m)
})

t.test('flags that do not go together are refused', async t => {
  for (const args of [
    ['-n', 'x'],
    ['-nx'],
    ['--namespace=x'],
    ['--kubeconfig', 'x'],
    ['--context=x'],
    ['--orphans', '--url', 'http://x'],
    ['--orphans', '-n', 'X'],
  ])
    await t.rejects(runStatus(args, '0.1.0'), { name: 'ConfigError' }, args.join(' '))
})
