// Makes a failing simulation small: leaves out one part of its faults after the other for as long as the same rule is broken.
import { describe, type Fault } from './sim-plan.ts'
import { type SimOptions, type SimOutcome, SimWorld } from './sim-world.ts'

/** More tries are not worth the wait. */
const MAX_TRIES = 150

/** The faults that are enough to break the rule. */
export const shrink = async (options: SimOptions, rule: string, plan: readonly Fault[]): Promise<readonly Fault[]> => {
  let tries = 0
  const fails = async (faults: readonly Fault[]): Promise<boolean> => {
    tries++
    const { violation } = await new SimWorld({ ...options, plan: faults }).play()
    return violation?.rule === rule
  }
  let kept = plan
  for (
    let size = Math.ceil(kept.length / 2);
    size >= 1 && tries < MAX_TRIES;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  )
    for (let at = 0; at < kept.length && tries < MAX_TRIES; ) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + size)]
      if (await fails(fewer)) kept = fewer
      else at += size
    }
  return kept
}

/** What has to be known of a failure: the seed that replays it, the faults that are enough, and how it went. */
export const explain = async (options: SimOptions, { seed, violation }: SimOutcome): Promise<string> => {
  if (violation === undefined) return ''
  const whole = new SimWorld(options)
  const faults = await shrink(options, violation.rule, whole.plan)
  const world = new SimWorld({ ...options, plan: faults, trace: true })
  const { violation: shrunk = violation } = await world.play()
  return [
    `FLINK_HA_SEED=${seed} (profile ${options.profile}) ${violation.rule}: ${violation.what}`,
    `  with ${faults.length} of ${whole.plan.length} faults: ${shrunk.what} at ${Math.round(shrunk.atMs)} ms`,
    ...faults.map(fault => `    ${describe(fault)}`),
    ...world.trace.lines.map(line => `  ${line.slice(0, 200)}`),
  ].join('\n')
}
