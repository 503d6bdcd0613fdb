/**
 * `flink-ha demo`: the main job without a cluster. An embedded Kubernetes API, two JobManager "pods" (a real sidecar process
 * and a main container each), a kill, a graceful stop, and a timeline of each. The main container is real Flink when
 * FLINK_HOME names one, otherwise a process that sends the requests of Flink's client.
 */
import { parseArgs } from 'node:util'
import { ConfigError, EXIT } from '../shared/errors.ts'
import type { ConfigMap } from '../shared/lock.ts'
import { lockOfConfigMap } from '../shared/lock.ts'
import { LOCK_SUFFIX } from '../shared/names.ts'
import { resourceOf } from '../test/world/kube-resources.ts'
import { KubeServer } from '../test/world/kube-server.ts'
import { DemoPod, flinkHome, nowMs } from './demo-pod.ts'
import { DEMO_FLAGS } from './flags.ts'

const NAMESPACE = 'demo'
const CLUSTER_ID = 'demo'
/** The first election on an empty namespace waits one lease; then each step is a matter of milliseconds. */
const STEP_TIMEOUT_MS = 40_000

type Moment = { at: number; what: string }

const say = (text: string): void => void process.stdout.write(`${text}\n`)

export const runDemo = async (args: readonly string[]): Promise<void> => {
  const once = readArgs(args) || !process.stdout.isTTY
  const api = new KubeServer()
  await api.listen()
  api.store.create(resourceOf('namespaces'), '', { metadata: { name: NAMESPACE } })
  const pods: DemoPod[] = []
  const end = async (): Promise<void> => {
    await Promise.all(pods.map(pod => pod.end()))
    await api.close()
  }
  process.once('SIGINT', () => void end().then(() => process.exit(0)))
  process.once('SIGTERM', () => void end().then(() => process.exit(0)))
  try {
    await play(api, pods)
    if (!once) return addresses(api, pods)
  } catch (error) {
    say(`\nThe demo did not do what it should: ${(error as Error).message}`)
    for (const pod of pods) say(`\n--- last lines of ${pod.name} ---\n${pod.tail()}`)
    process.exitCode = EXIT.failed
  }
  await end()
}

/** Whether to leave when the show is over. @throws ConfigError */
const readArgs = (args: readonly string[]): boolean => {
  try {
    return parseArgs({ args: [...args], options: DEMO_FLAGS }).values.once ?? false
  } catch (error) {
    throw new ConfigError([(error as Error).message])
  }
}

const play = async (api: KubeServer, pods: DemoPod[]): Promise<void> => {
  const home = flinkHome()
  say(`An embedded Kubernetes API at ${api.url}, and two JobManagers with a sidecar each.`)
  say(
    home === undefined
      ? 'The JobManagers are models of Flink’s client; FLINK_HOME=… runs real ones.'
      : `The JobManagers are real: ${home}`,
  )
  for (const name of ['jobmanager-0', 'jobmanager-1'])
    pods.push(await DemoPod.start({ name, api, namespace: NAMESPACE, clusterId: CLUSTER_ID, home }))
  const leader = await until('a first leader', () => pods.find(pod => pod.leads))
  await until('the leader’s address', () => leaderAddress(api))
  say(`\n${leader.name} leads (asked of the other pod's sidecar):`)
  const standby = pods.find(pod => pod !== leader) as DemoPod
  say(JSON.stringify(await standby.leader(), undefined, 2))

  const killed = await show(api, 'SIGKILL of the leading JVM', leader, standby, () => leader.kill())
  await leader.startJvm()
  await until('the killed JobManager to be a standby again', () => leader.standing())
  const stopped = await show(api, 'Graceful stop of the leading pod', standby, leader, () => standby.deletePod())
  say(`\nkill to grant ${killed} ms, stop to grant ${stopped} ms`)
}

/** Plays one fault and prints its timeline; milliseconds to the grant. */
const show = async (api: KubeServer, title: string, from: DemoPod, to: DemoPod, fault: () => void): Promise<number> => {
  const moments: Moment[] = []
  const off = api.store.onChange(({ object }) => {
    if (object.metadata.name !== `${CLUSTER_ID}${LOCK_SUFFIX}`) return
    const lock = lockOfConfigMap(object as unknown as ConfigMap, '')
    const holder = lock.record?.holder ?? ''
    const seen = (what: string): void => {
      if (!moments.some(moment => moment.what === what)) moments.push({ at: nowMs(), what })
    }
    const theirs = holder.startsWith(`${to.name}_`)
    if (holder === '') seen(`release: ${from.name}'s sidecar vacates the lock`)
    else if (theirs && lock.successor !== '') seen(`release: ${from.name}'s sidecar hands the lock to ${to.name}`)
    else if (theirs) seen(`takeover: ${to.name}'s sidecar begins its term`)
  })
  const before = to.grants.length
  const start = nowMs()
  fault()
  const granted = await until(`${to.name} to be granted leadership`, () => to.grants[before])
  off()
  moments.push({ at: granted, what: `grant: ${to.name}'s Flink is told that it leads` })
  const phases = ['release', 'takeover', 'grant']
  const missing = phases.filter(phase => !moments.some(moment => moment.what.startsWith(phase)))
  if (missing.length > 0) throw new Error(`${title}: no ${missing.join(', no ')}`)
  say(`\n${title}:`)
  say(`  ${'0.0'.padStart(8)} ms  ${from.name}`)
  for (const { at, what } of moments.sort((a, b) => a.at - b.at))
    say(`  ${(at - start).toFixed(1).padStart(8)} ms  ${what}`)
  return Math.round(granted - start)
}

const leaderAddress = (api: KubeServer): true | undefined => {
  const lock = api.store.find(resourceOf('configmaps'), NAMESPACE, `${CLUSTER_ID}${LOCK_SUFFIX}`)
  return Object.keys((lock?.['data'] ?? {}) as object).length >= 3 ? true : undefined
}

const addresses = (api: KubeServer, pods: DemoPod[]): void => {
  say('\nStill up, to try by hand (Ctrl-C ends it):')
  for (const pod of pods)
    say(`  ${pod.name}  curl ${pod.url}/leader   curl -N ${pod.url}/leader/stream   browser: ${pod.url}/`)
  say(`  the API       curl ${api.url}/api/v1/namespaces/${NAMESPACE}/configmaps/${CLUSTER_ID}${LOCK_SUFFIX}`)
  say(`  hand over     flink-ha switchover --url <the leader's address>`)
}

const until = async <T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> => {
  const endMs = nowMs() + STEP_TIMEOUT_MS
  while (nowMs() < endMs) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  throw new Error(`${what}: not within ${STEP_TIMEOUT_MS / 1000} s`)
}
