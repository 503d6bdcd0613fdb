// The kinds of faults: what is done, for how long, how it is undone, and what flink-ha promises of it.
import { PROFILES } from '../../shared/timings.ts'
import type { Signal } from '../live/agent.ts'
import { kubectl, nowMs, type Pod } from '../live/cluster.ts'
import type { Scene } from '../live/scene.ts'
import { stepClock } from './clocks.ts'
import { freeze, kill, revive, stutter, thaw } from './control-plane.ts'
import { cutFromApiServer, cutOff, join } from './network.ts'

export const MODES = ['builtin', 'flink-ha', 'end-deposed', 'failsafe'] as const
export type Mode = (typeof MODES)[number]

/** Who plays in a round: the leader is the one that is struck. */
export type Cast = { scene: Scene; leader: Pod; standby: Pod }
export type Struck = {
  /** When it began. */
  atMs: number
  /** The leader's JVM: it ended; it stands still until it is healed. */
  jvm?: 'ended' | 'frozen'
  /** When it took effect, where that is known better than by the end of the call. */
  heal?: () => Promise<unknown>
}
export type Expected = {
  /** Another leads afterwards; the same one leads, under the same term; or as it comes. */
  leader: 'changes' | 'stays' | 'any'
  /** From the fault to the grant. */
  grantedWithinMs?: number
  /** Somebody leads so soon after the healing, where that is later than ever. */
  backWithinMs?: number
  /** Restarts of the job, all in all and after the healing. */
  restarts?: number
  restartsAfterHeal?: number
  /** The old leader's Flink has logged its revocation before the new one's its grant. */
  toldFirst?: true
  /** At no time two JVMs that run believe to lead. */
  oneFlink?: true
}
export type Kind = {
  what: string
  /** Where it cannot be done. */
  modes?: readonly Mode[]
  /** It strikes the control plane. */
  needsRig?: true
  /** Its pods' wall clocks can be set: see clocks.ts. */
  needsClocks?: true
  /** How long it lasts. */
  holdMs: number
  /** Longer than damage of an old leader that came back takes to be seen. */
  settleMs?: number
  /** Containers of the leader's pod were killed: the kubelet makes those wait that end again and again. */
  wearsOut?: true
  strike: (cast: Cast) => Promise<Struck>
  expected: Expected
  /** Of one mode, where it is different. */
  differs?: { readonly [mode in Mode]?: Expected }
}

const { leaseMs } = PROFILES.default
/** Flink's own lease: a JVM that is silent for longer has lost leadership by its own account. */
export const JVM_LEASE_MS = 15_000
/** For the machine: the bounds are leases. */
const SLACK_MS = 4_000
const TOLD_MS = leaseMs / 2
const LEASE: Expected = { leader: 'changes', grantedWithinMs: leaseMs + SLACK_MS }
const FROZEN: Expected = { leader: 'changes', grantedWithinMs: JVM_LEASE_MS + SLACK_MS }
/** Nothing comes of it; so with failsafe even where the leader alone is cut off (docs/decisions/0009). */
const CALM: Expected = { leader: 'stays', restarts: 0 }
/**
 * A JVM whose clock jumps ahead by more than Flink's renew deadline finds that it has not renewed for too long and gives its
 * leadership up (fabric8 reads the wall clock); the sidecar hands it over. Nobody else can prevent that, but nobody is harmed.
 */
const JUMPED: Expected = { leader: 'any', oneFlink: true }
const OURS = MODES.filter(mode => mode !== 'builtin')

const signal =
  (names: readonly ('java' | 'node')[], how: Signal) =>
  async ({ scene: { agent }, leader }: Cast): Promise<Struck> => {
    const atMs = await agent.signal(leader.name, names, how)
    if (how === 'KILL') return { atMs, ...(names.includes('java') && { jvm: 'ended' }) }
    const heal = () => agent.signal(leader.name, names, 'CONT')
    return { atMs, heal, ...(names.includes('java') && { jvm: 'frozen' }) }
  }

const away = (component: 'apiserver' | 'etcd' | 'kubelet', how: 'freeze' | 'kill') => async (): Promise<Struck> => {
  const atMs = how === 'freeze' ? await freeze(component) : await kill(component)
  return { atMs, heal: () => (how === 'freeze' ? thaw(component) : revive(component)) }
}

export const KINDS: { [name: string]: Kind } = {
  'jvm-kill': {
    what: 'SIGKILL of the leading JVM',
    holdMs: 0,
    wearsOut: true,
    strike: signal(['java'], 'KILL'),
    expected: { leader: 'changes', grantedWithinMs: TOLD_MS },
  },
  'jvm-freeze': {
    what: 'SIGSTOP of the leading JVM for 20 s',
    holdMs: 20_000,
    settleMs: 8_000,
    strike: signal(['java'], 'STOP'),
    expected: FROZEN,
  },
  'jvm-freeze-60': {
    what: 'SIGSTOP of the leading JVM for 60 s',
    holdMs: 60_000,
    settleMs: 20_000,
    wearsOut: true,
    strike: signal(['java'], 'STOP'),
    // A JVM that thaws makes the TaskManagers of the next leader disconnect, whatever anybody else does: it has to be ended.
    expected: FROZEN,
    differs: { 'end-deposed': { ...FROZEN, restartsAfterHeal: 0 } },
  },
  'sidecar-kill': {
    what: 'SIGKILL of the leading sidecar',
    modes: OURS,
    holdMs: leaseMs,
    wearsOut: true,
    strike: signal(['node'], 'KILL'),
    expected: CALM,
  },
  'sidecar-freeze': {
    what: 'SIGSTOP of the leading sidecar for 15 s',
    modes: OURS,
    holdMs: 15_000,
    settleMs: 25_000,
    strike: signal(['node'], 'STOP'),
    expected: LEASE,
  },
  'pod-kill': {
    what: 'SIGKILL of the leading JVM and its sidecar at once',
    modes: OURS,
    holdMs: 0,
    wearsOut: true,
    strike: signal(['java', 'node'], 'KILL'),
    expected: { ...LEASE, leader: 'any' },
  },
  graceful: {
    what: 'deletion of the leader’s pod',
    holdMs: 0,
    settleMs: 6_000,
    strike: async ({ scene, leader }) => ({ atMs: await scene.namespace.deletePod(leader.name) }),
    expected: { leader: 'changes', grantedWithinMs: 1_000 },
  },
  'force-delete': {
    what: 'deletion of the leader’s pod by force, without grace',
    holdMs: 0,
    settleMs: 6_000,
    strike: async ({ scene, leader }) => {
      const atMs = nowMs()
      await scene.namespace.kubectl(['delete', 'pod', leader.name, '--force', '--grace-period=0', '--wait=false'])
      return { atMs }
    },
    expected: LEASE,
  },
  'partition-drop': {
    what: 'the leader’s pod is cut off from the API server for 60 s, packets vanish',
    holdMs: 60_000,
    settleMs: 8_000,
    strike: partition('DROP'),
    expected: { ...LEASE, toldFirst: true },
    differs: { failsafe: CALM },
  },
  'partition-reject': {
    what: 'the leader’s pod is cut off from the API server for 60 s, connections are refused',
    holdMs: 60_000,
    settleMs: 8_000,
    strike: partition('REJECT'),
    expected: { ...LEASE, toldFirst: true },
    differs: { failsafe: CALM },
  },
  'partition-peers': {
    what: 'the leader’s pod is cut off from the other pods of its cluster for 20 s',
    holdMs: 20_000,
    settleMs: 8_000,
    strike: async ({ scene: { agent, cluster }, leader }) => {
      const others = [...(await cluster.jobManagers()), ...(await cluster.taskManagers())]
      const hosts = others.filter(({ name }) => name !== leader.name).map(({ ip }) => ip)
      const atMs = await cutOff(agent, leader.name, hosts, 'DROP')
      return { atMs, heal: () => join(agent, leader.name) }
    },
    // Whether the job outlives that is Flink's own affair: it takes a silent TaskManager for dead after two heartbeats.
    expected: { leader: 'stays' },
  },
  'kubelet-freeze': {
    what: 'no heartbeat of the node for 20 s (SIGSTOP of the kubelet), until it is marked unreachable',
    needsRig: true,
    holdMs: 20_000,
    settleMs: 8_000,
    strike: async () => {
      const { atMs, heal } = await away('kubelet', 'freeze')()
      return { atMs, heal: () => unreachable().finally(heal) }
    },
    expected: CALM,
  },
  'apiserver-kill': {
    what: 'SIGKILL of the API server, started again at once',
    needsRig: true,
    holdMs: 0,
    settleMs: leaseMs,
    strike: away('apiserver', 'kill'),
    expected: { leader: 'any' },
    differs: { failsafe: CALM },
  },
  'apiserver-freeze': {
    what: 'SIGSTOP of the API server for 5 s',
    needsRig: true,
    holdMs: 5_000,
    settleMs: leaseMs,
    strike: away('apiserver', 'freeze'),
    expected: CALM,
  },
  'etcd-kill': {
    what: 'SIGKILL of etcd, started again at once',
    needsRig: true,
    holdMs: 0,
    settleMs: leaseMs,
    strike: away('etcd', 'kill'),
    expected: { leader: 'any' },
    differs: { failsafe: CALM },
  },
  'etcd-freeze': {
    what: 'SIGSTOP of etcd for 5 s',
    needsRig: true,
    holdMs: 5_000,
    settleMs: leaseMs,
    strike: away('etcd', 'freeze'),
    expected: CALM,
  },
  'etcd-stutter': {
    what: 'etcd stands still for every other tenth of a second, for 20 s',
    needsRig: true,
    holdMs: 0,
    settleMs: leaseMs,
    strike: async () => {
      const atMs = nowMs()
      await stutter('etcd', 20_000)
      return { atMs, heal: async () => undefined }
    },
    expected: CALM,
  },
  'apiserver-down-120': {
    what: 'the API server refuses connections for 120 s',
    needsRig: true,
    holdMs: 120_000,
    settleMs: leaseMs,
    strike: away('apiserver', 'kill'),
    expected: { leader: 'any' },
    differs: { failsafe: CALM },
  },
  'apiserver-freeze-120': {
    what: 'SIGSTOP of the API server for 120 s',
    needsRig: true,
    holdMs: 120_000,
    settleMs: leaseMs,
    strike: away('apiserver', 'freeze'),
    expected: { leader: 'any' },
    differs: { failsafe: CALM },
  },
  'clock-standby-forward': {
    what: 'the wall clock of the standby’s pod is 60 s ahead for 30 s',
    needsClocks: true,
    holdMs: 30_000,
    settleMs: 8_000,
    strike: step('standby', 60),
    expected: CALM,
  },
  'clock-leader-back': {
    what: 'the wall clock of the leader’s pod is 60 s behind for 30 s',
    needsClocks: true,
    holdMs: 30_000,
    settleMs: 8_000,
    strike: step('leader', -60),
    expected: JUMPED,
  },
  'clock-leader-forward': {
    what: 'the wall clock of the leader’s pod is 60 s ahead for 30 s',
    needsClocks: true,
    holdMs: 30_000,
    settleMs: 8_000,
    strike: step('leader', 60),
    expected: JUMPED,
  },
}

/** @throws Error while the control plane has not noticed that the node is silent */
const unreachable = async (): Promise<void> => {
  const taints = await kubectl(['get', 'nodes', '-o', 'jsonpath={.items[*].spec.taints[*].key}'])
  if (!taints.includes('node.kubernetes.io/unreachable')) throw new Error('the node is not marked unreachable')
}

function step(who: 'leader' | 'standby', seconds: number) {
  return async ({ scene: { agent, namespace }, ...cast }: Cast): Promise<Struck> => {
    const atMs = await stepClock(agent, namespace.name, cast[who], seconds)
    return { atMs, heal: () => stepClock(agent, namespace.name, cast[who], 0) }
  }
}

function partition(cut: 'DROP' | 'REJECT') {
  return async ({ scene: { agent }, leader }: Cast): Promise<Struck> => {
    const atMs = await cutFromApiServer(agent, leader.name, cut)
    return { atMs, heal: () => join(agent, leader.name) }
  }
}
