// Real faults against flink-ha.
import t from 'tap'
import { play } from './play.ts'

await play(t, { mode: 'flink-ha', setup: { mode: 'flink-ha', flink: '2.3.0', relay: true } })
