// `flink-ha webhook` as a process of its own, against an embedded API server.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export type LogLine = { level?: string; msg?: string; [field: string]: unknown }

export class WebhookProcess {
  readonly lines: LogLine[] = []
  readonly errors: string[] = []
  readonly #child: ChildProcess
  #waiting: { message: string; resolve: (line: LogLine) => void }[] = []

  constructor(args: readonly string[], command: readonly string[] = ['--import=tsx', 'cli/main.ts']) {
    const { KUBERNETES_SERVICE_HOST: _, ...env } = process.env
    this.#child = spawn(process.execPath, [...command, 'webhook', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    createInterface({ input: this.#child.stdout! }).on('line', text => this.#take(text))
    createInterface({ input: this.#child.stderr! }).on('line', text => void this.errors.push(text))
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  #take(text: string): void {
    const line = JSON.parse(text) as LogLine
    this.lines.push(line)
    const met = this.#waiting.filter(({ message }) => line.msg === message)
    this.#waiting = this.#waiting.filter(waiting => !met.includes(waiting))
    for (const { resolve } of met) resolve(line)
  }

  /** The first line with this message, past or to come; rejects when the process ends before. */
  async said(message: string): Promise<LogLine> {
    const past = this.lines.find(({ msg }) => msg === message)
    if (past !== undefined) return past
    const ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`ended with ${code} before it said "${message}": ${this.errors.join('\n')}`)
    })
    return await Promise.race([new Promise<LogLine>(resolve => this.#waiting.push({ message, resolve })), ended])
  }

  /** The exit code. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode !== null) return this.#child.exitCode
    const exit = once(this.#child, 'exit') as Promise<[number | null]>
    this.#child.kill(signal)
    const [code] = await exit
    return code
  }
}
