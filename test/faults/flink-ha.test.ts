// Real faults of single pods against flink-ha.
import t from 'tap'
import { namesOf, play } from './play.ts'

const about = namesOf(({ needsRig, needsClocks }) => !needsRig && !needsClocks)
await play(t, 'flink-ha', [{ mode: 'flink-ha', setup: { mode: 'flink-ha', flink: '2.3.0', relay: true } }], about)
