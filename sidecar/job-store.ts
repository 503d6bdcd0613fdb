/**
 * The ConfigMaps of jobs, which Flink itself leaves unfenced (`KubernetesCheckpointRecoveryFactory`,
 * `withoutLeadershipValidation`): there a deposed JobManager can overwrite the checkpoints of the next one.
 *
 * Here the first access of a term puts the term's token on the object, before anything of it is told to the JVM, and each
 * write is a compare-and-set on a version that was read in this term. So a write that an older term sent earlier names a
 * version from before the stamp and is refused by the API server, however late it arrives; one that is sent later meets a
 * higher token. Nothing is written without a valid term. A creation names no version; Flink creates them empty.
 */
import type { KubeClient } from '../shared/kube-client.ts'
import type { ConfigMap } from '../shared/lock.ts'
import { ANNOTATION_TOKEN } from '../shared/names.ts'
import { failure } from './http.ts'
import { configMapsPath } from './lock-store.ts'
import { applyPatch, type DataPatch } from './lock-write.ts'
import { oversize } from './size-limit.ts'
import { type Answer, askUpstream } from './upstream.ts'

export type JobStoreOptions = {
  client: Pick<KubeClient, 'request'>
  /** The cluster's own; undefined while it is not known. */
  namespace: () => string
  /** Token of the term that this JVM was granted, if it is valid at this moment. */
  term: () => number | undefined
  onFenced: () => void
  onOversize: () => void
}

export type JobMethod = 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** Somebody else's writes in between: natural once, not for ever. */
const TRIES = 5

export class JobStore {
  #options: JobStoreOptions
  /** As this term stamped or wrote them. */
  #known = new Map<string, ConfigMap>()
  #term: number | undefined
  /** Counts beginnings and ends of writes, so that what was read across one is not taken for the present. */
  #writes = 0

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

  async read(name: string): Promise<Answer> {
    this.forget()
    const known = this.#known.get(name)
    if (known !== undefined) return { status: 200, body: known }
    const term = this.#options.term()
    return term === undefined ? await this.#send('GET', name) : await this.#stamped(name, term)
  }

  async write(method: JobMethod, name: string, body: unknown, contentType: string): Promise<Answer> {
    this.forget()
    for (let tries = 1; ; tries++) {
      const answer = await this.#tryWrite(method, name, body, contentType)
      // A deletion names no version of the JVM's: it is meant for whatever this term knows.
      if (method !== 'DELETE' || answer.status !== 409 || tries === TRIES || this.#options.term() === undefined)
        return answer
    }
  }

  async #tryWrite(method: JobMethod, name: string, body: unknown, contentType: string): Promise<Answer> {
    const term = this.#options.term()
    if (term === undefined) return this.#fenced(name, 'this pod does not lead')
    let current = this.#known.get(name)
    if (method !== 'POST' && current === undefined) {
      const answer = await this.#stamped(name, term)
      if (answer.status !== 200) return answer
      current = answer.body as ConfigMap
    }
    const problem = isPatch(method, contentType) ? oversize(current, patched(current, body)) : oversize(current, body)
    if (problem !== undefined) {
      this.#options.onOversize()
      return { status: 413, body: failure(413, `configmaps "${name}": ${problem}`, name) }
    }
    const sent = method === 'DELETE' ? deletion(current) : versioned(body, current, term, contentType)
    // The stamp took its time: the term may be over.
    if (this.#options.term() !== term) return this.#fenced(name, 'this pod no longer leads')
    this.#writes++
    this.#known.delete(name)
    const answer = await this.#send(method, name, sent, contentType)
    this.#writes++
    if (answer.status < 300 && method !== 'DELETE') this.#keep(name, term, answer.body as ConfigMap)
    return answer
  }

  /** Reads, and stamps what an older term was the last to touch. */
  async #stamped(name: string, term: number): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      const writes = this.#writes
      const read = await this.#send('GET', name)
      if (read.status !== 200) return read
      const object = read.body as ConfigMap
      const stamp = Number(object.metadata.annotations?.[ANNOTATION_TOKEN] ?? 0)
      if (stamp > term) return this.#fenced(name, `it is of the newer term ${stamp}, ours is ${term}`)
      if (this.#options.term() !== term) return this.#fenced(name, 'this pod no longer leads')
      const answer = stamp === term ? read : await this.#stamp(name, object, term)
      if (answer.status === 409 && tries < TRIES) continue
      if (answer.status === 200 && writes === this.#writes) this.#keep(name, term, answer.body as ConfigMap)
      return answer
    }
  }

  async #stamp(name: string, { metadata }: ConfigMap, term: number): Promise<Answer> {
    const annotations = { [ANNOTATION_TOKEN]: String(term) }
    const body = { metadata: { resourceVersion: metadata.resourceVersion, annotations } }
    return await this.#send('PATCH', name, body, MERGE)
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
    const path = configMapsPath(namespace()) + (method === 'POST' ? '' : `/${name}`)
    return askUpstream(client, method, path, body, method === 'DELETE' ? undefined : contentType)
  }
}

const MERGE = 'application/merge-patch+json'
const isPatch = (method: JobMethod, contentType: string): boolean =>
  method === 'PATCH' && !contentType.startsWith('application/json-patch+json')

/** The object that a merge patch makes, as far as its data goes. */
const patched = (current: ConfigMap | undefined, body: unknown): unknown => ({
  data: applyPatch(current?.data ?? {}, ((body as ConfigMap | undefined)?.data ?? {}) as DataPatch),
})

const deletion = (current: ConfigMap | undefined) => ({
  apiVersion: 'v1',
  kind: 'DeleteOptions',
  preconditions: { uid: current?.metadata.uid, resourceVersion: current?.metadata.resourceVersion },
})

/** With the term's token on it, and the version that it replaces: the JVM's own, else what this term knows. */
const versioned = (body: unknown, current: ConfigMap | undefined, term: number, contentType: string): unknown => {
  const version = current?.metadata.resourceVersion
  if (Array.isArray(body) && contentType.startsWith('application/json-patch+json'))
    return [...body, { op: 'add', path: '/metadata/resourceVersion', value: version }]
  const { metadata, ...rest } = body as ConfigMap
  const resourceVersion = metadata?.resourceVersion || version
  const annotations = { ...metadata?.annotations, [ANNOTATION_TOKEN]: String(term) }
  return { ...rest, metadata: { ...metadata, annotations, ...(resourceVersion !== undefined && { resourceVersion }) } }
}
