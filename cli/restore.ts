/**
 * `flink-ha restore`: puts a cluster's HA ConfigMaps back as a backup has them. Everything is looked at first: the file, whether
 * the cluster stands still, each difference, and each write by a dry run. Then each write is a compare-and-set on what was looked
 * at, the lock last; the first that fails ends it, and the same command goes on from there.
 */
import type { ConfigMap } from '../shared/lock.ts'
import { type Backup, readBackup } from './backup-file.ts'
import type { Cluster } from './cluster.ts'
import { RESTORE_FLAGS } from './flags.ts'
import { type HaWorld, processWorld, readHaArgs, textIn } from './ha-args.ts'
import { configMapPath, found, type HaStore, ownMaps } from './ha-store.ts'
import { complain, type Io, processIo } from './io.ts'
import { judgePlaces, placeOf, sourceOf } from './restore-places.ts'
import { planRestore, type Restore } from './restore-plan.ts'
import { DONE, tried, write } from './restore-writes.ts'
import { readSources } from './sources.ts'
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
    const place = await placeOf(cluster, name)
    const { store } = place
    const taken = await takenNames(cluster, store, backup)
    if (taken.length > 0) return complain(io, [...taken, 'nothing is written'])
    const plan = planRestore(backup, presentOf(store), name.namespace, world.wallMs() * 1_000)
    io.out(planText(plan, backup, store))
    const due = plan.filter(({ verb }) => verb !== 'none')
    if (due.length === 0) return 0
    const differing = due.filter(({ verb }) => verb === 'replace').map(({ name }) => name)
    if (differing.length > 0 && !args.replace)
      return complain(io, [`nothing is written: ${differing.join(', ')} would be overwritten: --replace does that`])
    const places = [place, ...(await sourceOf(cluster, backup.heading, name.namespace))]
    const { stands, why } = await judgePlaces(cluster, places, world, io)
    if (!stands) return complain(io, [`nothing is written: ${why}`])
    const refused = (await Promise.all(due.map(one => tried(cluster, name, one)))).filter(why => why !== undefined)
    if (refused.length > 0) return complain(io, [...refused, 'nothing is written'])
    const stores = places.map(({ store }) => store)
    if (args.yes) return await write(cluster, name, stores, due, io)
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

const presentOf = ({ data, lease }: HaStore) => ({
  configMaps: new Map(ownMaps(data).map(one => [one.metadata.name, one])),
  lease,
})

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
