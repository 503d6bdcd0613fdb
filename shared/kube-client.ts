// The few REST calls that a candidate makes, on node:http(s) alone: @kubernetes/client-node costs 30 MiB of memory in
// every pod. One connection pool for requests; a watch has a connection of its own.

import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http'
import type { RequestOptions } from 'node:https'
import { createRequire } from 'node:module'

export type KubeResponse = { status: number; headers: IncomingMessage['headers']; body: unknown }

/** No answer: refused, reset, timed out, or not HTTP. Whether a write was made is unknown. */
export class Unreachable extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'Unreachable'
  }
}

export type KubeClientOptions = {
  /** Such as `https://10.96.0.1:443`. */
  url: string
  tokenFile?: string
  caFile?: string
  userAgent: string
  monoMs: () => number
}

export type RequestInput = {
  body?: unknown
  contentType?: string
  accept?: string
  timeoutMs: number
}

/** Node's TLS costs some 4 MiB, which a relay that follows its peers by plain HTTP does not need. */
const load = createRequire(import.meta.url)
const https = (): typeof import('node:https') => load('node:https')

/** A token is read again this often; the kubelet replaces a projected token long before it expires. */
const TOKEN_MAX_AGE_MS = 30_000
const MAX_ANSWER_BYTES = 64 * 1024 * 1024
/** Metadata alone, of one object. */
export const ACCEPT_METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json'
/** The same of a list. A watch takes the one above. */
export const ACCEPT_METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json'

/** As much of a client as most need: the simulation has one of its own. */
export type ApiClient = Pick<KubeClient, 'request' | 'stream' | 'forward'>

export class KubeClient {
  #options: KubeClientOptions
  #base: URL
  #agent: HttpAgent
  #forwarding: HttpAgent | undefined
  #ca: Buffer | undefined
  #token: { text: string; atMs: number } | undefined

  constructor(options: KubeClientOptions) {
    this.#options = options
    this.#base = new URL(options.url)
    const secure = this.#base.protocol === 'https:'
    this.#ca = secure && options.caFile !== undefined ? readFileSync(options.caFile) : undefined
    this.#agent = this.#newAgent()
  }

  #newAgent(maxSockets = 16): HttpAgent {
    return this.#base.protocol === 'https:'
      ? new (https().Agent)({ keepAlive: true, maxSockets, ...(this.#ca && { ca: this.#ca }) })
      : new HttpAgent({ keepAlive: true, maxSockets })
  }

  async #headers(input: { accept?: string }): Promise<OutgoingHttpHeaders> {
    const headers: OutgoingHttpHeaders = {
      accept: input.accept ?? 'application/json',
      'user-agent': this.#options.userAgent,
    }
    const { tokenFile, monoMs } = this.#options
    if (tokenFile === undefined) return headers
    if (this.#token === undefined || monoMs() - this.#token.atMs > TOKEN_MAX_AGE_MS) {
      const text = (await readFile(tokenFile, 'utf8')).trim()
      this.#token = { text, atMs: monoMs() }
    }
    return { ...headers, authorization: `Bearer ${this.#token.text}` }
  }

  /** @throws Unreachable */
  async request(method: string, path: string, input: RequestInput): Promise<KubeResponse> {
    const payload = input.body === undefined ? undefined : Buffer.from(JSON.stringify(input.body))
    let headers: OutgoingHttpHeaders
    try {
      headers = await this.#headers(input)
    } catch (error) {
      throw new Unreachable('the service account token cannot be read', error)
    }
    if (payload !== undefined) {
      headers['content-type'] = input.contentType ?? 'application/json'
      headers['content-length'] = payload.length
    }
    return await new Promise<KubeResponse>((resolve, reject) => {
      const request = this.#open(method, path, headers, this.#agent)
      const timer = setTimeout(() => {
        request.destroy(new Error(`no answer within ${Math.round(input.timeoutMs)} ms`))
        this.#leavePool()
      }, input.timeoutMs)
      const fail = (error: Error): void => {
        clearTimeout(timer)
        reject(new Unreachable(`${method} ${path.split('?')[0]}: ${error.message}`, error))
      }
      request.on('error', fail)
      request.on('response', response => {
        collect(response, fail, body => {
          clearTimeout(timer)
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body })
        })
      })
      request.end(payload)
    })
  }

  /** Other idle connections to the same dead peer would swallow the next try; what is under way has a time-out of its own. */
  #leavePool(): void {
    const old = this.#agent
    this.#agent = this.#newAgent()
    old.maxFreeSockets = 0
    for (const sockets of Object.values(old.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }

  /** Opens a stream, such as a watch, on a connection of its own; resolves with the response's head. @throws Unreachable */
  async stream(path: string, timeoutMs: number, signal: AbortSignal, accept?: string): Promise<IncomingMessage> {
    const headers = await this.#headers({ ...(accept !== undefined && { accept }) }).catch(error => {
      throw new Unreachable('the service account token cannot be read', error)
    })
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const request = this.#open('GET', path, headers, false)
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
      const abort = (): void => void request.destroy(new Error('closed'))
      signal.addEventListener('abort', abort, { once: true })
      request.on('close', () => signal.removeEventListener('abort', abort))
      request.on('error', error => {
        clearTimeout(timer)
        reject(new Unreachable(`GET ${path.split('?')[0]}: ${error.message}`, error))
      })
      request.on('response', response => {
        clearTimeout(timer)
        resolve(response)
      })
      request.end()
    })
  }

  /**
   * Begins a request of somebody else's: his headers, his credential and none of ours. On connections apart, so that his
   * streams never hold up our writes. The caller sends the body and reads the answer.
   */
  forward(method: string, path: string, headers: OutgoingHttpHeaders): ClientRequest {
    this.#forwarding ??= this.#newAgent(256)
    return this.#open(method, path, headers, this.#forwarding)
  }

  #open(method: string, path: string, headers: OutgoingHttpHeaders, agent: HttpAgent | false): ClientRequest {
    const options: RequestOptions = {
      method,
      // A URL has an IPv6 address in brackets, a socket has it without.
      host: this.#base.hostname.replace(/^\[|\]$/g, ''),
      port: this.#base.port || (this.#base.protocol === 'https:' ? 443 : 80),
      path,
      headers,
      agent,
      ...(this.#ca && { ca: this.#ca }),
    }
    const request = this.#base.protocol === 'https:' ? https().request(options) : httpRequest(options)
    request.setNoDelay(true)
    return request
  }

  close(): void {
    this.#agent.destroy()
    this.#forwarding?.destroy()
  }
}

const collect = (response: IncomingMessage, fail: (error: Error) => void, done: (body: unknown) => void): void => {
  const chunks: Buffer[] = []
  let size = 0
  response.on('data', (chunk: Buffer) => {
    size += chunk.length
    chunks.push(chunk)
    if (size > MAX_ANSWER_BYTES) response.destroy(new Error(`answer over ${MAX_ANSWER_BYTES} bytes`))
  })
  response.on('error', fail)
  response.on('end', () => {
    const text = Buffer.concat(chunks).toString('utf8')
    try {
      done(text === '' ? undefined : JSON.parse(text))
    } catch {
      // Proxies answer errors in plain text; the status still counts.
      done(text)
    }
  })
}
