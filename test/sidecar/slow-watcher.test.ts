// Watchers that do not read, beside others that do: they are cut off before they cost memory, and nobody waits for them.
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { createConnection, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { PATH } from '../world/hand-made-jvm.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { LOCK, NAMESPACE } from '../world/sidecar.ts'
import { type Stage, stage, until } from '../world/stage.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const CONFIG_MAPS = resourceOf('configmaps')
const WATCH = `${PATH}?watch=true&fieldSelector=metadata.name%3D${LOCK}&resourceVersion=1`
const SLEEPERS = 5
const READERS = 4
const CHANGES = 40
const BIG = 'x'.repeat(900_000)
/** The backlogs share their texts: without an end they would hold all the changes, some 36 MiB. */
const MOST_BYTES = 16 * 1024 * 1024
/** Generous: two busy cores. Whoever waited for a sleeper would wait for ever. */
const SOON_MS = 2_000

class Reader {
  events = 0
  last = ''
  #rest = ''
  constructor(t: Test, url: string) {
    const request = httpRequest(`${url}${WATCH}`, response => this.#follow(response))
    request.on('error', () => {})
    request.end()
    t.teardown(() => request.destroy())
  }
  #follow(response: IncomingMessage): void {
    response.setEncoding('utf8')
    response.on('error', () => {})
    response.on('data', (chunk: string) => {
      const lines = (this.#rest + chunk).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) {
        this.events++
        this.last = (JSON.parse(line) as { object: { data?: { n?: string } } }).object.data?.n ?? ''
      }
    })
  }
}

/** Asks for a watch and never reads of it. */
const sleeper = (t: Test, url: string): Socket => {
  const { hostname, port } = new URL(url)
  const socket = createConnection({ host: hostname, port: Number(port) })
  socket.on('error', () => {})
  socket.write(`GET ${WATCH} HTTP/1.1\r\nHost: x\r\n\r\n`)
  socket.pause()
  t.teardown(() => socket.destroy())
  return socket
}

/** Milliseconds that a request took. */
const timed = async (url: string): Promise<number> => {
  const asked = performance.now()
  const { status } = await fetch(url)
  if (status !== 200 && status !== 503) throw new Error(`${url}: ${status}`)
  return performance.now() - asked
}
const change = ({ api }: Stage, n: number): void =>
  void api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { data: { big: BIG, n: String(n) } })

t.test('sleepers are cut off, others hear of each change and are answered, and memory is bounded', async t => {
  const all = await stage(t)
  const { sidecar } = all
  await until(() => sidecar.candidate.synced)
  const readers = Array.from({ length: READERS }, (_, i) => new Reader(t, i % 2 === 0 ? sidecar.url : sidecar.podUrl))
  const sleepers = Array.from({ length: SLEEPERS }, () => sleeper(t, sidecar.url))
  await until(() => sidecar.gateway.watchers.size === READERS + SLEEPERS)
  change(all, 0)
  // The pod's port shows the leader keys alone: there a change of the rest is told without it.
  const local = readers.filter((_, i) => i % 2 === 0)
  await until(() => local.every(reader => reader.last === '0'))
  collect()
  const before = process.memoryUsage()
  let most = 0
  let slowestMs = 0
  let latestMs = 0
  for (let n = 1; n <= CHANGES; n++) {
    const changed = performance.now()
    change(all, n)
    slowestMs = Math.max(slowestMs, await timed(`${sidecar.url}/leader`), await timed(`${sidecar.podUrl}/healthz`))
    await until(() => local.every(reader => reader.last === String(n)))
    latestMs = Math.max(latestMs, performance.now() - changed)
    if (n % 5 === 0) {
      collect()
      const now = process.memoryUsage()
      most = Math.max(most, now.heapUsed + now.external - before.heapUsed - before.external)
    }
  }
  t.equal(sidecar.gateway.watchers.size, READERS, 'the sleepers are gone, and they alone')
  t.ok(slowestMs < SOON_MS, `the slowest answer took ${Math.round(slowestMs)} ms`)
  t.ok(latestMs < SOON_MS, `the latest event came after ${Math.round(latestMs)} ms`)
  t.ok(most < MOST_BYTES, `${(most / 1024 / 1024).toFixed(1)} MiB more at most`)
  t.match(
    await (await fetch(`${sidecar.url}/metrics`)).text(),
    new RegExp(`flink_ha_streams_cut_off_total ${SLEEPERS}`),
  )
  for (const socket of sleepers) {
    socket.resume()
    await until(() => socket.destroyed || socket.readableEnded)
  }
  t.pass('whoever wakes up finds its connection closed, and can list anew')
})

t.test('a reader that sleeps for a while and wakes is told the present, not all that it missed', async t => {
  const all = await stage(t)
  const { sidecar } = all
  await until(() => sidecar.candidate.synced)
  const socket = sleeper(t, sidecar.url)
  await until(() => sidecar.gateway.watchers.size === 1)
  for (let n = 1; n <= 100 && sidecar.gateway.watchers.size > 0; n++) {
    const { cached } = sidecar.candidate
    change(all, n)
    await until(() => sidecar.candidate.cached !== cached)
  }
  t.equal(sidecar.gateway.watchers.size, 0)
  socket.destroy()
  const again = new Reader(t, sidecar.url)
  await until(() => again.events > 0)
  const { data } = sidecar.candidate.cached?.object ?? {}
  t.equal(again.last, data?.['n'])
  t.equal(again.events, 1)
})

t.test('a JVM leads on while a reader sleeps: its renewals and writes are answered', async t => {
  const all = await stage(t)
  const { jvm, sidecar } = all
  let { body: lock } = await jvm.lead()
  const { token } = sidecar.candidate
  sleeper(t, sidecar.url)
  await until(() => sidecar.gateway.watchers.size === 1)
  for (let n = 1; n <= 12; n++) {
    const asked = performance.now()
    const data = { big: BIG, n: String(n) }
    const written = await jvm.ask('PUT', `${PATH}/${LOCK}`, { ...lock, data }, { 'content-type': 'application/json' })
    t.equal(written.status, 200)
    lock = written.body
    t.equal((await jvm.claim('1')).status, 200)
    t.ok(performance.now() - asked < SOON_MS)
  }
  t.equal(sidecar.candidate.token, token)
})
