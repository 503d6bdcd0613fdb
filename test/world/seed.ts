// The seed of random tests: printed, and given again by FLINK_HA_SEED; FLINK_HA_SEEDS plays more, or fewer, of them.
import fc, { type IAsyncProperty, type IProperty } from 'fast-check'
import type { Test } from 'tap'

const FIRST_SEED = Number(process.env['FLINK_HA_SEED'] ?? 1)

/** `runs`: unless FLINK_HA_SEEDS says otherwise. A failure prints the seed and the shortest input that shows it. */
export const holds = async <T>(t: Test, property: IProperty<T> | IAsyncProperty<T>, runs: number): Promise<void> => {
  const numRuns = Number(process.env['FLINK_HA_SEEDS'] ?? runs)
  t.comment(`FLINK_HA_SEED=${FIRST_SEED}, ${numRuns} runs`)
  const details = await fc.check(property, { seed: FIRST_SEED, numRuns })
  if (details.failed) t.fail(fc.defaultReportMessage(details as never) ?? 'it failed')
  else t.pass('it held in every run')
}
