// What `--help` prints; the sidecar's settings come from their one table.
import { SETTINGS, variableOf } from '../sidecar/config.ts'

const COMMANDS = `flink-ha: high availability for Apache Flink on Kubernetes

  flink-ha sidecar [flags]     run beside a JobManager: the election and the local endpoint
  flink-ha status              who leads, asked of a sidecar  [--url http://127.0.0.1:4040] [--json]
  flink-ha switchover [POD]    hand leadership to POD, or to any healthy candidate  [--url …]
  flink-ha demo [--once]       two JobManagers on an embedded API: kill the leader, watch the other take over
  flink-ha version

flink-ha COMMAND --help tells more.
`

export const usage = (command: string | undefined): string => {
  if (command !== 'sidecar') return COMMANDS
  const rows = Object.entries(SETTINGS).map(([flag, [value, meaning]]) => {
    const shown = value === '' ? '' : ` (default ${value})`
    return `  --${flag.padEnd(16)} ${variableOf(flag).padEnd(26)} ${meaning}${shown}`
  })
  return `flink-ha sidecar\n\n  flag${' '.repeat(15)}variable${' '.repeat(19)}meaning; a flag wins over its variable\n${rows.join('\n')}\n`
}
