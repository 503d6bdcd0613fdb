// The Deployment that a pod belongs to: read from its ReplicaSet, which carries name and uid. Never guessed by trimming a
// pod's name: names are cut at 63 characters, and a guess has no uid.
import type { Clock } from '../shared/clock.ts'
import { ACCEPT_METADATA, type KubeClient } from '../shared/kube-client.ts'
import { messageOf } from '../shared/list-watch.ts'
import type { DeploymentReference } from './inject.ts'
import type { OwnerReference, Pod } from './pod.ts'

export type ReplicaSet = { metadata: { name: string; uid?: string; ownerReferences?: OwnerReference[] | null } }
/** What is known of ReplicaSets without asking, such as an informer. */
export type ReplicaSetCache = { get: (namespace: string, name: string) => ReplicaSet | undefined }
/** `owner` undefined, without a problem: it belongs to no Deployment. */
export type OwnerAnswer = { owner?: DeploymentReference; problem?: string }

export type OwnersOptions = { client: KubeClient; clock: Clock; cache: ReplicaSetCache }

/** An API server that takes longer must not cost the pod its sidecar: the reference is left out. */
const LOOK_UP_MS = 1_500

export class Owners {
  #options: OwnersOptions
  /** A rollout creates many pods of one ReplicaSet at once, before the watch has told of it: one question for all. */
  #asked = new Map<string, Promise<ReplicaSet>>()

  constructor(options: OwnersOptions) {
    this.#options = options
  }

  /** Never rejects; answers within `limitMs`, or a little over a second if that is less. */
  async deploymentOf(namespace: string, pod: Pod, limitMs: number): Promise<OwnerAnswer> {
    const reference = replicaSetOf(pod)
    if (reference === undefined) return {}
    const { name, uid } = reference
    const cached = this.#options.cache.get(namespace, name)
    if (cached?.metadata.uid === uid) return deploymentOfReplicaSet(cached)
    try {
      const found = await this.#inTime(this.#ask(namespace, name), Math.min(limitMs, LOOK_UP_MS))
      if (found.metadata.uid !== uid) return { problem: `ReplicaSet ${name} is another one by now` }
      return deploymentOfReplicaSet(found)
    } catch (error) {
      return { problem: error instanceof Error ? error.message : String(error) }
    }
  }

  #ask(namespace: string, name: string): Promise<ReplicaSet> {
    const key = `${namespace}/${name}`
    const running = this.#asked.get(key)
    if (running !== undefined) return running
    const asked = this.#get(namespace, name).finally(() => this.#asked.delete(key))
    // Whoever waits has a time limit and may be gone by the time it fails.
    asked.catch(() => {})
    this.#asked.set(key, asked)
    return asked
  }

  async #get(namespace: string, name: string): Promise<ReplicaSet> {
    const path = `/apis/apps/v1/namespaces/${namespace}/replicasets/${name}`
    const { status, body } = await this.#options.client.request('GET', path, {
      accept: ACCEPT_METADATA,
      timeoutMs: LOOK_UP_MS,
    })
    if (status !== 200) throw new Error(`ReplicaSet ${name} cannot be read: ${status} ${messageOf(body)}`)
    return body as ReplicaSet
  }

  #inTime<T>(promise: Promise<T>, limitMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.#options.clock.after(Math.max(0, limitMs), () =>
        reject(new Error(`no answer about the ReplicaSet within ${Math.round(limitMs)} ms`)),
      )
      promise.then(resolve, reject).finally(cancel)
    })
  }
}

/** The ReplicaSet that controls the pod. */
export const replicaSetOf = (pod: Pod): OwnerReference | undefined =>
  (pod.metadata.ownerReferences ?? []).find(
    ({ apiVersion, kind, controller }) =>
      controller === true && kind === 'ReplicaSet' && apiVersion.startsWith('apps/'),
  )

/** An owner that is not the controller, or no Deployment, is none that we pass on. */
export const deploymentOfReplicaSet = ({ metadata }: ReplicaSet): OwnerAnswer => {
  const owner = (metadata.ownerReferences ?? []).find(
    ({ apiVersion, kind, controller }) =>
      controller === true && kind === 'Deployment' && apiVersion.startsWith('apps/'),
  )
  if (owner === undefined) return {}
  const { apiVersion, name, uid } = owner
  return { owner: { apiVersion, kind: 'Deployment', name, uid } }
}
