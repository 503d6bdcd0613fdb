import t from 'tap'
import { makeAuthority, makeServer } from '../../webhook/authority.ts'
import { ServedPair } from '../../webhook/tls-served.ts'
import { KeptLog } from '../world/tls-replicas.ts'

const NOW = Date.UTC(2026, 0, 1)
const DAY_MS = 86_400_000
const NAMES = ['w.ns.svc']
const ca = await makeAuthority(NOW)
const pairOf = async (nowMs: number) => ({ ...(await makeServer(ca, NAMES, nowMs)), caPem: ca.certPem })

const servedAt = (time: { ms: number }) => {
  const log = new KeptLog()
  return { log, served: new ServedPair({ names: NAMES, wallMs: () => time.ms, log }) }
}

t.test('the first pair settles the wait, and is told to who listens', async t => {
  const { served } = servedAt({ ms: NOW })
  const told: number[] = []
  served.onChange(({ notAfterMs }) => told.push(notAfterMs))
  served.offer(await pairOf(NOW))
  await served.first
  t.same(told, [NOW + 90 * DAY_MS])
})

t.test('the same pair again is no change, a wider bundle is', async t => {
  const { served } = servedAt({ ms: NOW })
  const pair = await pairOf(NOW)
  let changes = 0
  served.onChange(() => {
    changes++
  })
  served.offer(pair)
  served.offer({ ...pair })
  t.equal(changes, 1)
  served.offer({ ...pair, caPem: (await makeAuthority(NOW)).certPem + ca.certPem })
  t.equal(changes, 2)
})

t.test('a pair that is not valid yet waits until it is', async t => {
  const time = { ms: NOW }
  const { served, log } = servedAt(time)
  const [first, next] = [await pairOf(NOW), await pairOf(NOW + DAY_MS)]
  served.offer(first)
  served.offer(next)
  t.equal(served.current?.certPem, first.certPem)
  t.equal(log.count(/not valid before/), 1)
  time.ms = NOW + DAY_MS
  served.offer(next)
  t.equal(served.current?.certPem, next.certPem)
})

t.test('a broken pair is not served even when there is none', async t => {
  const { served } = servedAt({ ms: NOW })
  served.offer({ ...(await pairOf(NOW)), keyPem: '' })
  t.equal(served.current, undefined)
})

t.test('one listener that fails keeps the pair from no other', async t => {
  const { served, log } = servedAt({ ms: NOW })
  let told = 0
  served.onChange(() => {
    throw new Error('no such server')
  })
  served.onChange(() => {
    told++
  })
  served.offer(await pairOf(NOW))
  t.equal(told, 1)
  t.equal(log.count(/was not taken over/), 1)
})
