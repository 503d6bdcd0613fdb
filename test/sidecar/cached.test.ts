import t from 'tap'
import type { ConfigMap } from '../../shared/lock.ts'
import { cachedAfter } from '../../sidecar/cached.ts'

const object = (version: string, data?: { [key: string]: string }): ConfigMap => ({
  metadata: { name: 'l', resourceVersion: version },
  ...(data && { data }),
})

t.test('a renewal changes the version, not since when the data is what it is', async t => {
  const first = cachedAfter(undefined, object('1', { a: '1' }), '1')
  t.equal(first.dataSince, '1')
  const renewed = cachedAfter(first, object('2', { a: '1' }), '2')
  t.match(renewed, { version: '2', dataSince: '1' })
  t.equal(cachedAfter(renewed, object('3', { a: '2' }), '3').dataSince, '3')
  t.equal(cachedAfter(renewed, object('3', { b: '1' }), '3').dataSince, '3')
  t.equal(cachedAfter(renewed, object('3'), '3').dataSince, '3')
})

t.test(
  'what a list tells is as old as the object in it, not as the list: its version is the one that a writer names',
  async t => {
    const first = cachedAfter(undefined, object('4', { a: '1' }), '7')
    t.match(first, { version: '7', dataSince: '4' })
    t.match(cachedAfter(first, object('8', { a: '2' }), '11'), { version: '11', dataSince: '8' })
  },
)

t.test('a deletion and a making are changes; two absences are none', async t => {
  const first = cachedAfter(undefined, object('1'), '1')
  const gone = cachedAfter(first, undefined, '2')
  t.equal(gone.dataSince, '2')
  t.equal(cachedAfter(gone, undefined, '3').dataSince, '2')
  t.equal(cachedAfter(gone, object('4'), '4').dataSince, '4')
})

t.test('leader keys that a term did not write are its predecessor’s', async t => {
  const key = 'org.apache.flink.k8s.leader.restserver'
  const led = (version: string, token: string, data: { [key: string]: string }): ConfigMap => ({
    metadata: { name: 'l', resourceVersion: version, annotations: { 'flink-ha.io/token': token } },
    data,
  })
  const first = cachedAfter(undefined, led('1', '7', { [key]: 's-1,http://a:8081', plan: 'x' }), '1')
  t.same(first.former, {}, 'what was there first is taken as it is')
  const taken = cachedAfter(first, led('2', '8', { [key]: 's-1,http://a:8081', plan: 'x' }), '2')
  t.same(taken.former, { [key]: 's-1,http://a:8081' })
  const renewed = cachedAfter(taken, led('3', '8', { [key]: 's-2,http://b:8081' }), '3')
  t.same(renewed.former, taken.former)
  const both = cachedAfter(renewed, led('4', '9', { [key]: 's-3,http://c:8081' }), '4')
  t.same(both.former, { [key]: 's-2,http://b:8081' }, 'also when the taker writes them at once')
})
