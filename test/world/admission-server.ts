// An admission server on a port of its own, and a client that calls it as kube-apiserver does.
import type { IncomingHttpHeaders } from 'node:http'
import { Agent, request } from 'node:https'
import { Registry } from 'prom-client'
import { type Clock, systemClock } from '../../shared/clock.ts'
import type { Outcome } from '../../webhook/admit.ts'
import type { Facts } from '../../webhook/decide.ts'
import { makeWebhookMetrics } from '../../webhook/metrics.ts'
import { type AdmissionOptions, AdmissionServer } from '../../webhook/server.ts'
import { makeTestPair, SERVER_NAME, type TestPair } from './key-pair.ts'
import { KeptLog } from './tls-replicas.ts'
import { VirtualClock } from './virtual-clock.ts'

export const FACTS: Facts = { namespaceAsks: true, nativeSidecars: true, imageOfOurs: 'flink-ha/flink-ha:0.1.0' }

export type Reply = { status: number; headers: IncomingHttpHeaders; body: ReplyBody }
export type ReplyBody = {
  error?: string
  response?: {
    uid: string
    allowed: boolean
    patch?: string
    patchType?: string
    warnings?: string[]
    status?: { code: number; message: string }
  }
}
export type Call = { path?: string; method?: string; headers?: { [name: string]: string }; agent?: Agent }

export class TestAdmission {
  readonly server: AdmissionServer
  readonly log = new KeptLog()
  readonly registry = new Registry()
  readonly outcomes: Outcome[] = []
  readonly agent = new Agent({ keepAlive: true })
  pair: TestPair = { certPem: '', keyPem: '', caPem: '' }
  port = 0
  #clock: Clock

  constructor(options: Partial<AdmissionOptions> = {}) {
    this.#clock = options.clock ?? systemClock
    this.server = new AdmissionServer({
      factsOf: (_, namespaceAsks) => ({ ...FACTS, namespaceAsks }),
      deploymentOf: async () => ({}),
      version: '0.1.0',
      clock: systemClock,
      log: this.log,
      metrics: makeWebhookMetrics(
        () => ({ leading: false, certificateSeconds: undefined, findings: { NameTaken: 0, HaConfigMapOwned: 0 } }),
        this.registry,
      ),
      onOutcome: outcome => void this.outcomes.push(outcome),
      ...options,
    })
  }

  async start(): Promise<void> {
    this.pair = await makeTestPair()
    this.server.setPair(this.pair)
    this.port = await this.server.listen(0, '127.0.0.1')
  }

  async stop(): Promise<void> {
    this.agent.destroy()
    const stopped = this.server.stop(0)
    if (this.#clock instanceof VirtualClock) this.#clock.advance(0)
    await stopped
  }

  post(body: unknown, call: Call = {}): Promise<Reply> {
    const payload = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    const { path = '/mutate?timeout=5s', method = 'POST', headers = {}, agent = this.agent } = call
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: this.port,
          path,
          method,
          agent,
          ca: this.pair.caPem,
          servername: SERVER_NAME,
          headers: { 'content-type': 'application/json', 'content-length': String(payload.length), ...headers },
        },
        response => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8')
            const body = text.startsWith('{') ? (JSON.parse(text) as ReplyBody) : {}
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body })
          })
        },
      )
      sent.on('error', reject)
      sent.end(payload)
    })
  }
}
