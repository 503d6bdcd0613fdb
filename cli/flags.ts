// The flags of the commands that people run, once for all: what Node's parseArgs needs, what `--help` and the reference say.
export type Flag = {
  type: 'string' | 'boolean'
  short?: string
  default?: string
  /** May be given several times. */
  multiple?: boolean
  /** What stands for its value in the help. */
  value?: string
  meaning: string
}
export type Flags = { readonly [name: string]: Flag }

const KUBECONFIG = {
  kubeconfig: { type: 'string', value: 'FILE', meaning: 'another kubeconfig than KUBECONFIG or ~/.kube/config' },
  context: { type: 'string', value: 'NAME', meaning: 'another context of it' },
} as const satisfies Flags
const FORMAT = { type: 'string', short: 'o', default: 'text', value: 'FORMAT', meaning: 'text or json' } as const

/** Of `inject` and `uninject`. */
export const REWRITE_FLAGS = {
  output: { type: 'string', short: 'o', value: 'FILE', meaning: 'write there instead of standard output' },
  'in-place': { type: 'boolean', meaning: 'write each changed file back' },
  quiet: { type: 'boolean', short: 'q', meaning: 'only problems on standard error' },
} as const satisfies Flags

/** Of `inject`, beside those, and of `explain`. */
export const INJECT_FLAGS = {
  image: {
    type: 'string',
    value: 'IMAGE',
    meaning: 'the sidecar’s image (default: flink-ha/flink-ha of this command’s version)',
  },
  namespace: { type: 'string', short: 'n', value: 'NAME', meaning: 'where objects go that name no namespace' },
  'as-if-labelled': {
    type: 'boolean',
    meaning: 'take every namespace for labelled (the default; a pod’s own "false" wins)',
  },
  'no-as-if-labelled': { type: 'boolean', meaning: 'only pods that ask by themselves: flink-ha.io/inject: "true"' },
} as const satisfies Flags

export const CHECK_FLAGS = {
  namespace: {
    type: 'string',
    short: 'n',
    value: 'NAME',
    meaning: 'check this namespace (default: every one that is labelled)',
  },
  pre: { type: 'boolean', meaning: 'only what has to be so before an installation: version, nodes, your rights' },
  allow: {
    type: 'string',
    multiple: true,
    value: 'ID',
    meaning: 'take a failure of this check for a warning; may be given several times',
  },
  output: FORMAT,
  ...KUBECONFIG,
} as const satisfies Flags

export const EXPLAIN_FLAGS = {
  output: FORMAT,
  ...INJECT_FLAGS,
  namespace: { ...INJECT_FLAGS.namespace, meaning: 'of the pod; of a manifest: of objects that name none' },
  ...KUBECONFIG,
} as const satisfies Flags

/** Of `status` and `switchover`. */
export const ENDPOINT_FLAGS = {
  url: {
    type: 'string',
    value: 'URL',
    meaning: 'which sidecar is asked (default: FLINK_HA_URL, else http://127.0.0.1:4040)',
  },
} as const satisfies Flags
export const STATUS_FLAGS = {
  ...ENDPOINT_FLAGS,
  json: { type: 'boolean', meaning: 'leader, members and jobs, or the orphans, as JSON' },
  orphans: { type: 'boolean', meaning: 'HA data in the cluster that nobody uses, in place of who leads' },
  namespace: { type: 'string', short: 'n', value: 'NAME', meaning: 'orphans of this namespace (default: of all)' },
  ...KUBECONFIG,
} as const satisfies Flags

const OF_CLUSTER = {
  namespace: { type: 'string', short: 'n', value: 'NAME', meaning: 'where the cluster is' },
  'cluster-id': { type: 'string', value: 'ID', meaning: 'Flink’s kubernetes.cluster-id' },
} as const satisfies Flags

export const CLEANUP_FLAGS = {
  ...OF_CLUSTER,
  yes: { type: 'boolean', meaning: 'remove what is shown (default: only show it)' },
  ...KUBECONFIG,
} as const satisfies Flags

export const BACKUP_FLAGS = {
  ...OF_CLUSTER,
  file: { type: 'string', short: 'f', value: 'FILE', meaning: 'write there: JSON if it ends in .json, else YAML' },
  force: { type: 'boolean', meaning: 'replace a file that is there' },
  ...KUBECONFIG,
} as const satisfies Flags

export const RESTORE_FLAGS = {
  file: { type: 'string', short: 'f', value: 'FILE', meaning: 'a file that backup wrote, or - for standard input' },
  namespace: { ...OF_CLUSTER.namespace, meaning: 'where to (default: where it came from)' },
  replace: { type: 'boolean', meaning: 'overwrite what differs (default: refuse)' },
  yes: { type: 'boolean', meaning: 'write what is shown (default: only show it)' },
  ...KUBECONFIG,
} as const satisfies Flags

export const DEMO_FLAGS = {
  once: { type: 'boolean', meaning: 'leave when the show is over (the default without a terminal)' },
} as const satisfies Flags

/** As the help and the reference write it: `-o, --output FILE`. */
export const flagText = (name: string, { short, value }: Flag): string =>
  `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`
