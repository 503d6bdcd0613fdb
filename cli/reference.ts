// Writes docs/reference.md from the code's own tables (`npm run reference`); a test says when the page is behind.
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { Registry } from 'prom-client'
import { EXIT } from '../shared/errors.ts'
import {
  ANNOTATION_CLUSTER_ID,
  ANNOTATION_END_DEPOSED,
  ANNOTATION_FAILSAFE,
  ANNOTATION_INJECTED,
  ANNOTATION_LOCK,
  ANNOTATION_OWNER_SET,
  ANNOTATION_PROFILE,
  ANNOTATION_REASON,
  ANNOTATION_RESOURCES,
  ANNOTATION_TASKMANAGER,
  EVENT_REASONS,
  LABEL_CLUSTER,
  LABEL_COMPONENT,
  LABEL_INJECT,
  LABEL_INJECTION,
  LABEL_MANAGED_BY,
  LABEL_ROLE,
  SKIP_REASONS,
} from '../shared/names.ts'
import { type Settings, variableOf } from '../shared/settings.ts'
import { PROFILES } from '../shared/timings.ts'
import { SETTINGS } from '../sidecar/config.ts'
import { makeMetrics } from '../sidecar/metrics.ts'
import { RELAY_SETTINGS } from '../sidecar/relay-config.ts'
import { makeRelayMetrics } from '../sidecar/relay-metrics.ts'
import { WEBHOOK_SETTINGS } from '../webhook/config.ts'
import { makeWebhookMetrics } from '../webhook/metrics.ts'
import { DEFAULT_RESOURCES, FAILSAFE, LOCKS, type ResourceName, TASKMANAGER_MODES } from '../webhook/pod-settings.ts'
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
import { DECISIONS, LEAVE_REASONS, TERM_REASONS } from './reasons.ts'

/** Name, where it stands, values, default, meaning. */
type Mark = readonly [name: string, where: string, values: string, fallback: string, meaning: string]

const code = (text: string): string => (text === '' ? '' : `\`${text}\``)
const choices = (values: readonly string[]): string => values.map(code).join(', ')

const resource = (name: ResourceName): Mark => {
  const [jobManager, taskManager] = [DEFAULT_RESOURCES.jobmanager[name], DEFAULT_RESOURCES.taskmanager[name]]
  const fallback =
    jobManager === taskManager
      ? code(jobManager ?? '')
      : `${code(jobManager ?? '')}, TaskManager ${code(taskManager ?? '')}`
  return [
    ANNOTATION_RESOURCES[name],
    'pod annotation',
    'a quantity',
    fallback,
    `the sidecar’s ${name.replace('-', ' ')}`,
  ]
}

/** What a user sets. */
const WISHES: readonly Mark[] = [
  [LABEL_INJECTION, 'namespace label', code('enabled'), '', 'Flink’s pods in this namespace are injected'],
  [
    LABEL_INJECT,
    'pod label or annotation',
    choices(['true', 'false']),
    '',
    'wins over the namespace; label and annotation have to agree',
  ],
  [
    LABEL_COMPONENT,
    'pod label',
    choices(['jobmanager', 'taskmanager']),
    '',
    'what the pod is; set by Flink’s documentation, native mode and operator alike',
  ],
  [
    ANNOTATION_CLUSTER_ID,
    'pod annotation',
    'a cluster id',
    'see below',
    'Flink’s `kubernetes.cluster-id`, where it cannot be read off the pod',
  ],
  [
    ANNOTATION_PROFILE,
    'JobManager pod annotation',
    choices(Object.keys(PROFILES)),
    code('default'),
    'election timings',
  ],
  [ANNOTATION_LOCK, 'JobManager pod annotation', choices(LOCKS), code('configmap'), 'what holds the lock'],
  [
    ANNOTATION_END_DEPOSED,
    'JobManager pod annotation',
    choices(['true', 'false']),
    code('false'),
    'a JVM that is frozen while its term goes on elsewhere is ended by a liveness probe',
  ],
  [
    ANNOTATION_FAILSAFE,
    'JobManager pod annotation',
    choices(FAILSAFE),
    code('false'),
    'go on leading without the API server while all other candidates promise to wait: see [operations.md](operations.md#failsafe)',
  ],
  [
    ANNOTATION_TASKMANAGER,
    'TaskManager pod annotation',
    choices(TASKMANAGER_MODES),
    code('sidecar'),
    'a relay beside Flink; only the variable, which names the cluster’s Service; nothing',
  ],
  ...(Object.keys(ANNOTATION_RESOURCES) as ResourceName[]).map(resource),
]

/** What flink-ha sets, to be read and selected by. */
const OURS: readonly Mark[] = [
  [ANNOTATION_INJECTED, 'pod annotation', 'a version', '', 'injected by this version'],
  [LABEL_CLUSTER, 'pod label', 'a cluster id', '', 'at admission when it is known then, else by the sidecar'],
  [LABEL_ROLE, 'pod label', choices(['leader', 'standby']), '', 'kept by the sidecar; a Service can select the leader'],
  [LABEL_MANAGED_BY, 'label', code('flink-ha'), '', 'made by the reconciler, and removed by it'],
  [
    ANNOTATION_OWNER_SET,
    'annotation',
    'a uid; `none` by you',
    '',
    'the reconciler made this one an owner, and takes it back; `none`: hands off',
  ],
]

/** Every name of ours that is explained on the page. */
export const EXPLAINED: readonly string[] = [...WISHES, ...OURS].map(([name]) => name)

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  // Outside of code a bracket would begin an HTML tag, which nobody sees.
  const shown = (cell: string): string =>
    cell.replaceAll('|', '\\|').replace(/(`[^`]*`)|</g, (_, quoted: string | undefined) => quoted ?? '\\<')
  const cells = [head, ...rows].map(row => row.map(shown))
  const widths = head.map((_, column) => Math.max(3, ...cells.map(row => [...(row[column] ?? '')].length)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - [...cell].length)).join(' | ')} |`
  const [first = [], ...others] = cells
  return [line(first), `| ${widths.map(width => '-'.repeat(width)).join(' | ')} |`, ...others.map(line)].join('\n')
}

const marks = (rows: readonly Mark[]): string =>
  table(
    ['name', 'where', 'values', 'default', 'meaning'],
    rows.map(([name, ...rest]) => [code(name), ...rest]),
  )

const reasons = (head: string, rows: { readonly [reason: string]: string }): string =>
  table(
    [head, 'meaning'],
    Object.entries(rows).map(([reason, meaning]) => [code(reason), meaning]),
  )

const COMMANDS: { readonly [command: string]: Flags } = {
  check: CHECK_FLAGS,
  explain: EXPLAIN_FLAGS,
  inject: { ...REWRITE_FLAGS, ...INJECT_FLAGS },
  uninject: REWRITE_FLAGS,
  status: STATUS_FLAGS,
  switchover: ENDPOINT_FLAGS,
  cleanup: CLEANUP_FLAGS,
  backup: BACKUP_FLAGS,
  restore: RESTORE_FLAGS,
  demo: DEMO_FLAGS,
}
const commandFlags = (flags: Flags): string =>
  table(
    ['flag', 'default', 'meaning'],
    Object.entries(flags).map(([name, flag]) => [code(flagText(name, flag)), code(flag.default ?? ''), flag.meaning]),
  )

const settings = (rows: Settings): string =>
  table(
    ['flag', 'variable', 'default', 'meaning'],
    Object.entries(rows).map(([flag, [value, meaning]]) => [
      code(`--${flag}`),
      code(variableOf(flag)),
      code(value),
      meaning,
    ]),
  )

const metrics = (registry: Registry): string =>
  table(
    ['metric', 'kind', 'meaning'],
    registry.getMetricsAsArray().map(({ name, help, type, ...metric }) => {
      // prom-client keeps them on the metric, and leaves them out of its types.
      const { labelNames = [] } = metric as { labelNames?: string[] }
      return [code(labelNames.length === 0 ? name : `${name}{${labelNames.join(',')}}`), String(type), help]
    }),
  )

const webhookMetrics = (): Registry =>
  makeWebhookMetrics(() => ({
    leading: false,
    certificateSeconds: undefined,
    findings: { NameTaken: 0, HaConfigMapOwned: 0 },
  })).registry

const nothing = { validitySeconds: 0, token: 0, watchers: 0 }
const sidecarMetrics = (): Registry => {
  const readings = { ...nothing, leading: false, renewalAgeSeconds: 0, vouchedFor: false, jvmPhase: '', lockBytes: 0 }
  return makeMetrics(
    () => '',
    () => readings,
  ).registry
}
const relayMetrics = (): Registry => makeRelayMetrics(() => ({ ...nothing, connected: false, ageSeconds: 0 })).registry

/** The whole page. */
export const referencePage = (): string => `# Reference

Made by \`npm run reference\` from the code; change it there.

## Labels and annotations that you set

${marks(WISHES)}

A value that is not allowed is refused, with its name, when the pod is made. The cluster id is taken, in this order, from the
annotation, \`kubernetes.cluster-id\` in the container’s arguments or \`FLINK_PROPERTIES\`, the label \`app\` where \`type\` is
\`flink-native-kubernetes\` or \`flink-standalone-kubernetes\`; else the sidecar learns it from Flink’s first request.

## Labels and annotations that flink-ha sets

${marks(OURS)}

## What becomes of a pod

The field \`decision\` of the log, the label \`decision\` of \`flink_ha_admissions_total\`, and what \`flink-ha explain\` says.

${reasons('decision', DECISIONS)}

## Reasons why a pod is left alone

The field \`reason\` of the log, the label \`reason\` of \`flink_ha_admissions_total\`, the warning that \`kubectl\` prints, and
what \`flink-ha explain\` says.

${reasons('reason', SKIP_REASONS)}

## Events

Of the webhook (\`flink-ha.io/webhook\`), on the object that each is about.

${reasons('reason', EVENT_REASONS)}

## Reasons why a term ends

The field \`reason\` of the sidecar's log, the label \`reason\` of \`flink_ha_terms_total{event="ended"}\`, the annotation
\`${ANNOTATION_REASON}\` of the lock, and \`reason\` in \`/history\`; [operations.md](operations.md#reasons) says what to do.

${reasons('reason', TERM_REASONS)}

## Reasons why a relay leaves a sidecar

The field \`reason\` of the relay's log, and the label \`reason\` of \`flink_ha_relay_left_total\`. It goes on to another one.

${reasons('reason', LEAVE_REASONS)}

## The command line

An unknown flag or a bad value ends it with exit code ${EXIT.usage}, and is named. Exit code ${EXIT.failed} when something
failed; each command's \`--help\` says what.

${Object.entries(COMMANDS)
  .map(([command, flags]) => `### \`flink-ha ${command}\`\n\n${commandFlags(flags)}`)
  .join('\n\n')}

### Checks

By id, of \`flink-ha check\`: when one fails, or warns. All but \`installer-rights\` are made without \`--pre\`, with it the first two
and that one.

${table(
  ['id', 'fails or warns when'],
  Object.entries(CHECKS).map(([id, { when }]) => [code(id), when]),
)}

## Settings

A flag wins over its variable. A bad value ends the process with exit code 2, and every one is named.

### \`flink-ha webhook\`

${settings(WEBHOOK_SETTINGS)}

### \`flink-ha sidecar\`

${settings(SETTINGS)}

### \`flink-ha sidecar --relay\`

${settings(RELAY_SETTINGS)}

## Metrics

### The webhook, port 8080

${metrics(webhookMetrics())}

### The sidecar of a JobManager, port 4041

${metrics(sidecarMetrics())}

### The relay of a TaskManager, port 4041

${metrics(relayMetrics())}
`

export const REFERENCE_FILE = 'docs/reference.md'

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(REFERENCE_FILE, referencePage())
