import t from 'tap'
import type { SkipReason } from '../../shared/names.ts'
import { decide, type Facts, isReservedNamespace } from '../../webhook/decide.ts'
import type { Container, Pod, PodSpec, TextMap } from '../../webhook/pod.ts'

const labelled: Facts = { namespaceAsks: true, nativeSidecars: true, imageOfOurs: 'registry:5000/flink-ha:1' }
const unlabelled: Facts = { ...labelled, namespaceAsks: false }

const podOf = (
  component: string | undefined,
  spec: Partial<PodSpec> = {},
  labels: TextMap = {},
  annotations: TextMap = {},
): Pod => ({
  metadata: { labels: { ...(component !== undefined && { component }), ...labels }, annotations },
  spec: { containers: [{ name: component ?? 'main' }], ...spec },
})
const jobManager = (spec: Partial<PodSpec> = {}, annotations: TextMap = {}): Pod =>
  podOf('jobmanager', spec, {}, annotations)
const told = (pod: Pod, facts: Facts): string => {
  const decision = decide(pod, facts)
  return decision.inject === 'refuse' || decision.inject === false ? decision.reason : decision.inject
}

t.test('the truth table holds, row by row', async t => {
  const values = [undefined, 'true', 'false', 'yes', 'True', ''] as const
  for (const component of [undefined, 'jobmanager', 'taskmanager', 'other'] as const)
    for (const label of values)
      for (const annotation of values)
        for (const facts of [labelled, unlabelled, { ...labelled, reserved: true }]) {
          const pod = podOf(
            component,
            {},
            label === undefined ? {} : { 'flink-ha.io/inject': label },
            annotation === undefined ? {} : { 'flink-ha.io/inject': annotation },
          )
          const wishes = [label, annotation].filter(wish => wish !== undefined)
          const misspelt = wishes.some(wish => wish !== 'true' && wish !== 'false')
          const wanted =
            component === undefined || component === 'other'
              ? 'not-flink'
              : facts.reserved
                ? 'own-namespace'
                : misspelt || new Set(wishes).size > 1
                  ? 'bad-annotation'
                  : wishes[0] === 'false'
                    ? 'opted-out'
                    : wishes[0] === 'true' || facts.namespaceAsks
                      ? component
                      : 'namespace-not-labelled'
          t.equal(told(pod, facts), wanted, JSON.stringify({ component, label, annotation, facts }))
        }
})

t.test('a misspelt wish is refused, not ignored, and both sides of a contradiction are named', async t => {
  const misspelt = decide(podOf('jobmanager', {}, {}, { 'flink-ha.io/inject': 'yes' }), unlabelled)
  t.match(misspelt, {
    inject: 'refuse',
    message: 'annotation flink-ha.io/inject is "yes": "true" or "false" is needed',
  })
  const torn = decide(
    podOf('jobmanager', {}, { 'flink-ha.io/inject': 'true' }, { 'flink-ha.io/inject': 'false' }),
    labelled,
  )
  t.match(torn, { message: 'label flink-ha.io/inject is "true", the annotation "false": they must agree' })
})

t.test('each obstacle has its reason', async t => {
  const sidecar: Container = { name: 'flink-ha', image: 'x/flink-ha:1', args: ['sidecar'], restartPolicy: 'Always' }
  const main = (fields: Partial<Container>): Partial<PodSpec> => ({ containers: [{ name: 'jobmanager', ...fields }] })
  const rows: [SkipReason, Pod, Facts?][] = [
    ['mirror-pod', jobManager({}, { 'kubernetes.io/config.mirror': 'hash', 'flink-ha.io/inject': 'yes' })],
    ['windows', jobManager({ os: { name: 'windows' } })],
    ['windows', jobManager({ nodeSelector: { 'kubernetes.io/os': 'windows' } })],
    ['host-network', jobManager({ hostNetwork: true })],
    ['already-injected', jobManager({ initContainers: [sidecar] })],
    ['already-injected', jobManager({ containers: [{ name: 'jobmanager' }, sidecar] })],
    [
      'already-injected',
      jobManager({ initContainers: [{ ...sidecar, name: 'ha', image: 'registry:5000/flink-ha@sha256:1' }] }),
    ],
    ['name-taken', jobManager({ initContainers: [{ name: 'flink-ha', image: 'x' }] })],
    ['name-taken', jobManager({ containers: [{ name: 'jobmanager' }, { name: 'flink-ha' }] })],
    ['name-taken', jobManager({ volumes: [{ name: 'flink-ha-token' }] })],
    ['master-set', jobManager(main({ env: [{ name: 'KUBERNETES_MASTER', value: 'http://elsewhere' }] }))],
    ['master-set', jobManager(main({ env: [{ name: 'KUBERNETES_MASTER', valueFrom: {} }] }))],
    ['port-taken', jobManager(main({ ports: [{ containerPort: 4040 }] }))],
    ['port-taken', jobManager(main({ ports: [{ containerPort: 4041, protocol: 'TCP' }] }))],
    ['port-taken', jobManager({ initContainers: [{ name: 'mesh', ports: [{ containerPort: 4041 }] }] })],
    ['no-native-sidecars', jobManager(), { ...labelled, nativeSidecars: false }],
    ['container-unknown', jobManager({ containers: [{ name: 'mesh' }, { name: 'main' }] })],
    [
      'container-unknown',
      jobManager(
        { initContainers: [sidecar], containers: [{ name: 'mesh' }, { name: 'main' }] },
        { 'flink-ha.io/injected': '1' },
      ),
    ],
    ['taskmanager-off', podOf('taskmanager', {}, {}, { 'flink-ha.io/taskmanager': 'off' })],
    ['cluster-id-unknown', podOf('taskmanager', {}, {}, { 'flink-ha.io/taskmanager': 'service' })],
  ]
  for (const [reason, pod, facts = labelled] of rows) t.equal(told(pod, facts), reason, JSON.stringify(pod))
})

t.test('what only looks like an obstacle is none', async t => {
  const main = (fields: Partial<Container>): Partial<PodSpec> => ({ containers: [{ name: 'jobmanager', ...fields }] })
  for (const pod of [
    jobManager({ hostNetwork: false, os: { name: 'linux' }, nodeSelector: { 'kubernetes.io/os': 'linux' } }),
    jobManager(
      main({
        ports: [
          { containerPort: 4040, protocol: 'UDP' },
          { hostPort: 4041, containerPort: 80 },
        ],
      }),
    ),
    jobManager(main({ env: [{ name: 'KUBERNETES_MASTER', value: 'http://127.0.0.1:4040' }] })),
    jobManager({
      containers: [{ name: 'jobmanager' }, { name: 'kubectl', env: [{ name: 'KUBERNETES_MASTER', value: 'x' }] }],
    }),
    jobManager({
      containers: [{ name: 'jobmanager' }, { name: 'status', image: 'registry:5000/flink-ha:1', args: ['status'] }],
    }),
    jobManager({}, { 'flink-ha.io/injected': '0.1.0' }),
    jobManager({ initContainers: null, volumes: null }),
    { metadata: { labels: { component: 'jobmanager' }, annotations: null }, spec: { containers: [{ name: 'x' }] } },
  ])
    t.equal(told(pod, labelled), 'jobmanager', JSON.stringify(pod))
})

t.test('a TaskManager that gets the variable alone is not in the way of ports, names or old API servers', async t => {
  const pod = podOf(
    'taskmanager',
    { containers: [{ name: 'flink-ha', ports: [{ containerPort: 4040 }] }] },
    {},
    { 'flink-ha.io/taskmanager': 'service', 'flink-ha.io/cluster-id': 'c' },
  )
  t.equal(told(pod, { ...labelled, nativeSidecars: false }), 'taskmanager')
})

t.test('all problems of the annotations are in one refusal', async t => {
  const decision = decide(jobManager({}, { 'flink-ha.io/profile': 'x', 'flink-ha.io/lock': 'y' }), labelled)
  t.match(decision, {
    inject: 'refuse',
    reason: 'bad-annotation',
    message: /profile is "x".*; annotation .*lock is "y"/,
  })
})

t.test('a pod that is not Flink’s is left alone whatever it says', async t => {
  t.equal(told(podOf(undefined, {}, { 'flink-ha.io/inject': 'nonsense' }), labelled), 'not-flink')
  t.equal(told({ metadata: {}, spec: { containers: [] } }, labelled), 'not-flink')
})

t.test('nothing is injected where we or Kubernetes live', async t => {
  for (const name of ['flink-ha', 'kube-system', 'kube-public', 'kube-node-lease'])
    t.ok(isReservedNamespace(name, 'flink-ha'), name)
  t.notOk(isReservedNamespace('default', 'flink-ha'))
  t.notOk(isReservedNamespace('constructor', 'flink-ha'))
})
