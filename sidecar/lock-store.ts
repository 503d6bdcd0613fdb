// Where the lock lives and how it is written: a ConfigMap that also holds Flink's data, or a Lease beside it. Every
// outcome of a write, a time-out too, comes back as one of four words.
import type { Write } from '../shared/election.ts'
import { ACCEPT_METADATA, type KubeClient, type KubeResponse } from '../shared/kube-client.ts'
import { messageOf } from '../shared/list-watch.ts'
import {
  type ConfigMap,
  configMapPatch,
  haLabels,
  type Lease,
  leasePatch,
  type Metadata,
  newConfigMapLock,
  newLeaseLock,
} from '../shared/lock.ts'
import type { DataPatch } from './lock-write.ts'

export type WriteOutcome =
  | { result: 'done'; metadata: Metadata; body: unknown }
  | {
      result: 'conflict' | 'refused' | 'unreachable'
      status: number
      body: unknown
      message: string
      retryAfterMs: number | undefined
    }

export type LockTarget = { namespace: string; name: string; clusterId: string }

export const configMapsPath = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps`
export const leasesPath = (namespace: string): string => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`
export const leaseName = (clusterId: string): string => `${clusterId}-leader`

/** Labels that the lock lacks and Flink's selectors need; others are left alone. */
const missingLabels = (current: ConfigMap | undefined, clusterId: string): { [name: string]: string } =>
  Object.fromEntries(
    Object.entries(haLabels(clusterId)).filter(([name]) => current?.metadata.labels?.[name] === undefined),
  )

export const writeConfigMapLock = async (
  client: KubeClient,
  target: LockTarget,
  write: Write,
  extra: {
    jvm: string
    data: DataPatch
    current: ConfigMap | undefined
    candidates: string | undefined
    timeoutMs: number
  },
): Promise<WriteOutcome> => {
  const path = configMapsPath(target.namespace)
  const { timeoutMs } = extra
  if (write.kind === 'create') {
    const body = newConfigMapLock(write, target.name, target.clusterId)
    return await attempt(client.request('POST', path, { body, timeoutMs }))
  }
  return await attempt(
    client.request('PATCH', `${path}/${target.name}`, {
      body: configMapPatch(
        write,
        extra.jvm,
        missingLabels(extra.current, target.clusterId),
        extra.data,
        extra.candidates,
      ),
      contentType: 'application/merge-patch+json',
      // The answer would be the whole ConfigMap, up to 1 MiB at each renewal.
      accept: ACCEPT_METADATA,
      timeoutMs,
    }),
  )
}

export const writeLeaseLock = async (
  client: KubeClient,
  target: LockTarget,
  write: Write,
  extra: { jvm: string; timeoutMs: number },
): Promise<WriteOutcome> => {
  const path = leasesPath(target.namespace)
  const { jvm, timeoutMs } = extra
  const name = leaseName(target.clusterId)
  if (write.kind === 'create') {
    const body: Lease = newLeaseLock(write, name, haLabels(target.clusterId))
    return await attempt(client.request('POST', path, { body, timeoutMs }))
  }
  const body = leasePatch(write, jvm)
  const contentType = 'application/merge-patch+json'
  return await attempt(client.request('PATCH', `${path}/${name}`, { body, contentType, timeoutMs }))
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
