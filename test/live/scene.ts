// Sets a scene: a namespace, a Flink cluster of one mode, an agent beside it, a running job with checkpoints. And strikes
// it again, keeping the logs of all pods when something went wrong.
import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { Agent } from './agent.ts'
import { hasCluster, type LockObserver, Namespace, type Pod } from './cluster.ts'
import { aNode, FlinkCluster } from './flink.ts'
import { CLUSTER_ID, flinkImage, type Setup, storagePath } from './manifests.ts'

export type Scene = {
  namespace: Namespace
  cluster: FlinkCluster
  agent: Agent
  observer: LockObserver
  jobId: string
}

/**
 * What has to stand before the cluster does, such as a proxy that its sidecars use; may change the setup, and bring an agent
 * that lives elsewhere.
 */
export type Prelude = (namespace: Namespace, node: string) => Promise<Partial<Setup> & { agent?: Agent }>

const open = new Set<string>()
const dropAll = (signal: NodeJS.Signals): void => {
  for (const name of open) execFileSync('kubectl', ['delete', 'namespace', name, '--wait=false'], { stdio: 'ignore' })
  process.exit(signal === 'SIGINT' ? 130 : 143)
}

export const raise = async (purpose: string, setup: Setup, prelude?: Prelude): Promise<Scene> => {
  if (open.size === 0) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, dropAll)
  const [node, namespace] = await Promise.all([aNode(), Namespace.create(purpose)])
  open.add(namespace.name)
  try {
    const { agent: brought, ...changes } = (await prelude?.(namespace, node)) ?? {}
    const changed = { ...setup, ...changes }
    const cluster = new FlinkCluster(namespace, node, changed)
    const observer = namespace.observe(CLUSTER_ID)
    await cluster.deploy()
    const agent = brought ?? (await Agent.start(namespace, node, flinkImage(setup.flink)))
    const leader = await cluster.leader()
    await cluster.standby(leader)
    const jobId = changed.application === true ? await cluster.onlyJob(leader) : await cluster.submit(leader)
    await cluster.running(leader, jobId, 120_000)
    if (setup.checkpointSeconds !== null) await cluster.checkpoints(leader, jobId, 2)
    return { namespace, cluster, agent, observer, jobId }
  } catch (error) {
    await keepLogs(namespace, undefined)
    await drop(namespace)
    throw error
  }
}

/** Ends a scene. `failed`: its logs are kept first, and where is told. */
export const strike = async ({ namespace, agent, observer }: Scene, failed: boolean): Promise<void> => {
  if (failed) await keepLogs(namespace, observer)
  if (process.env['FLINK_HA_LIVE_KEEP'] !== undefined) return
  await namespace.removePods()
  await agent.shell(`rm -rf ${storagePath(namespace.name)}`).catch(() => '')
  await drop(namespace)
}

const drop = async (namespace: Namespace): Promise<void> => {
  if (process.env['FLINK_HA_LIVE_KEEP'] !== undefined) return
  await namespace.remove()
  open.delete(namespace.name)
}

const keepLogs = async (namespace: Namespace, observer: LockObserver | undefined): Promise<void> => {
  const folder = join(tmpdir(), 'flink-ha-live-logs', namespace.name)
  await mkdir(folder, { recursive: true })
  const keep = async (pod: Pod, container: string, previous: boolean): Promise<void> => {
    const lines = await namespace.logs(pod.name, container, previous)
    const text = lines.map(({ atMs, line }) => `${new Date(atMs).toISOString()} ${line}\n`).join('')
    if (text !== '') await writeFile(join(folder, `${pod.name}.${container}${previous ? '.previous' : ''}.log`), text)
  }
  for (const pod of await namespace.pods('').catch(() => []))
    for (const container of Object.keys(pod.restarts))
      for (const previous of [false, true]) await keep(pod, container, previous)
  const maps = await namespace.kubectl(['get', 'configmaps,pods', '-o', 'yaml']).catch(String)
  await writeFile(join(folder, 'objects.yaml'), maps)
  const versions = observer?.versions.map(({ atMs, object }) => {
    const { managedFields: _, ...metadata } = object.metadata as { managedFields?: unknown }
    return `${new Date(atMs).toISOString()} ${JSON.stringify({ metadata, data: object.data })}\n`
  })
  await writeFile(join(folder, 'versions.jsonl'), versions?.join('') ?? '')
  console.error(`# logs are kept in ${folder}`)
}

/** Raises a scene for a test file and ends it with the file. */
export const stage = async (t: Test, purpose: string, setup: Setup, prelude?: Prelude): Promise<Scene> => {
  const scene = await raise(purpose, setup, prelude)
  t.teardown(() => strike(scene, !t.passing()))
  return scene
}

/** Tests are skipped where there is no cluster to run them on. */
export const noCluster = hasCluster ? false : 'KUBECONFIG names no cluster'
