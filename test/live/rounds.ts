// One round of a fault against a running cluster, and everything that is measured of it. The tests assert on it, the
// benchmark tells it.
import type { Agent } from './agent.ts'
import { type LockObserver, nowMs, until } from './cluster.ts'
import { COMPLETED, type FlinkCluster, RESTORING, rest } from './flink.ts'

export type Fault = 'crash' | 'graceful'

export type Sample = {
  fault: Fault
  /** Milliseconds from the fault. */
  lockMs: number
  grantedMs: number
  runningMs: number
  /** Last checkpoint that was completed before the fault, as the old leader logged; the one that was restored. */
  completed: number
  restored: number
}

const ROUND_TIMEOUT_MS = 120_000

export const playRound = async (
  cluster: FlinkCluster,
  agent: Agent,
  observer: LockObserver,
  jobId: string,
  fault: Fault,
): Promise<Sample> => {
  const old = await cluster.leader()
  const standby = await cluster.standby(old)
  await cluster.running(old, jobId, ROUND_TIMEOUT_MS)
  await until('the standby’s REST endpoint', 60_000, async () => {
    await rest(cluster.namespace, standby, '/overview').catch(error => {
      // Without a leader's view it may answer 503, but it answers.
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') throw error
    })
    return true
  })
  const before = observer.holder
  const completedBefore = (await cluster.job(old, jobId)).completed
  await cluster.checkpoints(old, jobId, completedBefore + 2)
  const faultMs =
    fault === 'crash' ? await agent.signal(old.name, ['java'], 'KILL') : await deletePod(cluster, old.name)
  const lock = await observer.first(
    'the lock names another',
    faultMs,
    ROUND_TIMEOUT_MS,
    sight => sight.holder !== '' && sight.holder !== before,
  )
  const here = (nodeMs: number): number => agent.here(nodeMs)
  const grantedMs = await cluster.granted(standby.name, faultMs, here, ROUND_TIMEOUT_MS)
  const runningMs = await cluster.running(standby, jobId, ROUND_TIMEOUT_MS)
  const { completed, restored } = await checkpointsAround(cluster, old.name, standby.name, fault, faultMs, here)
  return {
    fault,
    lockMs: lock.atMs - faultMs,
    grantedMs: grantedMs - faultMs,
    runningMs: runningMs - faultMs,
    completed,
    restored,
  }
}

const deletePod = async (cluster: FlinkCluster, name: string): Promise<number> => {
  // The old leader's log is gone with its pod: what it completed has to be read before.
  const atMs = nowMs()
  await cluster.namespace.kubectl(['delete', 'pod', name, '--wait=false'])
  return atMs
}

const checkpointsAround = async (
  cluster: FlinkCluster,
  old: string,
  standby: string,
  fault: Fault,
  faultMs: number,
  here: (nodeMs: number) => number,
): Promise<{ completed: number; restored: number }> => {
  const restored = await until('the restored checkpoint in the log', 60_000, async () => {
    const lines = (await cluster.namespace.logs(standby, 'jobmanager')).filter(({ atMs }) => here(atMs) >= faultMs)
    return lines.flatMap(({ line }) => RESTORING.exec(line)?.[1] ?? []).at(0)
  })
  // After a crash the container restarts: the old log is the previous one, or still the present one. After a deletion the
  // pod's log may be gone; the ConfigMap's history then is the witness (see the observer).
  const lines = [
    ...(await cluster.namespace.logs(old, 'jobmanager', true)),
    ...(await cluster.namespace.logs(old, 'jobmanager')),
  ].filter(({ atMs }) => fault === 'graceful' || here(atMs) <= faultMs)
  const ids = lines.flatMap(({ line }) => COMPLETED.exec(line)?.[1] ?? []).map(Number)
  return { completed: ids.length === 0 ? Number.NaN : Math.max(...ids), restored: Number(restored) }
}
