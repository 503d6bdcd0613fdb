// The running-jobs registry as far as the lock tells: which jobs have a leader, which have a stored plan; and, for the
// leader's own pod, the checkpoints of each. Keys and sizes only: the Java bytes are never parsed.
import type { ConfigMap } from '../shared/lock.ts'
import { type Component, componentsOf } from './leader.ts'

export type JobDocument = {
  id: string
  leader: Component | null
  /** Whether a plan is stored, so that the job comes back after a change of leader. */
  planStored: boolean
  /** Id that the next checkpoint gets; null when not known here. */
  checkpointCounter: number | null
  /** Newest first. */
  checkpoints: number[]
}

const PLAN = /^(?:jobGraph|executionPlan)-([0-9a-f]{32})$/
const CHECKPOINT = /^checkpointID-(\d{1,19})$/

export const jobIds = (lock: ConfigMap | undefined): string[] => {
  const planned = Object.keys(lock?.data ?? {}).flatMap(key => PLAN.exec(key)?.[1] ?? [])
  const led = Object.keys(componentsOf(lock).jobs)
  return [...new Set([...planned, ...led])].sort()
}

export const jobDocument = (id: string, lock: ConfigMap | undefined, job: ConfigMap | undefined): JobDocument => {
  const keys = Object.keys(lock?.data ?? {})
  const counter = Number(job?.data?.['counter'])
  const checkpoints = Object.keys(job?.data ?? {}).flatMap(key => {
    const number = Number(CHECKPOINT.exec(key)?.[1])
    return Number.isSafeInteger(number) ? [number] : []
  })
  return {
    id,
    leader: componentsOf(lock).jobs[id] ?? null,
    planStored: keys.some(key => PLAN.exec(key)?.[1] === id),
    checkpointCounter: Number.isSafeInteger(counter) ? counter : null,
    checkpoints: checkpoints.sort((a, b) => b - a),
  }
}
