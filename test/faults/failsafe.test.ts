// Faults of single pods with the failsafe on: a leader that is cut off alone goes on as well, a dead JVM is not waited for.
import t from 'tap'
import { play } from './play.ts'

const setup = { mode: 'flink-ha', flink: '2.3.0', relay: true, failsafe: true } as const
await play(t, 'failsafe', [{ mode: 'failsafe', setup }], ['jvm-kill', 'partition-drop', 'partition-reject'])
