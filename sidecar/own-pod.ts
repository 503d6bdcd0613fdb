// Notices the deletion of our own pod as soon as the API server knows of it, before the kubelet does and before the preStop
// hook, which says the same, has been started: the term goes on that much earlier.
import type { Clock } from '../shared/clock.ts'
import type { ApiClient } from '../shared/kube-client.ts'
import { ListWatch } from '../shared/list-watch.ts'
import type { Metadata } from '../shared/lock.ts'
import type { Log } from '../shared/log.ts'

export type OwnPodOptions = {
  client: ApiClient
  clock: Clock
  log: Log
  namespace: string
  podName: string
  podUid: string
  onDeleted: () => void
}

/** A RoleBinding that is made at the same time as the pod works a moment later. */
const FIRST_RETRY_MS = 2_000
const MAX_RETRY_MS = 60_000

/** Follows the pod until the returned function is called; where that is forbidden it is tried again, less and less often. */
export const followOwnPod = (options: OwnPodOptions): (() => void) => {
  const { client, clock, log, namespace, podName, podUid, onDeleted } = options
  const watch = new ListWatch<{ metadata: Metadata & { deletionTimestamp?: string } }>({
    client,
    clock,
    collection: `/api/v1/namespaces/${namespace}/pods`,
    name: podName,
    onSight: ({ object }) => {
      if (object?.metadata.uid === podUid && object.metadata.deletionTimestamp !== undefined) onDeleted()
    },
    onProblem: problem => log.debug({ problem }, 'lost sight of the own pod, trying again'),
    onForbidden: problem => {
      const level = retryMs === FIRST_RETRY_MS ? 'warn' : 'debug'
      log[level]({ problem }, 'the own pod cannot be followed yet: its deletion is noticed by the preStop hook alone')
      cancel = clock.after(retryMs, () => void watch.run())
      retryMs = Math.min(MAX_RETRY_MS, retryMs * 2)
    },
  })
  let cancel = (): void => {}
  let retryMs = FIRST_RETRY_MS
  void watch.run()
  return () => {
    cancel()
    watch.stop()
  }
}
