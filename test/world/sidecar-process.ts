// `flink-ha sidecar` as a process of its own, against an embedded API server.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { CLUSTER_ID, NAMESPACE } from './sidecar.ts'

export type LogLine = { level?: string; msg?: string; [field: string]: unknown }
export type SidecarProcessOptions = { apiUrl: string; podName: string; podUid: string; jvmPort: number }

export class SidecarProcess {
  readonly lines: LogLine[] = []
  readonly errors: string[] = []
  url = ''
  readonly #child: ChildProcess
  readonly #exit: Promise<[number | null]>

  constructor({ apiUrl, podName, podUid, jvmPort }: SidecarProcessOptions) {
    const flags = {
      'cluster-id': CLUSTER_ID,
      namespace: NAMESPACE,
      'pod-name': podName,
      'pod-uid': podUid,
      'pod-ip': '127.0.0.1',
      profile: 'fast',
      'api-server': apiUrl,
      'local-port': '0',
      'pod-host': '127.0.0.1',
      'pod-port': '0',
      'jvm-address': `127.0.0.1:${jvmPort}`,
    }
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)
    const command = ['--import=tsx', 'cli/main.ts', 'sidecar', ...args]
    this.#child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#exit = once(this.#child, 'exit') as Promise<[number | null]>
    createInterface({ input: this.#child.stdout! }).on('line', text => void this.lines.push(JSON.parse(text)))
    createInterface({ input: this.#child.stderr! }).on('line', text => void this.errors.push(text))
  }

  /** Resolves when it serves. */
  async serving(): Promise<void> {
    const { localPort } = await this.said('serving')
    this.url = `http://127.0.0.1:${localPort}`
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }
  /** The exit code, when it has ended. */
  async exited(): Promise<number | null> {
    if (this.ended) return this.#child.exitCode
    return (await this.#exit)[0]
  }
  async kill(): Promise<void> {
    if (this.ended) return
    this.signal('SIGKILL')
    await this.#exit
  }

  /** The first line with this message, past or to come. @throws Error when the process ends before */
  async said(message: string): Promise<LogLine> {
    for (;;) {
      const line = this.lines.find(({ msg }) => msg === message)
      if (line !== undefined) return line
      if (this.ended) throw new Error(`ended before it said "${message}": ${this.errors.join('\n')}`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }
}
