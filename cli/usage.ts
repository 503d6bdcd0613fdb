// What `--help` prints; settings come from their tables.
import { type Settings, variableOf } from '../shared/settings.ts'
import { SETTINGS } from '../sidecar/config.ts'
import { RELAY_SETTINGS } from '../sidecar/relay-config.ts'
import { WEBHOOK_SETTINGS } from '../webhook/config.ts'
import { CHECKS } from './check-report.ts'
import {
  BACKUP_FLAGS,
  CHECK_FLAGS,
  CLEANUP_FLAGS,
  DEMO_FLAGS,
  ENDPOINT_FLAGS,
  EXPLAIN_FLAGS,
  type Flags,
  flagText,
  INJECT_FLAGS,
  RESTORE_FLAGS,
  REWRITE_FLAGS,
  STATUS_FLAGS,
} from './flags.ts'

const COMMANDS = `flink-ha: high availability for Apache Flink on Kubernetes

  in a cluster
  flink-ha webhook [flags]           adds the sidecar to Flink's pods, and keeps what they need in labelled namespaces
  flink-ha sidecar [flags]           run beside a JobManager: the election and the local endpoint
  flink-ha sidecar --relay [flags]   run beside a TaskManager: follows the JobManagers' sidecars

  from outside
  flink-ha check                     is everything there that it needs? says what to do  [-n NAMESPACE] [--pre] [-o json]
  flink-ha explain pod|file|review   why a pod gets the sidecar, or does not
  flink-ha inject FILE…              what the webhook would do, done to manifests
  flink-ha uninject FILE…            takes it out again

  of a running cluster
  flink-ha status                    who leads, and the jobs, asked of a sidecar  [--url http://127.0.0.1:4040] [--json]
  flink-ha switchover [POD]          hand leadership to POD, or to any healthy candidate  [--url …]

  of its HA data, through the kubeconfig
  flink-ha status --orphans          what no cluster uses, with its age  [-n NAMESPACE]
  flink-ha backup -f FILE            keeps it in a file  -n NAMESPACE --cluster-id ID
  flink-ha restore -f FILE           puts it back  [-n NAMESPACE] [--replace] [--yes]
  flink-ha cleanup                   removes it  -n NAMESPACE --cluster-id ID [--yes]

  flink-ha demo [--once]             two JobManagers on an embedded API: kill the leader, watch the other take over
  flink-ha version

flink-ha COMMAND --help tells more.
`

const flagRows = (flags: Flags): string => {
  // Without a short form the long one stands below the others' long ones.
  const texts = Object.entries(flags).map(
    ([name, flag]) => `${flag.short === undefined ? '    ' : ''}${flagText(name, flag)}`,
  )
  const width = Math.max(...texts.map(text => text.length)) + 2
  return Object.values(flags)
    .map(({ meaning }, index) => `  ${texts[index]?.padEnd(width)}${meaning}\n`)
    .join('')
}

const INJECT = `flink-ha inject [flags] FILE|FOLDER|-…

Reads manifests (YAML or JSON, several documents, Lists), adds to the pods of Flink's Deployments, StatefulSets, Jobs,
CronJobs, DaemonSets, ReplicaSets and Pods what the webhook would add, and writes everything to standard output. What is
not changed comes out as it was, to the last byte. What was decided is said on standard error. Twice is the same as once.

${flagRows({ ...REWRITE_FLAGS, ...INJECT_FLAGS })}
Not possible without a cluster: the owner reference from pod to Deployment. Rights and Services that the webhook makes in
labelled namespaces are not made either.

Exit code 0; 1 when something could not be read, decided or written: each is named, and nothing is written; 2 for wrong flags.
`

const UNINJECT = `flink-ha uninject [flags] FILE|FOLDER|-…

Takes out of manifests what inject (or the webhook) put in, and nothing else.

${flagRows(REWRITE_FLAGS)}
Exit code 0; 1 when something could not be read or written: each is named, and nothing is written; 2 for wrong flags.
`

const CHECK = `flink-ha check [flags]

Looks at a cluster as kubectl would reach it, and tries an injection without making a pod (dry run).

${flagRows(CHECK_FLAGS)}
Each line is ok, warn, fail or skip (not known to you). Exit code 0; 1 when a check failed that was not allowed to;
2 for wrong flags. The checks:

${Object.entries(CHECKS)
  .map(([id, { title }]) => `  ${id.padEnd(23)}${title}\n`)
  .join('')}`

const EXPLAIN = `flink-ha explain pod NAME -n NAMESPACE
flink-ha explain file FILE
flink-ha explain review FILE

Says what the webhook decides about a running pod, about the pods of a manifest, or about a stored AdmissionReview, by what,
and what it would change.

${flagRows(EXPLAIN_FLAGS)}
Exit code 0; 1 when something could not be read: each is named; 2 for wrong flags.
`

const STATUS = `flink-ha status [flags]
flink-ha status --orphans [-n NAMESPACE]

Asks a sidecar who leads, who could, since when, and which jobs there are. With --orphans: looks through the kubeconfig for HA
ConfigMaps whose cluster id nobody names, no pod, no Deployment, StatefulSet or Job, no FlinkDeployment, and whose lock nobody
renews; a lock that somebody holds is watched for its whole lease.

${flagRows(STATUS_FLAGS)}
Exit code 0; 1 when nobody is known to lead, or the sidecar or the cluster does not answer; 2 for wrong flags.
`

const CLEANUP = `flink-ha cleanup --namespace NAME --cluster-id ID [flags]

Shows a cluster's HA data: its jobs can come back by nothing else. With --yes it is removed, each object by its uid and version,
the lock first, unless the cluster is alive: pods of it are there or about to be made, a JobManager is there whose cluster id
cannot be told, or its lock is renewed while it is watched for its whole lease. What only looks like it is left alone. What
changes meanwhile ends it.

${flagRows(CLEANUP_FLAGS)}
Exit code 0; 1 when it was refused, or not all of it could be removed: what is left is named; 2 for wrong flags.
`

const BACKUP = `flink-ha backup --namespace NAME --cluster-id ID --file FILE [flags]

Writes a cluster's HA ConfigMaps, and its Lease where that is the lock, to a file, as of one moment. They point to files in
high-availability.storageDir, which are not in it.

${flagRows(BACKUP_FLAGS)}
Exit code 0; 1 when there is nothing, or it could not be read or written; 2 for wrong flags.
`

const RESTORE = `flink-ha restore --file FILE [flags]

Puts back what a backup has: shows it, and with --yes creates what is missing; what is there and differs is a reason to refuse,
unless --replace is given. Refuses while the cluster is alive, also in the namespace that the file is from; another Kubernetes
cluster cannot be looked at. All is looked at and tried by a dry run first; then each write is a compare-and-set, the lock last.
The lock comes back released, without leader addresses, its fencing token never lower than before.

${flagRows(RESTORE_FLAGS)}
Exit code 0; 1 when it was refused, or not all could be written: what is not done is named; 2 for wrong flags.
`

const SWITCHOVER = `flink-ha switchover [flags] [POD]

Hands leadership to POD, or to any healthy candidate.

${flagRows(ENDPOINT_FLAGS)}
Exit code 0; 1 when it was refused, or the sidecar does not answer; 2 for wrong flags.
`

const DEMO = `flink-ha demo [flags]

Two JobManagers on an embedded API: kill the leader, watch the other take over.

${flagRows(DEMO_FLAGS)}
Exit code 0; 1 when it did not do what it should; 2 for wrong flags.
`

const OF_PEOPLE: { readonly [command: string]: string } = {
  inject: INJECT,
  uninject: UNINJECT,
  check: CHECK,
  explain: EXPLAIN,
  status: STATUS,
  switchover: SWITCHOVER,
  cleanup: CLEANUP,
  backup: BACKUP,
  restore: RESTORE,
  demo: DEMO,
}

export const usage = (command = ''): string => {
  switch (command) {
    case 'webhook':
      return settingsText('flink-ha webhook', WEBHOOK_SETTINGS)
    case 'sidecar':
      return `${settingsText('flink-ha sidecar', SETTINGS)}\n${settingsText('flink-ha sidecar --relay', RELAY_SETTINGS)}`
    default:
      return Object.hasOwn(OF_PEOPLE, command) ? (OF_PEOPLE[command] as string) : COMMANDS
  }
}

const settingsText = (title: string, settings: Settings): string => {
  const flags = Math.max(...Object.keys(settings).map(flag => flag.length)) + 2
  const variables = Math.max(...Object.keys(settings).map(flag => variableOf(flag).length))
  const row = (flag: string, variable: string, meaning: string): string =>
    `  ${flag.padEnd(flags)}  ${variable.padEnd(variables)}  ${meaning}\n`
  const rows = Object.entries(settings).map(([flag, [value, meaning]]) =>
    row(`--${flag}`, variableOf(flag), value === '' ? meaning : `${meaning} (default ${value})`),
  )
  return `${title}\n\n${row('flag', 'variable', 'meaning; a flag wins over its variable')}${rows.join('')}`
}
