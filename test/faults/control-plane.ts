// Faults of the control plane's own processes. Only a cluster on this machine can be struck so: FLINK_HA_RIG names its tool.
import { execFileSync } from 'node:child_process'
import { kubectl, nowMs, run, sleep, until } from '../live/cluster.ts'
import { rig } from '../live/faults.ts'

export type Component = 'apiserver' | 'etcd' | 'kubelet'

/** What was struck and is not well again: a run that is broken off leaves a cluster that works. */
const struck = new Set<Component>()
process.once('exit', () => {
  for (const component of struck) healNow(component)
})
const healNow = (component: Component): void => {
  for (const command of [['fault', component, 'continue'], ['up']])
    try {
      execFileSync(rig, command, { stdio: 'ignore' })
    } catch {
      // Whatever is killed cannot be continued, and the other way round.
    }
}

/** Each answers when it began. */
export const freeze = async (component: Component): Promise<number> => await strike(component, 'stop')
export const kill = async (component: Component): Promise<number> => await strike(component, 'kill')

const strike = async (component: Component, how: 'stop' | 'kill'): Promise<number> => {
  struck.add(component)
  const atMs = nowMs()
  await run(rig, ['fault', component, how])
  return atMs
}

export const thaw = async (component: Component): Promise<void> => {
  await run(rig, ['fault', component, 'continue'])
  await answers()
  struck.delete(component)
}

/** Starts again what was killed. */
export const revive = async (component: Component): Promise<void> => {
  // It waits a minute for the node, whose kubelet may wait longer before it asks again after a long outage.
  await run(rig, ['up']).catch(() => run(rig, ['up']))
  await answers()
  struck.delete(component)
}

const answers = async (): Promise<void> => {
  await until('the API server to be ready', 60_000, () => kubectl(['get', '--raw', '/readyz'], '', 5_000), 100)
}

/**
 * A disk that stalls again and again, as etcd's clients feel it: the process stands still for every other tenth of a second.
 * (Not the disk itself is slowed down: the rig's etcd does not wait for it.)
 */
export const stutter = async (component: Component, forMs: number): Promise<void> => {
  struck.add(component)
  try {
    for (const endMs = nowMs() + forMs; nowMs() < endMs; await sleep(100)) {
      await run(rig, ['fault', component, 'stop'])
      await sleep(100)
      await run(rig, ['fault', component, 'continue'])
    }
  } finally {
    await thaw(component)
  }
}
