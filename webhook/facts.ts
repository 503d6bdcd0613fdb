// What decisions rest on beside the pod: the API server's version, and the image that is to be injected. Kept up to date,
// for an API server can be upgraded, or rolled back, under us. Kubelets are not looked at: decision 0010.
//
// Whether a namespace asks is not looked up: by which of its entries the API server calls us says it (`server.ts`). Its view
// of the label is the one that counts; a copy of ours could only be older, and would let a pod through without its sidecar.
import type { Clock } from '../shared/clock.ts'
import type { KubeClient } from '../shared/kube-client.ts'
import { messageOf } from '../shared/list-watch.ts'
import type { Log } from '../shared/log.ts'
import { type Facts, isReservedNamespace } from './decide.ts'

export type FactsOptions = {
  client: KubeClient
  clock: Clock
  log: Log
  /** Our own: nothing is injected there. */
  namespace: string
  podName: string
  /** "": the image of our own pod. */
  image: string
}

const REFRESH_MS = 600_000
const FIRST_RETRY_MS = 500
const MAX_RETRY_MS = 15_000
const REQUEST_TIMEOUT_MS = 5_000
/** Of the Deployment in manifests/. */
const CONTAINER = 'webhook'

export class ClusterFacts {
  #options: FactsOptions
  #known: { nativeSidecars: boolean; image: string } | undefined
  #problem = 'not asked yet'
  #failures = 0
  #cancel: () => void = () => {}
  #stopped = false

  constructor(options: FactsOptions) {
    this.#options = options
  }

  start(): void {
    void this.#refresh()
  }
  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  /** Why nothing is known; undefined: it is. */
  get problem(): string | undefined {
    return this.#known === undefined ? this.#problem : undefined
  }
  /** For a pod of this namespace; undefined: nothing is known yet. */
  of(namespace: string, namespaceAsks: boolean): Facts | undefined {
    if (this.#known === undefined) return undefined
    const { nativeSidecars, image } = this.#known
    const reserved = isReservedNamespace(namespace, this.#options.namespace)
    return { namespaceAsks, nativeSidecars, imageOfOurs: image, reserved }
  }

  async #refresh(): Promise<void> {
    const { clock, log } = this.#options
    try {
      const known = { nativeSidecars: await this.#nativeSidecars(), image: await this.#image() }
      const news = JSON.stringify(known) !== JSON.stringify(this.#known)
      this.#known = known
      this.#failures = 0
      if (news) log.info(known, 'facts of the cluster')
      if (!known.nativeSidecars) log.warn({}, 'the API server is older than Kubernetes 1.29: no pod is injected')
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error)
      this.#failures++
      // What was known before still holds, most likely; only at the start is there nothing to go on with.
      log.warn({ problem: this.#problem }, 'the facts of the cluster cannot be read')
    }
    const delayMs = this.#failures === 0 ? REFRESH_MS : Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures)
    if (!this.#stopped) this.#cancel = clock.after(delayMs, () => void this.#refresh())
  }

  async #get(path: string): Promise<unknown> {
    const { status, body } = await this.#options.client.request('GET', path, { timeoutMs: REQUEST_TIMEOUT_MS })
    if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${messageOf(body)}`)
    return body
  }

  async #nativeSidecars(): Promise<boolean> {
    return hasNativeSidecars(await this.#get('/version'))
  }

  async #image(): Promise<string> {
    const { image, namespace, podName } = this.#options
    if (image !== '') return image
    const pod = (await this.#get(`/api/v1/namespaces/${namespace}/pods/${podName}`)) as OwnPod
    const containers = pod.spec?.containers ?? []
    const own = (containers.find(({ name }) => name === CONTAINER) ?? containers[0])?.image
    if (own === undefined || own === '') throw new Error(`pod ${namespace}/${podName} names no image`)
    return own
  }
}

type OwnPod = { spec?: { containers?: { name?: string; image?: string }[] } }

/** Native sidecars are on by default from Kubernetes 1.29 on; before, `restartPolicy` is dropped without a word. @throws Error */
export const hasNativeSidecars = (version: unknown): boolean => {
  const { major, minor } = (version ?? {}) as { major?: unknown; minor?: unknown }
  // Some providers write "29+".
  const numbers = [major, minor].map(part => (typeof part === 'string' ? Number.parseInt(part, 10) : Number.NaN))
  const [majorNumber = Number.NaN, minorNumber = Number.NaN] = numbers
  if (Number.isNaN(majorNumber) || Number.isNaN(minorNumber)) throw new Error('the API server’s version cannot be read')
  return majorNumber > 1 || (majorNumber === 1 && minorNumber >= 29)
}
