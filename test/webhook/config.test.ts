import t from 'tap'
import { ConfigError } from '../../shared/errors.ts'
import { variableOf } from '../../shared/settings.ts'
import { readWebhookConfig, WEBHOOK_SETTINGS } from '../../webhook/config.ts'

const pod = {
  FLINK_HA_NAMESPACE: 'flink-ha',
  FLINK_HA_POD_NAME: 'flink-ha-webhook-1',
  KUBERNETES_SERVICE_HOST: '10.96.0.1',
  KUBERNETES_SERVICE_PORT: '443',
}
const problems = (args: string[], env: { [name: string]: string } = pod): readonly string[] => {
  try {
    readWebhookConfig(args, env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('in its Deployment nothing has to be given but where it is', async t => {
  t.same(readWebhookConfig([], pod), {
    port: 8443,
    statusPort: 8080,
    namespace: 'flink-ha',
    podName: 'flink-ha-webhook-1',
    podUid: undefined,
    image: '',
    serviceName: 'flink-ha-webhook',
    webhookConfiguration: 'flink-ha',
    tls: { mode: 'builtin', dir: '/etc/flink-ha/tls', secretName: 'flink-ha-tls' },
    apiServer: 'https://10.96.0.1:443',
    tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    caFile: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
    logLevel: 'info',
  })
})

t.test('a flag wins over its variable, and every setting has one', async t => {
  t.equal(readWebhookConfig(['--image', 'a:1'], { ...pod, FLINK_HA_IMAGE: 'b:2' }).image, 'a:1')
  t.equal(readWebhookConfig([], { ...pod, FLINK_HA_IMAGE: 'reg:5000/b@sha256:00' }).image, 'reg:5000/b@sha256:00')
  for (const flag of Object.keys(WEBHOOK_SETTINGS)) t.match(variableOf(flag), /^FLINK_HA_[A-Z_]+$/)
})

t.test('every problem is named at once, with the field, the value and what would be right', async t => {
  const found = problems(
    [
      '--port',
      '70000',
      '--tls=acme',
      '--image',
      'a b',
      '--service-name',
      'UPPER',
      '--log-level',
      'loud',
      '--nonsense',
      'x',
    ],
    {},
  )
  for (const wanted of [
    '--nonsense is not a flag',
    'port is "70000": a port from 0 to 65535',
    'namespace is ""',
    'pod-name is ""',
    'image is "a b"',
    'service-name is "UPPER"',
    'tls is "acme": one of builtin, files',
    'api-server is ""',
    'log-level is "loud"',
  ])
    t.ok(
      found.some(problem => problem.startsWith(wanted)),
      wanted,
    )
})

t.test('settings that do not go together are refused', async t => {
  t.match(problems(['--status-port', '8443']), [/^status-port is 8443: port is the same/])
  t.match(problems(['--tls', 'files', '--tls-dir', '']), [/^tls-dir is ""/])
})

t.test('a given API server is not sent this pod’s credential', async t => {
  const { apiServer, tokenFile, caFile } = readWebhookConfig(['--api-server', 'http://127.0.0.1:8001'], pod)
  t.same([apiServer, tokenFile, caFile], ['http://127.0.0.1:8001', undefined, undefined])
})
