// A real cluster, the one that KUBECONFIG names: namespaces that end with the test, objects, logs, and sights of the lock
// with the time at which they came.
import { spawn } from 'node:child_process'
import { CoreV1Api, KubeConfig, Watch } from '@kubernetes/client-node'
import type { ConfigMap } from '../../shared/lock.ts'
import { lockOfConfigMap } from '../../shared/lock.ts'
import { ANNOTATION_TOKEN, LOCK_SUFFIX } from '../../shared/names.ts'

export const hasCluster = (process.env['KUBECONFIG'] ?? '') !== ''

export const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
export const nowMs = (): number => performance.timeOrigin + performance.now()

/** Runs kubectl; its standard output. @throws Error with its standard error */
export const kubectl = (args: readonly string[], input = '', timeoutMs = 120_000): Promise<string> =>
  run('kubectl', args, input, timeoutMs)

export const run = (command: string, args: readonly string[], input = '', timeoutMs = 120_000): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'pipe' })
    let out = ''
    let err = ''
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    child.stdout.on('data', chunk => {
      out += chunk
    })
    child.stderr.on('data', chunk => {
      err += chunk
    })
    child.on('error', reject)
    child.on('close', code => {
      clearTimeout(timer)
      if (code === 0) resolve(out)
      else reject(new Error(`${command} ${args.slice(0, 6).join(' ')}: exit ${code}: ${err.trim().slice(0, 1000)}`))
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })

/** Asks until the answer is something; undefined and errors are asked again. @throws Error naming what never came */
export const until = async <T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | undefined> | T | undefined,
  everyMs = 250,
): Promise<T> => {
  const endMs = nowMs() + timeoutMs
  let last: unknown
  while (nowMs() < endMs) {
    try {
      const found = await look()
      if (found !== undefined && found !== false) return found
    } catch (error) {
      last = error
    }
    await sleep(everyMs)
  }
  throw new Error(`${what}: not within ${timeoutMs} ms${last instanceof Error ? ` (${last.message})` : ''}`)
}

const kubeConfig = (): KubeConfig => {
  const config = new KubeConfig()
  config.loadFromDefault()
  return config
}

export type Pod = {
  name: string
  uid: string
  ip: string
  node: string
  ready: boolean
  deleting: boolean
  restarts: { [container: string]: number }
  raw: PodObject
}
type ContainerStatus = { name: string; restartCount: number; ready: boolean }
type PodObject = {
  metadata: {
    name: string
    uid: string
    deletionTimestamp?: string
    labels?: { [name: string]: string }
    annotations?: { [name: string]: string }
  }
  spec: {
    nodeName?: string
    containers: { name: string; env?: { name: string; value?: string }[]; volumeMounts?: { mountPath: string }[] }[]
    initContainers?: { name: string }[]
  }
  status: {
    podIP?: string
    conditions?: { type: string; status: string }[]
    containerStatuses?: ContainerStatus[]
    initContainerStatuses?: ContainerStatus[]
  }
}

export class Namespace {
  readonly name: string
  #stoppers: (() => void)[] = []

  private constructor(name: string) {
    this.name = name
  }

  static async create(purpose: string): Promise<Namespace> {
    const name = `flink-ha-live-${purpose}-${Math.random().toString(36).slice(2, 7)}`
    await kubectl(['create', 'namespace', name])
    // Pods made before their service account exists are refused.
    await until('the default service account', 30_000, () => kubectl(['-n', name, 'get', 'serviceaccount', 'default']))
    return new Namespace(name)
  }

  async remove(): Promise<void> {
    for (const stop of this.#stoppers) stop()
    await this.removePods()
    // Not waited for: the next test makes a namespace of its own.
    await kubectl(['delete', 'namespace', this.name, '--wait=false']).catch(() => '')
  }

  /**
   * Ends Flink's pods, and what would make new ones, without waiting. Not by force: a kubelet of Kubernetes 1.34.0 ends with an error
   * when a pod with requests is gone while it still starts (`doPodResizeAction`), and no pod runs after that.
   */
  async removePods(): Promise<void> {
    await this.kubectl(['delete', 'deployments', '--all', '--cascade=orphan']).catch(() => '')
    await this.kubectl(['delete', 'replicasets', '--all', '--cascade=orphan']).catch(() => '')
    const now = ['--grace-period=1', '--wait=false']
    await this.kubectl(['delete', 'pods', '-l', 'component in (jobmanager, taskmanager)', ...now]).catch(() => '')
  }

  kubectl(args: readonly string[], input = '', timeoutMs = 120_000): Promise<string> {
    return kubectl(['-n', this.name, ...args], input, timeoutMs)
  }

  async apply(objects: readonly object[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects }
    await this.kubectl(['apply', '-f', '-'], JSON.stringify(list))
  }

  /** A pod of the test's own; resolves when it is ready. */
  async startPod(name: string, spec: object): Promise<void> {
    await this.apply([{ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec }])
    await this.kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=120s'])
  }

  async pods(selector: string): Promise<Pod[]> {
    const chosen = selector === '' ? [] : ['-l', selector]
    const text = await this.kubectl(['get', 'pods', ...chosen, '-o', 'json'])
    return (JSON.parse(text) as { items: PodObject[] }).items.map(raw => ({
      name: raw.metadata.name,
      uid: raw.metadata.uid,
      ip: raw.status.podIP ?? '',
      node: raw.spec.nodeName ?? '',
      ready: raw.status.conditions?.some(c => c.type === 'Ready' && c.status === 'True') ?? false,
      deleting: raw.metadata.deletionTimestamp !== undefined,
      restarts: Object.fromEntries(
        [...(raw.status.containerStatuses ?? []), ...(raw.status.initContainerStatuses ?? [])].map(s => [
          s.name,
          s.restartCount,
        ]),
      ),
      raw,
    }))
  }

  /** Log lines with the node's own time of writing, as the container runtime noted it. */
  async logs(pod: string, container: string, previous = false): Promise<LogLine[]> {
    const args = ['logs', pod, '-c', container, '--timestamps', ...(previous ? ['--previous'] : [])]
    const text = await this.kubectl(args).catch(() => '')
    return text.split('\n').flatMap(line => logLine(line) ?? [])
  }

  /** Lines from now on and of the last half minute, as they are written: nothing is asked again and again meanwhile. */
  follow(pod: string, container: string): LogFollower {
    const follower = new LogFollower([
      '-n',
      this.name,
      'logs',
      '-f',
      '--timestamps',
      '--since=30s',
      pod,
      '-c',
      container,
    ])
    this.#stoppers.push(() => follower.stop())
    return follower
  }

  /** Deletes a pod as `kubectl delete pod` does, without kubectl's own start in the time; when the request was sent. */
  async deletePod(name: string): Promise<number> {
    const api = kubeConfig().makeApiClient(CoreV1Api)
    // The first request loads what the second needs.
    await api.readNamespacedPod({ name, namespace: this.name })
    const atMs = nowMs()
    await api.deleteNamespacedPod({ name, namespace: this.name })
    return atMs
  }

  async configMap(name: string): Promise<ConfigMap | undefined> {
    const text = await this.kubectl(['get', 'configmap', name, '--ignore-not-found', '-o', 'json'])
    return text.trim() === '' ? undefined : (JSON.parse(text) as ConfigMap)
  }

  observe(clusterId: string): LockObserver {
    const observer = new LockObserver(this.name, `${clusterId}${LOCK_SUFFIX}`)
    this.#stoppers.push(() => observer.stop())
    return observer
  }
}

/** RFC 3339 with nanoseconds to milliseconds since the epoch, with their fraction. */
export const epochMs = (time: string): number => {
  const match = /^(.+?)(\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(time)
  return match === null ? Number.NaN : Date.parse(`${match[1]}${match[3]}`) + Number(match[2] ?? 0) * 1000
}

export type LogLine = { atMs: number; line: string }

const logLine = (text: string): LogLine | undefined => {
  const space = text.indexOf(' ')
  const atMs = epochMs(text.slice(0, space))
  return Number.isFinite(atMs) ? { atMs, line: text.slice(space + 1) } : undefined
}

/** A container's log as it grows, until the container or the follower ends. */
export class LogFollower {
  readonly lines: LogLine[] = []
  #child: ReturnType<typeof spawn>

  constructor(args: readonly string[]) {
    let rest = ''
    this.#child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'ignore'] })
    this.#child.on('error', () => {})
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop() ?? ''
      for (const part of parts) {
        const line = logLine(part)
        if (line !== undefined) this.lines.push(line)
      }
    })
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }
}

export type LockSight = { atMs: number; holder: string; token: number; renewTime: string; object: ConfigMap }

/** Watches all HA ConfigMaps of a namespace and notes when each version came. */
export class LockObserver {
  readonly sights: LockSight[] = []
  /** Every version of every ConfigMap that came, the lock's among them. */
  readonly versions: { atMs: number; name: string; object: ConfigMap }[] = []
  #name: string
  #stopped = false
  #abort: (() => void) | undefined

  constructor(namespace: string, name: string) {
    this.#name = name
    void this.#follow(`/api/v1/namespaces/${namespace}/configmaps`)
  }

  async #follow(path: string): Promise<void> {
    const config = kubeConfig()
    while (!this.#stopped) {
      await new Promise<void>(resolve => {
        new Watch(config)
          .watch(
            path,
            {},
            (_, object: ConfigMap) => this.#see(object),
            () => resolve(),
          )
          .then(
            controller => {
              this.#abort = () => controller.abort()
            },
            () => resolve(),
          )
      })
      if (!this.#stopped) await sleep(100)
    }
  }

  #see(object: ConfigMap): void {
    const atMs = nowMs()
    const seen = this.versions.some(
      v => v.name === object.metadata.name && v.object.metadata.resourceVersion === object.metadata.resourceVersion,
    )
    if (seen) return
    this.versions.push({ atMs, name: object.metadata.name, object })
    if (object.metadata.name !== this.#name) return
    const { record } = lockOfConfigMap(object, '')
    const token = Number(object.metadata.annotations?.[ANNOTATION_TOKEN] ?? 0)
    this.sights.push({ atMs, holder: record?.holder ?? '', token, renewTime: record?.renewTime ?? '', object })
  }

  get holder(): string {
    return this.sights.at(-1)?.holder ?? ''
  }

  /** The first sight after a time that fits. */
  async first(
    what: string,
    afterMs: number,
    timeoutMs: number,
    fits: (sight: LockSight) => boolean,
  ): Promise<LockSight> {
    return await until(what, timeoutMs, () => this.sights.find(sight => sight.atMs >= afterMs && fits(sight)), 5)
  }

  stop(): void {
    this.#stopped = true
    this.#abort?.()
  }
}
