// The same faults against Flink's built-in HA, for comparison.
import t from 'tap'
import { play } from './play.ts'

await play(t, { mode: 'builtin', setup: { mode: 'builtin', flink: '2.3.0' } })
