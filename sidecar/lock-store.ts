// Where the lock lives and how it is written: a ConfigMap that also holds Flink's data, or a Lease beside it.
import type { Write } from '../shared/election.ts'
import { ACCEPT_METADATA, type ApiClient } from '../shared/kube-client.ts'
import { type ConfigMap, configMapPatch, haLabels, newConfigMapLock } from '../shared/lock.ts'
import { attempt, leasesPath, type WriteOutcome, writeLease } from '../shared/lock-writes.ts'
import type { DataPatch } from './lock-write.ts'
import { askUpstream } from './upstream.ts'

export type LockTarget = { namespace: string; name: string; clusterId: string }

export const configMapsPath = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps`
export const leaseName = (clusterId: string): string => `${clusterId}-leader`

/** Labels that the lock lacks and Flink's selectors need; others are left alone. */
const missingLabels = (current: ConfigMap | undefined, clusterId: string): { [name: string]: string } =>
  Object.fromEntries(
    Object.entries(haLabels(clusterId)).filter(([name]) => current?.metadata.labels?.[name] === undefined),
  )

export const writeConfigMapLock = async (
  client: ApiClient,
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

/** Removes the Lease if it still is what it was at this version; the HTTP status. */
export const removeLeaseLock = async (
  client: ApiClient,
  target: LockTarget,
  resourceVersion: string,
): Promise<number> => {
  const path = `${leasesPath(target.namespace)}/${leaseName(target.clusterId)}`
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion } }
  return (await askUpstream(client, 'DELETE', path, body)).status
}

export const writeLeaseLock = async (
  client: ApiClient,
  target: LockTarget,
  write: Write,
  extra: { jvm: string; timeoutMs: number },
): Promise<WriteOutcome> => {
  const { namespace, clusterId } = target
  const lease = { namespace, name: leaseName(clusterId), labels: haLabels(clusterId) }
  return await writeLease(client, lease, write, extra)
}
