// Random pods for properties: mostly Flink's, with everything that injection looks at, there or not, and with fields that
// it has never heard of.
import fc from 'fast-check'
import type { Container, Pod } from '../../webhook/pod.ts'

const seldom = <T>(usual: fc.Arbitrary<T>, other: T) =>
  fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: fc.constant(other) })
const name = seldom(
  fc.constantFrom('jobmanager', 'taskmanager', 'flink-main-container', 'jobmanager-2', 'a', 'b', 'c'),
  'flink-ha',
)
const envVar = fc.oneof(
  { weight: 30, arbitrary: fc.record({ name: fc.constantFrom('A', 'B', 'FLINK_PROPERTIES'), value: fc.string() }) },
  { weight: 1, arbitrary: fc.constant({ name: 'KUBERNETES_MASTER', value: 'http://elsewhere' }) },
)
const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null, freq: 5 })
const container = fc.record(
  {
    name,
    image: fc.string(),
    args: nullable(fc.array(fc.constantFrom('jobmanager', '-Dkubernetes.cluster-id=x', '$(POD_IP)'))),
    env: nullable(fc.array(envVar, { maxLength: 4 })),
    ports: nullable(
      fc.array(fc.record({ containerPort: seldom(fc.constantFrom(80, 6123, 8081), 4040) }), { maxLength: 2 }),
    ),
    unknownField: fc.jsonValue({ maxDepth: 2 }),
  },
  { requiredKeys: ['name'] },
)
const uniqueContainers = (constraints: { minLength: number; maxLength: number }) =>
  fc.uniqueArray(container, { ...constraints, selector: ({ name }) => name })
const annotations = fc.record(
  {
    'flink-ha.io/profile': seldom(fc.constantFrom('fast', 'tolerant'), 'quick'),
    'flink-ha.io/cluster-id': seldom(fc.constantFrom('x', 'c-1'), 'Not Valid'),
    'flink-ha.io/sidecar-memory-limit': seldom(fc.constantFrom('256Mi', '1G'), '-1'),
    'flink-ha.io/taskmanager': seldom(fc.constantFrom('sidecar', 'service'), 'off'),
    'example.com/a~b': fc.string(),
  },
  { requiredKeys: [] },
)
const labels = fc.record(
  {
    component: fc.constantFrom('jobmanager', 'jobmanager', 'taskmanager', 'other'),
    app: fc.constantFrom('flink', 'c-1'),
    type: fc.constantFrom('flink-native-kubernetes', 'x'),
    'tilde~slash/label': fc.string(),
  },
  { requiredKeys: ['component'] },
)

export const anyPod: fc.Arbitrary<Pod> = fc
  .record({
    labels,
    annotations: nullable(annotations),
    ownerReferences: nullable(
      fc.array(
        fc.record({
          apiVersion: fc.constant('apps/v1'),
          kind: fc.constantFrom('ReplicaSet', 'StatefulSet'),
          name: fc.constantFrom('a', 'b'),
          uid: fc.uuid(),
        }),
        { maxLength: 2 },
      ),
    ),
    containers: uniqueContainers({ minLength: 1, maxLength: 4 }),
    initContainers: nullable(uniqueContainers({ minLength: 0, maxLength: 3 })),
    volumes: nullable(
      fc.uniqueArray(fc.record({ name: fc.constantFrom('x', 'y', 'z') }), { selector: ({ name }) => name }),
    ),
    unknown: fc.jsonValue({ maxDepth: 3 }),
  })
  .map(({ labels, annotations, ownerReferences, containers, initContainers, volumes, unknown }) => {
    const taken = new Set(containers.map(({ name }) => name))
    const before = initContainers?.filter(({ name }) => !taken.has(name)) ?? initContainers
    const metadata = { generateName: 'p-', namespace: 'ns', labels, annotations, ownerReferences, unknown }
    const spec = {
      containers: containers as Container[],
      initContainers: before as Container[] | null,
      volumes,
      unknown,
    }
    // As it comes out of a body: with the prototypes of JSON, and without what JSON has not.
    return JSON.parse(JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata, spec })) as Pod
  })
