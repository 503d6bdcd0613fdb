/**
 * Who leads, for whoever asks: `/`, `/leader`, `/leader/stream`. The same on a candidate and on a relay; what is told comes
 * from a `LeaderIndex`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import { answer } from './http.ts'
import type { LeaderIndex } from './leader-index.ts'
import { STATUS_PAGE } from './page.ts'
import { Stream } from './stream.ts'

export type LeaderEndpointOptions = { status: LeaderIndex; clock: Clock; onCutOff: () => void }
export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>
export type Handlers = { readonly [path: string]: Handler }

const MAX_WAIT_MS = 300_000
const SSE_HEARTBEAT_MS = 15_000
const MIN_BEAT_MS = 500
const MAX_BEAT_MS = 60_000
/** More than this many waiting readers of one pod are turned away. */
const MAX_WAITERS = 2_048

export class LeaderEndpoint {
  readonly handlers: Handlers
  #options: LeaderEndpointOptions
  #waiters = 0
  #streams = new Set<Stream>()

  constructor(options: LeaderEndpointOptions) {
    this.#options = options
    this.handlers = {
      '/': (request, response) => this.#root(request, response),
      '/leader': (request, response, url) => this.#leader(request, response, url),
      '/leader/stream': (request, response, url) => this.#stream(request, response, url),
    }
  }

  get openStreams(): number {
    return this.#streams.size + this.#waiters
  }

  /** Ends what is open, properly, so that readers come back to whoever is next. */
  end(): void {
    for (const stream of [...this.#streams]) stream.end()
  }

  /** Answers with the leader's document, whatever the status says. */
  answer(response: ServerResponse, status: number): void {
    answer(response, status, this.#options.status.leader(), { 'x-flink-ha-index': String(this.#options.status.index) })
  }

  #sendLeader(response: ServerResponse): void {
    this.answer(response, this.#options.status.leader().name === null ? 503 : 200)
  }

  #leader(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const { status, clock } = this.#options
    const wait = url.searchParams.get('wait')
    const waitMs = wait === null ? 0 : durationMs(wait)
    if (waitMs === undefined || waitMs > MAX_WAIT_MS)
      return answer(response, 400, {
        error: `wait is "${wait}": a duration up to 300s is needed, such as 30s or 500ms`,
      })
    const index = url.searchParams.get('index')
    if (index !== null && !/^\d{1,20}$/.test(index))
      return answer(response, 400, {
        error: `index is "${index}": the X-Flink-HA-Index of an earlier answer is needed`,
      })
    if (waitMs === 0 || index === null || index !== String(status.index)) return this.#sendLeader(response)
    if (this.openStreams >= MAX_WAITERS) return tooMany(response)
    this.#waiters++
    const off = status.onChange(() => done())
    const cancel = clock.after(waitMs, () => done())
    const done = (): void => {
      off()
      cancel()
      response.off('close', done)
      this.#waiters--
      if (!request.socket.destroyed) this.#sendLeader(response)
    }
    response.once('close', done)
  }

  /**
   * Server-Sent Events. `of=<namespace>/<cluster id>`: 421 when this pod is of another cluster, because an address may be given
   * to another pod at any time. `beat=2s`: an event `beat` in this period with how long the last one can still be relied on,
   * instead of a comment now and then; readers that do not know it do not see it.
   */
  #stream(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const { status, clock, onCutOff } = this.#options
    const asked = url.searchParams.get('beat')
    const beatMs = asked === null ? undefined : durationMs(asked)
    if (asked !== null && (beatMs === undefined || beatMs < MIN_BEAT_MS || beatMs > MAX_BEAT_MS))
      return answer(response, 400, { error: `beat is "${asked}": a duration from 500ms to 60s is needed` })
    const of = url.searchParams.get('of')
    const target = status.source.target()
    const own = target && `${target.namespace}/${target.clusterId}`
    if (of !== null && own !== undefined && of !== own)
      return answer(response, 421, { error: `of is "${of.slice(0, 120)}": this pod is of "${own}"` })
    if (this.openStreams >= MAX_WAITERS) return tooMany(response)
    let cancel = (): void => {}
    const off = status.onChange(() => send())
    const stream = new Stream(response, 'text/event-stream', {
      clock,
      onClose: () => {
        off()
        cancel()
        this.#streams.delete(stream)
      },
      onCutOff,
    })
    this.#streams.add(stream)
    const send = (): void => stream.send(`id: ${status.index}\ndata: ${JSON.stringify(status.leader())}\n\n`)
    const beat = (): void => {
      const told = `event: beat\ndata: {"validForMs":${status.source.validForMs()}}\n\n`
      stream.send(beatMs === undefined ? ': still here\n\n' : told)
      cancel = clock.after(nextMs(), beat)
    }
    // Before what was told runs out: a leader with a short renew deadline is certain of itself for less than a usual period.
    const nextMs = (): number => {
      const validForMs = status.source.validForMs()
      if (beatMs === undefined) return SSE_HEARTBEAT_MS
      return validForMs > 0 ? Math.min(beatMs, Math.max(MIN_BEAT_MS, validForMs / 2)) : beatMs
    }
    cancel = clock.after(nextMs(), beat)
    // A reader that comes back with the present index has missed nothing.
    if (request.headers['last-event-id'] === String(status.index)) stream.send(': nothing new\n\n')
    else send()
  }

  #root(request: IncomingMessage, response: ServerResponse): void {
    if ((request.headers.accept ?? '').includes('text/html'))
      return answer(response, 200, STATUS_PAGE, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
      })
    const leader = this.#options.status.leader()
    // As the leader-elector sidecars in use answer: an empty name when nobody leads.
    answer(response, 200, { name: leader.name ?? '', last_update: leader.lastUpdate })
  }
}

/** Finds the handler of a path; unknown paths are 404, never somebody else's answer. */
export const dispatch = async (
  handlers: Handlers,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> => {
  const handler = Object.hasOwn(handlers, url.pathname) ? handlers[url.pathname] : undefined
  if (handler === undefined) return answer(response, 404, { error: `${url.pathname} is not served here` })
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return answer(response, 405, { error: `${request.method} is not served here` }, { allow: 'GET, HEAD' })
  await handler(request, response, url)
}

const tooMany = (response: ServerResponse): void =>
  answer(response, 429, { error: 'too many readers' }, { 'retry-after': '1' })

const durationMs = (text: string): number | undefined => {
  const match = /^(\d{1,7}(?:\.\d{1,3})?)(ms|s|m)?$/.exec(text)
  const unit = { ms: 1, s: 1_000, m: 60_000 }[match?.[2] ?? 's'] ?? 1_000
  return match?.[1] === undefined ? undefined : Number(match[1]) * unit
}
