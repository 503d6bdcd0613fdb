// Faults of the control plane with the failsafe on; and those in which it must not help: the API server is not away for all.
import t from 'tap'
import { play } from './play.ts'

const ABOUT = [
  ...['apiserver-kill', 'apiserver-freeze', 'etcd-kill', 'etcd-freeze', 'etcd-stutter'],
  ...['apiserver-down-120', 'apiserver-freeze-120', 'partition-drop', 'partition-reject', 'jvm-kill'],
]
await play(t, 'failsafe', { mode: 'flink-ha', flink: '2.3.0', failsafe: true }, ABOUT)
