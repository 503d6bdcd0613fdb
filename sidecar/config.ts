// The sidecar's settings, checked all at once.
import { API_SETTINGS, type ApiAccess, readApiAccess } from '../shared/api-access.ts'
import { ConfigError } from '../shared/errors.ts'
import { type Environment, LOG_LEVELS, type LogLevel, RULES, readSettings } from '../shared/settings.ts'
import { PROFILES, type ProfileName, type Timings, timingProblems } from '../shared/timings.ts'

export { variableOf } from '../shared/settings.ts'

export type SidecarConfig = ApiAccess & {
  /** undefined: learned from the first ConfigMap that Flink asks for. */
  clusterId: string | undefined
  namespace: string | undefined
  podName: string
  podUid: string
  /** Where other pods reach the pod port; "" when not known, then nobody hands over to us by name. */
  podAddress: string
  lock: 'configmap' | 'lease'
  /** Whether to go on leading without the API server for as long as all other candidates promise to wait. */
  failsafe: boolean
  timings: Timings
  localHost: string
  localPort: number
  podHost: string
  podPort: number
  /** Where the JVM's RPC port is asked for while its own address is not known yet. */
  jvm: { host: string; port: number }
  logLevel: LogLevel
}

const LOCKS = ['configmap', 'lease'] as const

/** Every setting: flag, default as text, what it means. The reference table and `--help` are made from it. */
export const SETTINGS = {
  'cluster-id': ['', "Flink's kubernetes.cluster-id; learned from Flink's first request when empty"],
  namespace: ['', "the lock's namespace; learned from Flink's first request when empty"],
  'pod-name': ['', "this pod's name (required)"],
  'pod-uid': ['', "this pod's uid (required)"],
  'pod-ip': ['', "this pod's address, for a hand-over by name (status.podIP)"],
  profile: ['default', `election timings: ${Object.keys(PROFILES).join(', ')}`],
  'lease-duration': ['', 'seconds; overrides the profile'],
  'renew-deadline': ['', 'seconds; overrides the profile'],
  'retry-period': ['', 'seconds; overrides the profile'],
  lock: ['configmap', `what holds the lock: ${LOCKS.join(', ')}`],
  failsafe: ['false', 'true: go on leading without the API server while all other candidates promise to wait'],
  ...API_SETTINGS,
  'local-host': ['127.0.0.1', 'address of the local port'],
  'local-port': ['4040', 'port for this pod’s containers: everything'],
  'pod-host': ['0.0.0.0', 'address of the pod port'],
  'pod-port': ['4041', 'port for other pods, probes and Prometheus: read-only'],
  'jvm-address': ['127.0.0.1:6123', 'host:port of Flink’s RPC, until Flink published its own'],
  'log-level': ['info', LOG_LEVELS.join(', ')],
} as const satisfies { [flag: string]: readonly [string, string] }

type Flag = keyof typeof SETTINGS

/** @throws ConfigError with every problem */
export const readConfig = (args: readonly string[], env: Environment): SidecarConfig => {
  const problems: string[] = []
  const { text, wrong, choice, named, optional, port } = readSettings(SETTINGS, args, env, problems)

  const config: SidecarConfig = {
    clusterId: optional('cluster-id', ...RULES.clusterId),
    namespace: optional('namespace', ...RULES.namespace),
    podName: named('pod-name', ...RULES.podName),
    podUid: named('pod-uid', /^[-A-Za-z0-9]{1,64}$/, 'the pod’s uid is needed (metadata.uid)'),
    podAddress: text('pod-ip') === '' ? '' : named('pod-ip', /^[0-9a-fA-F.:]{2,45}$/, 'an IP address is needed'),
    lock: choice('lock', LOCKS),
    failsafe: choice('failsafe', ['true', 'false']) === 'true',
    timings: readTimings(text, wrong, problems),
    ...readApiAccess(text, env, problems),
    localHost: text('local-host'),
    localPort: port('local-port'),
    podHost: text('pod-host'),
    podPort: port('pod-port'),
    jvm: readAddress(text('jvm-address'), () => wrong('jvm-address', 'host:port is needed')),
    logLevel: choice('log-level', LOG_LEVELS),
  }
  if (config.localPort !== 0 && config.localPort === config.podPort && config.localHost === config.podHost)
    problems.push(`pod-port is ${config.podPort}: local-port is the same on the same address`)
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}

const readTimings = (
  text: (flag: Flag) => string,
  wrong: (flag: Flag, right: string) => void,
  problems: string[],
): Timings => {
  const name = text('profile') as ProfileName
  if (!(name in PROFILES)) wrong('profile', `one of ${Object.keys(PROFILES).join(', ')} is needed`)
  const profile: Timings = PROFILES[name in PROFILES ? name : 'default']
  const before = problems.length
  const ms = (flag: Flag, fallback: number): number => {
    if (text(flag) === '') return fallback
    const seconds = Number(text(flag))
    if (!(seconds > 0 && seconds <= 600)) wrong(flag, 'seconds from 0.1 to 600 are needed')
    return seconds * 1000
  }
  const timings = {
    leaseMs: ms('lease-duration', profile.leaseMs),
    renewDeadlineMs: ms('renew-deadline', profile.renewDeadlineMs),
    retryMs: ms('retry-period', profile.retryMs),
  }
  if (problems.length === before) problems.push(...timingProblems(timings))
  return timings
}

const readAddress = (given: string, wrong: () => void): { host: string; port: number } => {
  const match = /^(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5})$/.exec(given)
  const port = Number(match?.[2])
  if (match?.[1] === undefined || port < 1 || port > 65_535) {
    wrong()
    return { host: '', port: 0 }
  }
  return { host: match[1].replace(/^\[|\]$/g, ''), port }
}
