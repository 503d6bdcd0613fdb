// The main job without a cluster, as it is shipped: `flink-ha demo --once` from the bundle that `npm test` makes.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import t from 'tap'

const EXECUTABLE = 'dist/flink-ha.cjs'
const skip = existsSync(EXECUTABLE) ? false : `${EXECUTABLE} is not built`

const run = (args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> =>
  new Promise(resolve => {
    const { FLINK_HOME: _, ...env } = process.env
    const child = spawn(process.execPath, [EXECUTABLE, 'demo', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', chunk => {
      stdout += chunk
    })
    child.stderr.on('data', chunk => {
      stderr += chunk
    })
    child.on('close', code => resolve({ code, stdout, stderr }))
  })

t.test('demo --once plays a kill and a graceful stop, prints their timelines, and exits 0', { skip }, async t => {
  const { code, stdout, stderr } = await run(['--once'])
  t.equal(code, 0, stdout)
  t.equal(stderr, '')
  t.match(
    stdout,
    /^An embedded Kubernetes API at http:\/\/127\.0\.0\.1:\d+, and two JobManagers with a sidecar each\.$/m,
  )
  t.match(stdout, /models of Flink’s client; FLINK_HOME=… runs real ones/)
  const [, leader = ''] = /^(jobmanager-[01]) leads \(asked of the other pod's sidecar\):$/m.exec(stdout) ?? []
  t.not(leader, '', 'it says who leads')
  const standby = leader === 'jobmanager-0' ? 'jobmanager-1' : 'jobmanager-0'
  const told = JSON.parse(/^\{\n[\s\S]*?\n\}$/m.exec(stdout)?.[0] ?? '{}')
  t.match(told, { clusterId: 'demo', name: leader, isLeader: false, components: { dispatcher: {}, restserver: {} } })
  for (const [title, from, to] of [
    ['SIGKILL of the leading JVM', leader, standby],
    ['Graceful stop of the leading pod', standby, leader],
  ] as const) {
    const lines = timeline(stdout, title)
    t.match(lines[0], { what: from }, title)
    t.ok(
      lines.some(
        ({ what }) =>
          what === `release: ${from}'s sidecar hands the lock to ${to}` ||
          what === `release: ${from}'s sidecar vacates the lock`,
      ),
      `${title}: a release`,
    )
    t.ok(
      lines.some(({ what }) => what === `takeover: ${to}'s sidecar begins its term`),
      `${title}: a takeover`,
    )
    t.equal(lines.at(-1)?.what, `grant: ${to}'s Flink is told that it leads`, `${title}: the grant comes last`)
    const times = lines.map(({ atMs }) => atMs)
    t.same(
      times,
      [...times].sort((a, b) => a - b),
      `${title}: in the order of time`,
    )
    t.equal(times[0], 0)
  }
  t.match(stdout, /\nkill to grant \d+ ms, stop to grant \d+ ms\n$/)
})

/** The lines under a title: milliseconds and what happened. */
const timeline = (stdout: string, title: string): { atMs: number; what: string }[] => {
  const [, after = ''] = stdout.split(`\n${title}:\n`)
  const block = after.split('\n\n')[0] ?? ''
  return block.split('\n').flatMap(line => {
    const match = /^ +(\d+\.\d) ms {2}(.+)$/.exec(line)
    return match === null ? [] : [{ atMs: Number(match[1]), what: match[2] ?? '' }]
  })
}

t.test('demo with a flag that it does not have exits 2 and starts nothing', { skip }, async t => {
  const { code, stdout, stderr } = await run(['--twice'])
  t.equal(code, 2)
  t.match(stderr, /--twice/)
  t.equal(stdout, '')
})
