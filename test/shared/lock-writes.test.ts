// What the answers to a write mean: made, certainly not made, or nobody knows.
import t from 'tap'
import { type KubeResponse, Unreachable } from '../../shared/kube-client.ts'
import { attempt } from '../../shared/lock-writes.ts'

const answered = (status: number, headers = {}): Promise<KubeResponse> =>
  Promise.resolve({ status, headers, body: { metadata: { name: 'c' } } })

t.test('only a success is a write that was made', async t => {
  for (const status of [200, 201]) t.equal((await attempt(answered(status))).result, 'done', String(status))
})

t.test('a conflict is a lock that is not as it was believed to be', async t => {
  for (const status of [404, 409]) t.equal((await attempt(answered(status))).result, 'conflict', String(status))
})

t.test('other 4xx are certainly not made, and say when to come again', async t => {
  for (const status of [400, 401, 403, 413, 422])
    t.equal((await attempt(answered(status))).result, 'refused', String(status))
  t.match(await attempt(answered(429, { 'retry-after': '3' })), { result: 'refused', retryAfterMs: 3_000 })
})

t.test('of a 5xx, and of no answer at all, nobody knows', async t => {
  for (const status of [500, 502, 503, 504])
    t.equal((await attempt(answered(status))).result, 'unreachable', String(status))
  t.match(await attempt(Promise.reject(new Unreachable('cut'))), { result: 'unreachable', status: 0, message: 'cut' })
})
