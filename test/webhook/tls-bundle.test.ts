import t from 'tap'
import { bundleOf, bundlePatch, hasBundle, isKeptByOthers } from '../../webhook/tls-bundle.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const configuration = (...bundles: (string | undefined)[]) => ({
  metadata: { name: 'flink-ha', resourceVersion: '7' },
  webhooks: bundles.map((bundle, index) => ({
    name: `w${index}`,
    clientConfig: bundle === undefined ? {} : { caBundle: base64(bundle) },
  })),
})

t.test('a configuration has a bundle when each of its webhooks has it', async t => {
  t.ok(hasBundle(configuration('pem', 'pem'), 'pem'))
  t.notOk(hasBundle(configuration('pem', 'other'), 'pem'))
  t.notOk(hasBundle(configuration('pem', undefined), 'pem'))
  t.notOk(hasBundle(configuration(), 'pem'), 'there is none')
  t.notOk(hasBundle({ metadata: { name: 'flink-ha' } }, 'pem'))
})

t.test('the patch names the version that was read and changes bundles alone', async t => {
  t.same(bundlePatch(configuration('old', undefined), 'new'), [
    { op: 'replace', path: '/metadata/resourceVersion', value: '7' },
    { op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: base64('new') },
    { op: 'add', path: '/webhooks/1/clientConfig/caBundle', value: base64('new') },
  ])
})

t.test('a webhook without a bundle has an empty one', async t => {
  t.equal(bundleOf({ name: 'w' }), '')
  t.equal(bundleOf({ name: 'w', clientConfig: { caBundle: base64('pem') } }), 'pem')
})

t.test('a configuration that cert-manager injects is somebody else’s to keep', async t => {
  const annotated = (name: string) => ({ metadata: { name: 'flink-ha', annotations: { [name]: 'x' } } })
  t.ok(isKeptByOthers(annotated('cert-manager.io/inject-ca-from')))
  t.ok(isKeptByOthers(annotated('cert-manager.io/inject-ca-from-secret')))
  t.ok(isKeptByOthers(annotated('cert-manager.io/inject-apiserver-ca')))
  t.notOk(isKeptByOthers(annotated('cert-manager.io/alt-names')))
  t.notOk(isKeptByOthers(configuration('pem')))
})
