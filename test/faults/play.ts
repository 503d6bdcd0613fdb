// Plays the chosen kinds of faults on one stage, asserts what flink-ha promises of each, and keeps every sample. What
// built-in HA does is told and not judged.
import type { Test } from 'tap'
import { PROFILES } from '../../shared/timings.ts'
import { rig } from '../live/faults.ts'
import type { Setup } from '../live/manifests.ts'
import { noCluster, strike } from '../live/scene.ts'
import { withClocks } from './clocks.ts'
import { type Expected, KINDS, type Kind, type Mode } from './kinds.ts'
import { keep, type Result, table } from './report.ts'
import { playRound, recovered, type Sample, type Stage, set } from './round.ts'

const ROUNDS = Number(process.env['FLINK_HA_FAULT_ROUNDS'] ?? 1)
const MODES = (process.env['FLINK_HA_FAULT_MODES'] ?? 'flink-ha').split(',')
/** Quick ones, of each sort one: some six minutes. */
const FEW = ['jvm-kill', 'graceful', 'force-delete', 'sidecar-freeze', 'partition-reject', 'etcd-kill']
const CHOSEN = process.env['FLINK_HA_FAULTS'] ?? ''
/** A leader again after the last fault: a lease for those that have to wait for one, and room for the machine. */
const BACK_MS = PROFILES.default.leaseMs + 5_000

const ABOUT_CLOCKS = Object.keys(KINDS).filter(name => KINDS[name]?.needsClocks)

/** Chosen by the environment, possible on the stage, and, where all are chosen, what the stage is about. */
const namesOf = (mode: Mode, clocks: boolean, about: readonly string[]): string[] => {
  const names = CHOSEN === '' ? FEW : CHOSEN === 'all' ? about : CHOSEN.split(',')
  return names.filter(
    name => (KINDS[name]?.modes ?? [mode]).includes(mode) && ABOUT_CLOCKS.includes(name) === clocks && name in KINDS,
  )
}

export type Plan = {
  mode: Mode
  setup: Setup
  /** Kinds to play if all are chosen; by default those that are possible. */
  about?: readonly string[]
  /** With wall clocks that can be set: the kinds that need them, and no others. */
  clocks?: boolean
}

export const play = async (t: Test, { mode, setup, about, clocks = false }: Plan): Promise<void> => {
  const names = namesOf(mode, clocks, about ?? Object.keys(KINDS))
  const purpose = clocks ? `${mode}-clocks` : mode
  const skip =
    noCluster || (!MODES.includes(mode) && `not in FLINK_HA_FAULT_MODES`) || (names.length === 0 && 'not chosen')
  await t.test(`faults, ${purpose}`, { skip }, async t => {
    const stage = await set(purpose, mode, setup, clocks ? withClocks(setup) : undefined)
    t.teardown(() => strike(stage, !t.passing()))
    const result: Result = { at: new Date().toISOString(), flink: setup.flink, samples: [], failures: [] }
    for (let round = 1; round <= ROUNDS; round++)
      for (const name of names) {
        const kind = KINDS[name]!
        const skip = kind.needsRig === true && rig === '' && 'FLINK_HA_RIG names no rig'
        await t.test(`${kind.what}, round ${round}`, { skip }, t => playOne(t, stage, name, kind, round, result))
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
    if (stage.mode !== 'builtin') check(t, sample, (stage.mode === 'failsafe' && kind.failsafe) || kind.expected)
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
  t.ok(sample.backMs <= BACK_MS, `somebody leads within ${BACK_MS} ms of the healing`, { sample })
  const { leader, grantedWithinMs, restarts, restartsAfterHeal, toldFirst, oneFlink } = expected
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
