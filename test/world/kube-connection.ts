// One watch on its way to one client: JSON lines, held back while the server is frozen, cut off when nobody reads them.
import type { ServerResponse } from 'node:http'
import type { WatchEvent } from './kube-watch.ts'
import type { WatchStream } from './kube-watch-stream.ts'

/** More than this unread, and the client is dropped, as kube-apiserver drops a watcher that is too slow. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024

export type Flags = { isFrozen: () => boolean; isDropping: () => boolean }

export class WatchConnection {
  #response: ServerResponse
  #stream: WatchStream
  #flags: Flags
  #held: (() => void)[] = []

  constructor(response: ServerResponse, stream: WatchStream, flags: Flags) {
    this.#response = response
    this.#stream = stream
    this.#flags = flags
    response.on('close', () => stream.close())
  }

  start(): void {
    this.#response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' })
    this.#response.flushHeaders()
    this.#stream.start({
      event: event => {
        if (!this.#flags.isDropping()) this.#do(() => this.#write(event))
      },
      end: () => this.#do(() => this.#response.end()),
    })
  }

  /** Does what was held back. */
  thaw(): void {
    for (const action of this.#held.splice(0)) action()
  }

  /** ERROR 410, and a proper end. */
  expire(): void {
    this.#stream.expire()
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#response.socket?.destroy()
  }

  #do(action: () => void): void {
    if (this.#flags.isFrozen()) this.#held.push(action)
    else action()
  }

  #write(event: WatchEvent): void {
    if (this.#response.socket === null || this.#response.socket.destroyed) return
    this.#response.write(`${JSON.stringify(event)}\n`)
    if (this.#response.writableLength > MAX_UNREAD_BYTES) this.destroy()
  }
}
