// The executable as it is shipped: the bundle, which `npm test` makes before it runs the tests.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import packageJson from '../../package.json' with { type: 'json' }

const EXECUTABLE = 'dist/flink-ha.cjs'
const skip = existsSync(EXECUTABLE) ? false : `${EXECUTABLE} is not built`

const run = (args: readonly string[], input = '', env: { [name: string]: string } = {}) => {
  const { PATH = '' } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, [EXECUTABLE, ...args], {
    input,
    encoding: 'utf8',
    env: { PATH, HOME: '/nonexistent', ...env },
    timeout: 60_000,
  })
  return { status, stdout, stderr }
}

t.test('a wrong command line exits 2 with each problem on a line, whatever the command', { skip }, async t => {
  const wrong: { [name: string]: [string[], RegExp] } = {
    none: [[], /^flink-ha: a command is needed\n/],
    unknown: [['nonsense'], /^flink-ha: "nonsense" is not a command\n/],
    webhook: [['webhook', '--port', 'x'], /^flink-ha: .*port is "x"/m],
    sidecar: [['sidecar', '--nope', 'x'], /^flink-ha: --nope is not a flag/m],
    relay: [['sidecar', '--relay', '--local-port', 'x'], /^flink-ha: local-port is "x"/m],
    inject: [['inject', '--nope'], /^flink-ha: .*--nope/],
    uninject: [['uninject'], /^flink-ha: a FILE/],
    check: [['check', '-o', 'xml'], /^flink-ha: output is "xml"/],
    explain: [['explain'], /^flink-ha: "pod NAME"/],
    status: [['status', '--url', 'x'], /^flink-ha: url is "x"/],
    orphans: [['status', '--orphans', '-n', 'X'], /^flink-ha: namespace is "X"/],
    cleanup: [['cleanup', '-n', 'flink'], /^flink-ha: cluster-id is missing/],
    backup: [['backup'], /^flink-ha: file is missing/m],
    restore: [['restore'], /^flink-ha: file is missing/],
  }
  for (const [name, [args, message]] of Object.entries(wrong)) {
    const { status, stdout, stderr } = run(args)
    t.equal(status, 2, name)
    t.match(stderr, message, name)
    t.notMatch(stderr, /^ +at /m, `${name}: no stack`)
    t.equal(stdout, '', name)
  }
})

t.test('manifests go in and come out through pipes', { skip }, async t => {
  const before = readFileSync('test/fixtures/cli/session.yaml', 'utf8')
  const once = run(['inject', '-'], before)
  t.equal(once.status, 0)
  t.equal(once.stdout, readFileSync('test/fixtures/cli/session.injected.yaml', 'utf8'))
  t.equal(run(['inject', '-'], once.stdout).stdout, once.stdout)
  const broken = run(['inject', '-'], 'a: [')
  t.equal(broken.status, 1)
  t.equal(broken.stdout, '')
})

t.test('without a cluster, check fails with what to do', { skip }, async t => {
  const { status, stdout } = run(['check'])
  t.equal(status, 1)
  t.match(stdout, 'no kubeconfig')
})

t.test('without a cluster, what looks into one says so', { skip }, async t => {
  const of = ['--namespace', 'flink', '--cluster-id', 'c']
  for (const args of [
    ['status', '--orphans'],
    ['cleanup', ...of],
    ['backup', ...of, '--file', '/nonexistent/x'],
  ]) {
    const { status, stderr } = run(args)
    t.equal(status, 1)
    t.match(stderr, /^flink-ha: no kubeconfig/, args.join(' '))
  }
})

t.test('help and version need nothing', { skip }, async t => {
  t.equal(run(['version']).stdout, `${packageJson.version}\n`)
  for (const command of [
    '',
    'webhook',
    'sidecar',
    'inject',
    'uninject',
    'check',
    'explain',
    'cleanup',
    'backup',
    'restore',
  ]) {
    const { status, stdout } = run(command === '' ? ['--help'] : [command, '--help'])
    t.equal(status, 0)
    t.match(stdout, `flink-ha ${command}`)
  }
})
