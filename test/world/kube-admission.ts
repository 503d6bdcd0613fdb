// Mutating admission: which webhooks a new object is shown to, and what their answers make of it. Not done: CEL match
// conditions and reinvocation. Webhooks see creations only.
import { badRequest, KubeError } from './kube-errors.ts'
import { applyJsonPatch } from './kube-patch.ts'
import { type KubeObject, type Resource, resourceOf } from './kube-resources.ts'
import { type LabelSelector, selectsLabels } from './kube-selectors.ts'
import type { KubeStore } from './kube-store.ts'

export type WebhookTarget = {
  url?: string
  service?: { namespace: string; name: string; path?: string; port?: number }
  caBundle?: string
}
/** Posts a review and resolves with the parsed answer; `signal` ends it when its time is up. */
export type CallWebhook = (target: WebhookTarget, review: object, signal: AbortSignal) => Promise<unknown>
/** Calls back once, later; the returned function cancels. */
export type After = (delayMs: number, run: () => void) => () => void
export type Admission = { object: KubeObject; warnings: string[] }

type Rule = {
  operations?: string[]
  apiGroups?: string[]
  apiVersions?: string[]
  resources?: string[]
  scope?: string
}
type Webhook = {
  name: string
  clientConfig: WebhookTarget
  rules?: Rule[]
  failurePolicy?: 'Fail' | 'Ignore'
  sideEffects?: string
  timeoutSeconds?: number
  namespaceSelector?: LabelSelector
  objectSelector?: LabelSelector
}
type Response = {
  uid?: string
  allowed?: boolean
  patch?: string
  patchType?: string
  warnings?: string[]
  status?: { code?: number; message?: string; reason?: string }
}

const DEFAULT_TIMEOUT_SECONDS = 10

export class Admitter {
  #store: KubeStore
  #call: CallWebhook
  #after: After
  #random: () => number

  constructor(store: KubeStore, call: CallWebhook, after: After, random: () => number) {
    this.#store = store
    this.#call = call
    this.#after = after
    this.#random = random
  }

  /** Configurations in the order of their names, each one's webhooks in its own order. @throws KubeError 400 to 500 */
  async admit(of: Resource, namespace: string, given: KubeObject, dryRun: boolean): Promise<Admission> {
    let object = given
    const warnings: string[] = []
    // Webhooks are not asked about webhooks.
    if (of.group === 'admissionregistration.k8s.io') return { object, warnings }
    for (const configuration of this.#store.list(resourceOf('mutatingwebhookconfigurations')))
      for (const webhook of (configuration['webhooks'] ?? []) as Webhook[]) {
        if (!this.#selects(webhook, of, namespace, object)) continue
        if (dryRun && !['None', 'NoneOnDryRun'].includes(webhook.sideEffects ?? ''))
          throw badRequest(`admission webhook "${webhook.name}" does not support dry run`)
        const response = await this.#review(webhook, of, namespace, object, dryRun)
        if (response === undefined) continue
        warnings.push(...(response.warnings ?? []))
        if (response.allowed !== true) throw denied(webhook.name, response)
        if (response.patch !== undefined) object = patched(webhook.name, object, response.patch)
      }
    return { object, warnings }
  }

  #selects(webhook: Webhook, of: Resource, namespace: string, object: KubeObject): boolean {
    if (!(webhook.rules ?? []).some(rule => covers(rule, of))) return false
    const home = this.#store.find(resourceOf('namespaces'), '', namespace)?.metadata.labels ?? {}
    return (
      (!of.namespaced || selectsLabels(webhook.namespaceSelector, home)) &&
      selectsLabels(webhook.objectSelector, object.metadata?.labels ?? {})
    )
  }

  /** undefined: it failed, and its policy is to go on without it. */
  async #review(
    webhook: Webhook,
    of: Resource,
    namespace: string,
    object: KubeObject,
    dryRun: boolean,
  ): Promise<Response | undefined> {
    const uid = `review-${Math.floor(this.#random() * 2 ** 48).toString(16)}`
    const review = reviewOf(uid, of, namespace, object, dryRun)
    try {
      const answer = (await this.#inTime(webhook, review)) as { response?: Response } | undefined
      if (answer?.response === undefined) throw new Error('the webhook response has no response')
      if (answer.response.uid !== uid)
        throw new Error(`expected response.uid="${uid}", got "${answer.response.uid ?? ''}"`)
      return answer.response
    } catch (error) {
      if (webhook.failurePolicy === 'Ignore') return undefined
      const why = error instanceof Error ? error.message : String(error)
      throw new KubeError(500, `Internal error occurred: failed calling webhook "${webhook.name}": ${why}`)
    }
  }

  #inTime(webhook: Webhook, review: object): Promise<unknown> {
    const abort = new AbortController()
    return new Promise((resolve, reject) => {
      const cancel = this.#after((webhook.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1_000, () => {
        reject(new Error('failed to call webhook: context deadline exceeded'))
        abort.abort()
      })
      this.#call(webhook.clientConfig, review, abort.signal).then(resolve, reject).finally(cancel)
    })
  }
}

const covers = (rule: Rule, of: Resource): boolean => {
  const has = (values: string[] | undefined, wanted: string): boolean =>
    (values ?? []).some(value => value === '*' || value === wanted)
  const scope = rule.scope ?? '*'
  return (
    has(rule.operations, 'CREATE') &&
    has(rule.apiGroups, of.group) &&
    has(rule.apiVersions, of.version) &&
    (has(rule.resources, of.plural) || has(rule.resources, '*/*')) &&
    (scope === '*' || (scope === 'Namespaced') === of.namespaced)
  )
}

const reviewOf = (uid: string, of: Resource, namespace: string, object: KubeObject, dryRun: boolean): object => {
  const { group, version } = of
  const kind = { group, version, kind: of.kind }
  const resource = { group, version, resource: of.plural }
  const { name } = object.metadata
  const request = {
    uid,
    kind,
    resource,
    requestKind: kind,
    requestResource: resource,
    // A name that is yet to be generated is not known here.
    ...(name && { name }),
    ...(of.namespaced && { namespace }),
    operation: 'CREATE',
    userInfo: { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] },
    object: of.namespaced ? { ...object, metadata: { ...object.metadata, namespace } } : object,
    oldObject: null,
    dryRun,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
  }
  return { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request }
}

const denied = (name: string, { status = {} }: Response): KubeError => {
  const by = `admission webhook "${name}" denied the request`
  const why = status.message || status.reason
  const code = Math.max(status.code ?? 0, 400)
  return new KubeError(code, why ? `${by}: ${why}` : `${by} without explanation`, {
    ...(status.reason && { reason: status.reason }),
  })
}

/** A patch that cannot be read or applied fails the request, whatever the webhook's failure policy. */
const patched = (name: string, object: KubeObject, patch: string): KubeObject => {
  try {
    return applyJsonPatch(object, JSON.parse(Buffer.from(patch, 'base64').toString('utf8')))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new KubeError(500, `Internal error occurred: the patch of webhook "${name}" cannot be applied: ${why}`)
  }
}
