// Plays the chosen kinds of faults on one stage, asserts what flink-ha promises of each, and keeps every sample. What
// built-in HA does is told and not judged.
import type { Test } from 'tap'
import { PROFILES } from '../../shared/timings.ts'
import { rig } from '../live/faults.ts'
import type { Setup } from '../live/manifests.ts'
import { noCluster, type Prelude, strike } from '../live/scene.ts'
import { type Expected, KINDS, type Kind, MODES, type Mode } from './kinds.ts'
import { keep, type Result, table } from './report.ts'
import { playRound, recovered, type Sample, type Stage, set } from './round.ts'
import { together } from './together.ts'

const ROUNDS = Number(process.env['FLINK_HA_FAULT_ROUNDS'] ?? 1)
const CHOSEN_MODES: readonly string[] = (process.env['FLINK_HA_FAULT_MODES'] ?? 'flink-ha').split(',')
/** Quick ones, of each sort one: some six minutes. */
const FEW = ['jvm-kill', 'graceful', 'force-delete', 'sidecar-freeze', 'partition-reject', 'etcd-kill']
const CHOSEN = process.env['FLINK_HA_FAULTS'] ?? ''
/** A leader again after the last fault: a lease for those that have to wait for one, and room for the machine. */
const BACK_MS = PROFILES.default.leaseMs + 5_000

export const namesOf = (which: (kind: Kind) => boolean): string[] =>
  Object.keys(KINDS).filter(name => which(KINDS[name]!))

export type Plan = { mode: Mode; setup: Setup; prelude?: Prelude }

/**
 * Plays the kinds that are chosen among the given ones. Several plans are played side by side: each fault strikes all of
 * their stages at once, if it is one of the control plane that they share.
 */
export const play = async (
  t: Test,
  purpose: string,
  plans: readonly Plan[],
  about: readonly string[],
): Promise<void> => {
  const cast = plans.filter(({ mode }) => CHOSEN_MODES.includes(mode))
  const chosen = CHOSEN === '' ? FEW : CHOSEN.split(',')
  const names = about.filter(name => CHOSEN === 'all' || chosen.includes(name))
  const skip =
    noCluster ||
    (cast.length === 0 && 'not in FLINK_HA_FAULT_MODES') ||
    (names.length === 0 && 'not in FLINK_HA_FAULTS')
  await t.test(`faults, ${purpose}`, { skip }, async t => {
    t.jobs = cast.length
    const stages = await Promise.all(
      cast.map(async ({ mode, setup, prelude }) => {
        const stage = await set(cast.length > 1 ? `${purpose}-${mode}` : purpose, mode, setup, prelude)
        t.teardown(() => strike(stage, !t.passing()))
        return stage
      }),
    )
    const result: Result = { at: new Date().toISOString(), flink: plans[0]!.setup.flink, samples: [], failures: [] }
    for (let round = 1; round <= ROUNDS; round++)
      for (const name of names) {
        const kind = KINDS[name]!
        const skip = kind.needsRig === true && rig === '' && 'FLINK_HA_RIG names no rig'
        const struck = stages.filter(({ mode }) => (kind.modes ?? MODES).includes(mode))
        const shared = together(kind, struck.length)
        await Promise.all(
          struck.map(stage =>
            t.test(`${kind.what}, ${stage.mode}, round ${round}`, { skip, buffered: true }, t =>
              playOne(t, stage, name, kind.needsRig === true ? shared.kind : kind, round, result).finally(shared.leave),
            ),
          ),
        )
        t.comment(await keep(purpose, result))
      }
    t.comment(`\n${table(result.samples)}`)
  })
}

export const playOne = async (
  t: Test,
  stage: Stage,
  name: string,
  kind: Kind,
  round: number,
  result: Result,
): Promise<void> => {
  try {
    const sample = await playRound(stage, name, kind, round)
    result.samples.push(sample)
    t.comment(JSON.stringify(sample))
    if (sample.recoveredMs === null) await anew(stage)
    if (stage.mode !== 'builtin') check(t, sample, kind.differs?.[stage.mode] ?? kind.expected)
  } catch (error) {
    const { message } = error as Error
    result.failures.push({ kind: name, mode: stage.mode, round, problem: message })
    t.comment(`not played to its end: ${message}`)
    await anew(stage)
    if (stage.mode !== 'builtin') throw error
  }
}

/** A stage on which nothing of the round before is left. */
const anew = async (stage: Stage): Promise<void> => {
  await stage.namespace.kubectl(['delete', 'pods', '-l', 'component=jobmanager', '--force', '--grace-period=0'])
  await recovered(stage)
}

const check = (t: Test, sample: Sample, expected: Expected): void => {
  t.equal(sample.validOverlapMs, 0, 'never two valid believers')
  t.same(sample.lost, [], 'no checkpoint is lost or overwritten, no counter and no token goes back')
  t.same(sample.stray, [], 'no deposed leader completes a checkpoint')
  if (sample.foreign !== undefined) t.equal(sample.foreign, 0, 'no write of a deposed leader is accepted')
  t.same(sample.tickerLost, [], 'the job neither lost nor repeated a number')
  t.not(sample.recoveredMs, null, 'the job goes on')
  const { backWithinMs = BACK_MS, leader, grantedWithinMs, restarts, restartsAfterHeal, toldFirst, oneFlink } = expected
  t.ok(sample.backMs <= backWithinMs, `somebody leads within ${backWithinMs} ms of the healing`, { sample })
  if (leader === 'stays') t.same(sample.granted, [], 'the leader stays')
  if (leader === 'changes') t.not(sample.granted.at(-1) ?? sample.leader, sample.leader, 'another leads')
  if (grantedWithinMs !== undefined)
    t.ok((sample.grantedMs ?? Number.POSITIVE_INFINITY) <= grantedWithinMs, `granted within ${grantedWithinMs} ms`, {
      sample,
    })
  if (restarts !== undefined) t.equal(sample.restarts, restarts, `the job is restarted ${restarts} times`)
  if (restartsAfterHeal !== undefined)
    t.equal(sample.restartsAfterHeal, restartsAfterHeal, 'whoever comes back does not disturb the new leader’s job')
  if (oneFlink) t.equal(sample.flinkOverlapMs, 0, 'never two Flinks that believe to lead')
  if (toldFirst) t.ok((sample.toldMs ?? -1) >= 0, 'the old leader’s Flink was told before', { toldMs: sample.toldMs })
}
