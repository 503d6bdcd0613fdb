// The event stream's two wishes: a beat of its own period, and to be turned away by another cluster's pod.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { Clock } from '../../shared/clock.ts'
import type { LeaderDocument } from '../../sidecar/leader.ts'
import { dispatch, LeaderEndpoint } from '../../sidecar/leader-endpoint.ts'
import { LeaderIndex } from '../../sidecar/leader-index.ts'

/** Fires what is due when it is told to. */
class HandClock implements Clock {
  due: { delayMs: number; run: () => void }[] = []
  readonly monoMs = (): number => 0
  readonly wallUs = (): number => 0
  readonly after = (delayMs: number, run: () => void): (() => void) => {
    const entry = { delayMs, run }
    this.due.push(entry)
    return () => {
      this.due = this.due.filter(other => other !== entry)
    }
  }
  fire(delayMs: number): void {
    const ready = this.due.filter(entry => entry.delayMs === delayMs)
    this.due = this.due.filter(entry => !ready.includes(entry))
    for (const { run } of ready) run()
  }
}

const stage = async (t: Test) => {
  const clock = new HandClock()
  const shown: LeaderDocument = {
    clusterId: 'c',
    name: 'jm-0',
    isLeader: false,
    token: 1,
    validForMs: 5_000,
    transitions: 0,
    lastUpdate: null,
    components: { jobs: {} },
  }
  const valid = { forMs: 4_321 }
  const source = {
    leader: () => shown,
    validForMs: () => valid.forMs,
    target: () => ({ namespace: 'ns', clusterId: 'c' }),
  }
  const status = new LeaderIndex(source, 1, clock.after)
  const endpoint = new LeaderEndpoint({ status, clock, onCutOff: () => {} })
  const server = createServer((request, response) => {
    void dispatch(endpoint.handlers, request, response, new URL(request.url ?? '/', 'http://x'))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    endpoint.end()
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const open = async (query: string) => {
    const response = await fetch(`${url}/leader/stream${query}`)
    const reader = response.body?.getReader()
    const next = async (): Promise<string> => new TextDecoder().decode((await reader?.read())?.value)
    return { status: response.status, next, close: () => reader?.cancel() }
  }
  return { clock, status, endpoint, open, valid }
}

t.test('a beat in the period that was asked for tells how long the last word stands', async t => {
  const { clock, open } = await stage(t)
  const stream = await open('?beat=2s')
  t.match(await stream.next(), /^id: 1\ndata: \{.*"name":"jm-0"/)
  clock.fire(2_000)
  t.equal(await stream.next(), 'event: beat\ndata: {"validForMs":4321}\n\n')
  clock.fire(2_000)
  t.equal(await stream.next(), 'event: beat\ndata: {"validForMs":4321}\n\n')
  await stream.close()
})

t.test('a beat comes before what was told runs out', async t => {
  const { clock, open, valid } = await stage(t)
  valid.forMs = 1_500
  const stream = await open('?beat=2s')
  await stream.next()
  clock.fire(2_000)
  clock.fire(750)
  t.equal(await stream.next(), 'event: beat\ndata: {"validForMs":1500}\n\n')
  valid.forMs = 0
  clock.fire(750)
  t.equal(await stream.next(), 'event: beat\ndata: {"validForMs":0}\n\n')
  clock.fire(2_000)
  t.equal(await stream.next(), 'event: beat\ndata: {"validForMs":0}\n\n', 'nobody is no reason to hurry')
  await stream.close()
})

t.test('who does not ask for a beat gets a comment now and then', async t => {
  const { clock, open } = await stage(t)
  const stream = await open('')
  await stream.next()
  clock.fire(15_000)
  t.equal(await stream.next(), ': still here\n\n')
  await stream.close()
})

t.test('bad beats are told what is right', async t => {
  const { open } = await stage(t)
  for (const beat of ['soon', '0', '1ms', '61s', '-2s', '']) {
    const answer = await open(`?beat=${beat}`)
    t.equal(answer.status, 400, beat)
    t.match(await answer.next(), /a duration from 500ms to 60s is needed/)
  }
})

t.test('only who means this cluster is served, when he says which one he means', async t => {
  const { open, endpoint } = await stage(t)
  for (const of of ['ns/d', 'other/c', 'ns', '', 'ns/c/'])
    t.equal((await open(`?of=${encodeURIComponent(of)}`)).status, 421, of)
  t.equal(endpoint.openStreams, 0)
  const stream = await open('?of=ns%2Fc')
  t.equal(stream.status, 200)
  t.equal(endpoint.openStreams, 1)
  await stream.close()
})
