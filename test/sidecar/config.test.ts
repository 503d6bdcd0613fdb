import t from 'tap'
import { ConfigError } from '../../shared/errors.ts'
import { readConfig, SETTINGS, variableOf } from '../../sidecar/config.ts'

const pod = {
  FLINK_HA_POD_NAME: 'jm-0',
  FLINK_HA_POD_UID: 'u-1',
  KUBERNETES_SERVICE_HOST: '10.96.0.1',
  KUBERNETES_SERVICE_PORT: '443',
}
const problems = (args: string[], env: object = pod): readonly string[] => {
  try {
    readConfig(args, env as { [name: string]: string })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('in a pod nothing has to be given but who it is', async t => {
  t.match(readConfig([], pod), {
    apiServer: 'https://10.96.0.1:443',
    tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    timings: { leaseMs: 10_000, renewDeadlineMs: 8_000, retryMs: 2_000 },
    localPort: 4040,
    podPort: 4041,
    lock: 'configmap',
    failsafe: false,
  })
})

t.test('a flag wins over its variable', async t => {
  t.equal(readConfig(['--cluster-id', 'a'], { ...pod, FLINK_HA_CLUSTER_ID: 'b' }).clusterId, 'a')
  t.equal(readConfig(['--profile=fast'], { ...pod, FLINK_HA_PROFILE: 'tolerant' }).timings.leaseMs, 4_000)
})

t.test('failsafe is on when it is asked for', async t => {
  t.equal(readConfig([], { ...pod, FLINK_HA_FAILSAFE: 'true' }).failsafe, true)
  t.equal(readConfig([], { ...pod, FLINK_HA_FAILSAFE: 'false' }).failsafe, false)
})

t.test('every setting has a variable of the same name', async t => {
  for (const flag of Object.keys(SETTINGS)) t.match(variableOf(flag), /^FLINK_HA_[A-Z_]+$/)
})

t.test('every problem is named at once, with the field, the value and what would be right', async t => {
  const found = problems(
    ['--profile', 'quick', '--lock=etcd', '--local-port', '99999', '--log-level', 'loud', '--nonsense', 'stray'],
    {},
  )
  for (const wanted of [
    '--nonsense is not a flag; see --help',
    '"stray" is not a flag',
    'profile is "quick": one of fast, default, tolerant is needed',
    'lock is "etcd": one of configmap, lease is needed',
    'local-port is "99999": a port from 0 to 65535 is needed',
    'log-level is "loud": debug, info, warn, error',
    'pod-name is ""',
    'pod-uid is ""',
    'api-server is ""',
  ])
    t.ok(
      found.some(problem => problem.startsWith(wanted.split(': debug')[0] ?? '')),
      wanted,
    )
})

t.test('single bad values are refused', async t => {
  for (const [args, wanted] of [
    [['--cluster-id', 'a+b'], /^cluster-id is "a\+b"/],
    [['--cluster-id', 'x'.repeat(46)], /^cluster-id/],
    [['--jvm-address', 'nowhere'], /^jvm-address is "nowhere": host:port/],
    [['--api-server', 'ftp://x'], /^api-server is "ftp:\/\/x"/],
    [['--lease-duration', '-1'], /^lease-duration is "-1"/],
    [['--lease-duration', '4', '--renew-deadline', '4'], /^renew-deadline is 4000 ms: .* at most 3100 ms is safe/],
    [['--pod-name', 'a\u0007b'], /^pod-name is "a\\u0007b"/],
    [['--pod-port', '4040', '--pod-host', '127.0.0.1'], /^pod-port is 4040: local-port is the same/],
    [['--pod-ip', 'not an ip'], /^pod-ip is/],
    [['--profile'], /^--profile has no value/],
    [['--failsafe', 'yes'], /^failsafe is "yes": one of true, false is needed/],
  ] as const)
    t.match(problems([...args]), [wanted], args.join(' '))
})

t.test('a given API server is not sent this pod’s credential', async t => {
  const config = readConfig(['--api-server', 'http://127.0.0.1:8001'], pod)
  t.equal(config.tokenFile, undefined)
  t.equal(config.caFile, undefined)
})
