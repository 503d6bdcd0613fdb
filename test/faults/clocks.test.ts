// Steps of the wall clock in one pod: no decision of flink-ha depends on it; built-in HA's do.
import t from 'tap'
import type { Setup } from '../live/manifests.ts'
import { withClocks } from './clocks.ts'
import { namesOf, type Plan, play } from './play.ts'

const plan = (mode: 'flink-ha' | 'builtin'): Plan => {
  const setup: Setup = { mode, flink: '2.3.0', relay: true }
  return { mode, setup, prelude: withClocks(setup) }
}
await play(
  t,
  'clocks',
  [plan('flink-ha'), plan('builtin')],
  namesOf(({ needsClocks }) => needsClocks === true),
)
