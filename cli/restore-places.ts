// Where a restored cluster could already run: where it goes to, and where the file is from. Both would write to one `storageDir`,
// and each removes checkpoints' files that the other needs.
import type { Heading } from './backup-file.ts'
import type { Cluster } from './cluster.ts'
import { readUsers, type Users } from './cluster-users.ts'
import type { HaWorld } from './ha-args.ts'
import { type ClusterName, type HaStore, readHaStore } from './ha-store.ts'
import type { Io } from './io.ts'
import { judgeStandstill, type Standstill } from './standstill.ts'

/** `where`: what to say before a reason. */
export type Place = { store: HaStore; users: Users; where: string }

/** The locks first, the users after that: whoever appears in between writes a lock that was looked at. */
export const placeOf = async (cluster: Cluster, name: ClusterName, where = ''): Promise<Place> => ({
  store: await readHaStore(cluster, name),
  users: await readUsers(cluster, name.namespace),
  where,
})

const RIGHTS = 'get and list configmaps, get leases, list pods, deployments, statefulsets, jobs and flinkdeployments'

/** Where the file is from, if it goes elsewhere. @throws Error that says what is not shown, and which rights it takes */
export const sourceOf = async (cluster: Cluster, of: Heading, target: string): Promise<Place[]> => {
  const { namespace, clusterId } = of
  if (namespace === target) return []
  const where = `in namespace ${namespace}, where the file is from: `
  try {
    return [await placeOf(cluster, { namespace, clusterId }, where)]
  } catch (error) {
    const { message } = error as Error
    throw new Error(
      `nothing is written: ${where}whether the cluster stands still cannot be told: ${message}; it takes the rights to ${RIGHTS}`,
    )
  }
}

/** The first that does not stand still decides. */
export const judgePlaces = async (
  cluster: Cluster,
  places: readonly Place[],
  world: HaWorld,
  io: Io,
): Promise<Standstill> => {
  const whys: string[] = []
  for (const { store, users, where } of places) {
    const { stands, why } = await judgeStandstill(cluster, store, users, world, io)
    if (!stands) return { stands, why: `${where}${why}` }
    whys.push(`${where}${why}`)
  }
  return { stands: true, why: whys.join('; ') }
}
