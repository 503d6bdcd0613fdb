// A JVM that is frozen for so long that it would do harm when it thaws: the kubelet ends it before.
import t from 'tap'
import { play } from './play.ts'

const setup = { mode: 'flink-ha', flink: '2.3.0', relay: true, endDeposed: true } as const
await play(t, 'end-deposed', [{ mode: 'end-deposed', setup }], ['jvm-freeze-60'])
