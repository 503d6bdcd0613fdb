/**
 * The ConfigMaps of jobs, which Flink itself leaves unfenced (`KubernetesCheckpointRecoveryFactory`,
 * `withoutLeadershipValidation`): there a deposed JobManager can overwrite the checkpoints of the next one.
 *
 * Here the first access of a term puts the term's token on the object, before anything of it is told to the JVM, and each
 * write is a compare-and-set on a version that was read in this term. So a write that an older term sent earlier names a
 * version from before the stamp and is refused by the API server, however late it arrives; one that is sent later meets a
 * higher token. Nothing is written without a valid term. A creation names no version; Flink creates them empty.
 */
import type { ApiClient } from '../shared/kube-client.ts'
import { type ConfigMap, tokenIn } from '../shared/lock.ts'
import { ANNOTATION_TOKEN } from '../shared/names.ts'
import { failure } from './http.ts'
import { configMapsPath } from './lock-store.ts'
import { applyPatch, type DataPatch } from './lock-write.ts'
import { oversize } from './size-limit.ts'
import { type Answer, askUpstream } from './upstream.ts'

export type JobStoreOptions = {
  client: Pick<ApiClient, 'request'>
  /** The cluster's own. */
  namespace: () => string
  /** Token of the term that this JVM was granted, if it is valid at this moment. */
  term: () => number | undefined
  monoMs: () => number
  onFenced: () => void
  onOversize: () => void
}

export type JobMethod = 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** Somebody else's writes in between: natural once, not for ever. */
const TRIES = 5
/** Whoever waited longer for his turn has no time left for an answer: Flink's request time-out is 10 s. */
const MAX_TURN_MS = 5_000
const MERGE = 'application/merge-patch+json'
const JSON_PATCH = 'application/json-patch+json'

export class JobStore {
  #options: JobStoreOptions
  /** As this term stamped or wrote them. */
  #known = new Map<string, ConfigMap>()
  #term: number | undefined
  /** The last request of each name: one after the other, so that what is known is what the last one left. */
  #turns = new Map<string, Promise<unknown>>()

  constructor(options: JobStoreOptions) {
    this.#options = options
  }

  /** What was read of the jobs is good for the term that it was read in. */
  forget(): void {
    const term = this.#options.term()
    if (term === this.#term) return
    this.#term = term
    this.#known.clear()
  }

  read(name: string): Promise<Answer> {
    return this.#inTurn(name, async () => {
      this.forget()
      const known = this.#known.get(name)
      if (known !== undefined) return { status: 200, body: known }
      const term = this.#options.term()
      // Without a term it is told as it is: whoever reads it can write nothing. It is not refused, because a JVM that lost
      // its term before the answer to its last write has to find out whether that was made: else it deletes a checkpoint's
      // file that the next leader goes on from (`KubernetesStateHandleStore.addAndLock`).
      return term === undefined ? await this.#send('GET', name) : (await this.#stamped(name, term)).read
    })
  }

  write(method: JobMethod, name: string, body: unknown, contentType: string): Promise<Answer> {
    return this.#inTurn(name, async () => {
      if (method !== 'DELETE' && (typeof body !== 'object' || body === null))
        return { status: 400, body: failure(400, 'the body is not a JSON object', name) }
      this.forget()
      for (let tries = 1; ; tries++) {
        const answer = await this.#tryWrite(method, name, body as object, contentType)
        // A deletion names no version of the JVM's: it is meant for whatever this term knows.
        if (method !== 'DELETE' || answer.status !== 409 || tries === TRIES || this.#options.term() === undefined)
          return answer
      }
    })
  }

  async #inTurn(name: string, act: () => Promise<Answer>): Promise<Answer> {
    const { monoMs } = this.#options
    const sinceMs = monoMs()
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(() =>
      monoMs() - sinceMs > MAX_TURN_MS
        ? { status: 503, body: failure(503, 'requests before this one are not answered yet', name) }
        : act(),
    )
    const settled = turn.catch(() => {})
    this.#turns.set(name, settled)
    try {
      return await turn
    } finally {
      if (this.#turns.get(name) === settled) this.#turns.delete(name)
    }
  }

  async #tryWrite(method: JobMethod, name: string, body: object, contentType: string): Promise<Answer> {
    const term = this.#options.term()
    if (term === undefined) return this.#fenced(name, 'this pod does not lead')
    let current = this.#known.get(name)
    if (method !== 'POST' && current === undefined) {
      const { read, refusal } = await this.#stamped(name, term)
      if (refusal !== undefined) return this.#fenced(name, refusal)
      if (read.status !== 200) return read
      current = read.body as ConfigMap
    }
    const isMerge = method === 'PATCH' && !contentType.startsWith(JSON_PATCH)
    const problem = oversize(current, isMerge ? patched(current, body) : body)
    if (problem !== undefined) {
      this.#options.onOversize()
      return { status: 413, body: failure(413, `configmaps "${name}": ${problem}`, name) }
    }
    const sent = method === 'DELETE' ? deletion(current) : versioned(body, current, term)
    // The stamp took its time: the term may be over.
    if (this.#options.term() !== term) return this.#fenced(name, 'this pod no longer leads')
    this.#known.delete(name)
    const answer = await this.#send(method, name, sent, contentType)
    if (answer.status < 300 && method !== 'DELETE') this.#keep(name, term, answer.body as ConfigMap)
    return answer
  }

  /** Reads, and stamps what an older term was the last to touch; `refusal`: why this term may not write it. */
  async #stamped(name: string, term: number): Promise<{ read: Answer; refusal?: string }> {
    for (let tries = 1; ; tries++) {
      const read = await this.#send('GET', name)
      if (read.status !== 200) return { read }
      const { metadata } = read.body as ConfigMap
      const stamp = tokenIn(metadata)
      if (stamp > term)
        return { read, refusal: `annotation ${ANNOTATION_TOKEN} is ${stamp}, of a newer term than ${term}` }
      if (this.#options.term() !== term) return { read, refusal: 'this pod no longer leads' }
      const answer = stamp === term ? read : await this.#stamp(name, metadata.resourceVersion, term)
      if (answer.status === 409 && tries < TRIES) continue
      if (answer.status === 200) this.#keep(name, term, answer.body as ConfigMap)
      return { read: answer }
    }
  }

  #stamp(name: string, resourceVersion: string | undefined, term: number): Promise<Answer> {
    const annotations = { [ANNOTATION_TOKEN]: String(term) }
    return this.#send('PATCH', name, { metadata: { resourceVersion, annotations } }, MERGE)
  }

  #keep(name: string, term: number, object: ConfigMap): void {
    if (this.#term === term) this.#known.set(name, object)
  }

  #fenced(name: string, why: string): Answer {
    this.#options.onFenced()
    return { status: 409, body: failure(409, `Operation cannot be fulfilled on configmaps "${name}": ${why}`, name) }
  }

  #send(method: 'GET' | JobMethod, name: string, body?: unknown, contentType?: string): Promise<Answer> {
    const { client, namespace } = this.#options
    const path = configMapsPath(namespace()) + (method === 'POST' ? '' : `/${encodeURIComponent(name)}`)
    return askUpstream(client, method, path, body, method === 'DELETE' ? undefined : contentType)
  }
}

/** The object that a merge patch makes, as far as its data goes. */
const patched = (current: ConfigMap | undefined, body: object): unknown => ({
  data: applyPatch(current?.data ?? {}, ((body as ConfigMap).data ?? {}) as DataPatch),
})

const deletion = (current: ConfigMap | undefined) => ({
  apiVersion: 'v1',
  kind: 'DeleteOptions',
  preconditions: { uid: current?.metadata.uid, resourceVersion: current?.metadata.resourceVersion },
})

/** With the term's token on it, and the version that it replaces: the JVM's own, else what this term knows. */
const versioned = (body: object, current: ConfigMap | undefined, term: number): unknown => {
  const version = current?.metadata.resourceVersion
  if (Array.isArray(body)) return [{ op: 'add', path: '/metadata/resourceVersion', value: version }, ...body]
  const { metadata, ...rest } = body as ConfigMap
  const resourceVersion = metadata?.resourceVersion || version
  const annotations = { ...metadata?.annotations, [ANNOTATION_TOKEN]: String(term) }
  return { ...rest, metadata: { ...metadata, annotations, ...(resourceVersion !== undefined && { resourceVersion }) } }
}
