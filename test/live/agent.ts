// Signals processes inside other pods from outside of them: a pod with the node's process ids. The pods under test stay as
// users write them; their process 1 cannot be killed from within its own namespace.
import type { Namespace } from './cluster.ts'
import { nowMs, until } from './cluster.ts'
import { STORAGE } from './manifests.ts'

export type Signal = 'KILL' | 'TERM' | 'STOP' | 'CONT'

export class Agent {
  #namespace: Namespace
  #offsetMs = 0

  private constructor(namespace: Namespace) {
    this.#namespace = namespace
  }

  static async start(namespace: Namespace, node: string, image: string): Promise<Agent> {
    await namespace.startPod('agent', {
      nodeName: node,
      hostPID: true,
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'agent',
          image,
          imagePullPolicy: 'IfNotPresent',
          command: ['sleep', '86400'],
          securityContext: { privileged: true, runAsUser: 0 },
          volumeMounts: [
            { name: 'storage', mountPath: STORAGE },
            { name: 'node', mountPath: '/node', readOnly: true },
          ],
        },
      ],
      volumes: [
        { name: 'storage', hostPath: { path: STORAGE, type: 'DirectoryOrCreate' } },
        // For the node's own tools: the images have no iptables.
        { name: 'node', hostPath: { path: '/' } },
      ],
    })
    const agent = new Agent(namespace)
    await agent.#compareClocks()
    return agent
  }

  /** Times from the node are turned into this machine's; the error is half a round trip. */
  async #compareClocks(): Promise<void> {
    let best = Number.POSITIVE_INFINITY
    for (let i = 0; i < 3; i++) {
      const before = nowMs()
      const there = Number(await this.shell('date +%s%N')) / 1e6
      const after = nowMs()
      if (after - before >= best) continue
      best = after - before
      // Within the round trip nothing can be told, and nothing needs to be.
      this.#offsetMs = there < before ? there - before : there > after ? there - after : 0
    }
  }

  /** This machine's time for a time of the node's. */
  here(nodeMs: number): number {
    return nodeMs - this.#offsetMs
  }

  /** The node's time for a time of this machine's. */
  there(hereMs: number): number {
    return hereMs + this.#offsetMs
  }

  async shell(script: string): Promise<string> {
    return (await this.#namespace.kubectl(['exec', 'agent', '--', 'sh', '-c', script])).trim()
  }

  /**
   * Signals a pod's processes of that name, all at the same time; when, in this machine's time. `restS`: the agent rests so
   * many seconds before and after, so that what is measured is not slowed down by the search for the processes and the
   * end of the session, which a fault does not come with.
   */
  async signal(pod: string, names: readonly ('java' | 'node')[], signal: Signal, restS = 0): Promise<number> {
    const script = `${find(pod, names)}
      [ -n "$pids" ] || { echo none >&2; exit 1; }
      sleep ${restS}; at=$(date +%s%N); kill -${signal} $pids; sleep ${restS}; echo $at`
    return this.here(Number((await this.shell(script)).split('\n')[0]) / 1e6)
  }

  /** Runs a script with the node's tools in a pod's network: what it changes there touches no other pod and ends with it. */
  async inNetwork(pod: string, script: string): Promise<string> {
    return await this.shell(`${find(pod, ['java', 'node'])}
      set -- $pids; [ $# -gt 0 ] || { echo none >&2; exit 1; }
      nsenter -t $1 -n chroot /node sh -ec '${script}'`)
  }

  /** Resident memory of the pod's process, in KiB. */
  async residentKiB(pod: string, name: 'java' | 'node'): Promise<number> {
    const script = `${find(pod, [name])}
      for p in $pids; do sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$p/status; done`
    return Number(await until('a process', 20_000, async () => (await this.shell(script)).split('\n')[0] || undefined))
  }

  /** Size of a folder as the pod's process sees it, in KiB. */
  async filesKiB(pod: string, name: 'java' | 'node', folder: string): Promise<number> {
    const script = `${find(pod, [name])}
      for p in $pids; do du -sk /proc/$p/root${folder}; done`
    return Number.parseInt(await this.shell(script), 10)
  }
}

/** Every container has HOSTNAME, the pod's name, in its environment. */
const find = (pod: string, names: readonly string[]): string => `pids=
  for d in /proc/[0-9]*; do
    case "$(cat $d/comm 2>/dev/null)" in ${names.map(name => (name === 'node' ? 'node|MainThread' : name)).join('|')}) ;; *) continue ;; esac
    tr '\\0' '\\n' < $d/environ 2>/dev/null | grep -qx 'HOSTNAME=${pod}' && pids="$pids \${d#/proc/}"
  done`
