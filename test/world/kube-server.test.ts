import t from 'tap'
import { conformance } from './conformance.ts'
import { KubeProbe } from './kube-probe.ts'
import { KubeServer } from './kube-server.ts'

t.test('the embedded API conforms', async t => {
  const server = new KubeServer({ namespaces: ['flink'] })
  await server.listen()
  t.teardown(() => server.close())
  const probe = new KubeProbe(server.url)
  conformance(t, {
    request: (...request) => probe.request(...request),
    watch: (...request) => probe.watch(...request),
    namespace: 'flink',
    canCompact: async () => server.compact(),
  })
})
