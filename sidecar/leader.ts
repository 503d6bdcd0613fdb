// Who leads, as `GET /leader` tells it: read from the lock, never from hope. A name is told only while its term can
// still be valid, so an answer is either fresh or "nobody".
import type { ConfigMap } from '../shared/lock.ts'
import { LEADER_KEY_PREFIX } from '../shared/names.ts'

export type Component = { sessionId: string; address: string }
export type LeaderDocument = {
  clusterId: string
  /** The leading pod; a native Flink candidate's identity when one holds the lock; null when nobody is known to lead. */
  name: string | null
  isLeader: boolean
  /** Fencing token of the term; 0 when nobody leads. */
  token: number
  /** How long this answer can be relied on, in milliseconds from its sending. */
  validForMs: number
  transitions: number
  /** RFC 3339 time of the last change of leader that this sidecar saw; null before the first. */
  lastUpdate: string | null
  /** Told by a relay alone: seconds since a JobManager's sidecar was last heard; null before the first time. */
  ageSeconds?: number | null
  components: {
    restserver?: Component
    dispatcher?: Component
    resourcemanager?: Component
    jobs: { [jobId: string]: Component }
  }
}

/** The pod's name in an identity `<pod name>_<pod uid>`; a native identity, a UUID, has no underscore and stays. */
export const podOf = (identity: string): string => identity.split('_')[0] ?? identity

/** Splits at the first comma, as Flink does (`KubernetesUtils.parseLeaderInformationSafely`); undefined if it cannot. */
export const parseComponent = (value: string): Component | undefined => {
  const comma = value.indexOf(',')
  if (comma < 1 || comma === value.length - 1) return undefined
  return { sessionId: value.slice(0, comma), address: value.slice(comma + 1) }
}

export type LeaderKeys = { [key: string]: string }

export const leaderKeysOf = (object: ConfigMap | undefined): LeaderKeys =>
  Object.fromEntries(Object.entries(object?.data ?? {}).filter(([key]) => key.startsWith(LEADER_KEY_PREFIX)))

/** `former`: keys as the last leader left them. Each term has a session id of its own, so that what is equal is not new. */
export const componentsOf = (object: ConfigMap | undefined, former: LeaderKeys = {}): LeaderDocument['components'] => {
  const components: LeaderDocument['components'] = { jobs: {} }
  for (const [key, value] of Object.entries(leaderKeysOf(object))) {
    if (former[key] === value) continue
    const name = key.slice(LEADER_KEY_PREFIX.length)
    const component = parseComponent(value)
    if (component === undefined) continue
    if (name.startsWith('job-')) components.jobs[name.slice('job-'.length)] = component
    else if (name === 'restserver' || name === 'dispatcher' || name === 'resourcemanager') components[name] = component
  }
  return components
}

/** Host and port of the JVM's RPC endpoint, from an address `pekko.tcp://flink@<host>:<port>/…` (1.17: `akka.tcp`). */
export const rpcEndpoint = (address: string): { host: string; port: number } | undefined => {
  const match = /@(\[[^\]]+\]|[^:/]+):(\d+)\//.exec(address)
  const port = Number(match?.[2])
  if (match?.[1] === undefined || !(port > 0 && port < 65_536)) return undefined
  return { host: match[1].replace(/^\[|\]$/g, ''), port }
}
