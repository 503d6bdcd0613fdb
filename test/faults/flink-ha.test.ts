// Real faults against flink-ha.
import t from 'tap'
import { play } from './play.ts'

await play(t, 'flink-ha', { mode: 'flink-ha', flink: '2.3.0' })
