// One answer that goes on: a watch or an event stream. A reader that does not read is cut off before its backlog costs
// memory, and nobody waits for anybody.
import type { ServerResponse } from 'node:http'
import type { Clock } from '../shared/clock.ts'

/** Four ConfigMaps of the largest size. */
const MAX_BACKLOG_BYTES = 4 * 1024 * 1024
/** So many events may wait, whatever their size. */
const MAX_BACKLOG_EVENTS = 1_000

export type StreamOptions = { clock: Clock; onClose: () => void; onCutOff: () => void }

export class Stream {
  #response: ServerResponse
  #options: StreamOptions
  #waiting = 0
  #closed = false

  constructor(response: ServerResponse, contentType: string, options: StreamOptions) {
    this.#response = response
    this.#options = options
    response.on('close', () => this.#close())
    response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-cache' })
    response.flushHeaders()
  }

  get closed(): boolean {
    return this.#closed
  }

  send(text: string): void {
    if (this.#closed) return
    this.#waiting++
    this.#response.write(text, () => {
      this.#waiting--
    })
    if (this.#response.writableLength <= MAX_BACKLOG_BYTES && this.#waiting <= MAX_BACKLOG_EVENTS) return
    this.#options.onCutOff()
    this.#response.destroy()
    this.#close()
  }

  /** Ends it properly, so that the client keeps its connection. */
  end(): void {
    if (!this.#closed) this.#response.end()
    this.#close()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#options.onClose()
  }
}
