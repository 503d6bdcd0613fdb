// When an object may be deleted, and how long it then stays.
import { badRequest, preconditionFailed } from './kube-errors.ts'
import type { KubeObject, Resource } from './kube-resources.ts'

export type DeleteOptions = {
  dryRun?: boolean
  preconditions?: { uid?: string; resourceVersion?: string }
  gracePeriodSeconds?: number
  propagationPolicy?: 'Background' | 'Foreground' | 'Orphan'
}

const DEFAULT_GRACE_SECONDS = 30

/** @throws KubeError 409 */
export const checkPreconditions = (
  of: Resource,
  object: KubeObject,
  wanted: { uid?: string; resourceVersion?: string },
) => {
  const { name, uid, resourceVersion } = object.metadata
  if (wanted.uid !== undefined && wanted.uid !== uid)
    throw preconditionFailed(
      of,
      name,
      `the UID in the precondition (${wanted.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
    )
  if (wanted.resourceVersion !== undefined && wanted.resourceVersion !== resourceVersion)
    throw preconditionFailed(
      of,
      name,
      `the ResourceVersion in the precondition (${wanted.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`,
    )
}

/** Only a pod that was given to a node ends slowly; whoever plays the kubelet deletes it again, with 0 seconds. */
export const graceOf = (of: Resource, object: KubeObject, { gracePeriodSeconds }: DeleteOptions): number => {
  if (of.kind !== 'Pod') return 0
  const spec = (object['spec'] ?? {}) as { nodeName?: string; terminationGracePeriodSeconds?: number }
  const { phase } = (object['status'] ?? {}) as { phase?: string }
  if (spec.nodeName === undefined || phase === 'Succeeded' || phase === 'Failed') return 0
  const seconds = gracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS
  if (seconds < 0) throw badRequest('gracePeriodSeconds must not be negative')
  return seconds
}
