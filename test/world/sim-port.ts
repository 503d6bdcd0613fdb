// The two ports of a sidecar in a simulation: connections to them, and what is asked on these.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Scope } from '../../sidecar/http.ts'
import { dispatch, type Served } from '../../sidecar/server.ts'
import { type Back, SimRequest, SimResponse, SimSocket, type Sink } from './sim-http.ts'
import { Channel, type Link } from './sim-network.ts'
import type { SimProcess } from './sim-process.ts'

export type Asked = { method: string; url: string; headers: { [name: string]: string }; body?: string }

export type Connection = {
  /** One request at a time. What is heard is heard by the asking process. */
  ask: (scope: Scope, asked: Asked, sink: Sink) => void
  /** By the asking side; the kernel's word to the other arrives by itself. */
  close: (afterMs?: number) => void
  readonly closed: boolean
}

const ignore = (): void => {}

export class SidecarPort {
  readonly process: SimProcess
  readonly #served: { endpoint: Served; gateway: Served }
  readonly #onProblem: (problem: unknown) => void
  readonly #breaks = new Set<() => void>()

  constructor(
    process: SimProcess,
    served: { endpoint: Served; gateway: Served },
    onProblem: (problem: unknown) => void,
  ) {
    this.process = process
    this.#served = served
    this.#onProblem = onProblem
    // The kernel of a process that ends resets its connections.
    process.onKill(() => {
      for (const breaks of [...this.#breaks]) breaks()
    })
  }

  connect(client: SimProcess, link: Link): Connection {
    const { time } = this.process.machine
    const socket = new SimSocket()
    const [forth, back] = [new Channel(time, link), new Channel(time, link)]
    let closed = false
    let sink: Sink | undefined
    const breaks = (): void => {
      this.#breaks.delete(breaks)
      back.send(() => client.deliver(() => close(() => sink?.cut())))
    }
    const close = (tell: () => void): void => {
      if (closed) return
      closed = true
      this.#breaks.delete(breaks)
      tell()
    }
    this.#breaks.add(breaks)
    const heard = (run: () => void): void => client.deliver(() => closed || run())
    return {
      get closed() {
        return closed
      },
      ask: (scope, asked, answered) => {
        sink = {
          whole: (status, text) => heard(() => answered.whole(status, text)),
          head: status => heard(() => answered.head(status)),
          chunk: text => heard(() => answered.chunk(text)),
          end: () => heard(() => answered.end()),
          cut: () => answered.cut(),
        }
        const cuts = { ...sink, cut: () => heard(() => close(() => answered.cut())) }
        forth.send(() => this.process.deliver(() => this.#take(socket, scope, asked, back, cuts)))
      },
      close: (afterMs = 0) => {
        close(() => {
          const gone = (): void => forth.send(() => this.process.deliver(() => socket.close()))
          if (afterMs === 0) gone()
          else time.after(afterMs, gone)
        })
      },
    }
  }

  /** One question on a connection of its own, whose end nobody waits for. `taken`: it is heard here. */
  once(
    client: SimProcess,
    link: Link,
    asked: Asked,
    whole: (status: number, text: string) => void,
    taken: () => void = ignore,
  ): void {
    const answered = (status: number, text: string): void => client.deliver(() => whole(status, text))
    const sink = { whole: answered, head: ignore, chunk: ignore, end: ignore, cut: ignore }
    const take = (): void => {
      taken()
      this.#take(new SimSocket(), 'pod', asked, link, sink)
    }
    link.send(() => this.process.deliver(take))
  }

  #take(socket: SimSocket, scope: Scope, asked: Asked, back: Back, sink: Sink): void {
    if (socket.destroyed) return
    const request = new SimRequest(socket, asked.method, asked.url, asked.headers, asked.body)
    const response = new SimResponse(request, back, sink)
    dispatch(
      { scope, ...this.#served },
      request as unknown as IncomingMessage,
      response as unknown as ServerResponse,
    ).catch(this.#onProblem)
  }
}
