// `flink-ha backup`: a cluster's HA ConfigMaps to a file, all as of one moment. Changes nothing; the cluster may run.
import { lockOfConfigMap, lockOfLease } from '../shared/lock.ts'
import { backupOf, yamlOf } from './backup-file.ts'
import { BACKUP_FLAGS } from './flags.ts'
import { type HaWorld, processWorld, readHaArgs, textIn } from './ha-args.ts'
import { type ClusterName, readHaStore, unlabelledLock } from './ha-store.ts'
import { problemLines, storeRows } from './ha-text.ts'
import { complain, type Io, processIo } from './io.ts'
import { saveFile } from './sources.ts'
import { textTable } from './table.ts'

export type BackupArgs = ClusterName & { file: string; force: boolean }

export const runBackup = async (args: readonly string[], version: string): Promise<void> => {
  const values = readHaArgs(args, BACKUP_FLAGS, ['namespace', 'cluster-id', 'file'])
  const given = {
    namespace: textIn(values, 'namespace'),
    clusterId: textIn(values, 'cluster-id'),
    file: textIn(values, 'file'),
    force: values['force'] === true,
  }
  process.exitCode = await backup(given, version, processWorld(values, `flink-ha/${version} backup`), processIo)
}

/** Resolves with the exit code. */
export const backup = async (args: BackupArgs, version: string, world: HaWorld, io: Io): Promise<number> => {
  const { namespace, clusterId, file, force } = args
  try {
    const store = await readHaStore(await world.connecting(), args)
    const { lock, jobMaps } = store.data
    const unlabelled = unlabelledLock(store)
    if (unlabelled !== undefined) return complain(io, [`nothing is written: ${unlabelled}`])
    if (lock === undefined && jobMaps.size === 0)
      return complain(io, [`cluster ${clusterId} has no HA data in namespace ${namespace}: nothing is written`])
    const object = backupOf(store, version, new Date(world.wallMs()).toISOString())
    await saveFile(file, file.endsWith('.json') ? `${JSON.stringify(object, undefined, 2)}\n` : yamlOf(object), force)
    io.out(`${textTable(storeRows(store.data))}written to ${file}\n`)
    for (const line of problemLines(store.data.problems).split('\n').filter(Boolean)) io.err(`flink-ha: ${line}\n`)
    const locks = [lockOfConfigMap(lock, ''), lockOfLease(store.lease, '')]
    if (locks.some(({ record }) => record !== undefined && record.holder !== ''))
      io.err('flink-ha: somebody holds the lock: what jobs do from now on is not in the file\n')
    return 0
  } catch (error) {
    return complain(io, [(error as Error).message])
  }
}
