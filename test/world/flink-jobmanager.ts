// A process that behaves to the ConfigMap API as a JobManager of Flink does; each event is a JSON line on stdout.
//   flink-jobmanager --master URL --cluster-id C --namespace N --dialect 2.3 --rpc HOST:PORT [--job ID --checkpoint-every MS]
// Exit codes are Flink's: 143 after SIGTERM, 2 after a fatal error, 1 when it could not start.
import { realpathSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { FlinkEvent } from './flink-client.ts'
import { FlinkClient } from './flink-client.ts'
import type { Dialect } from './flink-dialect.ts'
import { DIALECTS } from './flink-dialect.ts'

/** A real JobManager ends about half a second after the signal, its sockets to the API before that. */
const EXIT_DELAY_MS = 500

type Settings = {
  master: string
  clusterId: string
  namespace: string
  dialect: Dialect
  host: string
  port: number
  jobId: string | undefined
  checkpointEveryMs: number
}

const readSettings = (args: string[]): Settings | string[] => {
  const { values } = parseArgs({
    args,
    options: {
      master: { type: 'string', default: process.env['KUBERNETES_MASTER'] ?? '' },
      'cluster-id': { type: 'string', default: '' },
      namespace: { type: 'string', default: 'default' },
      dialect: { type: 'string', default: '2.3' },
      rpc: { type: 'string', default: '' },
      job: { type: 'string' },
      'checkpoint-every': { type: 'string', default: '2000' },
    },
  })
  const problems: string[] = []
  if (!URL.canParse(values.master)) problems.push('--master: a URL is needed')
  if (values['cluster-id'] === '') problems.push('--cluster-id is needed')
  if (!(values.dialect in DIALECTS)) problems.push(`--dialect: one of ${Object.keys(DIALECTS).join(', ')}`)
  const rpc = /^(.+):(\d+)$/.exec(values.rpc)
  if (rpc === null) problems.push('--rpc: HOST:PORT is needed')
  if (values.job !== undefined && !/^[0-9a-f]{32}$/.test(values.job)) problems.push('--job: 32 hex digits')
  const checkpointEveryMs = Number(values['checkpoint-every'])
  if (!(checkpointEveryMs > 0)) problems.push('--checkpoint-every: milliseconds')
  if (problems.length > 0 || rpc === null) return problems
  return {
    master: values.master,
    clusterId: values['cluster-id'],
    namespace: values.namespace,
    dialect: values.dialect as Dialect,
    host: rpc[1] ?? '',
    port: Number(rpc[2]),
    jobId: values.job,
    checkpointEveryMs,
  }
}

const listenForRpc = (host: string, port: number): Promise<net.Server> =>
  new Promise((resolve, reject) => {
    // Whoever connects is accepted and ignored: that the port answers is what others look at.
    const server = net.createServer(socket => {
      socket.resume()
      socket.on('error', () => socket.destroy())
    })
    server.on('error', reject)
    server.listen(port, host, () => resolve(server))
  })

/** Starts the job unless it was recovered, then completes checkpoints for as long as the term lasts. */
const runJob = async (client: FlinkClient, session: string, jobId: string, everyMs: number): Promise<void> => {
  if (!client.jobIds.includes(jobId) && !(await client.startJob(jobId))) return
  while (client.session === session) {
    await new Promise(resolve => setTimeout(resolve, everyMs))
    if (client.session === session) await client.checkpoint(jobId)
  }
}

const main = async (): Promise<void> => {
  const settings = readSettings(process.argv.slice(2))
  if (Array.isArray(settings)) {
    for (const problem of settings) console.error(problem)
    process.exit(1)
  }
  const { master, clusterId, namespace, dialect, host, port, jobId, checkpointEveryMs } = settings
  await listenForRpc(host, port)
  const onEvent = (event: FlinkEvent): void => {
    console.log(JSON.stringify(event))
    if (event.type === 'fatal') process.exit(event.exitCode)
    if (event.type === 'leading' && jobId !== undefined) {
      void runJob(client, event.session, jobId, checkpointEveryMs)
    }
  }
  const client = new FlinkClient({ master, clusterId, namespace, dialect, rpcAddress: `${host}:${port}`, onEvent })
  process.once('SIGTERM', () => {
    setTimeout(() => process.exit(143), EXIT_DELAY_MS)
    void client.close()
  })
  await client.start()
}

// Only as the entry: tests and bundles may import this file. The name is looked at too, because in a bundle of something
// else `import.meta.url` is that bundle.
const entry = process.argv[1]
if (entry !== undefined && path.basename(entry).startsWith('flink-jobmanager')) {
  if (realpathSync(entry) === fileURLToPath(import.meta.url)) {
    main().catch((error: unknown) => {
      console.error(error)
      process.exit(1)
    })
  }
}
