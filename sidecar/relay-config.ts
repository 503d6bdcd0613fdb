// The relay's settings, checked all at once. Those that a candidate has too have the same names.
import { ConfigError } from '../shared/errors.ts'
import { type Environment, LOG_LEVELS, type LogLevel, printable, RULES, readSettings } from '../shared/settings.ts'

export type RelayConfig = {
  /** undefined: learned from the first ConfigMap that Flink asks for. */
  clusterId: string | undefined
  namespace: string | undefined
  podName: string
  /** Addresses of the JobManagers' sidecars; empty: looked up by the name of their Service. */
  peers: readonly string[]
  localHost: string
  localPort: number
  podHost: string
  podPort: number
  logLevel: LogLevel
}

/** Every setting: flag, default as text, what it means. The reference table and `--help` are made from it. */
export const RELAY_SETTINGS = {
  'cluster-id': ['', "Flink's kubernetes.cluster-id; learned from Flink's first request when empty"],
  namespace: ['', "the JobManagers' namespace; learned from Flink's first request when empty"],
  'pod-name': ['', "this pod's name, for the log"],
  peers: ['', "host:port,... of the JobManagers' sidecars; looked up as <cluster-id>-ha.<namespace>.svc when empty"],
  'local-host': ['127.0.0.1', 'address of the local port'],
  'local-port': ['4040', 'port for this pod’s containers'],
  'pod-host': ['0.0.0.0', 'address of the pod port'],
  'pod-port': ['4041', 'port for probes and Prometheus'],
  'log-level': ['info', LOG_LEVELS.join(', ')],
} as const satisfies { [flag: string]: readonly [string, string] }

const PEER = /^(\[[0-9a-fA-F:]+\]|[-.0-9A-Za-z]{1,253}):(\d{1,5})$/

/** @throws ConfigError with every problem */
export const readRelayConfig = (args: readonly string[], env: Environment): RelayConfig => {
  const problems: string[] = []
  // What makes a sidecar a relay is not one of its settings.
  const given = args.filter(arg => arg !== '--relay')
  const { text, wrong, choice, optional, port } = readSettings(RELAY_SETTINGS, given, env, problems)
  const peers = text('peers')
    .split(',')
    .map(peer => peer.trim())
    .filter(peer => peer !== '')
  for (const peer of peers)
    if (!isPeer(peer)) wrong('peers', `"${printable(peer)}" in it is no address: host:port is needed`)
  const config: RelayConfig = {
    clusterId: optional('cluster-id', ...RULES.clusterId),
    namespace: optional('namespace', ...RULES.namespace),
    podName: optional('pod-name', ...RULES.podName) ?? '',
    peers,
    localHost: text('local-host'),
    localPort: port('local-port'),
    podHost: text('pod-host'),
    podPort: port('pod-port'),
    logLevel: choice('log-level', LOG_LEVELS),
  }
  if (config.localPort !== 0 && config.localPort === config.podPort && config.localHost === config.podHost)
    problems.push(`pod-port is ${config.podPort}: local-port is the same on the same address`)
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}

const isPeer = (peer: string): boolean => {
  const port = Number(PEER.exec(peer)?.[2])
  return port >= 1 && port <= 65_535
}
