// One "pod" of the demo: a real sidecar process and a main container, with what they tell.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LeaderDocument } from '../sidecar/leader.ts'
import { resourceOf } from '../test/world/kube-resources.ts'
import type { KubeServer } from '../test/world/kube-server.ts'
import { ask } from './endpoint.ts'

export type DemoPodOptions = {
  name: string
  api: KubeServer
  namespace: string
  clusterId: string
  home: string | undefined
}

export const nowMs = (): number => performance.timeOrigin + performance.now()

/** A Flink distribution, if FLINK_HOME names one. @throws Error when it names none */
export const flinkHome = (): string | undefined => {
  const home = process.env['FLINK_HOME']
  if (home === undefined || home === '') return undefined
  if (!existsSync(join(home, 'lib')))
    throw new Error(`FLINK_HOME is "${home}": a Flink distribution with a lib folder is needed`)
  return home
}

const GRANTED = /DispatcherRunner.*was granted leadership/
const LINES_KEPT = 15

export class DemoPod {
  readonly name: string
  /** When its Flink said that it was granted leadership, each time. */
  readonly grants: number[] = []
  leads = false
  url = ''
  #options: DemoPodOptions
  #rpcPort = 0
  #sidecar: ChildProcess | undefined
  #jvm: ChildProcess | undefined
  #lines: string[] = []

  private constructor(options: DemoPodOptions) {
    this.#options = options
    this.name = options.name
  }

  static async start(options: DemoPodOptions): Promise<DemoPod> {
    const pod = new DemoPod(options)
    pod.#rpcPort = await freePort()
    await pod.#startSidecar()
    await pod.startJvm()
    return pod
  }

  async #startSidecar(): Promise<void> {
    const { api, namespace, clusterId, name } = this.#options
    const labels = { component: 'jobmanager', 'flink-ha.io/cluster': clusterId }
    const pod = api.store.create(resourceOf('pods'), namespace, {
      metadata: { name, labels },
      spec: { containers: [{ name: 'jobmanager', image: 'flink' }] },
    })
    const flags = {
      'cluster-id': clusterId,
      namespace,
      'pod-name': name,
      'pod-uid': pod.metadata.uid ?? '',
      'pod-ip': '127.0.0.1',
      profile: 'fast',
      'api-server': api.url,
      'local-port': '0',
      'pod-host': '127.0.0.1',
      'pod-port': '0',
      'jvm-address': `127.0.0.1:${this.#rpcPort}`,
    }
    const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])
    const child = spawn(process.execPath, [process.argv[1] ?? '', 'sidecar', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#sidecar = child
    await new Promise<void>((resolve, reject) => {
      child.once('exit', code => reject(new Error(`the sidecar of ${name} ended with ${code}`)))
      this.#read(child, line => {
        if (!line.includes('"localPort"')) return
        this.url = `http://127.0.0.1:${(JSON.parse(line) as { localPort: number }).localPort}`
        resolve()
      })
    })
  }

  async startJvm(): Promise<void> {
    const { home } = this.#options
    const child = home === undefined ? this.#spawnModel() : await this.#spawnFlink(home)
    this.#jvm = child
    this.#read(child, line => {
      if (!(home === undefined ? line.includes('"granted"') : GRANTED.test(line))) return
      const told = home === undefined ? (JSON.parse(line) as { atMs: number }).atMs : nowMs()
      this.grants.push(told)
      this.leads = true
    })
  }

  #spawnModel(): ChildProcess {
    const { namespace, clusterId } = this.#options
    const script = fileURLToPath(new URL('./flink-jobmanager.cjs', import.meta.url))
    const flags = [
      '--master',
      this.url,
      '--cluster-id',
      clusterId,
      '--namespace',
      namespace,
      '--rpc',
      `127.0.0.1:${this.#rpcPort}`,
    ]
    return spawn(process.execPath, [script, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] })
  }

  async #spawnFlink(home: string): Promise<ChildProcess> {
    const { namespace, clusterId, name } = this.#options
    const folder = mkdtempSync(join(tmpdir(), `flink-ha-demo-${name}-`))
    mkdirSync(join(folder, 'conf'))
    writeFileSync(join(folder, 'conf', 'config.yaml'), '')
    writeFileSync(join(folder, 'conf', 'flink-conf.yaml'), '')
    writeFileSync(join(folder, 'conf', 'log4j.properties'), LOG4J)
    const settings = {
      'jobmanager.rpc.address': '127.0.0.1',
      'jobmanager.rpc.port': String(this.#rpcPort),
      'rest.address': '127.0.0.1',
      'rest.port': String(await freePort()),
      'blob.server.port': String(await freePort()),
      'kubernetes.cluster-id': clusterId,
      'kubernetes.namespace': namespace,
      'high-availability.type': 'kubernetes',
      'high-availability.storageDir': `file://${join(folder, 'ha')}`,
      'jobmanager.memory.process.size': '900m',
      'web.tmpdir': folder,
      'io.tmp.dirs': folder,
    }
    const opens = [
      'lang',
      'net',
      'io',
      'nio',
      'lang.reflect',
      'text',
      'time',
      'util',
      'util.concurrent',
      'util.concurrent.atomic',
      'util.concurrent.locks',
    ]
    const args = [
      '-Xmx448m',
      ...opens.flatMap(part => ['--add-opens', `java.base/java.${part}=ALL-UNNAMED`]),
      `-Dlog4j.configurationFile=file:${join(folder, 'conf', 'log4j.properties')}`,
      '-cp',
      join(home, 'lib', '*'),
      'org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint',
      '--configDir',
      join(folder, 'conf'),
      ...Object.entries(settings).flatMap(([key, value]) => ['-D', `${key}=${value}`]),
    ]
    const env = { ...process.env, KUBERNETES_MASTER: this.url }
    return spawn('java', args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  }

  #read(child: ChildProcess, each: (line: string) => void): void {
    let rest = ''
    const take = (chunk: Buffer): void => {
      const lines = (rest + chunk.toString('utf8')).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        this.#lines.push(line)
        if (this.#lines.length > LINES_KEPT) this.#lines.shift()
        each(line)
      }
    }
    child.stdout?.on('data', take)
    child.stderr?.on('data', (chunk: Buffer) => this.#lines.push(...chunk.toString('utf8').split('\n').slice(-5)))
  }

  /** The last lines of both containers, for when something went wrong. */
  tail(): string {
    return this.#lines.slice(-LINES_KEPT).join('\n')
  }

  async leader(): Promise<LeaderDocument> {
    return (await ask(`${this.url}/leader`)).body as LeaderDocument
  }

  /** Whether its Flink is there and waits for leadership. */
  async standing(): Promise<true | undefined> {
    const ready = (await ask(`${this.url}/readyz`)).body as { standing: boolean; role: string }
    return ready.standing && ready.role === 'standby' ? true : undefined
  }

  kill(): void {
    this.leads = false
    this.#jvm?.kill('SIGKILL')
  }

  /** What the kubelet does when a pod is deleted: the sidecar's preStop hook and SIGTERM for the main container. */
  deletePod(): void {
    this.leads = false
    this.#sidecar?.kill('SIGUSR2')
    this.#jvm?.kill('SIGTERM')
  }

  async end(): Promise<void> {
    for (const child of [this.#jvm, this.#sidecar]) {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) continue
      const ended = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await ended
      clearTimeout(timer)
    }
  }
}

const LOG4J = `rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c - %m%n
`

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
