// How long the API server waits for the webhook: POST /mutate over HTTPS on loopback, against the bundle as a process of its
// own, with an embedded API server behind it. Prints a table and writes every sample to bench/results/.
//
//   npm run bench:admission -- [--warm 5000] [--cold 500] [--burst 4000]
//
// warm: one kept connection, one call after the other. cold: the first call on a new connection, handshake and all. burst:
// eight connections at once. The bars are those of the design: p99 of 5 ms warm, 50 ms cold.
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { INSTALL } from '../shared/names.ts'
import { jobManagerPod, NAMESPACE, reviewOf } from '../test/world/admission-review.ts'
import { resourceOf } from '../test/world/kube-resources.ts'
import { KubeServer } from '../test/world/kube-server.ts'
import { WebhookProcess } from '../test/world/webhook-process.ts'
import type { Pod } from '../webhook/pod.ts'

const BARS_MS: { [round: string]: number } = { warm: 5, cold: 50 }
const WARM_UP = 500
const SERVER_NAME = `${INSTALL.service}.${INSTALL.namespace}.svc`

const { values: options } = parseArgs({
  options: {
    warm: { type: 'string', default: '5000' },
    cold: { type: 'string', default: '500' },
    burst: { type: 'string', default: '4000' },
  },
})

type Rounds = { [round: string]: { samples: number[]; processorMs: number } }
type Target = { port: number; ca: string; body: Buffer }

/** One call, in milliseconds; throws when the answer has no patch. */
const call = ({ port, ca, body }: Target, agent: Agent): Promise<number> => {
  const startedMs = performance.now()
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        ca,
        servername: SERVER_NAME,
        agent,
        method: 'POST',
        path: `${INSTALL.path}?timeout=5s`,
        headers: { 'content-type': 'application/json', 'content-length': body.length },
      },
      response => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const elapsedMs = performance.now() - startedMs
          const text = Buffer.concat(chunks).toString('utf8')
          if (response.statusCode === 200 && text.includes('"patch"')) resolve(elapsedMs)
          else reject(new Error(`answered ${response.statusCode}: ${text.slice(0, 200)}`))
        })
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

const warm = async (target: Target, count: number): Promise<number[]> => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let round = 0; round < WARM_UP; round++) await call(target, agent)
  const samples: number[] = []
  for (let round = 0; round < count; round++) samples.push(await call(target, agent))
  agent.destroy()
  return samples
}

const cold = async (target: Target, count: number): Promise<number[]> => {
  const samples: number[] = []
  for (let round = 0; round < count; round++) {
    // A resumed session would spare half of the handshake.
    const agent = new Agent({ keepAlive: false, maxCachedSessions: 0 })
    samples.push(await call(target, agent))
    agent.destroy()
  }
  return samples
}

const burst = async (target: Target, count: number): Promise<number[]> => {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  const samples: number[] = []
  const worker = async (): Promise<void> => {
    for (let round = 0; round < count / 8; round++) samples.push(await call(target, agent))
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  agent.destroy()
  return samples
}

const percentile = (samples: readonly number[], share: number): number => {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}
const rounded = (ms: number): number => Math.round(ms * 100) / 100

/** A JobManager of a Deployment whose ReplicaSet the webhook has in memory, as it is but for the first pod of a rollout. */
const populate = (server: KubeServer): Pod => {
  const { store } = server
  const deployment = store.create(resourceOf('deployments'), NAMESPACE, {
    metadata: { name: 'jm' },
    spec: {
      selector: { matchLabels: { component: 'jobmanager' } },
      template: { metadata: {}, spec: { containers: [] } },
    },
  })
  const ownedBy = (kind: string, name: string, uid: string | undefined) => [
    { apiVersion: 'apps/v1', kind, name, uid: uid ?? '', controller: true, blockOwnerDeletion: true },
  ]
  const replicaSet = store.create(resourceOf('replicasets'), NAMESPACE, {
    metadata: {
      name: 'jm-5d',
      labels: { component: 'jobmanager' },
      ownerReferences: ownedBy('Deployment', 'jm', deployment.metadata.uid),
    },
    spec: {},
  })
  const pod = jobManagerPod()
  return {
    ...pod,
    metadata: { ...pod.metadata, ownerReferences: ownedBy('ReplicaSet', 'jm-5d', replicaSet.metadata.uid) },
  }
}

/** The size of a usual review, of which managed fields are the larger part. */
const bodyOf = (pod: Pod): Buffer => {
  const managedFields = [
    { manager: 'kube-controller-manager', operation: 'Update', fieldsV1: { filler: 'x'.repeat(4_096) } },
  ]
  return Buffer.from(JSON.stringify(reviewOf({ ...pod, metadata: { ...pod.metadata, managedFields } })))
}

const residentMiB = (pid: number): number =>
  Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024)

/** Processor time that the process has used, in milliseconds: what is left to judge by on a machine that is busy otherwise. */
const processorMs = (pid: number): number => {
  // Fields 14 and 15 of proc(5) stat, counted behind the name, which may have blanks; 100 ticks a second on Linux.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const main = async (): Promise<boolean> => {
  const server = new KubeServer({ namespaces: [INSTALL.namespace, NAMESPACE] })
  await server.listen()
  const body = bodyOf(populate(server))
  const flags = {
    'api-server': server.url,
    namespace: INSTALL.namespace,
    'pod-name': 'bench-0',
    image: 'flink-ha/flink-ha:bench',
    port: '0',
    'status-port': '0',
  }
  const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])
  const webhook = new WebhookProcess(args, ['--max-semi-space-size=32', 'dist/flink-ha.cjs'])
  try {
    const { port } = await webhook.said('serving')
    await webhook.said('facts of the cluster')
    const secret = server.store.get(resourceOf('secrets'), INSTALL.namespace, INSTALL.tlsSecret)
    const { data } = secret as unknown as { data: { [key: string]: string } }
    const target = { port: port as number, ca: Buffer.from(data['ca.crt'] ?? '', 'base64').toString(), body }
    const rounds: Rounds = {}
    const kinds = [
      ['warm', warm, WARM_UP],
      ['cold', cold, 0],
      ['burst', burst, 0],
    ] as const
    for (const [round, play, more] of kinds) {
      const beforeMs = processorMs(webhook.pid)
      const samples = await play(target, Number(options[round]))
      rounds[round] = { samples, processorMs: (processorMs(webhook.pid) - beforeMs) / (samples.length + more) }
    }
    return await tell(rounds, body.length, residentMiB(webhook.pid))
  } finally {
    await webhook.end('SIGKILL')
    await server.close()
  }
}

const tell = async (rounds: Rounds, bodyBytes: number, rssMiB: number): Promise<boolean> => {
  const rows = Object.entries(rounds).map(([round, { samples, processorMs }]) => ({
    round,
    n: samples.length,
    'p50 ms': rounded(percentile(samples, 0.5)),
    'p99 ms': rounded(percentile(samples, 0.99)),
    'max ms': rounded(Math.max(...samples)),
    'bar ms': BARS_MS[round] ?? '',
    'webhook CPU ms a call': rounded(processorMs),
  }))
  console.log(`\nNode ${process.version}, ${cpus().length} CPUs, reviews of ${bodyBytes} bytes`)
  console.table(rows)
  console.log(`resident memory of the webhook afterwards: ${rssMiB} MiB`)
  const at = new Date().toISOString()
  const result = {
    at,
    options,
    node: process.version,
    cpus: cpus().map(cpu => cpu.model),
    bodyBytes,
    rssMiB,
    rows,
    rounds,
  }
  const folder = new URL('results/', import.meta.url)
  await mkdir(folder, { recursive: true })
  const file = new URL(`admission-${at.replaceAll(':', '')}.json`, folder)
  await writeFile(file, `${JSON.stringify(result)}\n`)
  console.log(`every sample: bench/results/${file.pathname.split('/').at(-1)}`)
  return Object.entries(BARS_MS).every(([round, barMs]) => percentile(rounds[round]?.samples ?? [], 0.99) <= barMs)
}

process.exitCode = (await main()) ? 0 : 1
