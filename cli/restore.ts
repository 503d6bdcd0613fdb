/**
 * `flink-ha restore`: puts a cluster's HA ConfigMaps back as a backup has them. Everything is looked at first: the file, who is
 * alive, each difference, and each write by a dry run. Then each write is a compare-and-set on what was looked at, the lock last;
 * the first that fails ends it, and the same command goes on from there.
 */
import type { ConfigMap, Metadata } from '../shared/lock.ts'
import { leasesPath } from '../shared/lock-writes.ts'
import { configMapsPath } from '../sidecar/lock-store.ts'
import { type Backup, readBackup } from './backup-file.ts'
import { reasonOf } from './check-api.ts'
import type { Cluster } from './cluster.ts'
import { readUsers } from './cluster-users.ts'
import { RESTORE_FLAGS } from './flags.ts'
import { type HaWorld, processWorld, readHaArgs, textIn } from './ha-args.ts'
import { type ClusterName, configMapPath, found, type HaStore, readHaStore } from './ha-store.ts'
import { complain, type Io, processIo } from './io.ts'
import { LockGuard } from './lock-guard.ts'
import { planRestore, type Restore } from './restore-plan.ts'
import { readSources } from './sources.ts'
import { judgeStandstill } from './standstill.ts'
import { parsePart, splitDocuments } from './yaml-documents.ts'

export type RestoreArgs = { file: string; namespace: string | undefined; replace: boolean; yes: boolean }

export const runRestore = async (args: readonly string[], version: string): Promise<void> => {
  const values = readHaArgs(args, RESTORE_FLAGS, ['file'])
  const given = {
    file: textIn(values, 'file'),
    namespace: values['namespace'] as string | undefined,
    replace: values['replace'] === true,
    yes: values['yes'] === true,
  }
  process.exitCode = await restore(given, processWorld(values, `flink-ha/${version} restore`), processIo)
}

/** Resolves with the exit code. */
export const restore = async (args: RestoreArgs, world: HaWorld, io: Io): Promise<number> => {
  try {
    const { backup, problems } = await backupIn(args.file, io)
    if (backup === undefined) return complain(io, [...problems, 'nothing is written'])
    const { clusterId } = backup.heading
    const cluster = await world.connecting()
    const name = { namespace: args.namespace ?? backup.heading.namespace, clusterId }
    const store = await readHaStore(cluster, name)
    const users = await readUsers(cluster, name.namespace)
    const taken = await takenNames(cluster, store, backup)
    if (taken.length > 0) return complain(io, [...taken, 'nothing is written'])
    const plan = planRestore(backup, presentOf(store), name.namespace, world.wallMs() * 1_000)
    io.out(planText(plan, backup, store))
    const due = plan.filter(({ verb }) => verb !== 'none')
    if (due.length === 0) return 0
    const differing = due.filter(({ verb }) => verb === 'replace').map(({ name }) => name)
    if (differing.length > 0 && !args.replace)
      return complain(io, [`nothing is written: ${differing.join(', ')} would be overwritten: --replace does that`])
    const { stands, why } = await judgeStandstill(cluster, store, users, world, io)
    if (!stands) return complain(io, [`nothing is written: ${why}`])
    const refused = (await Promise.all(due.map(one => tried(cluster, name, one)))).filter(why => why !== undefined)
    if (refused.length > 0) return complain(io, [...refused, 'nothing is written'])
    if (args.yes) return await write(cluster, store, due, io)
    io.out(`${why}; nothing is written without --yes\n`)
    return 0
  } catch (error) {
    return complain(io, [(error as Error).message])
  }
}

const backupIn = async (file: string, io: Io): Promise<{ backup: Backup | undefined; problems: string[] }> => {
  const { sources, problems } = await readSources([file], io.readInput)
  const [source, ...others] = sources
  if (problems.length > 0 || source === undefined) return { backup: undefined, problems }
  const [part, ...more] = splitDocuments(source.text)
  if (part === undefined || others.length + more.length > 0)
    return { backup: undefined, problems: [`${file}: one document, as backup writes it, is needed`] }
  const parsed = parsePart(part)
  const read =
    parsed.problems.length > 0 ? { backup: undefined, problems: [...parsed.problems] } : readBackup(parsed.value)
  return { backup: read.backup, problems: read.problems.map(problem => `${file}: ${problem}`) }
}

/** What has the name and is not HA data of this cluster is somebody else's. */
const takenNames = async (cluster: Cluster, store: HaStore, backup: Backup): Promise<string[]> => {
  const known = presentOf(store).configMaps
  const isTaken = async ({ metadata: { name } }: ConfigMap): Promise<string[]> =>
    !known.has(name) && (await found(cluster, configMapPath(store.namespace, name))) !== undefined
      ? [`ConfigMap ${name} is there, without the labels of this cluster’s HA data: somebody else’s`]
      : []
  const maps = (await Promise.all(backup.configMaps.map(isTaken))).flat()
  const { lease } = backup
  return lease !== undefined && store.hasStrangersLease
    ? [...maps, `Lease ${lease.metadata.name} is there, without the labels of this cluster’s: somebody else’s`]
    : maps
}

const presentOf = ({ data, lease }: HaStore) => {
  const maps = [...data.jobMaps.values(), ...(data.lock === undefined ? [] : [data.lock])]
  return { configMaps: new Map(maps.map(one => [one.metadata.name, one])), lease }
}

const DONE = { create: 'created', replace: 'replaced', none: 'left as it is' } as const

const planText = (plan: readonly Restore[], { heading, configMaps }: Backup, store: HaStore): string => {
  const lines = plan.map(
    ({ kind, name, verb, differences }) =>
      `  ${kind} ${name}: ${verb === 'none' ? 'as in the backup' : `to be ${DONE[verb]}`}\n${differences.map(one => `    ${one}\n`).join('')}`,
  )
  const saved = new Set(configMaps.map(({ metadata }) => metadata.name))
  const others = [...presentOf(store).configMaps.keys()].filter(name => !saved.has(name))
  const stays = others.map(name => `  ConfigMap ${name}: not in the backup, stays\n`)
  const title = `cluster ${heading.clusterId} in namespace ${store.namespace}, as of ${heading.time}:\n`
  return [title, ...lines, ...stays].join('')
}

const collectionOf = (kind: Restore['kind'], namespace: string): string =>
  kind === 'Lease' ? leasesPath(namespace) : configMapsPath(namespace)

const send = (cluster: Cluster, { namespace }: ClusterName, { kind, name, verb, body }: Restore, query = '') =>
  verb === 'create'
    ? cluster.request('POST', `${collectionOf(kind, namespace)}${query}`, body)
    : cluster.request('PUT', `${collectionOf(kind, namespace)}/${name}${query}`, body)

/** Rights, quotas, sizes and versions, before anything is done. */
const tried = async (cluster: Cluster, name: ClusterName, one: Restore): Promise<string | undefined> => {
  const { status, body } = await send(cluster, name, one, '?dryRun=All')
  return status < 300 ? undefined : `${one.kind} ${one.name} cannot be ${DONE[one.verb]}: ${reasonOf(status, body)}`
}

const write = async (cluster: Cluster, store: HaStore, due: readonly Restore[], io: Io): Promise<number> => {
  const guard = new LockGuard(cluster, store)
  for (const [at, one] of due.entries()) {
    const problem = await step(cluster, store, guard, one)
    if (problem === undefined) {
      io.out(`${DONE[one.verb]} ${one.kind} ${one.name}\n`)
      continue
    }
    const left = due.slice(at).map(({ kind, name }) => `${kind} ${name}`)
    return complain(io, [
      problem,
      `nothing more is written; not done: ${left.join(', ')}; the same command goes on there`,
    ])
  }
  return 0
}

/** undefined: done. */
const step = async (cluster: Cluster, store: HaStore, guard: LockGuard, one: Restore): Promise<string | undefined> => {
  try {
    const problem = await guard.problem()
    if (problem !== undefined) return problem
    const { status, body } = await send(cluster, store, one)
    if (status === 409) return `${one.kind} ${one.name} has changed since it was looked at: ${reasonOf(status, body)}`
    if (status >= 300) return `${one.kind} ${one.name} is not ${DONE[one.verb]}: ${reasonOf(status, body)}`
    guard.expect(`${collectionOf(one.kind, store.namespace)}/${one.name}`, (body as { metadata: Metadata }).metadata)
    return undefined
  } catch (error) {
    return `whether ${one.kind} ${one.name} was ${DONE[one.verb]} is not known: ${(error as Error).message}`
  }
}
