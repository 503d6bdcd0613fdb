import fc from 'fast-check'
import t from 'tap'
import { foreignReason, haNameOf, haSelector, jobConfigMapName, lockName } from '../../sidecar/ha-names.ts'
import { holds } from '../world/seed.ts'

const JOB = '0123456789abcdef0123456789abcdef'
const labels = (app: string, more = {}) => ({ app, type: 'flink-native-kubernetes', ...more })

t.test('HA data is what has the name and the labels', async t => {
  t.same(haNameOf({ name: 'a-cluster-config-map', labels: labels('a') }), { clusterId: 'a', jobId: undefined })
  t.same(haNameOf({ name: `a-${JOB}-config-map`, labels: labels('a') }), { clusterId: 'a', jobId: JOB })
  t.equal(haSelector('a'), 'app=a,type=flink-native-kubernetes')
  t.equal(haSelector(), 'type=flink-native-kubernetes')
})

t.test('what has only one of them is foreign, and said to be where somebody could be mistaken', async t => {
  const foreign: [string, object | undefined, RegExp | undefined][] = [
    ['a-cluster-config-map', undefined, /not the labels app=a/],
    ['a-cluster-config-map', { app: 'a' }, /not the labels/],
    [`a-${JOB}-config-map`, labels('b'), /not the labels/],
    [`a-${JOB.slice(1)}-config-map`, labels('a'), /not the name/],
    [`a-${JOB.toUpperCase()}-config-map`, labels('a'), /not the name/],
    [`a-${JOB}0-config-map`, labels('a'), /not the name/],
    ['other-config-map', labels('a'), /not the name/],
    ['flink-config-a', labels('a'), undefined],
    ['autoscaler-a', labels('a', { component: 'autoscaler' }), undefined],
    ['a-cluster-config-map', labels('a', { component: 'autoscaler' }), undefined],
    ['somebody', { x: 'y' }, undefined],
  ]
  for (const [name, given, reason] of foreign) {
    const metadata = { name, ...(given && { labels: given as { [name: string]: string } }) }
    t.equal(haNameOf(metadata)?.clusterId === 'a', false, name)
    const said = foreignReason('a', metadata)
    if (reason === undefined) t.equal(said, undefined, name)
    else t.match(said, reason, name)
  }
})

t.test('cluster ids that are beginnings of each other share nothing', async t => {
  for (const [one, other] of [
    ['a', 'a-b'],
    ['a', `a-${JOB}`],
    ['a', 'a-cluster'],
    ['a-cluster', 'a'],
    ['a', 'aa'],
  ] as const)
    for (const name of [lockName(other), jobConfigMapName(other, JOB)]) {
      const metadata = { name, labels: labels(other) }
      t.equal(haNameOf(metadata)?.clusterId, other, name)
      t.equal(foreignReason(one, metadata), undefined, `${name} does not look like one of ${one}`)
    }
})

t.test('whatever two clusters are called, no ConfigMap is of both', async t => {
  const id = fc.stringMatching(/^[a-c]{1,2}(-(cluster|config|map|[0-9a-f]{32}|[a-c]))?$/)
  const own = fc.constantFrom(lockName, (of: string) => jobConfigMapName(of, JOB))
  const nobodyElses = fc.property(id, id, own, (a, b, nameOf) => {
    const found = haNameOf({ name: nameOf(a), labels: labels(a) })
    return found?.clusterId === a && (found?.clusterId === b) === (a === b)
  })
  await holds(t, nobodyElses, 2_000)
})
