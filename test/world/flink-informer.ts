// fabric8's shared informer on the HA ConfigMaps: LIST, then WATCH for ever; a WebSocket is tried first, once per LIST.
// Promises: objects are reported in the order of the server; after a gap they come from a new LIST. No errors go out.
import { StringDecoder } from 'node:string_decoder'
import type { DialectRules, FlinkEventBody, Periods } from './flink-dialect.ts'
import type { FlinkHttp } from './flink-http.ts'
import type { ConfigMap } from './flink-records.ts'
import { haLabels, lockName } from './flink-records.ts'
import type { Timers } from './flink-timers.ts'
import { WatchSocket } from './flink-websocket.ts'

export type InformerOptions = {
  http: FlinkHttp
  clusterId: string
  rules: DialectRules
  periods: Periods
  timers: Timers
  random: () => number
  emit: (event: FlinkEventBody) => void
  onObject: (change: 'added' | 'modified' | 'deleted', configMap: ConfigMap) => void
}

type End = 'ended' | 'failed' | 'gone' | 'not-a-websocket'

export class Informer {
  readonly #options: InformerOptions
  readonly #selector: string
  readonly #objects = new Map<string, ConfigMap>()
  #seenVersion = ''
  #closed = false
  #closeStream = (): void => {}

  constructor(options: InformerOptions) {
    this.#options = options
    const labels = Object.entries(haLabels(options.rules, options.clusterId))
    // Order of the recorded selector: app, type, configmap-type.
    const ordered = labels.sort(([a], [b]) => LABEL_ORDER.indexOf(a) - LABEL_ORDER.indexOf(b))
    const byLabel = ordered.map(([name, value]) => `${name}=${value}`).join(',')
    this.#selector = options.rules.listsByLabel
      ? `labelSelector=${encodeURIComponent(byLabel)}`
      : `fieldSelector=${encodeURIComponent(`metadata.name=${lockName(options.clusterId)}`)}`
  }

  /** False when the first LIST failed: Flink's process does not start then. */
  async start(): Promise<boolean> {
    const listed = await this.#list(true)
    if (listed) void this.#watch()
    return listed
  }

  close(): void {
    this.#closed = true
    this.#closeStream()
  }

  get #over(): boolean {
    return this.#closed || this.#options.timers.ended
  }

  async #list(first: boolean): Promise<boolean> {
    const fromCache = first && !this.#options.rules.listsByLabel
    const reply = await this.#options.http.list(`${this.#selector}${fromCache ? '&resourceVersion=0' : ''}`)
    if (reply.status !== 200 || this.#over) return false
    const body = reply.body as { metadata: { resourceVersion: string }; items: ConfigMap[] }
    this.#seenVersion = body.metadata.resourceVersion
    this.#options.emit({ type: 'listed', resourceVersion: this.#seenVersion, items: body.items.length })
    for (const item of body.items) this.#put(item)
    const names = new Set(body.items.map(item => item.metadata.name))
    for (const known of [...this.#objects.keys()]) if (!names.has(known)) this.#remove(known)
    return true
  }

  async #watch(): Promise<void> {
    const { periods, timers } = this.#options
    let over: 'websocket' | 'http' = 'websocket'
    let failures = 0
    while (!this.#over) {
      const end = await this.#watchOnce(over, () => {
        failures = 0
      })
      switch (end) {
        case 'not-a-websocket':
          over = 'http'
          break
        case 'ended':
          await timers.sleep(periods.rewatchMs)
          break
        case 'failed':
          await timers.sleep(periods.rewatchMs * 2 ** Math.min(failures++, 5))
          break
        case 'gone':
          await timers.sleep(periods.relistMs)
          while (!this.#over && !(await this.#list(false))) await timers.sleep(periods.rewatchMs)
          over = 'websocket'
          break
      }
    }
  }

  async #watchOnce(over: 'websocket' | 'http', onOpen: () => void): Promise<End> {
    const { http, emit, periods, timers } = this.#options
    const opened = await http.open(this.#watchQuery(), over)
    if (this.#over) {
      opened.abandon()
      return 'ended'
    }
    if (opened.status === 410) return 'gone'
    if (opened.stream === undefined) return 'failed'
    if (over === 'websocket' && opened.status === 200) {
      // The server did not upgrade. What it sends meanwhile is not read: the same version is asked for again.
      await timers.sleep(periods.fallbackMs)
      opened.abandon()
      return 'not-a-websocket'
    }
    onOpen()
    emit({ type: 'watching', over, resourceVersion: this.#seenVersion })
    return over === 'websocket'
      ? this.#readFrames(opened.stream as import('node:stream').Duplex, opened.head ?? Buffer.alloc(0))
      : this.#readLines(opened.stream, opened.abandon)
  }

  #readFrames(stream: import('node:stream').Duplex, head: Buffer): Promise<End> {
    return new Promise(resolve => {
      let result: End = 'ended'
      const socket = new WatchSocket(stream, this.#options.timers, this.#options.periods.pingMs, {
        onText: text => {
          const end = this.#event(text)
          if (end === undefined) return
          result = end
          socket.close()
        },
        onEnd: () => {
          cancelOwnEnd()
          resolve(result)
        },
      })
      this.#closeStream = () => socket.close()
      const cancelOwnEnd = this.#endSomeTime(() => socket.close())
      socket.start(head)
    })
  }

  #readLines(stream: NodeJS.ReadableStream, abandon: () => void): Promise<End> {
    return new Promise(resolve => {
      const decoder = new StringDecoder('utf8')
      let partial = ''
      let result: End | undefined
      const finish = (): void => {
        cancelOwnEnd()
        resolve(result ?? 'ended')
      }
      const drop = (): void => {
        abandon()
        finish()
      }
      this.#closeStream = drop
      const cancelOwnEnd = this.#endSomeTime(drop)
      stream.on('data', (chunk: Buffer) => {
        const lines = `${partial}${decoder.write(chunk)}`.split('\n')
        partial = lines.pop() ?? ''
        for (const line of lines) {
          if (result !== undefined || line === '') continue
          result = this.#event(line)
          // A server that does not end the stream after an ERROR loses the socket 0.1 s later.
          if (result !== undefined) this.#options.timers.after(100, drop)
        }
      })
      stream.on('end', finish)
      stream.on('error', finish)
      stream.on('close', finish)
    })
  }

  /** Handles one event; returns how the watch ends because of it, if it does. */
  #event(text: string): End | undefined {
    if (this.#over) return 'ended'
    let event: { type: string; object: ConfigMap & { code?: number } }
    try {
      event = JSON.parse(text) as typeof event
    } catch {
      return 'ended'
    }
    const { type, object } = event
    if (type === 'ERROR') return object.code === 410 ? 'gone' : 'ended'
    const version = object.metadata.resourceVersion
    if (version !== undefined) this.#seenVersion = version
    if (type === 'ADDED' || type === 'MODIFIED') this.#put(object)
    if (type === 'DELETED') this.#remove(object.metadata.name, object)
    return undefined
  }

  #put(configMap: ConfigMap): void {
    const { name, resourceVersion } = configMap.metadata
    const known = this.#objects.get(name)
    this.#objects.set(name, configMap)
    if (known === undefined) this.#options.onObject('added', configMap)
    else if (known.metadata.resourceVersion !== resourceVersion) this.#options.onObject('modified', configMap)
  }

  #remove(name: string, last?: ConfigMap): void {
    const known = this.#objects.get(name)
    if (known === undefined) return
    this.#objects.delete(name)
    this.#options.onObject('deleted', last ?? known)
  }

  #watchQuery(): string {
    const version = encodeURIComponent(this.#seenVersion)
    return this.#options.rules.listsByLabel
      ? `${this.#selector}&resourceVersion=${version}&allowWatchBookmarks=true&watch=true`
      : `allowWatchBookmarks=true&${this.#selector}&resourceVersion=${version}&timeoutSeconds=600&watch=true`
  }

  /** The client ends its watches itself after 5 to 10 minutes (not in 1.17). */
  #endSomeTime(end: () => void): () => void {
    const { rules, periods, timers, random } = this.#options
    if (rules.listsByLabel) return () => {}
    return timers.after(periods.watchMs * (1 + random()), end)
  }
}

const LABEL_ORDER = ['app', 'type', 'configmap-type']
