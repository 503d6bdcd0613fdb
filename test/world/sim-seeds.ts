// Plays one seed after the other, and says what came of them.
import { PROFILES, type ProfileName } from '../../shared/timings.ts'
import { explain } from './sim-shrink.ts'
import { type SimOptions, SimWorld } from './sim-world.ts'

export type Tally = {
  seeds: number
  simulatedMs: number
  /** Processor time that it took. */
  cpuMs: number
  events: number
  terms: number
  checkpoints: number
  calls: number
  /** One text each. */
  failures: string[]
}

export const emptyTally = (): Tally => ({
  seeds: 0,
  simulatedMs: 0,
  cpuMs: 0,
  events: 0,
  terms: 0,
  checkpoints: 0,
  calls: 0,
  failures: [],
})

const PROFILE_NAMES = Object.keys(PROFILES) as ProfileName[]
/** A failure or two say enough. */
const MAX_FAILURES = 3

/** Each seed has its profile, unless one is given. */
export const optionsOf = (seed: number, faultyMs: number, profile?: ProfileName): SimOptions => ({
  seed,
  faultyMs,
  profile: profile ?? PROFILE_NAMES[seed % PROFILE_NAMES.length] ?? 'default',
})

/** `explains`: a failure is shrunk, which takes about as long as a hundred seeds. */
export const playSeed = async (tally: Tally, options: SimOptions, explains = true): Promise<void> => {
  const before = process.cpuUsage()
  const outcome = await new SimWorld(options).play()
  const { user, system } = process.cpuUsage(before)
  tally.cpuMs += (user + system) / 1_000
  tally.seeds++
  tally.simulatedMs += outcome.simulatedMs
  tally.events += outcome.events
  tally.terms += outcome.terms
  tally.checkpoints += outcome.checkpoints
  tally.calls += outcome.calls
  if (outcome.violation === undefined) return
  const isToldWhole = explains && tally.failures.length < MAX_FAILURES
  const short = `FLINK_HA_SEED=${options.seed} (profile ${options.profile}) ${outcome.violation.rule}: ${outcome.violation.what}`
  tally.failures.push(isToldWhole ? await explain(options, outcome) : short)
}

export const added = (a: Tally, b: Tally): Tally => ({
  seeds: a.seeds + b.seeds,
  simulatedMs: a.simulatedMs + b.simulatedMs,
  cpuMs: a.cpuMs + b.cpuMs,
  events: a.events + b.events,
  terms: a.terms + b.terms,
  checkpoints: a.checkpoints + b.checkpoints,
  calls: a.calls + b.calls,
  failures: [...a.failures, ...b.failures],
})

export const describeTally = (tally: Tally, wallMs: number): string => {
  const hours = tally.simulatedMs / 3_600_000
  return (
    `${tally.seeds} seeds, ${hours.toFixed(1)} simulated hours in ${(wallMs / 1000).toFixed(0)} s ` +
    `(${Math.round(tally.simulatedMs / wallMs)}x; ${Math.round(tally.simulatedMs / tally.cpuMs)}x a core), ${tally.events} events, ${tally.calls} API calls, ${tally.terms} terms, ` +
    `${tally.checkpoints} checkpoints, ${tally.failures.length} violations`
  )
}
