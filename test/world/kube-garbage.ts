// Owner-reference garbage collection as a pure question: what does the collector do with one object?
import { apiVersionOf, type KubeObject, type OwnerReference, RESOURCES, type Resource } from './kube-resources.ts'

export type Verdict = { delete: true } | { delete: false; owners: OwnerReference[] }

export type Lookup = (of: Resource, namespace: string, name: string) => KubeObject | undefined

/**
 * An object goes when all its owners are gone; owners that are gone are struck from one that stays (kube-controller-manager
 * `attemptToDeleteItem`). An owner of a kind that this API does not serve counts as being there: the real collector cannot
 * ask for it either and leaves the object alone.
 */
export const judge = (object: KubeObject, lookup: Lookup): Verdict | undefined => {
  const { ownerReferences = [], namespace = '', deletionTimestamp } = object.metadata
  if (ownerReferences.length === 0 || deletionTimestamp !== undefined) return undefined
  const alive = ownerReferences.filter(owner => isThere(owner, namespace, lookup))
  if (alive.length === ownerReferences.length) return undefined
  return alive.length === 0 ? { delete: true } : { delete: false, owners: alive }
}

/** An owner is in the object's own namespace or in none, and has the uid that is named. */
const isThere = (owner: OwnerReference, namespace: string, lookup: Lookup): boolean => {
  const of = RESOURCES.find(resource => resource.kind === owner.kind && apiVersionOf(resource) === owner.apiVersion)
  if (of === undefined) return true
  return lookup(of, of.namespaced ? namespace : '', owner.name)?.metadata.uid === owner.uid
}
