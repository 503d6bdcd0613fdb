import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connect, warningsOf } from '../../cli/cluster.ts'
import { KubeServer } from '../world/kube-server.ts'

const kubeconfig = (server: string, current = 'here'): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': current,
    clusters: [{ name: 'embedded', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'me', user: { token: 'secret' } }],
    contexts: [{ name: 'here', context: { cluster: 'embedded', user: 'me' } }],
  })

t.test('a kubeconfig’s cluster answers, with its token', async t => {
  const server = new KubeServer({ tokens: ['secret'], namespaces: ['flink'] })
  await server.listen()
  t.teardown(() => server.close())
  const dir = t.testdir({ config: kubeconfig(server.url) })
  const cluster = connect({ kubeconfig: join(dir, 'config'), context: 'here' }, 'flink-ha/test')
  t.equal(cluster.server, server.url)
  t.match(await cluster.request('GET', '/api/v1/namespaces/flink'), { status: 200, body: { kind: 'Namespace' } })
  const made = await cluster.request('POST', '/api/v1/namespaces/flink/configmaps?dryRun=All', {
    metadata: { name: 'größe' },
  })
  t.equal(made.status, 422, 'a body that is longer in bytes arrives whole')
  t.match(await cluster.request('GET', '/api/v1/namespaces/none'), { status: 404, body: { kind: 'Status' } })
  t.equal(server.requests[0]?.userAgent, 'flink-ha/test')
  await server.close()
  await t.rejects(cluster.request('GET', '/version'))
})

t.test('a server below a path keeps its path', async t => {
  const server = new KubeServer({})
  await server.listen()
  t.teardown(() => server.close())
  const dir = t.testdir({ config: kubeconfig(`${server.url}/k8s/clusters/c-1/`) })
  await connect({ kubeconfig: join(dir, 'config'), context: undefined }, '').request('GET', '/version')
  t.equal(server.requests[0]?.path, '/k8s/clusters/c-1/version')
})

t.test('a kubeconfig that leads nowhere says why', async t => {
  const dir = t.testdir({ other: kubeconfig('https://x', 'gone'), broken: 'clusters: 7' })
  const of = (name: string, context?: string) => () => connect({ kubeconfig: join(dir, name), context }, '')
  t.throws(of('other'), /current context is "gone": it names no cluster/)
  t.throws(of('other', 'there'), /context "there" is none of here/)
  t.throws(of('missing'), /ENOENT/)
  t.throws(of('broken'))
  t.notMatch(readFileSync(join(dir, 'other'), 'utf8'), 'gone"}')
})

t.test('warnings are read from their header', async t => {
  t.same(warningsOf(undefined), [])
  t.same(warningsOf('299 - "a, \\"b\\""'), ['a, "b"'])
  t.same(warningsOf(['299 - "a", 299 - "b"', '299 kube "c"']), ['a', 'b', 'c'])
})
