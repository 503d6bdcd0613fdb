// What an admission leaves behind for whoever looks for the missing sidecar: an Event on what creates the pod, for the pod
// itself does not exist yet. A refusal needs none: whoever creates the pod reports it, as the ReplicaSet controller does.
import type { Outcome } from './admit.ts'
import type { EventInput } from './events.ts'
import type { Pod } from './pod.ts'

/** undefined: nothing that anybody would look for, or nothing to put it on. */
export const eventOf = (
  { decision, reason, message, namespace, regrettable }: Outcome,
  pod: Pod,
): EventInput | undefined => {
  const owner = (pod.metadata.ownerReferences ?? []).find(({ controller }) => controller === true)
  if (!regrettable || owner === undefined) return undefined
  const { apiVersion, kind, name, uid } = owner
  return {
    regarding: { apiVersion, kind, namespace, name, uid },
    type: 'Warning',
    reason: 'NotInjected',
    action: 'Inject',
    note: `a pod is left without flink-ha (${decision === 'skip' ? reason : decision}): ${message}`,
  }
}
