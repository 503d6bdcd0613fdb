// The same faults against Flink's built-in HA, for comparison.
import t from 'tap'
import { namesOf, play } from './play.ts'

const about = namesOf(({ modes, needsRig, needsClocks }) => modes === undefined && !needsRig && !needsClocks)
await play(t, 'builtin', [{ mode: 'builtin', setup: { mode: 'builtin', flink: '2.3.0' } }], about)
