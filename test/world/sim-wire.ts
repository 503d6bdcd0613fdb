// The sockets of the model of Flink's client in a simulation: to its own sidecar, or straight to the API server as with
// built-in high availability.
import { EventEmitter } from 'node:events'
import type { Opened, Reply, Wire, WireOptions } from './flink-http.ts'
import type { ApiAnswer, ApiCall, SimApi } from './sim-api.ts'
import type { Link } from './sim-network.ts'
import type { Connection, SidecarPort } from './sim-port.ts'
import type { SimProcess } from './sim-process.ts'

const MAX_IDLE = 5
const GONE: Reply = { status: 0, body: undefined, why: 'reset' }
const REFUSED: Reply = { status: 0, body: undefined, why: 'refused' }
const TIMED_OUT: Reply = { status: 0, body: undefined, why: 'timed-out' }

export class SidecarWire implements Wire {
  readonly #process: SimProcess
  readonly #link: Link
  readonly #port: () => SidecarPort | undefined
  readonly #options: WireOptions
  readonly #sign: (body: unknown) => unknown
  readonly #all = new Set<Connection>()
  #idle: Connection[] = []

  /** `sign`: what the body of a write becomes. */
  constructor(
    process: SimProcess,
    link: Link,
    port: () => SidecarPort | undefined,
    options: WireOptions,
    sign = (body: unknown): unknown => body,
  ) {
    this.#sign = sign
    this.#process = process
    this.#link = link
    this.#port = port
    this.#options = options
  }

  send(method: string, path: string, body: unknown, contentType = 'application/json; charset=utf-8'): Promise<Reply> {
    const { timers, periods } = this.#options
    const connection = this.#connection()
    if (timers.ended) return Promise.resolve(GONE)
    if (connection === undefined) return this.#refused()
    return new Promise(resolve => {
      const settle = (reply: Reply, keep: boolean): void => {
        cancel()
        if (keep) this.#keep(connection)
        else this.#drop(connection)
        resolve(reply)
      }
      const cancel = timers.after(periods.requestTimeoutMs, () => settle(TIMED_OUT, false))
      const text = body === undefined ? {} : { body: JSON.stringify(this.#sign(body)) }
      const headers = { 'user-agent': 'flink', 'content-type': contentType }
      connection.ask(
        'local',
        { method, url: path, headers, ...text },
        {
          whole: (status, answered) => settle(replyOf(status, answered), true),
          head: () => {},
          chunk: () => {},
          end: () => {},
          cut: () => settle(GONE, false),
        },
      )
    })
  }

  /** Nobody upgrades to a WebSocket here: the answer is 200 either way. */
  open(path: string, over: 'websocket' | 'http'): Promise<Opened> {
    const connection = over === 'http' ? this.#connection() : this.#connect()
    const abandon = (): void => {
      if (connection !== undefined) this.#drop(connection)
    }
    if (this.#options.timers.ended) return Promise.resolve({ ...GONE, abandon })
    if (connection === undefined) return this.#refused().then(reply => ({ ...reply, abandon }))
    return new Promise(resolve => {
      let stream: EventEmitter | undefined
      const url = path
      const asked = { method: 'GET', url, headers: { 'user-agent': 'flink' } }
      connection.ask('local', asked, {
        whole: (status, text) => {
          this.#keep(connection)
          resolve({ ...replyOf(status, text), abandon })
        },
        head: status => {
          stream = new EventEmitter()
          resolve({ status, body: undefined, stream: stream as unknown as NodeJS.ReadableStream, abandon })
        },
        chunk: text => void stream?.emit('data', text),
        end: () => {
          if (over === 'http') this.#keep(connection)
          else this.#drop(connection)
          stream?.emit('end')
        },
        cut: () => {
          this.#drop(connection)
          if (stream === undefined) resolve({ ...GONE, abandon })
          else stream.emit('close')
        },
      })
    })
  }

  end(): void {
    for (const connection of this.#all) connection.close()
    this.#forget()
  }
  /** As the kernel does for a process that was killed: one after the other, within a few milliseconds. */
  reset(chance: () => number): void {
    for (const connection of this.#all) connection.close(chance() * 3)
    this.#forget()
  }
  #forget(): void {
    this.#all.clear()
    this.#idle = []
  }

  #connection(): Connection | undefined {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) if (!idle.closed) return idle
    return this.#connect()
  }
  #connect(): Connection | undefined {
    if (this.#options.timers.ended) return undefined
    const connection = this.#port()?.connect(this.#process, this.#link)
    if (connection !== undefined) this.#all.add(connection)
    return connection
  }
  #keep(connection: Connection): void {
    if (connection.closed || this.#idle.length >= MAX_IDLE) this.#drop(connection)
    else if (!this.#idle.includes(connection)) this.#idle.push(connection)
  }
  #drop(connection: Connection): void {
    connection.close()
    this.#all.delete(connection)
    if (this.#idle.includes(connection)) this.#idle = this.#idle.filter(other => other !== connection)
  }
  #refused(): Promise<Reply> {
    return new Promise(resolve => {
      this.#link.send(() => this.#process.deliver(() => resolve(REFUSED)))
    })
  }
}

const replyOf = (status: number, text: string): Reply => ({ status, body: text === '' ? undefined : JSON.parse(text) })

export type OnCall = (call: ApiCall) => (result: ApiAnswer | undefined) => void

/** Built-in high availability: the API server itself. Watches are not opened here. */
export class ApiWire implements Wire {
  readonly #process: SimProcess
  readonly #api: SimApi
  readonly #link: Link
  readonly #options: WireOptions
  readonly #onCall: OnCall

  constructor(process: SimProcess, api: SimApi, link: Link, options: WireOptions, onCall: OnCall) {
    this.#onCall = onCall
    this.#process = process
    this.#api = api
    this.#link = link
    this.#options = options
  }

  send(method: string, path: string, body: unknown, contentType = 'application/json'): Promise<Reply> {
    const { timers, periods } = this.#options
    if (timers.ended) return Promise.resolve(GONE)
    return new Promise(resolve => {
      const cancel = timers.after(periods.requestTimeoutMs, () => resolve(TIMED_OUT))
      const call = { by: this.#process.name, method, path, body, contentType, accept: '' }
      const settle = (reply: Reply): void => {
        cancel()
        resolve(reply)
      }
      const onDone = this.#onCall(call)
      this.#api.call(this.#link, call, {
        answer: answer =>
          this.#process.deliver(() => {
            onDone(answer)
            settle(withPause(answer))
          }),
        broken: why => this.#process.deliver(() => settle(why.includes('refused') ? REFUSED : GONE)),
      })
    })
  }

  open(): Promise<Opened> {
    return Promise.resolve({ ...GONE, abandon: () => {} })
  }
  end(): void {}
}

const withPause = ({ status, headers, body }: ApiAnswer): Reply => {
  const seconds = Number(headers['retry-after'] ?? '0')
  return { status, body, ...(seconds > 0 && { retryAfterMs: seconds * 1_000 }) }
}
