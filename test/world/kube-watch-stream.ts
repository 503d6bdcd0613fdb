// A watch as a client gets it: begun when somebody listens, with bookmarks now and then, ended after a while.
import type { After } from './kube-admission.ts'
import { KubeError } from './kube-errors.ts'
import type { KubeObject, Resource } from './kube-resources.ts'
import type { KubeStore } from './kube-store.ts'
import type { Watch, WatchEvent, WatchQuery } from './kube-watch.ts'

export type Sink = { event: (event: WatchEvent) => void; end: () => void }
type Options = {
  store: KubeStore
  resource: Resource
  query: WatchQuery
  timeoutMs: number | undefined
  /** undefined: no bookmarks. */
  bookmarkMs: number | undefined
  after: After
  /** The form in which objects are told. */
  show: (object: KubeObject) => object
}

/** kube-apiserver ends a watch after 30 to 60 minutes. */
const DEFAULT_TIMEOUT_MS = 30 * 60_000

export class WatchStream {
  #options: Options
  #watch: Watch | undefined
  #sink: Sink | undefined
  #cancels: (() => void)[] = []

  constructor(options: Options) {
    this.#options = options
  }

  /** A beginning that is forgotten is told as an ERROR, and that ends the stream. */
  start(sink: Sink): void {
    const { store, resource, query, timeoutMs, bookmarkMs, after, show } = this.#options
    this.#sink = sink
    try {
      this.#watch = store.watch(resource, query, ({ type, object }) =>
        this.#sink?.event({ type, object: show(object as KubeObject) }),
      )
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 410) throw error
      this.#end({ type: 'ERROR', object: error.status })
      return
    }
    // The listener may have had enough already.
    if (this.#sink === undefined) return this.#watch.close()
    const end = (): void => this.#end(bookmarkMs === undefined ? undefined : this.#watch?.bookmark())
    this.#cancels.push(after(timeoutMs ?? DEFAULT_TIMEOUT_MS, end))
    if (bookmarkMs !== undefined) this.#bookmarkEvery(bookmarkMs)
  }

  #bookmarkEvery(periodMs: number): void {
    const cancel = this.#options.after(periodMs, () => {
      this.#cancels = this.#cancels.filter(other => other !== cancel)
      if (this.#watch !== undefined) this.#sink?.event(this.#watch.bookmark())
      this.#bookmarkEvery(periodMs)
    })
    this.#cancels.push(cancel)
  }

  /** Ends it as the server does that has compacted its history meanwhile. */
  expire(): void {
    const message = 'The resourceVersion for the provided watch is too old.'
    this.#end({ type: 'ERROR', object: new KubeError(410, message).status })
  }

  #end(last: WatchEvent | undefined): void {
    const sink = this.#sink
    this.close()
    if (last !== undefined) sink?.event(last)
    sink?.end()
  }

  /** Nothing is told any more, not even the end. */
  close(): void {
    this.#sink = undefined
    this.#watch?.close()
    this.#watch = undefined
    for (const cancel of this.#cancels.splice(0)) cancel()
  }
}
