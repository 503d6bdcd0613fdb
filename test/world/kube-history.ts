// What changed, for watches that begin in the past: a bounded window for each resource, and those who listen now.
import { expired } from './kube-errors.ts'
import type { KubeObject, Resource } from './kube-resources.ts'

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED'
/** One write. `before` is what it replaced or deleted; a deleted `object` carries the version of the deletion. */
export type Change = {
  type: ChangeType
  resource: Resource
  object: KubeObject
  before: KubeObject | undefined
  version: number
}

export class History {
  #size: number
  #changes = new Map<Resource, Change[]>()
  /** The version up to which a resource's changes are forgotten. */
  #forgotten = new Map<Resource, number>()
  #beginning: number
  #listeners = new Set<(change: Change) => void>()
  #untold: Change[] = []
  #telling = false

  constructor(size: number, beginning: number) {
    this.#size = size
    this.#beginning = beginning
  }

  push(change: Change): void {
    const changes = this.#changes.get(change.resource) ?? []
    this.#changes.set(change.resource, changes)
    changes.push(change)
    if (changes.length > this.#size) this.#forgotten.set(change.resource, changes.shift()?.version ?? 0)
    this.#untold.push(change)
    this.#tell()
  }

  /** A listener may write; what it wrote is told after all have heard of what came before. */
  #tell(): void {
    if (this.#telling) return
    this.#telling = true
    try {
      for (let change = this.#untold.shift(); change !== undefined; change = this.#untold.shift())
        for (const listener of [...this.#listeners]) listener(change)
    } finally {
      this.#telling = false
    }
  }

  /** @throws KubeError 410 when the changes after a version are not all known any more */
  since(of: Resource, version: number): Change[] {
    const oldest = this.#forgotten.get(of) ?? this.#beginning
    if (version < oldest) throw expired(version, oldest)
    return (this.#changes.get(of) ?? []).filter(change => change.version > version)
  }

  /** Forgets all changes up to a version. */
  compact(version: number): void {
    this.#beginning = version
    this.#changes.clear()
    this.#forgotten.clear()
  }

  listen(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}
