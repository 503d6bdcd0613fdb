// The chart, rendered by Helm itself: with its default values it is the plain YAML. Helm is not part of the project: without it
// (on the PATH, or named by HELM) only what needs no renderer is checked, and the rest is skipped with a word.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import packageJson from '../package.json' with { type: 'json' }
import { INSTALL } from '../shared/names.ts'
import { kustomized, type Manifest, objectsOf, only } from './world/manifest-files.ts'
import { violations } from './world/pod-security.ts'

const CHART = 'manifests/chart'
/** A helm without a cluster assumes the version that it was built for, if it was told one. */
const KUBERNETES = ['--kube-version', '1.34.0']
const WEBHOOK = 'flink-ha-webhook'
const helm = process.env['HELM'] ?? 'helm'
const skip =
  spawnSync(helm, ['version', '--short']).status === 0 ? false : 'there is no helm here (PATH, or the variable HELM)'

const render = (...args: string[]): Manifest[] => {
  const given = ['template', INSTALL.namespace, CHART, ...KUBERNETES, '--namespace', INSTALL.namespace, ...args]
  const text = execFileSync(helm, given, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  return parseAllDocuments(text).flatMap(document => {
    if (document.errors[0] !== undefined) throw document.errors[0]
    return (document.toJS() as Manifest | null) ?? []
  })
}
const set = (...values: string[]): string[] => values.flatMap(value => ['--set', value])
const sorted = (objects: readonly Manifest[]): Manifest[] => {
  const keyOf = ({ kind, metadata }: Manifest): string => `${kind}/${metadata.name}`
  return [...objects].sort((a, b) => keyOf(a).localeCompare(keyOf(b)))
}
const named = (objects: readonly Manifest[], kind: string): string[] =>
  objects.filter(object => object.kind === kind).map(({ metadata }) => metadata.name)
/** The release's namespace is the release's. */
const plain = kustomized('manifests').filter(({ kind }) => kind !== 'Namespace')

t.test('its versions are the package’s', async t => {
  const { version, appVersion, kubeVersion } = parse(readFileSync(`${CHART}/Chart.yaml`, 'utf8')) as {
    [field: string]: string
  }
  t.equal(version, packageJson.version)
  t.equal(appVersion, packageJson.version)
  t.match(kubeVersion, /1\.29/)
})

t.test('every value is in the schema, and every one in the schema among the values', async t => {
  type Schema = { properties?: { [name: string]: Schema }; $ref?: string }
  const schema = JSON.parse(readFileSync(`${CHART}/values.schema.json`, 'utf8')) as Schema & {
    definitions: { [name: string]: Schema }
  }
  const pathsOf = ({ properties, $ref }: Schema, at: string): string[] => {
    const inner = $ref === undefined ? properties : schema.definitions[$ref.split('/').at(-1) ?? '']?.properties
    return Object.entries(inner ?? {}).flatMap(([name, one]) => [`${at}${name}`, ...pathsOf(one, `${at}${name}.`)])
  }
  const valuePaths = (values: object, at: string): string[] =>
    Object.entries(values).flatMap(([name, value]) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? [`${at}${name}`, ...valuePaths(value as object, `${at}${name}.`)]
        : [`${at}${name}`],
    )
  const known = pathsOf(schema, '')
  const values = valuePaths(parse(readFileSync(`${CHART}/values.yaml`, 'utf8')) as object, '')
  // Below these a user writes what Kubernetes knows.
  const open = /^(resources|affinity|nodeSelector)\./
  t.same(
    values.filter(path => !open.test(path) && !known.includes(path)),
    [],
  )
  // Objects that may be left empty, switches without labels, and Helm's own key.
  const optional = /^global$|^resources\.|issuerRef\.|^(podDisruptionBudget|networkPolicy)\.labels$/
  t.same(
    known.filter(path => !optional.test(path) && !values.includes(path)),
    [],
  )
})

t.test('with its default values it makes what `kubectl apply -k manifests` makes', { skip }, async t => {
  t.strictSame(sorted(render()), sorted(plain))
})

t.test('helm finds no fault with it', { skip }, async t => {
  t.equal(spawnSync(helm, ['lint', '--strict', CHART]).status, 0)
})

t.test('another namespace is in every place where the namespace stands', { skip }, async t => {
  const given = ['template', 'x', CHART, ...KUBERNETES, '--namespace', 'elsewhere', ...set('tls.mode=cert-manager')]
  const text = execFileSync(helm, given, { encoding: 'utf8' })
  t.notMatch(text, /namespace: flink-ha$/m)
  t.match(text, /- elsewhere\n +- kube-system/)
  t.match(text, /flink-ha-webhook\.elsewhere\.svc$/m)
  t.match(text, /inject-ca-from: elsewhere\/flink-ha-webhook/)
})

t.test('cert-manager’s objects are those of the plain YAML, and the right to Secrets is gone', { skip }, async t => {
  const objects = render(...set('tls.mode=cert-manager'))
  for (const kind of ['Issuer', 'Certificate']) {
    const wanted = kustomized('manifests/cert-manager').filter(object => object.kind === kind)
    t.strictSame(sorted(objects.filter(object => object.kind === kind)), sorted(wanted))
  }
  t.same(named(objects, 'Role'), [WEBHOOK])
  const [patch] = objectsOf('manifests/cert-manager/deployment.yaml')
  t.match(only(objects, 'Deployment', WEBHOOK), { spec: patch?.spec ?? {} })
  const issuer = ['tls.certManager.issuerRef.name=corporate', 'tls.certManager.issuerRef.kind=ClusterIssuer']
  const given = render(...set('tls.mode=cert-manager', ...issuer))
  t.same(named(given, 'Issuer'), [])
  t.match(only(given, 'Certificate', WEBHOOK).spec?.['issuerRef'], { name: 'corporate', kind: 'ClusterIssuer' })
})

t.test('a given Secret is mounted, with the bundle that it lacks', { skip }, async t => {
  const objects = render(...set('tls.mode=existingSecret', 'tls.existingSecret=mine', 'tls.caBundle=Q0E='))
  const spec = only(objects, 'Deployment', WEBHOOK).spec?.template?.spec
  t.match(spec?.volumes, [{ secret: { secretName: 'mine' } }])
  t.same(violations(spec!), [])
  for (const { clientConfig } of only(objects, 'MutatingWebhookConfiguration', 'flink-ha').webhooks ?? [])
    t.equal(clientConfig.caBundle, 'Q0E=')
})

t.test('what can be switched off is off, what can be switched on is there', { skip }, async t => {
  const off = render(
    ...set('podDisruptionBudget.enabled=false', 'networkPolicy.enabled=false', 'rbac.configMaps=false'),
  )
  t.same([...named(off, 'PodDisruptionBudget'), ...named(off, 'NetworkPolicy')], [])
  t.notOk(named(off, 'ClusterRole').includes('flink-ha-webhook-configuration'))
  const switches = ['podMonitor', 'prometheusRule'].map(name => `monitoring.${name}.enabled=true`)
  const on = render(...set(...switches, 'rbac.ownerReferencesPermission=true'))
  const wanted = [...kustomized('manifests/monitoring'), ...kustomized('manifests/openshift')]
  for (const object of wanted.filter(({ kind }) => kind !== 'Namespace'))
    t.strictSame(only(on, object.kind, object.metadata.name), object, `${object.kind} ${object.metadata.name}`)
})

t.test('every value of the pods arrives', { skip }, async t => {
  const values = [
    'replicas=3',
    'image.repository=registry.example/flink-ha',
    `image.digest=sha256:${'0'.repeat(64)}`,
    'image.pullSecrets[0].name=pull',
    'logLevel=debug',
    'extraEnv[0].name=FLINK_HA_IMAGE,extraEnv[0].value=other:1',
    'priorityClassName=system-cluster-critical',
    'nodeSelector.pool=infra',
    'tolerations[0].key=infra,tolerations[0].operator=Exists',
    'podAnnotations.a=b',
    'podLabels.c=d',
    'webhook.failurePolicy=Ignore',
    'webhook.timeoutSeconds=3',
  ]
  const objects = render(...set(...values))
  const deployment = only(objects, 'Deployment', WEBHOOK)
  t.match(deployment.spec, {
    replicas: 3,
    template: {
      metadata: { annotations: { a: 'b' }, labels: { c: 'd' } },
      spec: {
        imagePullSecrets: [{ name: 'pull' }],
        priorityClassName: 'system-cluster-critical',
        nodeSelector: { pool: 'infra' },
        tolerations: [{ key: 'infra', operator: 'Exists' }],
        containers: [{ image: `registry.example/flink-ha@sha256:${'0'.repeat(64)}` }],
      },
    },
  })
  const env = deployment.spec?.template?.spec.containers[0]?.env ?? []
  t.match(
    env.filter(({ value }) => value !== undefined),
    [
      { name: 'FLINK_HA_LOG_LEVEL', value: 'debug' },
      { name: 'FLINK_HA_IMAGE', value: 'other:1' },
    ],
  )
  for (const webhook of only(objects, 'MutatingWebhookConfiguration', 'flink-ha').webhooks ?? [])
    t.match(webhook, { failurePolicy: 'Ignore', timeoutSeconds: 3 })
})

t.test('a value that cannot be right is refused by name', { skip }, async t => {
  const refused: [value: string, named: RegExp][] = [
    ['replicas=0', /replicas/],
    ['tls.mode=self-signed', /mode/],
    ['tls.mode=existingSecret', /existingSecret/],
    ['webhook.failurePolicy=Maybe', /failurePolicy/],
    ['webhook.timeoutSeconds=60', /timeoutSeconds/],
    ['webhook.excludedNamespaces={default}', /excludedNamespaces/],
    ['image.digest=latest', /digest/],
    ['replicaCount=3', /replicaCount/],
  ]
  for (const [value, name] of refused) {
    const { status, stderr } = spawnSync(helm, ['template', 'x', CHART, ...KUBERNETES, ...set(value)], {
      encoding: 'utf8',
    })
    t.not(status, 0, value)
    t.match(stderr, name, value)
  }
})

t.test('nothing of the chart is left out of its folder', async t => {
  for (const file of ['.helmignore', 'values.schema.json', 'templates/NOTES.txt']) t.ok(existsSync(`${CHART}/${file}`))
})
