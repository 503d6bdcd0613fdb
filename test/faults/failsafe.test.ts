// Faults in which the failsafe must not help: the API server is not away for everybody, or nobody is there to be led.
import t from 'tap'
import { play } from './play.ts'

const setup = { mode: 'flink-ha', flink: '2.3.0', relay: true, failsafe: true } as const
await play(t, 'failsafe', [{ mode: 'failsafe', setup }], ['jvm-kill', 'partition-drop', 'partition-reject'])
