// Admission over HTTPS: what is read, refused and answered, in which time, and how it ends. The only place that catches.
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import express, { type ErrorRequestHandler, type Request, type Response } from 'express'
import type { Clock } from '../shared/clock.ts'
import type { Log } from '../shared/log.ts'
import { INSTALL } from '../shared/names.ts'
import { type Admitted, answerTo, failureOf, type Outcome } from './admit.ts'
import { answerWithinMs } from './deadline.ts'
import { decide, type Facts } from './decide.ts'
import type { InjectContext } from './inject.ts'
import type { WebhookMetrics } from './metrics.ts'
import type { OwnerAnswer } from './owners.ts'
import type { Pod } from './pod.ts'
import { ReviewError, type ReviewRequest, readReview } from './review.ts'

export type AdmissionOptions = {
  /** undefined: not known yet. */
  factsOf: (namespace: string, namespaceAsks: boolean) => Facts | undefined
  /** Never rejects, and keeps to the limit. */
  deploymentOf: (namespace: string, pod: Pod, limitMs: number) => Promise<OwnerAnswer>
  version: string
  clock: Clock
  log: Log
  metrics: Pick<WebhookMetrics, 'admitted' | 'rejected'>
  /** Told of every pod that is really to be created. */
  onOutcome?: (outcome: Outcome, request: ReviewRequest) => void
}

/**
 * Which entry of the MutatingWebhookConfiguration selected the pod: the one of labelled namespaces, or the one of pods that
 * ask by themselves anywhere else.
 */
const ENTRIES: { readonly [path: string]: { namespaceAsks: boolean } } = {
  [INSTALL.path]: { namespaceAsks: true },
  [INSTALL.pathAsk]: { namespaceAsks: false },
}

/** The API server takes bodies of 3 MiB; the review is around it, managed fields and all. */
const MAX_BODY_BYTES = 6 * 1024 * 1024
/** The API server keeps idle connections for 90 s: whoever closes first, it must not be us, just as a request comes in. */
const KEEP_ALIVE_MS = 120_000
/** What is left for deciding and answering after the look-up of an owner. */
const DECIDE_MS = 100
const CLOSE_MS = 5_000

/** An answer that is no review: status and why. */
class HttpError extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.name = 'HttpError'
    this.status = status
  }
}

export class AdmissionServer {
  readonly #options: AdmissionOptions
  readonly #server: Server
  /** All of them: `closeAllConnections` does not know one that is still in its handshake. */
  readonly #sockets = new Set<Socket>()
  #draining = false

  constructor(options: AdmissionOptions) {
    this.#options = options
    const server = createServer({ minVersion: 'TLSv1.2', handshakeTimeout: 10_000 }, this.#app())
    server.keepAliveTimeout = KEEP_ALIVE_MS
    server.headersTimeout = 10_000
    server.requestTimeout = 30_000
    server.maxConnections = 2_048
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    server.on('tlsClientError', (error: Error) => options.log.debug({ problem: error.message }, 'TLS handshake failed'))
    this.#server = server
  }

  get draining(): boolean {
    return this.#draining
  }

  /** Resolves with the port. Handshakes fail until there is a certificate. @throws Error with code EADDRINUSE and the like */
  async listen(port: number, host?: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, resolve)
    })
    return (this.#server.address() as AddressInfo).port
  }

  /** New connections get the new certificate; those that are open keep theirs. */
  setPair(pair: { certPem: string; keyPem: string }): void {
    const { log } = this.#options
    try {
      this.#server.setSecureContext({ cert: pair.certPem, key: pair.keyPem, minVersion: 'TLSv1.2' })
    } catch (error) {
      log.error({ problem: String(error) }, 'the certificate cannot be used; the one before stays')
    }
  }

  /**
   * Ends without a refused request: the API server goes on using connections that it has, also to a pod that is no longer an
   * endpoint, so they are served for a while and closed one by one with their next answer.
   */
  async stop(drainMs: number): Promise<void> {
    const { clock } = this.#options
    this.#draining = true
    await new Promise<void>(resolve => clock.after(drainMs, resolve))
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    const cancel = clock.after(CLOSE_MS, () => {
      for (const socket of this.#sockets) socket.destroy()
    })
    this.#server.closeIdleConnections()
    await closed
    cancel()
  }

  #app(): express.Express {
    const app = express()
    app.disable('x-powered-by')
    app.disable('etag')
    app.use((request, response, next) => {
      response.locals['arrivedMs'] = this.#options.clock.monoMs()
      if (this.#draining) response.setHeader('connection', 'close')
      const entry = ENTRIES[request.path]
      if (entry === undefined) throw new HttpError(404, `only ${Object.keys(ENTRIES).join(' and ')} are here`)
      response.locals['namespaceAsks'] = entry.namespaceAsks
      if (request.method !== 'POST') throw new HttpError(405, `${request.method} is not allowed: POST is`)
      if (request.is('application/json') === false) throw new HttpError(415, 'content-type must be application/json')
      next()
    })
    // Compressed bodies are not taken: the API server sends none, and a small one can unpack to anything.
    app.use(express.raw({ type: () => true, limit: MAX_BODY_BYTES, inflate: false }))
    app.use(async (request, response) => await this.#admit(request, response))
    app.use(this.#onError)
    return app
  }

  async #admit(request: Request, response: Response): Promise<void> {
    const { factsOf, clock, metrics, onOutcome } = this.#options
    const review = readReview(parseBody(request.body))
    const facts = factsOf(review.namespace, response.locals['namespaceAsks'] as boolean)
    if (facts === undefined) throw new HttpError(503, 'starting: the API server’s version is not known yet')
    const arrivedMs = response.locals['arrivedMs'] as number
    const dueMs = arrivedMs + answerWithinMs(request.query['timeout'])
    const { answer, outcome } = await this.#decide(review, facts, dueMs)
    // The API server gave up: whatever we would have said, the pod did not get it.
    const heard = !response.destroyed
    const counted: Outcome = heard ? outcome : { ...outcome, decision: 'deadline', message: 'the caller hung up' }
    if (heard) send(response, 200, answer)
    const elapsedMs = clock.monoMs() - arrivedMs
    metrics.admitted(counted, elapsedMs)
    this.#tell(counted, elapsedMs)
    if (!counted.dryRun) onOutcome?.(counted, review)
  }

  async #decide(review: ReviewRequest, facts: Facts, dueMs: number): Promise<Admitted> {
    const { clock, deploymentOf, version } = this.#options
    const { pod, namespace } = review
    const decision = decide(pod, facts)
    const context: InjectContext = { image: facts.imageOfOurs, version }
    if (decision.inject !== 'jobmanager' && decision.inject !== 'taskmanager')
      return answerTo(review, decision, context)
    const { owner, problem } =
      decision.inject === 'jobmanager'
        ? await deploymentOf(namespace, pod, dueMs - clock.monoMs() - DECIDE_MS)
        : ({} as OwnerAnswer)
    if (clock.monoMs() >= dueMs)
      return failureOf(review, decision, 'deadline', 'the webhook had no time left to answer')
    const warnings = problem === undefined ? [] : [`no owner reference: ${problem}`]
    return answerTo(review, decision, { ...context, ...(owner && { owner }) }, warnings)
  }

  #tell({ regrettable, ...outcome }: Outcome, elapsedMs: number): void {
    const { log } = this.#options
    const fields = { ...outcome, ms: Math.round(elapsedMs * 10) / 10 }
    if (outcome.decision === 'inject') log.info(fields, 'injected')
    else if (outcome.decision === 'skip' && !regrettable) log.debug(fields, 'left alone')
    else if (outcome.decision === 'error') log.error(fields, 'cannot be injected')
    else log.warn(fields, outcome.decision === 'refuse' ? 'refused' : 'not injected')
  }

  readonly #onError: ErrorRequestHandler = (error: unknown, request, response, _next) => {
    const { log, metrics } = this.#options
    const [status, message] = statusOf(error)
    metrics.rejected.inc({ status: String(status) })
    const fields = { method: request.method, path: request.path.slice(0, 100), status }
    if (status === 500)
      log.error({ ...fields, problem: error instanceof Error ? error.stack : error }, 'request failed')
    else log.warn({ ...fields, problem: message }, 'request refused')
    if (!response.headersSent && !response.destroyed) send(response, status, { error: message })
  }
}

const parseBody = (body: unknown): unknown => {
  if (!Buffer.isBuffer(body) || body.length === 0)
    throw new HttpError(400, 'the body is empty: an AdmissionReview is needed')
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw new HttpError(400, `the body is not JSON: ${(error as Error).message}`)
  }
}

/** Of express' own errors the type is what can be relied on (body-parser, "Errors"). */
const statusOf = (error: unknown): [status: number, message: string] => {
  if (error instanceof HttpError) return [error.status, error.message]
  if (error instanceof ReviewError) return [400, error.message]
  switch ((error as { type?: string } | null)?.type) {
    case 'entity.too.large':
      return [413, `the body is over ${MAX_BODY_BYTES} bytes`]
    case 'encoding.unsupported':
      return [415, 'a compressed body is not taken']
    case 'request.aborted':
    case 'request.size.invalid':
      return [400, 'the body ended early']
    default:
      return [500, 'internal error']
  }
}

const send = (response: Response, status: number, body: object): void => {
  const payload = Buffer.from(JSON.stringify(body))
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': payload.length })
  response.end(payload)
}
