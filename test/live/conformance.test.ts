// The conformance tests of the embedded API against the cluster that KUBECONFIG names, in a namespace of their own.
import { KubeConfig } from '@kubernetes/client-node'
import t from 'tap'
import { conformance } from '../world/conformance.ts'
import { KubeProbe } from '../world/kube-probe.ts'

const skip = process.env['KUBECONFIG'] ? false : 'KUBECONFIG names no cluster'

const connect = async (): Promise<KubeProbe> => {
  const config = new KubeConfig()
  config.loadFromDefault()
  const options = {}
  await config.applyToHTTPSOptions(options)
  return new KubeProbe(config.getCurrentCluster()?.server ?? '', options)
}

t.test('a real API server conforms', { skip, timeout: 300_000 }, async t => {
  const probe = await connect()
  const made = await probe.request('POST', '/api/v1/namespaces', {
    metadata: { generateName: 'flink-ha-conformance-' },
  })
  t.equal(made.status, 201, 'a namespace of our own')
  const namespace: string = made.body.metadata.name
  t.teardown(() => probe.request('DELETE', `/api/v1/namespaces/${namespace}`))
  conformance(t, {
    request: (...request) => probe.request(...request),
    watch: (...request) => probe.watch(...request),
    namespace,
  })
})
