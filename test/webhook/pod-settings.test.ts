import t from 'tap'
import type { Pod, Role, TextMap } from '../../webhook/pod.ts'
import { DEFAULT_RESOURCES, readPodSettings } from '../../webhook/pod-settings.ts'

const pod = (annotations: TextMap, labels: TextMap = {}): Pod => ({
  metadata: { labels: { component: 'jobmanager', ...labels }, annotations },
  spec: { containers: [{ name: 'jobmanager' }] },
})
const read = (annotations: TextMap, role: Role = 'jobmanager') => readPodSettings(pod(annotations), role)

t.test('without annotations everything is the default', async t => {
  t.same(read({}), {
    settings: {
      clusterId: undefined,
      profile: undefined,
      lock: undefined,
      endDeposed: false,
      failsafe: undefined,
      taskmanager: 'sidecar',
      resources: DEFAULT_RESOURCES.jobmanager,
    },
    problems: [],
    warnings: [],
  })
})

t.test('one resource annotation leaves the other defaults alone', async t => {
  const { settings, problems } = read({ 'flink-ha.io/sidecar-cpu-limit': '500m' })
  t.same(problems, [])
  t.same(settings.resources, { ...DEFAULT_RESOURCES.jobmanager, 'cpu-limit': '500m' })
})

t.test('between a wish and a default the default gives way', async t => {
  const more = read({ 'flink-ha.io/sidecar-memory-request': '256Mi' }).settings.resources
  t.match(more, { 'memory-request': '256Mi', 'memory-limit': '256Mi' })
  const less = read({ 'flink-ha.io/sidecar-memory-limit': '32Mi' }).settings.resources
  t.match(less, { 'memory-request': '32Mi', 'memory-limit': '32Mi' })
})

t.test('a wish that cannot be had is a problem that names annotation, value and what is right', async t => {
  for (const [annotations, wanted] of [
    [
      { 'flink-ha.io/profile': 'quick' },
      'annotation flink-ha.io/profile is "quick": "fast", "default", "tolerant" are',
    ],
    [{ 'flink-ha.io/profile': 'constructor' }, 'annotation flink-ha.io/profile is "constructor"'],
    [{ 'flink-ha.io/lock': 'Lease' }, 'annotation flink-ha.io/lock is "Lease": "configmap", "lease" are allowed'],
    [{ 'flink-ha.io/failsafe': 'yes' }, 'annotation flink-ha.io/failsafe is "yes": "true", "false" are allowed'],
    [{ 'flink-ha.io/cluster-id': 'a b' }, 'annotation flink-ha.io/cluster-id is "a b": at most 45'],
    [
      { 'flink-ha.io/sidecar-memory-limit': '1Gi\n' },
      'annotation flink-ha.io/sidecar-memory-limit is "1Gi\\n": a quantity',
    ],
    [{ 'flink-ha.io/sidecar-cpu-request': '-1' }, 'annotation flink-ha.io/sidecar-cpu-request is "-1": a quantity'],
    [{ 'flink-ha.io/sidecar-cpu-request': '' }, 'annotation flink-ha.io/sidecar-cpu-request is "": a quantity'],
    [
      { 'flink-ha.io/sidecar-memory-request': '2Gi', 'flink-ha.io/sidecar-memory-limit': '1Gi' },
      'annotation flink-ha.io/sidecar-memory-request is "2Gi": at most the limit "1Gi"',
    ],
  ] as [TextMap, string][]) {
    const { problems } = read(annotations)
    t.equal(problems.length, 1, wanted)
    t.ok(problems[0]?.startsWith(wanted), `${problems[0]} starts with ${wanted}`)
  }
  t.equal(read({ 'flink-ha.io/profile': 'x', 'flink-ha.io/lock': 'y' }).problems.length, 2, 'all at once')
})

t.test('zero is a quantity', async t => {
  const { problems, settings } = read({ 'flink-ha.io/sidecar-cpu-request': '0' })
  t.same(problems, [])
  t.equal(settings.resources['cpu-request'], '0')
})

t.test('what does not apply to the role is not read', async t => {
  t.same(
    read({ 'flink-ha.io/profile': 'quick', 'flink-ha.io/lock': 'x', 'flink-ha.io/failsafe': 'x' }, 'taskmanager')
      .problems,
    [],
  )
  t.same(read({ 'flink-ha.io/taskmanager': 'x' }).problems, [])
  t.match(read({ 'flink-ha.io/taskmanager': 'x' }, 'taskmanager').problems, [
    'annotation flink-ha.io/taskmanager is "x": "sidecar", "service", "off" are allowed',
  ])
})

t.test('an unknown annotation of ours is told, not dropped in silence', async t => {
  const { problems, warnings } = read({ 'flink-ha.io/profil': 'fast', 'example.com/profile': 'x' })
  t.same(problems, [])
  t.same(warnings, ['annotation flink-ha.io/profil is not known'])
})

t.test('a cluster label of the user’s own is never overwritten, only agreed with', async t => {
  const labels = { 'flink-ha.io/cluster': 'mine' }
  t.equal(readPodSettings(pod({}, labels), 'jobmanager').settings.clusterId, 'mine')
  t.match(readPodSettings(pod({ 'flink-ha.io/cluster-id': 'other' }, labels), 'jobmanager').problems, [
    'label flink-ha.io/cluster is "mine": the cluster id "other"',
  ])
  t.match(readPodSettings(pod({}, { 'flink-ha.io/cluster': 'Not Valid' }), 'jobmanager').problems, [
    /^label flink-ha.io\/cluster is "Not Valid"/,
  ])
})

t.test('an annotation that contradicts Flink’s own configuration is warned of', async t => {
  const contradicting = pod({ 'flink-ha.io/cluster-id': 'a' })
  contradicting.spec.containers[0]!.args = ['-Dkubernetes.cluster-id=b']
  const { settings, warnings } = readPodSettings(contradicting, 'jobmanager')
  t.equal(settings.clusterId, 'a')
  t.same(warnings, ['annotation flink-ha.io/cluster-id is "a", but Flink is told "b" (arguments)'])
})
