// What the prober noted, with its times turned into this machine's.
import { appendFile, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Agent } from '../live/agent.ts'
import { type Namespace, until } from '../live/cluster.ts'
import { IMAGE, STORAGE, storagePath } from '../live/manifests.ts'

/** What a JobManager's `GET /leader` answered between two times, or why it did not. */
export type Told = { pod: string; sentMs: number; gotMs: number; leads: boolean; validMs: number; error: string }
/** The jobs that a JobManager's REST told, each with the time at which its present leader began it. */
export type Served = {
  pod: string
  sentMs: number
  gotMs: number
  jobs: { jid: string; state: string; start: number }[]
}
/** A line of a container's n-th life. */
export type Logged = { pod: string; box: 'jobmanager' | 'taskmanager'; life: number; atMs: number; line: string }
/** A life that is over, with its last line's time. */
export type Ended = { pod: string; box: string; life: number; atMs: number }
export type Evidence = { told: Told[]; served: Served[]; logged: Logged[]; ended: Ended[] }

type Note = {
  k: 'told' | 'rest' | 'log' | 'end'
  pod: string
  sent: number
  got: number
  leads?: boolean
  valid?: number
  error?: string
  jobs?: Served['jobs']
  box: 'jobmanager' | 'taskmanager'
  n: number
  at: number
  line: string
}

const NAME = 'prober'
/** Of the reports, and of the notes that they rest on. */
export const RESULTS = fileURLToPath(new URL('results/', import.meta.url))

export class Prober {
  readonly evidence: Evidence = { told: [], served: [], logged: [], ended: [] }
  #agent: Agent
  #file: string
  #read = 0
  #kept: string
  #answers = new Map<string, string>()

  private constructor(agent: Agent, file: string, kept: string) {
    this.#agent = agent
    this.#file = file
    this.#kept = kept
  }

  static async start(namespace: Namespace, node: string, agent: Agent, sidecars: boolean): Promise<Prober> {
    const script = await readFile(new URL('prober.mjs', import.meta.url), 'utf8')
    const folder = storagePath(namespace.name)
    const env = { NAMESPACE: namespace.name, OUT: `${folder}/prober.jsonl`, SIDECARS: String(sidecars) }
    const volumes = { script: '/prober', storage: STORAGE, logs: '/var/log/pods' }
    await namespace.apply([
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: NAME }, data: { 'prober.mjs': script } },
    ])
    await namespace.startPod(NAME, {
      nodeName: node,
      serviceAccountName: 'flink',
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: NAME,
          image: IMAGE,
          imagePullPolicy: 'IfNotPresent',
          command: ['node', '/prober/prober.mjs'],
          env: Object.entries(env).map(([name, value]) => ({ name, value })),
          // The kubelet's logs are root's.
          securityContext: { runAsUser: 0 },
          volumeMounts: Object.entries(volumes).map(([name, mountPath]) => ({ name, mountPath })),
        },
      ],
      volumes: [
        { name: 'script', configMap: { name: NAME } },
        { name: 'storage', hostPath: { path: STORAGE } },
        { name: 'logs', hostPath: { path: '/var/log/pods' } },
      ],
    })
    await until('the first notes', 60_000, async () => (await agent.shell(`[ -s ${env.OUT} ] && echo yes`)) === 'yes')
    await mkdir(RESULTS, { recursive: true })
    return new Prober(agent, env.OUT, join(RESULTS, `${namespace.name}.jsonl`))
  }

  /** Reads what was noted since the last time. */
  async read(): Promise<void> {
    const text = await this.#agent.shell(`tail -c +${this.#read + 1} ${this.#file}`)
    // The agent trims its answer; the last line may be half written.
    const whole = text.lastIndexOf('\n') + 1
    this.#read += Buffer.byteLength(text.slice(0, whole))
    const kept: string[] = []
    for (const line of text.slice(0, whole).split('\n')) {
      if (line === '') continue
      const note = JSON.parse(line) as Note
      this.#take(note)
      if (this.#isNews(note)) kept.push(`${line}\n`)
    }
    await appendFile(this.#kept, kept.join(''))
  }

  /** An answer that says what the last one said is not kept for the readers of a report. */
  #isNews({ k, pod, leads, error, jobs }: Note): boolean {
    if (k === 'log' || k === 'end') return true
    const answer = JSON.stringify([leads, error, jobs])
    const isNews = this.#answers.get(`${k} ${pod}`) !== answer
    this.#answers.set(`${k} ${pod}`, answer)
    return isNews
  }

  #take(note: Note): void {
    const { told, served, logged, ended } = this.evidence
    const { k, pod, box, n: life } = note
    const span = { pod, sentMs: this.#agent.here(note.sent), gotMs: this.#agent.here(note.got) }
    const atMs = this.#agent.here(note.at)
    if (k === 'told')
      told.push({ ...span, leads: note.leads === true, validMs: note.valid ?? 0, error: note.error ?? '' })
    else if (k === 'rest') served.push({ ...span, jobs: note.jobs ?? [] })
    else if (k === 'log') logged.push({ pod, box, life, atMs, line: note.line })
    else ended.push({ pod, box, life, atMs })
  }

  /** Answers of earlier rounds are of no use to later ones; log lines are, they tell who was granted when. */
  forget(): void {
    this.evidence.told.length = 0
    this.evidence.served.length = 0
  }
}
