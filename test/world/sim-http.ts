// As much of node:http as the sidecar's handlers use, without sockets: a request that has come in whole, and a response
// whose parts go back over a channel.
import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'

/** What the asking side hears: `whole`, or `head` and then chunks and an end; `cut` may come at any time. */
export type Sink = {
  whole: (status: number, text: string) => void
  head: (status: number) => void
  chunk: (text: string) => void
  end: () => void
  cut: () => void
}

/** The way back. */
export type Back = { send: (run: () => void) => unknown }

/** The answering side's end of a connection. */
export class SimSocket extends EventEmitter {
  destroyed = false
  /** The response that is under way on it. */
  response: SimResponse | undefined

  setNoDelay(): this {
    return this
  }
  /** The other side is gone. */
  close(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.response?.gone()
    this.emit('close')
  }
}

export class SimRequest extends EventEmitter {
  readonly method: string
  readonly url: string
  readonly headers: { [name: string]: string }
  readonly socket: SimSocket
  readonly #body: string | undefined

  constructor(socket: SimSocket, method: string, url: string, headers: { [name: string]: string }, body?: string) {
    super()
    this.socket = socket
    this.method = method
    this.url = url
    this.headers = headers
    this.#body = body
  }

  override on(name: string, listener: (...args: never[]) => void): this {
    super.on(name, listener as () => void)
    // Whoever listens for the end has said what he wants to hear.
    if (name === 'end')
      queueMicrotask(() => {
        if (this.#body !== undefined) this.emit('data', Buffer.from(this.#body))
        this.emit('end')
      })
    return this
  }
}

export class SimResponse extends EventEmitter {
  readonly req: SimRequest
  readonly writableLength = 0
  headersSent = false
  destroyed = false
  #channel: Back
  #sink: Sink
  #status = 200
  #headTold = false
  #over = false

  constructor(request: SimRequest, channel: Back, sink: Sink) {
    super()
    this.req = request
    this.#channel = channel
    this.#sink = sink
    request.socket.response = this
  }

  writeHead(status: number): this {
    this.#status = status
    this.headersSent = true
    return this
  }
  flushHeaders(): void {
    if (this.#headTold || this.#over) return
    this.#headTold = true
    const [sink, status] = [this.#sink, this.#status]
    this.#channel.send(() => sink.head(status))
  }
  write(text: string, written?: () => void): boolean {
    if (this.#over) return false
    this.flushHeaders()
    const sink = this.#sink
    this.#channel.send(() => sink.chunk(text))
    if (written !== undefined) queueMicrotask(written)
    return true
  }
  end(text = ''): this {
    if (this.#over) return this
    const [sink, status] = [this.#sink, this.#status]
    if (this.#headTold) this.#channel.send(() => sink.end())
    else this.#channel.send(() => sink.whole(status, text))
    this.#close()
    return this
  }
  /** Cuts the connection. */
  destroy(): this {
    if (this.#over) return this
    this.destroyed = true
    const sink = this.#sink
    this.#channel.send(() => sink.cut())
    this.#close()
    return this
  }
  /** The connection was closed by the other side. */
  gone(): void {
    if (this.#over) return
    this.destroyed = true
    this.#close()
  }

  #close(): void {
    this.#over = true
    this.req.socket.response = undefined
    queueMicrotask(() => this.emit('close'))
  }

  asNode(): ServerResponse {
    return this as unknown as ServerResponse
  }
}

/** A stream as the asking side reads it, in place of an IncomingMessage. */
export class SimStream extends EventEmitter {
  readonly statusCode: number
  readonly #onDestroy: () => void
  #closed = false

  constructor(statusCode: number, onDestroy: () => void) {
    super()
    this.statusCode = statusCode
    this.#onDestroy = onDestroy
  }

  setEncoding(): this {
    return this
  }
  chunk(text: string): void {
    if (!this.#closed) this.emit('data', text)
  }
  finish(): void {
    if (this.#closed) return
    this.#closed = true
    this.emit('end')
    this.emit('close')
  }
  /** By the asking side with its reason, or because the connection broke. */
  destroy(error?: Error): this {
    if (this.#closed) return this
    this.#closed = true
    this.#onDestroy()
    queueMicrotask(() => {
      if (error !== undefined && this.listenerCount('error') > 0) this.emit('error', error)
      this.emit('close')
    })
    return this
  }

  asNode(): IncomingMessage {
    return this as unknown as IncomingMessage
  }
}
