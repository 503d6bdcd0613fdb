// Faults of the control plane: they strike flink-ha, flink-ha with failsafe and Flink's built-in HA at the same time.
import t from 'tap'
import { namesOf, play } from './play.ts'

const ours = { mode: 'flink-ha', flink: '2.3.0', relay: true } as const
await play(
  t,
  'control-plane',
  [
    { mode: 'flink-ha', setup: ours },
    { mode: 'failsafe', setup: { ...ours, failsafe: true } },
    { mode: 'builtin', setup: { mode: 'builtin', flink: '2.3.0' } },
  ],
  namesOf(({ needsRig }) => needsRig === true),
)
