/**
 * `flink-ha cleanup`: removes the HA data of a cluster that is gone for good. Shows first what it would remove, refuses unless
 * the cluster stands still, and then removes only what it showed: each object by its uid and version, the lock first. What changed
 * meanwhile was changed by somebody: then it stops.
 */
import type { Metadata } from '../shared/lock.ts'
import { reasonOf } from './check-api.ts'
import type { Cluster } from './cluster.ts'
import { readUsers } from './cluster-users.ts'
import { CLEANUP_FLAGS } from './flags.ts'
import { type HaWorld, processWorld, readHaArgs, textIn } from './ha-args.ts'
import { type ClusterName, configMapPath, type HaStore, leasePath, readHaStore, unlabelledLock } from './ha-store.ts'
import { problemLines, storeRows } from './ha-text.ts'
import { complain, type Io, processIo } from './io.ts'
import { LockGuard } from './lock-guard.ts'
import { judgeStandstill } from './standstill.ts'
import { textTable } from './table.ts'

export type CleanupArgs = ClusterName & { yes: boolean }

export const runCleanup = async (args: readonly string[], version: string): Promise<void> => {
  const values = readHaArgs(args, CLEANUP_FLAGS, ['namespace', 'cluster-id'])
  const given = {
    namespace: textIn(values, 'namespace'),
    clusterId: textIn(values, 'cluster-id'),
    yes: !!values['yes'],
  }
  process.exitCode = await cleanup(given, processWorld(values, `flink-ha/${version} cleanup`), processIo)
}

/** Resolves with the exit code. */
export const cleanup = async (args: CleanupArgs, world: HaWorld, io: Io): Promise<number> => {
  try {
    const cluster = await world.connecting()
    const store = await readHaStore(cluster, args)
    const users = await readUsers(cluster, args.namespace)
    io.out(shown(store))
    const unlabelled = unlabelledLock(store)
    if (unlabelled !== undefined) return complain(io, [`nothing is removed: ${unlabelled}`])
    if (targetsOf(store).length === 0) return 0
    const { stands, why } = await judgeStandstill(cluster, store, users, world, io)
    if (!stands) return complain(io, [`nothing is removed: ${why}`])
    for (const user of users.byId.get(args.clusterId) ?? [])
      io.err(`flink-ha: ${user} still names this cluster id: without the data its jobs begin anew\n`)
    if (!args.yes) {
      io.out(`${why}; nothing is removed without --yes\n`)
      return 0
    }
    return await remove(cluster, store, io)
  } catch (error) {
    return complain(io, [(error as Error).message])
  }
}

const shown = (store: HaStore): string => {
  const { namespace, clusterId, data, lease } = store
  const rows = storeRows(data)
  const leases = lease === undefined ? [] : [[lease.metadata.name, '', '', 'the Lease that is the lock']]
  const all = [...rows, ...leases]
  const foreign = problemLines(data.problems)
  return [
    all.length === 0
      ? `cluster ${clusterId} has no HA data in namespace ${namespace}\n`
      : `HA data of cluster ${clusterId} in namespace ${namespace}:\n${textTable(all, '  ')}`,
    foreign === '' ? '' : `foreign or damaged:\n${foreign.replace(/^/gm, '  ').trimEnd()}\n`,
  ].join('')
}

type Target = { path: string; kind: string; metadata: Metadata }

/**
 * The lock first: that it goes in the version that was shown proves that nobody began. And whoever interrupts this leaves no plans
 * without their checkpoints, by which jobs would begin anew without a word; what is left of jobs harms nobody, and the same command
 * removes it.
 */
const targetsOf = ({ namespace, data, lease }: HaStore): Target[] => {
  const mapOf = ({ metadata }: { metadata: Metadata }): Target => ({
    kind: 'ConfigMap',
    metadata,
    path: configMapPath(namespace, metadata.name),
  })
  const leases: Target[] =
    lease === undefined
      ? []
      : [{ kind: 'Lease', metadata: lease.metadata, path: leasePath(namespace, lease.metadata.name) }]
  const locks = data.lock === undefined ? [] : [mapOf(data.lock)]
  return [...leases, ...locks, ...[...data.jobMaps.values()].map(mapOf)]
}

const remove = async (cluster: Cluster, store: HaStore, io: Io): Promise<number> => {
  const targets = targetsOf(store)
  const guard = new LockGuard(cluster, store)
  for (const [at, target] of targets.entries()) {
    const problem = await step(cluster, guard, target)
    if (problem === undefined) {
      io.out(`removed ${target.kind} ${target.metadata.name}\n`)
      guard.expect(target.path, undefined)
      continue
    }
    const left = targets.slice(at).map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    return complain(io, [problem, `nothing more is removed; left: ${left.join(', ')}`])
  }
  const foreign = store.data.problems.filter(({ key }) => key === '')
  if (foreign.length > 0) io.out(`left alone: ${[...new Set(foreign.map(one => one.configMap))].join(', ')}\n`)
  return 0
}

/** undefined: removed. */
const step = async (cluster: Cluster, guard: LockGuard, target: Target): Promise<string | undefined> => {
  try {
    return (await guard.problem()) ?? (await removeOne(cluster, target))
  } catch (error) {
    return `whether ${target.kind} ${target.metadata.name} was removed is not known: ${(error as Error).message}`
  }
}

const removeOne = async (cluster: Cluster, { path, kind, metadata }: Target): Promise<string | undefined> => {
  const { uid, resourceVersion } = metadata
  const options = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } }
  const { status, body } = await cluster.request('DELETE', path, options)
  if (status < 300) return undefined
  const why = reasonOf(status, body)
  if (status === 404) return `${kind} ${metadata.name} is gone: somebody else removed it`
  if (status === 409) return `${kind} ${metadata.name} has changed since it was shown: ${why}`
  return `${kind} ${metadata.name} is not removed: ${why}`
}
