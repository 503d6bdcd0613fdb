import t from 'tap'
import { ConfigError } from '../../shared/errors.ts'
import { SETTINGS } from '../../sidecar/config.ts'
import { RELAY_SETTINGS, readRelayConfig } from '../../sidecar/relay-config.ts'

const problems = (args: string[], env: { [name: string]: string } = {}): readonly string[] => {
  try {
    readRelayConfig(args, env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('nothing has to be given: not even who it is, and no API server', async t => {
  t.match(readRelayConfig(['--relay'], {}), {
    clusterId: undefined,
    namespace: undefined,
    peers: [],
    localHost: '127.0.0.1',
    localPort: 4040,
    podPort: 4041,
  })
})

t.test('the variables that the webhook sets are taken', async t => {
  const env = { FLINK_HA_NAMESPACE: 'ns', FLINK_HA_CLUSTER_ID: 'c', FLINK_HA_POD_NAME: 'tm-0' }
  t.match(readRelayConfig([], env), { namespace: 'ns', clusterId: 'c', podName: 'tm-0' })
})

t.test('peers are addresses of any kind', async t => {
  const given = 'jm-0.jm:4041, 10.0.0.1:4041,[fd00::1]:4041'
  t.same(readRelayConfig(['--peers', given], {}).peers, ['jm-0.jm:4041', '10.0.0.1:4041', '[fd00::1]:4041'])
})

t.test('every problem is named at once', async t => {
  const found = problems([
    '--peers',
    'a,b:0,c:99999,d:4041',
    '--cluster-id',
    'A',
    '--pod-port=x',
    '--api-server',
    'http://x',
  ])
  for (const wanted of [
    /^--api-server is not a flag/,
    /"a" in it is no address: host:port is needed/,
    /"b:0" in it/,
    /"c:99999" in it/,
    /^cluster-id is "A"/,
    /^pod-port is "x"/,
  ])
    t.ok(
      found.some(problem => wanted.test(problem)),
      String(wanted),
    )
  t.notOk(found.some(problem => problem.includes('d:4041" in it')))
})

t.test('what a candidate’s sidecar has too has the same name', async t => {
  const own = ['peers']
  for (const flag of Object.keys(RELAY_SETTINGS)) t.ok(own.includes(flag) || flag in SETTINGS, flag)
})
