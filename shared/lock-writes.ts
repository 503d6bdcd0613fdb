// How a Lease is written as a lock, and what the answers to a write mean. Every outcome of a write, a time-out too, comes
// back as one of four words.
import type { Write } from './election.ts'
import type { ApiClient, KubeResponse } from './kube-client.ts'
import { messageOf } from './list-watch.ts'
import { leasePatch, type Metadata, newLeaseLock } from './lock.ts'

export type WriteOutcome =
  | { result: 'done'; metadata: Metadata; body: unknown }
  | {
      result: 'conflict' | 'refused' | 'unreachable'
      status: number
      body: unknown
      message: string
      retryAfterMs: number | undefined
    }

export const leasesPath = (namespace: string): string => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`

/** `labels` are for a Lease that is made. */
export const writeLease = async (
  client: ApiClient,
  lease: { namespace: string; name: string; labels: { [name: string]: string } },
  write: Write,
  extra: { jvm: string; timeoutMs: number },
): Promise<WriteOutcome> => {
  const path = leasesPath(lease.namespace)
  const { jvm, timeoutMs } = extra
  if (write.kind === 'create') {
    const body = newLeaseLock(write, lease.name, lease.labels)
    return await attempt(client.request('POST', path, { body, timeoutMs }))
  }
  const body = leasePatch(write, jvm)
  const contentType = 'application/merge-patch+json'
  return await attempt(client.request('PATCH', `${path}/${lease.name}`, { body, contentType, timeoutMs }))
}

/** Sorts an answer: 409 and 404 are conflicts (it is not as we believed), other 4xx refusals, the rest unknown. */
export const attempt = async (request: Promise<KubeResponse>): Promise<WriteOutcome> => {
  let response: KubeResponse
  try {
    response = await request
  } catch (error) {
    return failure('unreachable', 0, undefined, error instanceof Error ? error.message : String(error), undefined)
  }
  const { status, body, headers } = response
  if (status >= 200 && status < 300)
    return { result: 'done', metadata: (body as { metadata: Metadata }).metadata, body }
  const seconds = Number(headers['retry-after'])
  const retryAfterMs = seconds > 0 ? seconds * 1000 : undefined
  // 429: turned away before it was looked at. 5xx: nobody knows.
  const result = status === 409 || status === 404 ? 'conflict' : status < 500 ? 'refused' : 'unreachable'
  return failure(result, status, body, `${status} ${messageOf(body)}`, retryAfterMs)
}

const failure = (
  result: 'conflict' | 'refused' | 'unreachable',
  status: number,
  body: unknown,
  message: string,
  retryAfterMs: number | undefined,
): WriteOutcome => ({ result, status, body, message, retryAfterMs })
