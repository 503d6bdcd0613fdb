/**
 * A cluster for `flink-ha check`: the embedded API in process, with nodes, access reviews and a webhook that is the real
 * admission code without its server. Everything can be broken one by one.
 */
import { type Answer, type Cluster, warningsOf } from '../../cli/cluster.ts'
import { admit } from '../../webhook/admit.ts'
import { readReview } from '../../webhook/review.ts'
import { KubeApi } from './kube-api.ts'
import type { KubeObject } from './kube-resources.ts'
import { resourceOf } from './kube-resources.ts'

export type AccessQuestion = {
  user: string
  verb: string
  group: string
  resource: string
  name?: string
  namespace?: string
}

export class CheckedCluster implements Cluster {
  readonly server = 'https://cluster.example:6443'
  readonly api: KubeApi
  /** Method and path, query included, of every request. */
  readonly requests: string[] = []
  version = 'v1.34.0'
  /** Kubelet versions by node. */
  nodes: { [name: string]: string } = { 'node-1': 'v1.34.0', 'node-2': 'v1.33.2' }
  mayAccess: (question: AccessQuestion) => boolean = () => true
  /** Paths (without query) that the caller may not read or post to. */
  readonly forbidden = new Set<string>()
  /** By path (without query): answers of an API that the embedded one does not have. */
  readonly served = new Map<string, object>()
  /** What calling the webhook throws. */
  webhookFailure: Error | undefined
  /** undefined: as the real one. */
  webhookAnswer: ((review: object) => object) | undefined

  constructor(nowMs: number) {
    this.api = new KubeApi({ now: () => nowMs, callWebhook: async (_target, review) => this.#admit(review) })
  }

  create(plural: string, namespace: string, object: object): void {
    this.api.store.create(resourceOf(plural), namespace, object as KubeObject)
  }
  delete(plural: string, namespace: string, name: string): void {
    this.api.store.delete(resourceOf(plural), namespace, name)
  }
  patch(plural: string, namespace: string, name: string, patch: object): void {
    this.api.store.patch(resourceOf(plural), namespace, name, 'merge', patch)
  }

  request = async (method: string, path: string, body?: object): Promise<Answer> => {
    this.requests.push(`${method} ${path}`)
    const [bare = ''] = path.split('?')
    if (this.forbidden.has(bare)) return refusal(403, `${bare} is forbidden: User "you" cannot`)
    const served = this.served.get(bare)
    if (served !== undefined) return answer(200, served)
    if (bare === '/version') return answer(200, { gitVersion: this.version })
    if (bare === '/api/v1/nodes') return answer(200, { items: Object.entries(this.nodes).map(nodeOf) })
    if (bare.startsWith('/apis/authorization.k8s.io/v1/')) return answer(201, this.#review(body))
    const given = await this.api.handle({ method, path, ...(body !== undefined && { body }) })
    if ('watch' in given) throw new Error('a check watches nothing')
    return { status: given.status, body: given.body, warnings: warningsOf(given.headers['warning']) }
  }

  #review(body: unknown): object {
    const { spec } = body as { spec: { user?: string; resourceAttributes: Omit<AccessQuestion, 'user'> } }
    return { status: { allowed: this.mayAccess({ user: spec.user ?? '', ...spec.resourceAttributes }) } }
  }

  #admit(review: object): object {
    if (this.webhookFailure !== undefined) throw this.webhookFailure
    if (this.webhookAnswer !== undefined) return this.webhookAnswer(review)
    const facts = { namespaceAsks: true, nativeSidecars: true, imageOfOurs: 'ha:1' }
    return admit(readReview(review), facts, { image: 'ha:1', version: '0.1.0' }).answer
  }
}

const answer = (status: number, body: object): Answer => ({ status, body, warnings: [] })
const refusal = (code: number, message: string): Answer => answer(code, { kind: 'Status', code, message })
const nodeOf = ([name, kubeletVersion]: [string, string]): object => ({
  metadata: { name },
  status: { nodeInfo: { kubeletVersion } },
})
