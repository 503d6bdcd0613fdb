/**
 * Whether a cluster is alive, as its pods and its lock tell. Wall clocks say nothing here: a record's times were written by
 * somebody else's. A lock that somebody holds is watched for as long as he may leave it as it is: its whole lease, with failsafe
 * the time that a leader goes on without a write, and a margin.
 *
 * Not a lock of our own: whoever begins to lead meanwhile is met by the versions that each write names.
 */

import type { Lock } from '../shared/election.ts'
import { FAILSAFE_LIMIT_MS, strangerWaitMs } from '../shared/failsafe.ts'
import { lockOfConfigMap, lockOfLease } from '../shared/lock.ts'
import { some } from './check-api.ts'
import type { Cluster } from './cluster.ts'
import type { Users } from './cluster-users.ts'
import type { HaWorld } from './ha-args.ts'
import type { HaStore } from './ha-store.ts'
import { LockGuard } from './lock-guard.ts'

export type Life = { alive: boolean; why: string }
export type Watching = Pick<HaWorld, 'pause' | 'monoMs'> & { onWatch: (seconds: number) => void }

const POLL_MS = 1_000
const MARGIN = 1.2
const MARGIN_MS = 1_000
/** Of a record that cannot be read: Flink's default. */
const UNREADABLE_LEASE_MS = 15_000

/** Who of it is there; undefined: nobody. */
export const podOf = (store: HaStore, users: Users): string | undefined => {
  const pods = users.pods.get(store.clusterId) ?? []
  if (pods.length > 0) return `of this cluster there is ${some(pods)}`
  const held = locksOf(store).find(({ holder }) => users.identities.has(holder))
  return held === undefined ? undefined : `the lock is held by ${held.holder}, a pod that is there`
}

/** @throws Error when what is needed is not shown */
export const judgeLife = async (cluster: Cluster, store: HaStore, users: Users, watching: Watching): Promise<Life> => {
  const pod = podOf(store, users)
  if (pod !== undefined) return { alive: true, why: pod }
  const held = locksOf(store).filter(({ holder }) => holder !== '')
  if (held.length === 0) return { alive: false, why: 'nobody holds its lock, and no pod is there' }
  const watchMs = Math.max(...held.map(({ waitMs }) => waitMs)) * MARGIN + MARGIN_MS
  watching.onWatch(Math.ceil(watchMs / 1_000))
  const change = await changeWithin(new LockGuard(cluster, store), watchMs, watching)
  return change === undefined
    ? { alive: false, why: `its lock was left as it is for ${Math.ceil(watchMs / 1_000)} s, and no pod is there` }
    : { alive: true, why: change }
}

type Held = { holder: string; waitMs: number }

const locksOf = ({ lock, lease }: Pick<HaStore, 'lock' | 'lease'>): Held[] => {
  const inConfigMap = lockOfConfigMap(lock, '')
  return [heldOf(inConfigMap, inConfigMap.raw), heldOf(lockOfLease(lease, ''), lease?.spec?.holderIdentity ?? '')]
}

/** Somebody holds a record that cannot be read, for all we know. */
const heldOf = ({ record, roster }: Lock, written: string): Held => ({
  holder: record?.holder ?? (written === '' ? '' : 'an unreadable record'),
  waitMs: (record?.leaseMs ?? UNREADABLE_LEASE_MS) + strangerWaitMs(roster, '', FAILSAFE_LIMIT_MS),
})

const changeWithin = async (
  guard: LockGuard,
  watchMs: number,
  { pause, monoMs }: Watching,
): Promise<string | undefined> => {
  const endMs = monoMs() + watchMs
  for (let leftMs = watchMs; leftMs > 0; leftMs = endMs - monoMs()) {
    await pause(Math.min(POLL_MS, leftMs))
    const problem = await guard.problem()
    if (problem !== undefined) return problem
  }
  return undefined
}
