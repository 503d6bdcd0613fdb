// A request of the JVM's that is sent on with our own credential; whatever happens to it becomes an answer.
import { type ApiClient, Unreachable } from '../shared/kube-client.ts'
import { failure } from './http.ts'

/** `body`: an object, or the Kubernetes `Status` that says why there is none. */
export type Answer = { status: number; body: unknown }

/** Flink's request time-out is 10 s. */
const TIMEOUT_MS = 9_000

/** Status 503 when the API server did not answer: whether a write was made is unknown then. */
export const askUpstream = async (
  client: Pick<ApiClient, 'request'>,
  method: string,
  path: string,
  body?: unknown,
  contentType?: string,
): Promise<Answer> => {
  try {
    const answer = await client.request(method, path, {
      timeoutMs: TIMEOUT_MS,
      ...(body !== undefined && { body }),
      ...(contentType !== undefined && { contentType }),
    })
    const isObject = typeof answer.body === 'object' && answer.body !== null
    if (answer.status < 400 || isObject) return { status: answer.status, body: answer.body }
    return { status: answer.status, body: failure(answer.status, `the API server answered ${answer.status}`) }
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error
    return { status: 503, body: failure(503, error.message) }
  }
}
