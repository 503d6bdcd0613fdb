// Cuts a pod off, by rules in its own network namespace: they touch no other pod and end with it.
import type { Agent } from '../live/agent.ts'

const CHAIN = 'FLINK_HA_FAULT'
/** DROP: packets vanish, as in a broken network. REJECT: connections are refused and reset, as by a firewall. */
export type Cut = 'DROP' | 'REJECT'

const API_SERVER = '$KUBERNETES_SERVICE_HOST'

export const cutFromApiServer = (agent: Agent, pod: string, cut: Cut): Promise<number> =>
  cutOff(agent, pod, [API_SERVER], cut)

/** When the cut began. */
export const cutOff = async (agent: Agent, pod: string, hosts: readonly string[], cut: Cut): Promise<number> => {
  const target = cut === 'DROP' ? 'DROP' : 'REJECT --reject-with tcp-reset'
  const rules = hosts.flatMap(host => [
    `iptables -w -A ${CHAIN} -p tcp -d ${host} -j ${target}`,
    `iptables -w -A ${CHAIN} -p tcp -s ${host} -j ${target}`,
  ])
  const jumps = ['OUTPUT', 'INPUT'].map(chain => `iptables -w -I ${chain} -j ${CHAIN}`)
  // The rules stand before they are jumped to: all begin at once. What comes before may take seconds on a busy machine.
  const script = [`iptables -w -N ${CHAIN}`, ...rules, 'date +%s%N', ...jumps].join('\n')
  return agent.here(Number(await agent.inNetwork(pod, script)) / 1e6)
}

/** @throws Error when nothing met the cut: then it was none. Without an effect where the pod is gone. */
export const join = async (agent: Agent, pod: string): Promise<void> => {
  const undo = ['OUTPUT', 'INPUT'].map(chain => `iptables -w -D ${chain} -j ${CHAIN}`)
  const script = [`iptables -w -nvxL ${CHAIN}`, ...undo, `iptables -w -F ${CHAIN}`, `iptables -w -X ${CHAIN}`].join(
    '\n',
  )
  const listed = await agent.inNetwork(pod, script).catch(() => undefined)
  const packets = listed?.match(/^ +\d+ /gm)?.map(Number)
  if (packets !== undefined && Math.max(...packets) === 0) throw new Error(`no packet of ${pod} met the cut`)
}
