// The installation: names and ports are the contract's, rights are no wider than the calls made, the pods pass Pod Security
// "restricted", and every way to install has every file.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import {
  CANDIDATE_RIGHTS,
  LEASE_RIGHTS,
  type Right,
  WEBHOOK_HOME_RIGHTS,
  WEBHOOK_RIGHTS,
  WEBHOOK_SECRET_RIGHTS,
} from '../cli/check-rights.ts'
import packageJson from '../package.json' with { type: 'json' }
import { INSTALL, LABEL_COMPONENT, LABEL_INJECT, LABEL_INJECTION, LABEL_MANAGED_BY } from '../shared/names.ts'
import { readWebhookConfig, WEBHOOK_SETTINGS } from '../webhook/config.ts'
import { selectsLabels } from './world/kube-selectors.ts'
import {
  kustomized,
  type Manifest,
  objectsOf,
  only,
  type Rule,
  type Webhook,
  yamlFilesOf,
} from './world/manifest-files.ts'
import { violations } from './world/pod-security.ts'

const BASE = 'manifests/base'
const FOLDERS = ['base', 'cert-manager', 'given-secret', 'openshift', 'monitoring'].map(name => join('manifests', name))
const WEBHOOK = 'flink-ha-webhook'
const installed = kustomized('manifests')
const deployment = only(installed, 'Deployment', WEBHOOK)
const template = deployment.spec?.template
const container = template?.spec.containers[0]
const [labelled, asking] = only(installed, 'MutatingWebhookConfiguration', INSTALL.webhookConfiguration).webhooks ?? []

const variables = (): { [name: string]: string } =>
  Object.fromEntries(
    (container?.env ?? []).map(({ name, value, valueFrom }) => [
      name,
      value ?? { 'metadata.namespace': INSTALL.namespace }[valueFrom?.fieldRef?.fieldPath ?? ''] ?? 'a-name',
    ]),
  )

t.test('each kustomization lists every file of its folder, and no other', async t => {
  for (const folder of FOLDERS) {
    const { resources = [], patches = [] } = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')) as Manifest
    const listed = [...resources, ...patches.map(({ path }) => path)]
    const there = yamlFilesOf(folder).filter(name => name !== 'kustomization.yaml')
    t.same(listed.filter(name => name.endsWith('.yaml')).sort(), there, folder)
    for (const name of listed) t.ok(existsSync(join(folder, name)), join(folder, name))
  }
})

t.test('a file holds one object, and is named after its kind', async t => {
  for (const file of yamlFilesOf(BASE).filter(name => name !== 'kustomization.yaml')) {
    const [object, ...others] = objectsOf(join(BASE, file))
    t.same(others, [], file)
    const kind = (object?.kind ?? '').replace(/(?<=[a-z])[A-Z]/g, capital => `-${capital}`).toLowerCase()
    t.ok(file.startsWith(kind), `${file} is a ${kind}`)
  }
})

t.test('every object is where the contract has it', async t => {
  for (const { kind, metadata } of installed) {
    const namespaced = !/^(Namespace|Cluster.*|MutatingWebhook.*)$/.test(kind)
    t.equal(metadata.namespace, namespaced ? INSTALL.namespace : undefined, `${kind} ${metadata.name}`)
    // What the reconciler deletes by this label is what it made.
    t.notOk(metadata.labels?.[LABEL_MANAGED_BY], `${kind} ${metadata.name}`)
  }
  only(installed, 'Namespace', INSTALL.namespace)
  only(installed, 'Service', INSTALL.service)
  only(installed, 'ClusterRole', INSTALL.candidateRole)
})

t.test('the API server finds the webhook: configuration, Service, Deployment and settings agree', async t => {
  const config = readWebhookConfig([], { ...variables(), KUBERNETES_SERVICE_HOST: 'h', KUBERNETES_SERVICE_PORT: '443' })
  t.equal(config.namespace, INSTALL.namespace)
  t.equal(config.serviceName, INSTALL.service)
  t.equal(config.webhookConfiguration, INSTALL.webhookConfiguration)
  const port = (name: string): number | undefined => container?.ports?.find(p => p.name === name)?.containerPort
  t.equal(port('webhook'), config.port)
  t.equal(port('status'), config.statusPort)
  const service = only(installed, 'Service', INSTALL.service)
  t.match(service.spec?.ports, [{ port: 443, targetPort: 'webhook' }])
  const { service: name, namespace, path, pathAsk } = INSTALL
  t.same(labelled?.clientConfig.service, { name, namespace, path, port: 443 })
  t.same(asking?.clientConfig.service, { name, namespace, path: pathAsk, port: 443 })
  const labels = template?.metadata.labels ?? {}
  t.ok(selectsLabels({ matchLabels: service.spec?.selector as typeof labels }, labels), 'Service')
  t.ok(selectsLabels(deployment.spec?.selector, labels), 'Deployment')
  t.ok(selectsLabels(only(installed, 'PodDisruptionBudget', WEBHOOK).spec?.selector, labels), 'PodDisruptionBudget')
  const policy = only(installed, 'NetworkPolicy', WEBHOOK)
  t.ok(selectsLabels(policy.spec?.podSelector, labels), 'NetworkPolicy')
  t.match(policy.spec?.['ingress'], [{ ports: [{ port: config.port }] }, { ports: [{ port: config.statusPort }] }])
})

t.test('the webhook runs this version, twice, within Pod Security "restricted", and writes to no disk', async t => {
  t.equal(container?.image, `flink-ha/flink-ha:${packageJson.version}`)
  t.equal(deployment.spec?.replicas, 2)
  t.same(violations(template!.spec), [])
  t.equal(container?.securityContext?.['readOnlyRootFilesystem'], true)
  t.notOk('runAsUser' in (template?.spec.securityContext ?? {}), 'OpenShift chooses the user')
  t.same(container?.command, ['node', '--max-semi-space-size=32', '/app/flink-ha.cjs'])
  t.same(container?.args, ['webhook'])
  t.equal(container?.readinessProbe?.httpGet.path, '/readyz')
  t.equal(container?.livenessProbe?.httpGet.path, '/healthz')
  t.match(container?.resources, { requests: { cpu: /./, memory: /./ }, limits: { memory: /./ } })
  const namespace = only(installed, 'Namespace', INSTALL.namespace)
  t.equal(namespace.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted')
})

t.test('the rules of Pod Security bite', async t => {
  const spec = { hostNetwork: true, volumes: [{ name: 'v', hostPath: {} }], containers: [{ name: 'c', image: 'i' }] }
  t.same(violations(spec).length, 2 + 4)
})

t.test('every variable of the Deployment is a setting', async t => {
  for (const { name } of container?.env ?? [])
    t.ok(name.slice('FLINK_HA_'.length).toLowerCase().replaceAll('_', '-') in WEBHOOK_SETTINGS, name)
})

const systemNamespaces = [INSTALL.namespace, 'kube-system', 'kube-public', 'kube-node-lease']
const sees = (webhook: Webhook | undefined, namespace: string, labels: object, pod: object): boolean =>
  selectsLabels(webhook?.namespaceSelector, { 'kubernetes.io/metadata.name': namespace, ...labels }) &&
  selectsLabels(webhook?.objectSelector, { ...pod })
const jobManager = { [LABEL_COMPONENT]: 'jobmanager' }
const taskManager = { [LABEL_COMPONENT]: 'taskmanager' }
const enabled = { [LABEL_INJECTION]: 'enabled' }

t.test('the first entry is shown Flink’s pods of labelled namespaces, and nothing else', async t => {
  t.equal(labelled?.name, INSTALL.webhook)
  for (const pod of [jobManager, taskManager]) {
    t.ok(sees(labelled, 'flink', enabled, pod))
    t.ok(sees(labelled, 'flink', enabled, { ...pod, [LABEL_INJECT]: 'true' }))
    t.ok(sees(labelled, 'flink', enabled, { ...pod, [LABEL_INJECT]: 'yes' }), 'misspelt: refused by name')
    t.notOk(sees(labelled, 'flink', enabled, { ...pod, [LABEL_INJECT]: 'false' }), 'opted out')
    t.notOk(sees(labelled, 'flink', {}, pod), 'not labelled')
    t.notOk(sees(labelled, 'flink', { [LABEL_INJECTION]: 'disabled' }, pod))
    for (const name of systemNamespaces) t.notOk(sees(labelled, name, enabled, pod), name)
  }
  for (const pod of [{}, { [LABEL_COMPONENT]: 'web' }]) t.notOk(sees(labelled, 'flink', enabled, pod))
})

t.test('the second entry is shown Flink’s pods elsewhere; a condition lets through those that ask', async t => {
  t.equal(asking?.name, INSTALL.webhookAsk)
  t.ok(sees(asking, 'other', {}, { ...jobManager, [LABEL_INJECT]: 'true' }))
  t.notOk(sees(asking, 'other', {}, { ...jobManager, [LABEL_INJECT]: 'false' }))
  t.notOk(sees(asking, 'other', enabled, { ...jobManager, [LABEL_INJECT]: 'true' }), 'never both entries')
  t.notOk(sees(asking, 'other', {}, { [LABEL_INJECT]: 'true' }), 'not Flink’s')
  for (const name of systemNamespaces) t.notOk(sees(asking, name, {}, { ...jobManager, [LABEL_INJECT]: 'true' }), name)
  const asks = asking?.matchConditions.find(({ name }) => name === 'asks')?.expression ?? ''
  t.ok(asks.includes(`'${LABEL_INJECT}' in object.metadata.labels`))
  t.ok(asks.includes(`'${LABEL_INJECT}' in object.metadata.annotations`))
})

t.test('conditions ask whether a field is there before they read it: an error would refuse the pod', async t => {
  for (const { expression } of [labelled, asking].flatMap(webhook => webhook?.matchConditions ?? []))
    for (const field of ['labels', 'annotations'])
      if (expression.includes(`object.metadata.${field}`)) t.ok(expression.includes(`has(object.metadata.${field})`))
})

t.test('both entries fail closed and fast, are called again, and harm no dry run', async t => {
  for (const webhook of [labelled, asking])
    t.match(webhook, {
      failurePolicy: 'Fail',
      timeoutSeconds: 5,
      sideEffects: 'NoneOnDryRun',
      reinvocationPolicy: 'IfNeeded',
      matchPolicy: 'Equivalent',
      admissionReviewVersions: ['v1'],
      rules: [{ operations: ['CREATE'], resources: ['pods'], scope: 'Namespaced' }],
    })
})

t.test('no file resets the CA bundle that the webhook keeps', async t => {
  for (const folder of FOLDERS)
    for (const file of yamlFilesOf(folder))
      t.notMatch(readFileSync(join(folder, file), 'utf8'), /^[^#\n]*caBundle/m, join(folder, file))
})

const table = (rules: readonly Rule[] = []): string[] =>
  rules.map(({ apiGroups, resources, resourceNames, verbs }) =>
    [apiGroups.join(), resources.join(), resourceNames?.join() ?? '*', verbs.join(' ')].join(' | '),
  )

t.test('rights are no wider than the calls made', async t => {
  const rulesOf = (kind: string, name: string): string[] => table(only(installed, kind, name).rules)
  t.same(rulesOf('ClusterRole', WEBHOOK), [
    ' | namespaces | * | list watch',
    ' | pods | * | list watch',
    'apps | replicasets | * | get list watch',
    'apps | deployments,statefulsets | * | list watch patch',
    'batch | jobs | * | list watch',
    ' | services | * | list watch create patch delete',
    'rbac.authorization.k8s.io | rolebindings | * | list watch create delete',
    'rbac.authorization.k8s.io | clusterroles | flink-ha-candidate | bind',
    ' | events | * | create',
    'admissionregistration.k8s.io | mutatingwebhookconfigurations | flink-ha | list watch patch',
  ])
  t.same(rulesOf('ClusterRole', 'flink-ha-webhook-configuration'), [' | configmaps | * | list watch patch'])
  t.same(rulesOf('Role', WEBHOOK), [
    ' | pods | * | get',
    'coordination.k8s.io | leases | * | create',
    `coordination.k8s.io | leases | ${INSTALL.lease} | list watch patch`,
  ])
  t.same(rulesOf('Role', 'flink-ha-webhook-tls'), [
    ' | secrets | * | create',
    ` | secrets | ${INSTALL.tlsSecret} | get list watch update`,
  ])
  t.same(rulesOf('ClusterRole', INSTALL.candidateRole), [
    ' | configmaps | * | get list watch create update patch delete',
    ' | pods | * | list watch patch',
    'coordination.k8s.io | leases | * | get list watch create update patch delete',
  ])
})

t.test('`flink-ha check` asks for no right that is not granted', async t => {
  const granted = (rules: readonly Rule[], { group, resource, verbs, name }: Right): boolean =>
    verbs.every(verb =>
      rules.some(
        rule =>
          rule.apiGroups.includes(group) &&
          rule.resources.includes(resource) &&
          rule.verbs.includes(verb) &&
          (rule.resourceNames === undefined || (name !== undefined && rule.resourceNames.includes(name))),
      ),
    )
  const asked: [kind: string, name: string, rights: readonly Right[]][] = [
    ['ClusterRole', WEBHOOK, WEBHOOK_RIGHTS],
    ['Role', WEBHOOK, WEBHOOK_HOME_RIGHTS],
    ['Role', 'flink-ha-webhook-tls', WEBHOOK_SECRET_RIGHTS],
    ['ClusterRole', INSTALL.candidateRole, [...CANDIDATE_RIGHTS, ...LEASE_RIGHTS]],
  ]
  for (const [kind, name, rights] of asked)
    for (const right of rights)
      t.ok(
        granted(only(installed, kind, name).rules ?? [], right),
        `${name}: ${right.verbs.join(' ')} ${right.resource}`,
      )
})

t.test('no right has a wildcard, none reaches a Secret of another namespace, each has its reason', async t => {
  for (const { kind, metadata, rules } of [...installed, ...kustomized('manifests/openshift')].filter(o => o.rules)) {
    t.notMatch(JSON.stringify(rules), /\*/, metadata.name)
    if (kind === 'ClusterRole') t.notMatch(JSON.stringify(rules), /secrets/, metadata.name)
  }
  for (const folder of FOLDERS)
    for (const file of yamlFilesOf(folder).filter(name => /^(cluster-)?role-?(?!binding)/.test(name))) {
      const lines = readFileSync(join(folder, file), 'utf8').split('\n')
      const rules = lines.flatMap((line, index) => (line.startsWith('  - apiGroups') ? [index] : []))
      // The first part of a pair (create, which knows no name) may speak for both.
      const reasoned = rules.filter(index => (lines[index - 1] ?? '').startsWith('  #'))
      t.ok(reasoned.length >= rules.length - (file === 'role.yaml' ? 1 : 0), join(folder, file))
    }
})

t.test('a binding binds what is there to the webhook’s account; nobody is a candidate everywhere', async t => {
  for (const { kind, roleRef, subjects, metadata } of installed.filter(o => o.roleRef)) {
    only(installed, roleRef?.kind ?? '', roleRef?.name ?? '')
    t.same(subjects, [{ kind: 'ServiceAccount', name: WEBHOOK, namespace: INSTALL.namespace }], metadata.name)
    t.not(roleRef?.name, INSTALL.candidateRole, `${kind} ${metadata.name}`)
  }
  t.equal(template?.spec.serviceAccountName, WEBHOOK)
})

t.test('a certificate from elsewhere is mounted whole, and leaves the webhook without a right to Secrets', async t => {
  for (const folder of ['manifests/cert-manager', 'manifests/given-secret']) {
    const patch = only(objectsOf(join(folder, 'deployment.yaml')), 'Deployment', WEBHOOK).spec?.template?.spec
    t.match(patch?.containers[0]?.env, [{ name: 'FLINK_HA_TLS', value: 'files' }])
    const [mount] = patch?.containers[0]?.volumeMounts ?? []
    t.equal(mount?.mountPath, WEBHOOK_SETTINGS['tls-dir'][0])
    t.notOk(mount?.subPath, 'a subPath is never renewed')
    t.match(patch?.volumes, [{ secret: { secretName: 'flink-ha-certificate' } }])
    t.not('flink-ha-certificate', INSTALL.tlsSecret, 'a Secret’s type cannot be changed')
    t.match(objectsOf(join(folder, 'without-role-tls.yaml')), [{ $patch: 'delete', kind: 'Role' }])
    t.match(objectsOf(join(folder, 'without-role-binding-tls.yaml')), [{ $patch: 'delete', kind: 'RoleBinding' }])
  }
  const certificate = only(kustomized('manifests/cert-manager'), 'Certificate', WEBHOOK)
  t.match(certificate.spec?.['dnsNames'], [`${INSTALL.service}.${INSTALL.namespace}.svc`])
  t.equal(certificate.spec?.['secretName'], 'flink-ha-certificate')
})
