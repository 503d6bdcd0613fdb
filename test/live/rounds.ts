// One round of a fault against a running cluster, and everything that is measured of it. The tests assert on it, the
// benchmark tells it.
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { parseRecord } from '../../shared/record.ts'
import type { Agent } from './agent.ts'
import { epochMs, type LockObserver, type LogFollower, type LogLine, nowMs, type Pod, sleep, until } from './cluster.ts'
import { COMPLETED, type FlinkCluster, GRANTED, RESTORING, TASK_SWITCHED } from './flink.ts'

/** SIGKILL of the leading JVM; deletion of its pod; SIGKILL of everything in it. */
export type Fault = 'crash' | 'graceful' | 'crash-pod'

export type Sample = {
  fault: Fault
  /** All in milliseconds from the fault: the lock was seen to name the standby; */
  lockMs: number
  /** the standby's record says that it acquired the lock, by the node's clock; */
  acquiredMs: number
  /** the new leader's Flink logged that it was granted leadership; */
  grantedMs: number
  /** it logged that the last of the job's tasks is RUNNING. */
  runningMs: number
  /** The last checkpoint that the old leader logged as completed, and the one that the new leader restored. */
  completed: number
  restored: number
}

const ROUND_TIMEOUT_MS = 180_000
/** Later than a term that was handed over is granted: from then on it is looked for at others as well. */
const LATE_MS = 5_000
/** Longer than a failover's first half, in which milliseconds count. */
const REST_S = 1

export const playRound = async (
  cluster: FlinkCluster,
  agent: Agent,
  observer: LockObserver,
  jobId: string,
  fault: Fault,
): Promise<Sample> => {
  const { namespace } = cluster
  const container = cluster.container('jobmanager')
  const old = await cluster.leader()
  const standby = await cluster.standby(old)
  await cluster.running(old, jobId, ROUND_TIMEOUT_MS)
  const tasks = await cluster.tasks(old, jobId)
  await cluster.checkpoints(old, jobId, 2)
  const before = observer.holder
  const oldLog = namespace.follow(old.name, container)
  const rivals: Rival[] = [{ pod: standby, log: namespace.follow(standby.name, container) }]
  // Faults come at any phase of the lease and of the checkpoints, and find the log followers at rest.
  await sleep(1_000 + Math.random() * 5_000)

  const faultMs = await strike(cluster, agent, fault, old.name)
  const lock = await observer.first('the lock names another', faultMs, ROUND_TIMEOUT_MS, sight => {
    return sight.holder !== '' && sight.holder !== before
  })
  const linesOf = ({ log }: Rival): LogLine[] => log.lines.filter(({ atMs }) => agent.here(atMs) >= faultMs)
  const { winner, granted } = await until('a JobManager to log its grant', ROUND_TIMEOUT_MS, async () => {
    for (const winner of rivals) {
      const granted = linesOf(winner).find(({ line }) => GRANTED.test(line))
      if (granted !== undefined) return { winner, granted }
    }
    if (nowMs() > faultMs + LATE_MS) await joinRivals(cluster, old, rivals)
    return undefined
  })
  const restoring = await until(`${winner.pod.name} to log ${RESTORING}`, ROUND_TIMEOUT_MS, () =>
    linesOf(winner).find(({ line }) => RESTORING.test(line)),
  )
  const restored = Number(RESTORING.exec(restoring.line)?.[1])
  // Not asked by REST: each question that finds no leader yet costs the new one a stack trace, when it is busiest.
  const running = await until('all tasks to be logged as RUNNING', ROUND_TIMEOUT_MS, () =>
    allRunning(linesOf(winner), tasks),
  )
  await cluster.running(winner.pod, jobId, ROUND_TIMEOUT_MS, agent.there(faultMs))
  const completed = Math.max(0, ...oldLog.lines.flatMap(({ line }) => COMPLETED.exec(line)?.[1] ?? []).map(Number))
  oldLog.stop()
  for (const { log } of rivals) log.stop()
  const record = parseRecord(lock.object.metadata.annotations?.[ANNOTATION_LEADER])
  // The kubelet makes a container that was killed again and again wait for minutes: the next round gets a new pod.
  if (fault !== 'graceful' && winner.pod.name !== old.name) await namespace.deletePod(old.name)
  return {
    fault,
    lockMs: lock.atMs - faultMs,
    acquiredMs: agent.here(epochMs(record?.acquireTime ?? '')) - faultMs,
    grantedMs: agent.here(granted.atMs) - faultMs,
    runningMs: agent.here(running.atMs) - faultMs,
    completed,
    restored,
  }
}

type Rival = { pod: Pod; log: LogFollower }

/** A term that nobody handed over is waited for so long that the killed JobManager may be back to win it. */
const joinRivals = async (cluster: FlinkCluster, old: Pod, rivals: Rival[]): Promise<void> => {
  const container = cluster.container('jobmanager')
  for (const pod of await cluster.jobManagers()) {
    const isBack = pod.name !== old.name || (pod.restarts[container] ?? 0) > (old.restarts[container] ?? 0)
    if (!isBack || !pod.ready || rivals.some(rival => rival.pod.name === pod.name)) continue
    rivals.push({ pod, log: cluster.namespace.follow(pod.name, container) })
  }
  await sleep(500)
}

/** The line with which so many tasks are RUNNING at the same time. */
const allRunning = (lines: readonly LogLine[], tasks: number): LogLine | undefined => {
  const running = new Set<string>()
  return lines.find(({ line }) => {
    const [, attempt = '', from, to] = TASK_SWITCHED.exec(line) ?? []
    if (to === 'RUNNING') running.add(attempt)
    else if (from === 'RUNNING') running.delete(attempt)
    return running.size === tasks
  })
}

const strike = async (cluster: FlinkCluster, agent: Agent, fault: Fault, pod: string): Promise<number> => {
  if (fault === 'graceful') return await cluster.namespace.deletePod(pod)
  return await agent.signal(pod, fault === 'crash' ? ['java'] : ['java', 'node'], 'KILL', REST_S)
}

/** A sample in a line. */
export const describe = (sample: Sample): string =>
  `${sample.fault}: lock ${ms(sample.lockMs)}, granted ${ms(sample.grantedMs)}, running ${ms(sample.runningMs)} ms; ` +
  `checkpoint ${sample.restored} restored, ${sample.completed} completed`

const ms = (value: number): string => value.toFixed(0)
