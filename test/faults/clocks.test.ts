// Steps of the wall clock in one pod: no decision of flink-ha depends on it; built-in HA's do.
import t from 'tap'
import { play } from './play.ts'

for (const mode of ['flink-ha', 'builtin'] as const)
  await play(t, { mode, setup: { mode, flink: '2.3.0', relay: true }, clocks: true })
