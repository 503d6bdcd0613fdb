// The names of jobs, which the HA store does not tell in the open: asked of the leading JobManager's REST endpoint, only while
// somebody wants to know, and kept, for a job's name never changes.
import { get } from 'node:http'

const PATIENCE_MS = 1_000
/** Some 3,000 jobs. */
const MAX_BYTES = 1024 * 1024
const MAX_NAME_CHARS = 200

export type AskOverview = (url: string) => Promise<unknown>

export class JobNames {
  #known = new Map<string, string>()
  #ask: AskOverview

  constructor(ask: AskOverview = askOverview) {
    this.#ask = ask
  }

  /** `restserver`: its address; undefined when nobody leads. Names that are not to be had are missing. */
  async of(ids: readonly string[], restserver: string | undefined): Promise<ReadonlyMap<string, string>> {
    // What runs no more is forgotten.
    for (const id of this.#known.keys()) if (!ids.includes(id)) this.#known.delete(id)
    // Another's certificate is not ours to judge, and Node's TLS costs 4 MiB in every pod.
    if (restserver?.startsWith('http://') && ids.some(id => !this.#known.has(id)))
      for (const [id, name] of namesIn(await this.#ask(`${restserver.replace(/\/$/, '')}/jobs/overview`)))
        if (ids.includes(id)) this.#known.set(id, name)
    return this.#known
  }
}

/** Flink `MultipleJobsDetails`: `{"jobs":[{"jid","name",…}]}`. */
const namesIn = (body: unknown): [string, string][] => {
  const { jobs } = (body ?? {}) as { jobs?: unknown }
  return (Array.isArray(jobs) ? jobs : []).flatMap(job => {
    const { jid, name } = (job ?? {}) as { jid?: unknown; name?: unknown }
    return typeof jid === 'string' && typeof name === 'string' ? [[jid, name.slice(0, MAX_NAME_CHARS)]] : []
  })
}

/** undefined: no answer that can be used, in time. An address is what somebody wrote into the lock: it may be no URL. */
const askOverview: AskOverview = async url => {
  if (!URL.canParse(url)) return undefined
  return await new Promise(resolve => {
    const none = (): void => resolve(undefined)
    const request = get(url, { agent: false }, response => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        chunks.push(chunk)
        if (size > MAX_BYTES) request.destroy(new Error('too long'))
      })
      response.on('error', none)
      response.on('end', () => {
        try {
          resolve(response.statusCode === 200 ? JSON.parse(Buffer.concat(chunks).toString('utf8')) : undefined)
        } catch {
          none()
        }
      })
    })
    const timer = setTimeout(() => request.destroy(new Error('too late')), PATIENCE_MS)
    request.on('error', none)
    request.on('close', () => {
      clearTimeout(timer)
      none()
    })
  })
}
