// One round: a fault against a running cluster, its healing, the recovery, and what all that came to.
import { Audit, auditLog, isWrite } from '../live/audit.ts'
import { nowMs, type Pod, sleep, until } from '../live/cluster.ts'
import type { Setup } from '../live/manifests.ts'
import { type Prelude, raise, type Scene } from '../live/scene.ts'
import { Prober } from './evidence.ts'
import type { Kind, Mode, Struck } from './kinds.ts'
import { type Figures, measure } from './measure.ts'
import type { Accepted } from './store.ts'

export type Stage = Scene & { mode: Mode; prober: Prober }
export type Sample = Figures & {
  kind: string
  mode: Mode
  round: number
  at: string
  leader: string
  /** From the healing to the job's next completed checkpoint; null: not within the patience. */
  recoveredMs: number | null
}

/** Somebody leads and the job goes on within this, or the cluster is stuck. */
const PATIENCE_MS = 180_000
const SETTLE_MS = 2_000
/** Of the past, the checks need no more than the version before the first one of a round. */
const VERSIONS_KEPT = 200

export const set = async (purpose: string, mode: Mode, setup: Setup, prelude?: Prelude): Promise<Stage> => {
  const scene = await raise(`faults-${purpose}`, setup, prelude)
  const { namespace, cluster, agent } = scene
  return { ...scene, mode, prober: await Prober.start(namespace, cluster.node, agent, mode !== 'builtin') }
}

export const playRound = async (stage: Stage, name: string, kind: Kind, round: number): Promise<Sample> => {
  const { cluster, observer, agent, prober, jobId } = stage
  const leader = await recovered(stage)
  const standby = await cluster.standby(leader)
  const path = await auditLog()
  const audit = path === undefined ? undefined : await Audit.begin(path)
  observer.versions.splice(0, observer.versions.length - VERSIONS_KEPT)
  await prober.read()
  prober.forget()
  // Faults come at any phase of the lease and of the checkpoints.
  await sleep(1_000 + Math.random() * 4_000)

  const at = new Date().toISOString()
  const { struck, healedMs } = await strikeAndHeal(kind, { scene: stage, leader, standby })
  const recoveredMs = await recovered(stage).then(
    () => nowMs() - healedMs,
    () => null,
  )
  await sleep(kind.settleMs ?? SETTLE_MS)
  const toMs = nowMs()
  // The prober notes ten times a second.
  await sleep(300)
  await prober.read()
  const accepted = await audit?.of(stage.namespace.name, agent.there(struck.atMs), agent.there(toMs))
  const pods = new Map((await cluster.jobManagers()).concat(leader, standby).map(pod => [pod.ip, pod.name]))
  const figures = measure({
    evidence: prober.evidence,
    versions: observer.versions,
    accepted: accepted
      ?.filter(one => one.resource === 'configmaps' && isWrite(one) && one.status < 400)
      .map((one): Accepted => ({ atMs: agent.here(one.atMs), pod: pods.get(one.from) ?? one.from, name: one.name })),
    jobId,
    leader: leader.name,
    jvm: struck.jvm,
    atMs: struck.atMs,
    healedMs,
    toMs,
  })
  if (kind.wearsOut === true) await replace(stage, leader)
  return { kind: name, mode: stage.mode, round, at, leader: leader.name, recoveredMs, ...figures }
}

const strikeAndHeal = async (
  kind: Kind,
  cast: { scene: Scene; leader: Pod; standby: Pod },
): Promise<{ struck: Struck; healedMs: number }> => {
  const struck = await kind.strike(cast)
  let healedMs: unknown
  try {
    await sleep(kind.holdMs)
  } finally {
    healedMs = struck.heal === undefined ? struck.atMs : await struck.heal()
  }
  return { struck, healedMs: typeof healedMs === 'number' ? healedMs : nowMs() }
}

/** The leader, once a checkpoint has been completed under it since the call. */
export const recovered = async ({ cluster, jobId }: Stage): Promise<Pod> => {
  let before: { pod: string; completed: number } | undefined
  const look = async (): Promise<Pod | undefined> => {
    const leader = await cluster.leaderNow()
    if (leader === undefined) return undefined
    const completed = await cluster.completed(leader, jobId)
    if (before?.pod !== leader.name || completed < before.completed) before = { pod: leader.name, completed }
    return completed > before.completed ? leader : undefined
  }
  return await until('a leader whose job goes on', PATIENCE_MS, look, 1_000)
}

/** A container that was killed is not used again. */
const replace = async ({ namespace, cluster }: Stage, worn: Pod): Promise<void> => {
  if ((await cluster.jobManagers()).some(({ name }) => name === worn.name)) await namespace.deletePod(worn.name)
}
