// Lists in pages: all of one moment. What is left of a list waits for whoever asks for it by its token.
import { KubeError } from './kube-errors.ts'
import type { KubeObject, Resource } from './kube-resources.ts'
import type { KubeStore } from './kube-store.ts'

type Listed = { items: KubeObject[]; version: number }
export type Page = Listed & { token?: string; left?: number }

export class Pages {
  #store: KubeStore
  #left = new Map<string, Listed>()

  constructor(store: KubeStore) {
    this.#store = store
  }

  /** `list` answers with everything. @throws KubeError 410 */
  read(of: Resource, query: URLSearchParams, list: () => KubeObject[]): Page {
    const token = query.get('continue') ?? ''
    const listed = token === '' ? { items: list(), version: this.#store.version } : this.#left.get(token)
    if (listed === undefined || this.#isForgotten(of, listed.version))
      throw new KubeError(410, 'The provided continue parameter is too old to display a consistent list result.')
    const { items, version } = listed
    const limit = Number(query.get('limit') ?? 0)
    if (limit <= 0 || items.length <= limit) return { items, version }
    const next = `${version}.${this.#left.size}`
    this.#left.set(next, { items: items.slice(limit), version })
    return { items: items.slice(0, limit), version, token: next, left: items.length - limit }
  }

  #isForgotten(of: Resource, version: number): boolean {
    try {
      this.#store.watch(of, { resourceVersion: String(version) }, () => {}).close()
      return false
    } catch {
      return true
    }
  }
}
