// The ways to install as kustomize itself builds them (it is in kubectl); without kubectl they are skipped with a word.
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { INSTALL } from '../shared/names.ts'
import { kustomized, type Manifest, only } from './world/manifest-files.ts'
import { violations } from './world/pod-security.ts'

const WEBHOOK = 'flink-ha-webhook'
const kustomize = (folder: string): Manifest[] => {
  const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', folder], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return parseAllDocuments(stdout).map(document => document.toJS() as Manifest)
}
const sorted = (objects: readonly Manifest[]): Manifest[] => {
  const keyOf = ({ kind, metadata }: Manifest): string => `${kind}/${metadata.name}`
  return [...objects].sort((a, b) => keyOf(a).localeCompare(keyOf(b)))
}
const skip = spawnSync('kubectl', ['kustomize', 'manifests']).status === 0 ? false : 'there is no kubectl here'

t.test('`kubectl apply -k manifests` applies every object of the base, as it stands', { skip }, async t => {
  t.strictSame(sorted(kustomize('manifests')), sorted(kustomized('manifests')))
})

for (const [folder, annotation] of [
  ['manifests/cert-manager', `${INSTALL.namespace}/${WEBHOOK}`],
  ['manifests/given-secret', undefined],
] as const)
  t.test(`${folder} takes its certificate from files, and no right to Secrets is left`, { skip }, async t => {
    const objects = kustomize(folder)
    t.notMatch(JSON.stringify(objects.map(({ rules }) => rules)), /secrets/)
    t.notOk(objects.some(({ metadata }) => metadata.name === 'flink-ha-webhook-tls'))
    const spec = only(objects, 'Deployment', WEBHOOK).spec?.template?.spec
    t.same(violations(spec!), [])
    const [container, ...others] = spec?.containers ?? []
    t.same(others, [])
    const names = (container?.env ?? []).map(({ name }) => name)
    t.same(names.sort(), ['FLINK_HA_NAMESPACE', 'FLINK_HA_POD_NAME', 'FLINK_HA_POD_UID', 'FLINK_HA_TLS'])
    t.equal(container?.args?.[0], 'webhook')
    t.match(spec?.volumes, [{ name: 'tls', secret: { secretName: 'flink-ha-certificate' } }])
    const configuration = only(objects, 'MutatingWebhookConfiguration', INSTALL.webhookConfiguration)
    t.equal(configuration.metadata.annotations?.['cert-manager.io/inject-ca-from'], annotation)
    t.equal(configuration.webhooks?.length, 2)
    for (const { clientConfig } of configuration.webhooks ?? []) t.notOk(clientConfig.caBundle)
  })

t.test('manifests/openshift is the base and two objects more', { skip }, async t => {
  t.equal(kustomize('manifests/openshift').length, kustomized('manifests').length + 2)
})
