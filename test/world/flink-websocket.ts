// The client half of RFC 6455 that a watch needs: text in, PING out, PONG and CLOSE answered. No extensions.
import type { Duplex } from 'node:stream'
import type { Timers } from './flink-timers.ts'

const TEXT = 1
const CLOSE = 8
const PING = 9
const PONG = 10

export type WebSocketHandlers = { onText: (text: string) => void; onEnd: () => void }

export class WatchSocket {
  readonly #socket: Duplex
  readonly #handlers: WebSocketHandlers
  readonly #timers: Timers
  readonly #pingMs: number
  #buffered: Buffer = Buffer.alloc(0)
  #message: Buffer[] = []
  #pongMissing = false
  #ended = false
  #cancelPing = (): void => {}

  constructor(socket: Duplex, timers: Timers, pingMs: number, handlers: WebSocketHandlers) {
    this.#socket = socket
    this.#timers = timers
    this.#pingMs = pingMs
    this.#handlers = handlers
  }

  /** `head` is what arrived together with the answer 101. */
  start(head: Buffer): void {
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk))
    // An upgraded socket is half-open-capable in Node: without this a server's FIN would leave it open.
    this.#socket.on('end', () => this.#socket.destroy())
    this.#socket.on('error', () => this.#socket.destroy())
    this.#socket.on('close', () => this.#end())
    if (head.length > 0) this.#take(head)
    this.#schedulePing()
  }

  close(): void {
    if (!this.#ended) this.#send(CLOSE, Buffer.from([0x03, 0xe8]))
    this.#socket.end()
    this.#end()
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#cancelPing()
    this.#handlers.onEnd()
  }

  #schedulePing(): void {
    this.#cancelPing = this.#timers.after(this.#pingMs, () => {
      // okhttp fails a WebSocket whose last PING was not answered when the next one is due.
      if (this.#pongMissing) {
        this.#socket.destroy()
        return
      }
      this.#pongMissing = true
      this.#send(PING, Buffer.alloc(0))
      this.#schedulePing()
    })
  }

  #take(chunk: Buffer): void {
    this.#buffered = this.#buffered.length === 0 ? chunk : Buffer.concat([this.#buffered, chunk])
    for (;;) {
      const frame = readFrame(this.#buffered)
      if (frame === undefined || this.#ended) return
      this.#buffered = this.#buffered.subarray(frame.length)
      this.#frame(frame)
    }
  }

  #frame(frame: Frame): void {
    if (frame.opcode === PING) return this.#send(PONG, frame.payload)
    if (frame.opcode === PONG) {
      this.#pongMissing = false
      return
    }
    if (frame.opcode === CLOSE) return this.close()
    if (frame.opcode > 2) {
      this.#socket.destroy()
      return
    }
    this.#message.push(frame.payload)
    if (!frame.final) return
    const text = Buffer.concat(this.#message).toString('utf8')
    this.#message = []
    this.#handlers.onText(text)
  }

  #send(opcode: number, payload: Buffer): void {
    if (!this.#socket.writable) return
    const mask = Buffer.from(crypto.getRandomValues(new Uint8Array(4)))
    const body = Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)))
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, body]))
  }
}

type Frame = { opcode: number; final: boolean; payload: Buffer; length: number }

/** The first complete frame, unmasked if need be; continuation frames are reported as text. */
const readFrame = (buffer: Buffer): Frame | undefined => {
  if (buffer.length < 2) return undefined
  const first = buffer.readUInt8(0)
  const second = buffer.readUInt8(1)
  const short = second & 0x7f
  const sizeBytes = short === 127 ? 8 : short === 126 ? 2 : 0
  const masked = (second & 0x80) !== 0
  const start = 2 + sizeBytes + (masked ? 4 : 0)
  if (buffer.length < start) return undefined
  const size = sizeBytes === 0 ? short : sizeBytes === 2 ? buffer.readUInt16BE(2) : Number(buffer.readBigUInt64BE(2))
  if (buffer.length < start + size) return undefined
  const mask = masked ? buffer.subarray(start - 4, start) : undefined
  const raw = buffer.subarray(start, start + size)
  return {
    opcode: (first & 0x0f) === 0 ? TEXT : first & 0x0f,
    final: (first & 0x80) !== 0,
    payload: mask === undefined ? raw : Buffer.from(raw.map((byte, index) => byte ^ (mask[index % 4] ?? 0))),
    length: start + size,
  }
}
