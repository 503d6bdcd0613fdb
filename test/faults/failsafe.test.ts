// Faults of the control plane with the failsafe on; and those in which it must not help: the API server is not away for all.
import t from 'tap'
import { SETTINGS } from '../../sidecar/config.ts'
import { play } from './play.ts'

const about = [
  ...['apiserver-kill', 'apiserver-freeze', 'etcd-kill', 'etcd-freeze', 'etcd-stutter'],
  ...['apiserver-down-120', 'apiserver-freeze-120', 'partition-drop', 'partition-reject', 'jvm-kill'],
]
if ('failsafe' in SETTINGS)
  await play(t, { mode: 'failsafe', setup: { mode: 'flink-ha', flink: '2.3.0', relay: true, failsafe: true }, about })
else t.pass('the sidecar has no failsafe')
