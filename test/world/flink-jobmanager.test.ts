import { spawn } from 'node:child_process'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { type Cleaner, Events, JOB, LOCK, stage, until } from './flink-stage.ts'

const ENTRY = fileURLToPath(new URL('./flink-jobmanager.ts', import.meta.url))

/** A port that was free a moment ago. */
const freePort = async (): Promise<number> => {
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

const run = (t: Cleaner, args: string[]) => {
  const child = spawn(process.execPath, ['--import=tsx', ENTRY, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  const events = new Events()
  let partial = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = `${partial}${chunk}`.split('\n')
    partial = lines.pop() ?? ''
    for (const line of lines) events.take(JSON.parse(line))
  })
  let problems = ''
  child.stderr.on('data', (chunk: Buffer) => {
    problems += chunk
  })
  const exit = new Promise<number | null>(resolve => child.on('close', code => resolve(code)))
  return { child, events, exit, problems: () => problems }
}

t.test('the process leads, runs its job, answers on its RPC port, and stops with 143', async t => {
  const { api } = await stage(t)
  const port = await freePort()
  const args = ['--master', api.url, '--cluster-id', 'demo', '--namespace', 'flink', '--dialect', '2.3']
  const jobManager = run(t, [...args, '--rpc', `127.0.0.1:${port}`, '--job', JOB, '--checkpoint-every', '20'])
  t.match(await jobManager.events.nth('checkpoint', 3), { jobId: JOB, id: 3 })
  const socket = net.connect(port, '127.0.0.1')
  await new Promise(resolve => socket.on('connect', resolve))
  const before = api.requests.length
  jobManager.child.kill('SIGTERM')
  t.equal(await jobManager.exit, 143)
  t.equal(api.sockets.size, 0)
  const patches = api.requests.slice(before).filter(seen => seen.method === 'PATCH')
  t.equal(patches.length, 2)
  t.strictSame(Object.keys(api.object(LOCK)?.data ?? {}), [`executionPlan-${JOB}`])
  socket.destroy()
})

t.test('the process ends with 2 when its lock is deleted, and with 1 on a bad command line', async t => {
  const { api } = await stage(t)
  const args = ['--master', api.url, '--cluster-id', 'demo', '--namespace', 'flink']
  const jobManager = run(t, [...args, '--rpc', `127.0.0.1:${await freePort()}`])
  await jobManager.events.nth('leading')
  await until(() => api.watching === 1)
  api.remove(LOCK)
  t.equal(await jobManager.exit, 2)
  const wrong = run(t, ['--master', 'no url', '--dialect', '3', '--job', 'x'])
  t.equal(await wrong.exit, 1)
  for (const word of ['--master', '--cluster-id', '--dialect', '--rpc', '--job']) t.match(wrong.problems(), word)
})
