// The watches of the lock that are open here, all fed from the one cache. An event is sent when the data changed, not for
// a renewal; a bookmark a minute keeps a quiet reader's version young. A deletion is not sent on: Flink takes it for the
// end of the world (`KubernetesLeaderElectionDriver`: "deleted externally" is fatal), while here it is a change of leader.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import type { ConfigMap } from '../shared/lock.ts'
import { compareVersions } from '../shared/resource-version.ts'
import type { Cached } from './cached.ts'
import { isFlink, type Scope } from './http.ts'
import type { Metrics } from './metrics.ts'
import { Stream } from './stream.ts'
import { inNamespace } from './view.ts'

export type WatchersOptions = {
  /** Who knows the lock: a candidate or a relay. */
  candidate: { readonly cached: Cached | undefined }
  clock: Clock
  metrics: Pick<Metrics, 'cutOff'>
  view: (scope: Scope) => ConfigMap | undefined
  /**
   * Whether the local JVM is shown itself as the holder, and has published: Flink mends its leader keys only on an event that names it,
   * and before it has any it would only remove what it finds.
   */
  published?: () => boolean
  /** Whether, after that, whoever reads on the local port is not to be shown yet what changes: see burst.ts. */
  held?: () => boolean
}

const BOOKMARK_MS = 60_000
const DEFAULT_SECONDS = 1_800
const MAX_SECONDS = 3_600
/** Between two statements of a JVM's thread. */
const LATE_MS = 1_000

type Watcher = {
  stream: Stream
  scope: Scope
  /** As the reader names it. */
  namespace: string
  sentSince: string
  /** What was last sent named somebody else as the holder, or may have. */
  strange: boolean
  from: string
  /** It has not been shown the object yet, so the first sight is an addition. */
  without: boolean
}

export class Watchers {
  #options: WatchersOptions
  #open = new Set<Watcher>()

  constructor(options: WatchersOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#open.size
  }

  /** From `resourceVersion` on: a reader that is behind is sent the present at once, whatever it missed in between. */
  add(response: ServerResponse, query: URLSearchParams, scope: Scope, namespace: string): void {
    if (!readsOnAnyThread(response.req, query)) {
      const seconds = Math.min(MAX_SECONDS, Number(query.get('timeoutSeconds')) || DEFAULT_SECONDS)
      return this.#begin(response, query, scope, namespace, seconds)
    }
    const late = (): void => this.#begin(response, query, scope, namespace)
    response.once('close', this.#options.clock.after(LATE_MS, late))
  }

  /** `seconds`: after which it ends, if it does. */
  #begin(response: ServerResponse, query: URLSearchParams, scope: Scope, namespace: string, seconds?: number): void {
    const { candidate, clock, metrics } = this.#options
    let [cancelAge, cancelBookmark] = [(): void => {}, (): void => {}]
    const stream = new Stream(response, 'application/json', {
      clock,
      onClose: () => {
        this.#open.delete(watcher)
        cancelAge()
        cancelBookmark()
      },
      onCutOff: () => metrics.cutOff.inc(),
    })
    const from = query.get('resourceVersion') ?? ''
    // Without a version, or from 0, a watch begins with the state as additions (Kubernetes, "Semantics for watch").
    const without = from === '' || from === '0' || isKnownMissing(candidate.cached)
    // What it was shown at `from`, by a list or by an earlier process of ours, may have named somebody else.
    const strange = scope === 'local'
    const watcher: Watcher = { stream, scope, namespace, sentSince: '', strange, from, without }
    const since = candidate.cached?.dataSince ?? ''
    const behind = (compareVersions(from, since) ?? -1) < 0
    if (!behind) watcher.sentSince = since
    this.#open.add(watcher)
    if (seconds !== undefined) cancelAge = clock.after(seconds * 1000, () => stream.end())
    if (query.get('allowWatchBookmarks') === 'true') {
      const bookmark = (): void => {
        this.#bookmark(watcher)
        cancelBookmark = clock.after(BOOKMARK_MS, bookmark)
      }
      cancelBookmark = clock.after(BOOKMARK_MS, bookmark)
    }
    this.changed()
  }

  changed(): void {
    const { candidate, view, published = () => false, held = () => false } = this.#options
    const since = candidate.cached?.dataSince ?? ''
    const hasPublished = published()
    const isHeld = hasPublished && held()
    const texts = new Map<string, string>()
    for (const watcher of [...this.#open]) {
      const isMended = watcher.strange && hasPublished
      if (watcher.sentSince === since && !isMended) continue
      if (isHeld && watcher.scope === 'local') continue
      watcher.sentSince = since
      const object = view(watcher.scope)
      if (object === undefined) continue
      watcher.strange = watcher.scope === 'local' && !hasPublished
      const type = watcher.without ? 'ADDED' : 'MODIFIED'
      watcher.without = false
      const shared = `${type} ${watcher.scope} ${watcher.namespace}`
      const seen = { type, object: inNamespace(object, watcher.namespace) }
      const text = texts.get(shared) ?? `${JSON.stringify(seen)}\n`
      texts.set(shared, text)
      watcher.stream.send(text)
    }
  }

  end(): void {
    for (const watcher of [...this.#open]) watcher.stream.end()
  }

  #bookmark(watcher: Watcher): void {
    // What is held comes first: a reader that goes on from a later version would not be sent it.
    if (watcher.sentSince !== (this.#options.candidate.cached?.dataSince ?? '')) return
    const resourceVersion = this.#options.candidate.cached?.version ?? ''
    // Nothing is known yet, or not yet what this reader has seen already: its version must not go back.
    if (resourceVersion === '' || (compareVersions(resourceVersion, watcher.from) ?? 0) < 0) return
    const object = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { resourceVersion } }
    watcher.stream.send(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`)
  }
}

/**
 * The client of Flink 1.17 reads a plain watch on the thread that asked for it, if the answer is there before that thread looks
 * (fabric8 5.12 `WatchHTTPManager.run`). At the start that is the JVM's main thread, which then starts nothing until the
 * watch ends; later it is a thread that will not take an ended watch up again (`AbstractWatchManager.scheduleReconnect`). So it is
 * answered late, and not ended for its age. 1.17 alone selects by labels; what asks for a web socket is repeated as a plain watch.
 */
const readsOnAnyThread = (request: IncomingMessage, query: URLSearchParams): boolean =>
  isFlink(request) && !query.has('fieldSelector') && request.headers.upgrade === undefined

const isKnownMissing = (cached: Cached | undefined): boolean => cached !== undefined && cached.object === undefined
