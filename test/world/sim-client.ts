// The shipped code's clients in a simulation: one of the API server, one of another sidecar's pod port.
import type { IncomingMessage } from 'node:http'
import { type ApiClient, type KubeResponse, type RequestInput, Unreachable } from '../../shared/kube-client.ts'
import type { ApiCall, SimApi } from './sim-api.ts'
import { SimStream } from './sim-http.ts'
import type { Link } from './sim-network.ts'
import type { Asked, SidecarPort } from './sim-port.ts'
import type { SimProcess } from './sim-process.ts'

type Exchanged = { status: number; text: string }

const forward = (): never => {
  throw new Error('nothing is passed through in the simulation')
}

export class SimApiClient implements ApiClient {
  readonly #process: SimProcess
  readonly #api: SimApi
  readonly #link: Link
  /** Sees each call when it is sent, and what comes of it. */
  readonly #onCall: (call: ApiCall) => (result: KubeResponse | undefined) => void

  constructor(
    process: SimProcess,
    api: SimApi,
    link: Link,
    onCall: (call: ApiCall) => (result: KubeResponse | undefined) => void,
  ) {
    this.#process = process
    this.#api = api
    this.#link = link
    this.#onCall = onCall
  }

  readonly forward = forward

  request(method: string, path: string, input: RequestInput): Promise<KubeResponse> {
    const call: ApiCall = {
      by: this.#process.name,
      method,
      path,
      body: input.body,
      contentType: input.contentType ?? 'application/json',
      accept: input.accept ?? 'application/json',
    }
    const onDone = this.#onCall(call)
    return new Promise((resolve, reject) => {
      let open = true
      const fail = (why: string): void => {
        if (!open) return
        open = false
        cancel()
        onDone(undefined)
        reject(new Unreachable(`${method} ${path}: ${why}`))
      }
      const cancel = this.#process.after(input.timeoutMs, () => fail('no answer in time'))
      this.#api.call(this.#link, call, {
        answer: answer =>
          this.#process.deliver(() => {
            if (!open) return
            open = false
            cancel()
            onDone(answer)
            resolve(answer)
          }),
        broken: why => this.#process.deliver(() => fail(why)),
      })
    })
  }

  stream(path: string, timeoutMs: number, signal: AbortSignal): Promise<IncomingMessage> {
    const process = this.#process
    const call = { by: process.name, method: 'GET', path, body: undefined, contentType: '', accept: '' }
    return new Promise((resolve, reject) => {
      let stream: SimStream | undefined
      let over = false
      const end = (error?: Error): void => {
        if (over) return
        over = true
        cancel()
        signal.removeEventListener('abort', abort)
        close()
        if (stream === undefined) reject(new Unreachable(`GET ${path}`, error))
        else stream.destroy(error)
      }
      const cancel = process.after(timeoutMs, () => stream === undefined && end(new Error('no answer in time')))
      const abort = (): void => end(new Error('closed'))
      signal.addEventListener('abort', abort, { once: true })
      const close = this.#api.watch(this.#link, call, {
        answer: ({ status }) =>
          process.deliver(() => {
            if (over) return
            cancel()
            stream = new SimStream(status, () => end())
            resolve(stream.asNode())
          }),
        event: text => process.deliver(() => stream?.chunk(text)),
        end: () =>
          process.deliver(() => {
            over = true
            signal.removeEventListener('abort', abort)
            stream?.finish()
          }),
        broken: why => process.deliver(() => end(new Error(why))),
      })
    })
  }
}

/** Another sidecar's pod port, on connections of its own for each request. */
export class SimPeerClient implements ApiClient {
  readonly #process: SimProcess
  readonly #port: () => SidecarPort | undefined
  readonly #link: Link
  readonly #open = new Set<() => void>()

  constructor(process: SimProcess, link: Link, port: () => SidecarPort | undefined) {
    this.#process = process
    this.#link = link
    this.#port = port
  }

  readonly forward = forward

  async request(method: string, path: string, input: RequestInput): Promise<KubeResponse> {
    const { status, text } = await this.exchange({ method, url: path, headers: {} }, input.timeoutMs)
    return { status, headers: {}, body: text === '' ? undefined : JSON.parse(text) }
  }

  /** `taken`: it is heard by this port. */
  exchange(asked: Asked, timeoutMs: number, taken?: (port: SidecarPort) => void): Promise<Exchanged> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => {
        done()
        reject(new Unreachable(`${asked.method} ${asked.url}: ${why}`))
      }
      const close = (): void => fail('closed')
      const done = (): void => {
        cancel()
        this.#open.delete(close)
      }
      const cancel = this.#process.after(timeoutMs, () => fail('no answer in time'))
      this.#open.add(close)
      const port = this.#port()
      if (port === undefined) return this.#refused(fail)
      const whole = (status: number, text: string): void => {
        done()
        resolve({ status, text })
      }
      port.once(this.#process, this.#link, asked, whole, () => taken?.(port))
    })
  }

  #refused(fail: (why: string) => void): void {
    this.#link.send(() => this.#process.deliver(() => fail('connection refused')))
  }

  stream(path: string, timeoutMs: number, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      let stream: SimStream | undefined
      let over = false
      const connection = this.#port()?.connect(this.#process, this.#link)
      const end = (error?: Error): void => {
        if (over) return
        over = true
        cancel()
        signal.removeEventListener('abort', abort)
        connection?.close()
        if (stream === undefined) reject(new Unreachable(`GET ${path}`, error))
        else stream.destroy(error)
      }
      const cancel = this.#process.after(timeoutMs, () => stream === undefined && end(new Error('no answer in time')))
      const abort = (): void => end(new Error('closed'))
      signal.addEventListener('abort', abort, { once: true })
      if (connection === undefined) return this.#refused(why => end(new Error(why)))
      const begin = (status: number): SimStream => {
        cancel()
        stream = new SimStream(status, () => end())
        resolve(stream.asNode())
        return stream
      }
      connection.ask(
        'pod',
        { method: 'GET', url: path, headers: {} },
        {
          whole: status => over || queueMicrotask(() => begin(status).finish()),
          head: status => over || begin(status),
          chunk: text => stream?.chunk(text),
          end: () => {
            over = true
            connection.close()
            stream?.finish()
          },
          cut: () => end(new Error('the connection broke')),
        },
      )
    })
  }

  close(): void {
    for (const close of [...this.#open]) close()
  }
}
