// What `--help` prints; settings come from their tables.
import { type Settings, variableOf } from '../shared/settings.ts'
import { SETTINGS } from '../sidecar/config.ts'
import { RELAY_SETTINGS } from '../sidecar/relay-config.ts'
import { WEBHOOK_SETTINGS } from '../webhook/config.ts'

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
  flink-ha status                    who leads, asked of a sidecar  [--url http://127.0.0.1:4040] [--json]
  flink-ha switchover [POD]          hand leadership to POD, or to any healthy candidate  [--url …]

  flink-ha demo [--once]             two JobManagers on an embedded API: kill the leader, watch the other take over
  flink-ha version

flink-ha COMMAND --help tells more.
`

const INJECT = `flink-ha inject [flags] FILE|FOLDER|-…

Reads manifests (YAML or JSON, several documents, Lists), adds to the pods of Flink's Deployments, StatefulSets, Jobs,
CronJobs, DaemonSets, ReplicaSets and Pods what the webhook would add, and writes everything to standard output. What is
not changed comes out as it was, to the last byte. What was decided is said on standard error. Twice is the same as once.

  -o, --output FILE        write there instead of standard output
      --in-place           write each changed file back
  -q, --quiet              only problems on standard error
      --image IMAGE        the sidecar's image (default: flink-ha/flink-ha of this command's version)
  -n, --namespace NAME     where objects go that name no namespace
      --as-if-labelled     take every namespace for labelled (the default; flink-ha.io/inject: "false" still wins)
      --no-as-if-labelled  only pods that ask by themselves: flink-ha.io/inject: "true"

Not possible without a cluster: the owner reference from pod to Deployment. Rights and Services that the webhook makes in
labelled namespaces are not made either.

Exit code 0; 1 when something could not be read, decided or written: each is named, and nothing is written; 2 for wrong flags.
`

const UNINJECT = `flink-ha uninject [flags] FILE|FOLDER|-…

Takes out of manifests what inject (or the webhook) put in, and nothing else.

  -o, --output FILE  write there instead of standard output
      --in-place     write each changed file back
  -q, --quiet        only problems on standard error

Exit code 0; 1 when something could not be read or written: each is named, and nothing is written; 2 for wrong flags.
`

const CHECK = `flink-ha check [flags]

Looks at a cluster as kubectl would reach it, and tries an injection without making a pod (dry run).

  -n, --namespace NAME   check this namespace (default: every one that is labelled)
      --pre              only what has to be so before an installation: version, nodes, your rights
  -o, --output FORMAT    text or json
      --kubeconfig FILE  another kubeconfig than KUBECONFIG or ~/.kube/config
      --context NAME     another context of it

Each line is ok, warn, fail or skip (not known to you). Exit code 0; 1 when a check failed; 2 for wrong flags.
`

const EXPLAIN = `flink-ha explain pod NAME -n NAMESPACE
flink-ha explain file FILE
flink-ha explain review FILE

Says what the webhook decides about a running pod, about the pods of a manifest, or about a stored AdmissionReview, by what,
and what it would change.

  -o, --output FORMAT        text or json
  -n, --namespace NAME       of the pod; for a manifest: of objects that name none
      --no-as-if-labelled    file, review: take the namespace for one without the label
      --image IMAGE          the sidecar's image
      --kubeconfig FILE      pod: another kubeconfig than KUBECONFIG or ~/.kube/config
      --context NAME         pod: another context of it

Exit code 0; 1 when something could not be read: each is named; 2 for wrong flags.
`

export const usage = (command: string | undefined): string => {
  switch (command) {
    case 'webhook':
      return settingsText('flink-ha webhook', WEBHOOK_SETTINGS)
    case 'sidecar':
      return `${settingsText('flink-ha sidecar', SETTINGS)}\n${settingsText('flink-ha sidecar --relay', RELAY_SETTINGS)}`
    case 'inject':
      return INJECT
    case 'uninject':
      return UNINJECT
    case 'check':
      return CHECK
    case 'explain':
      return EXPLAIN
    default:
      return COMMANDS
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
