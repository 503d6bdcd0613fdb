// The connection to the one JobManager's sidecar that is followed: its event stream of the leader, and, once it is believed,
// its watch of the ConfigMap. Passes on what comes in; decides nothing.
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import type { ApiClient, KubeResponse } from '../shared/kube-client.ts'
import { ListWatch, type Sight } from '../shared/list-watch.ts'
import type { ConfigMap } from '../shared/lock.ts'
import { LOCK_SUFFIX } from '../shared/names.ts'
import type { LeaderDocument } from './leader.ts'
import { BEAT_MS } from './relay-core.ts'
import { eventReader, parseBeat, parseLeader, type StreamEvent } from './relay-told.ts'

export type RelayTarget = { namespace: string; clusterId: string }
export type Lost = 'unreachable' | 'refused' | 'ended' | 'unreadable'

export type RelayLinkOptions = {
  /** `host:port` of its pod port. */
  peer: string
  target: RelayTarget
  clock: Clock
  client: ApiClient & { close: () => void }
  onTold: (leader: LeaderDocument) => void
  onBeat: (validForMs: number) => void
  /** `version`: the object's own; of the collection that it is missing from, else. */
  onSight: (object: ConfigMap | undefined, version: string) => void
  /** At most once. */
  onLost: (why: Lost, problem: string) => void
  random?: () => number
}

/** Whoever follows gives up before that, when the first word does not come. */
const ANSWER_TIMEOUT_MS = 5_000

export class RelayLink {
  #options: RelayLinkOptions
  #client: RelayLinkOptions['client']
  #abort = new AbortController()
  #watch: ListWatch<ConfigMap> | undefined

  constructor(options: RelayLinkOptions) {
    this.#options = options
    this.#client = options.client
  }

  get peer(): string {
    return this.#options.peer
  }

  /** Opens the event stream. */
  async open(): Promise<void> {
    const { namespace, clusterId } = this.#options.target
    const path = `/leader/stream?beat=${BEAT_MS}ms&of=${encodeURIComponent(`${namespace}/${clusterId}`)}`
    let response: IncomingMessage
    try {
      response = await this.#client.stream(path, ANSWER_TIMEOUT_MS, this.#abort.signal, 'text/event-stream')
    } catch (error) {
      return this.#lose('unreachable', String(error))
    }
    response.on('error', error => this.#lose('unreachable', String(error)))
    if (this.#abort.signal.aborted) {
      response.destroy()
      return
    }
    response.on('close', () => this.#lose('unreachable', 'closed'))
    if (response.statusCode !== 200) {
      this.#lose('refused', `answered ${response.statusCode}`)
      response.destroy()
      return
    }
    this.#read(response)
  }

  #read(response: IncomingMessage): void {
    const read = eventReader(event => this.#take(event))
    response.setEncoding('utf8')
    response.on('end', () => this.#lose('ended', 'the stream ended'))
    response.on('data', (chunk: string) => {
      if (this.#abort.signal.aborted) return
      try {
        read(chunk)
      } catch (error) {
        this.#lose('unreadable', String(error))
      }
    })
  }

  #take({ name, data }: StreamEvent): void {
    if (this.#abort.signal.aborted) return
    if (name === 'beat') {
      const validForMs = parseBeat(data)
      if (validForMs === undefined) this.#lose('unreadable', `beat: ${data.slice(0, 100)}`)
      else this.#options.onBeat(validForMs)
    }
    if (name !== 'message') return
    const leader = parseLeader(data)
    if (leader === undefined) this.#lose('unreadable', `leader: ${data.slice(0, 100)}`)
    else this.#options.onTold(leader)
  }

  /** Opens the watch of the ConfigMap: the leader keys alone, with the versions of the real object. */
  watch(): void {
    const { clock, target, onSight, random = Math.random } = this.#options
    if (this.#watch !== undefined || this.#abort.signal.aborted) return
    this.#watch = new ListWatch<ConfigMap>({
      client: this.#client,
      clock,
      collection: `/api/v1/namespaces/${target.namespace}/configmaps`,
      name: `${target.clusterId}${LOCK_SUFFIX}`,
      onSight: ({ object, version }: Sight<ConfigMap>) => {
        // A list's own version is that of the whole store: a sidecar that listed later than others would seem to be ahead.
        if (!this.#abort.signal.aborted) onSight(object, object?.metadata.resourceVersion ?? version)
      },
      onProblem: problem => this.#lose('unreachable', problem),
      random,
    })
    void this.#watch.run()
  }

  /** Asks it for a document of its own. @throws Unreachable */
  async ask(path: string): Promise<KubeResponse> {
    return await this.#client.request('GET', path, { timeoutMs: ANSWER_TIMEOUT_MS })
  }

  #lose(why: Lost, problem: string): void {
    if (this.#abort.signal.aborted) return
    this.close()
    this.#options.onLost(why, problem)
  }

  close(): void {
    this.#abort.abort()
    this.#watch?.stop()
    this.#client.close()
  }
}
