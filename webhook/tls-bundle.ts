// The CA bundle in our MutatingWebhookConfiguration: who keeps it, whether it is there, and the patch that puts it there.
import type { Metadata } from '../shared/lock.ts'

type Webhook = { name: string; clientConfig?: { caBundle?: string } }
/** `admissionregistration.k8s.io/v1`, the fields that matter here. */
export type WebhookConfiguration = { metadata: Metadata; webhooks?: Webhook[] }
type Operation = { op: 'add' | 'replace'; path: string; value: string }

/** cert-manager's injector writes the bundle of a configuration that has one of these; two writers would never agree. */
const INJECTED_BY_OTHERS = [
  'cert-manager.io/inject-ca-from',
  'cert-manager.io/inject-ca-from-secret',
  'cert-manager.io/inject-apiserver-ca',
]

export const isKeptByOthers = ({ metadata }: WebhookConfiguration): boolean =>
  INJECTED_BY_OTHERS.some(name => metadata.annotations?.[name] !== undefined)

/** In PEM; '' when it has none. */
export const bundleOf = ({ clientConfig }: Webhook): string =>
  Buffer.from(clientConfig?.caBundle ?? '', 'base64').toString('utf8')

/** Whether every webhook in it trusts this bundle. */
export const hasBundle = ({ webhooks = [] }: WebhookConfiguration, bundlePem: string): boolean =>
  webhooks.length > 0 && webhooks.every(webhook => bundleOf(webhook) === bundlePem)

/**
 * A JSON patch (RFC 6902) that changes the bundles alone. Webhooks are named by index, so it holds for the version that was
 * read: with another one in the way the API server answers 409.
 */
export const bundlePatch = ({ metadata, webhooks = [] }: WebhookConfiguration, bundlePem: string): Operation[] => {
  const value = Buffer.from(bundlePem, 'utf8').toString('base64')
  return [
    { op: 'replace', path: '/metadata/resourceVersion', value: metadata.resourceVersion ?? '' },
    ...webhooks.map((_, index): Operation => ({ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value })),
  ]
}
