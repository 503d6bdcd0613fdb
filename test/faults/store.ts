// What happened to the HA data, from every version of its ConfigMaps that was seen and from what leaders logged. Pure.
import { ANNOTATION_TOKEN, JOB_SUFFIX, LOCK_SUFFIX } from '../../shared/names.ts'
import { GRANTED } from './believers.ts'
import type { Logged } from './evidence.ts'
import { grouped } from './spans.ts'

export type Breach = { atMs: number; what: string }
export type Version = {
  atMs: number
  name: string
  object: { metadata: { annotations?: { [name: string]: string } }; data?: { [key: string]: string } }
}
/** An accepted write of a pod to a ConfigMap. */
export type Accepted = { atMs: number; pod: string; name: string }

export const isJobMap = (name: string): boolean => name.endsWith(JOB_SUFFIX) && !name.endsWith(LOCK_SUFFIX)

/**
 * The newest checkpoint only gives way to a newer one; a checkpoint's entry changes only when a newer one is there (Flink marks
 * it, then removes it); counters and tokens do not go back. Each breach in a sentence.
 */
export const breaches = (versions: readonly Version[]): Breach[] =>
  [...grouped(versions, ({ name }) => name)].flatMap(([name, ofOne]) =>
    ofOne
      .slice(1)
      .flatMap((after, i) =>
        between(name, ofOne[i]!, after).map(what => ({ atMs: after.atMs, what: `${name}: ${what}` })),
      ),
  )

const between = (name: string, before: Version, after: Version): string[] => {
  const found: string[] = []
  const [tokenWas, token] = [tokenOf(before), tokenOf(after)]
  if (token < tokenWas) found.push(`token ${tokenWas}, then ${token}`)
  if (!isJobMap(name)) return found
  const [was, is] = [before.object.data ?? {}, after.object.data ?? {}]
  const [newestWas, newest] = [newestOf(was), newestOf(is)]
  if (newest < newestWas) found.push(`checkpoint ${newestWas} lost, the newest is ${newest}`)
  for (const key of Object.keys(was).filter(key => CHECKPOINT.test(key)))
    if (is[key] !== undefined && is[key] !== was[key] && idOf(key) === newest)
      found.push(`checkpoint ${idOf(key)} overwritten`)
  const [counterWas, counter] = [Number(was['counter'] ?? 0), Number(is['counter'] ?? 0)]
  if (counter < counterWas) found.push(`counter ${counterWas}, then ${counter}`)
  return found
}

const tokenOf = ({ object }: Version): number => Number(object.metadata.annotations?.[ANNOTATION_TOKEN] ?? 0)
const CHECKPOINT = /^checkpointID-0*(\d+)$/
const idOf = (key: string): number => Number(CHECKPOINT.exec(key)?.[1] ?? 0)
const newestOf = (data: { [key: string]: string }): number => Math.max(0, ...Object.keys(data).map(idOf))

/** Accepted writes to a job's ConfigMap of a pod whose Flink was granted leadership before another's was. */
export const foreignWrites = (accepted: readonly Accepted[], logged: readonly Logged[]): Accepted[] => {
  const grants = logged.filter(({ line }) => GRANTED.test(line)).toSorted((a, b) => a.atMs - b.atMs)
  return accepted.filter(({ atMs, pod, name }) => {
    const leader = grants.findLast(grant => grant.atMs < atMs)
    return isJobMap(name) && leader !== undefined && leader.pod !== pod
  })
}

const COMPLETED = /Completed checkpoint (\d+) for job/
const RESTORING = /Restoring job \S+ from Checkpoint (\d+)/
const ANEW = /No checkpoint found during restore/

export type Takeover = {
  pod: string
  grantedMs: number
  /** The checkpoint that the new leader went on from: 0 for none, undefined if it lost leadership before it looked. */
  restored: number | undefined
  /** The last one that any leader before it had logged as completed by then. */
  completed: number
  /**
   * What others logged as completed after that, until the next takeover, and is newer than what the new leader went on from:
   * of no use to anybody, and maybe written over it. (An old leader that was cut off between the store's write and its
   * answer tells of that checkpoint when it reads the store again.)
   */
  stray: number[]
}

/** Each grant between two times, with what became of the checkpoints. */
export const takeovers = (logged: readonly Logged[], fromMs: number, toMs: number): Takeover[] => {
  const lines = logged.filter(({ box }) => box === 'jobmanager').toSorted((a, b) => a.atMs - b.atMs)
  const grants = lines.filter(({ line }) => GRANTED.test(line))
  return grants.flatMap((grant, i) => {
    if (grant.atMs < fromMs || grant.atMs > toMs) return []
    const endMs = grants[i + 1]?.atMs ?? toMs
    const restoring = lines.find(
      ({ atMs, pod, line }) =>
        atMs >= grant.atMs && atMs < endMs && pod === grant.pod && (RESTORING.test(line) || ANEW.test(line)),
    )
    const readMs = restoring?.atMs ?? endMs
    const restored = restoring && checkpointOf(RESTORING, restoring)
    const isOwn = ({ pod, atMs }: Logged): boolean => pod === grant.pod && atMs >= grant.atMs
    const others = lines.filter(line => !isOwn(line) && COMPLETED.test(line.line))
    const idsOf = (logged: readonly Logged[]): number[] => logged.map(one => checkpointOf(COMPLETED, one))
    return [
      {
        pod: grant.pod,
        grantedMs: grant.atMs,
        restored,
        completed: Math.max(0, ...idsOf(others.filter(({ atMs }) => atMs <= readMs))),
        stray: idsOf(others.filter(({ atMs }) => atMs > readMs && atMs < endMs)).filter(id => id > (restored ?? 0)),
      },
    ]
  })
}

const checkpointOf = (pattern: RegExp, { line }: Logged): number => Number(pattern.exec(line)?.[1] ?? 0)
