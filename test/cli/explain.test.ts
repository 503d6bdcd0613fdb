import t from 'tap'
import { explain, readExplainArgs } from '../../cli/explain.ts'
import type { Explanation } from '../../cli/explain-pod.ts'
import { ConfigError } from '../../shared/errors.ts'
import { CapturedIo } from '../world/captured-io.ts'
import { CheckedCluster } from '../world/checked-cluster.ts'
import { problemsOf } from '../world/problems.ts'

const VERSION = '0.1.0'
const nowhere = async () => {
  throw new Error('no kubeconfig')
}

const explained = async (input: string, ...args: string[]) => {
  const io = new CapturedIo(input)
  const code = await explain(readExplainArgs([...args, '-o', 'json'], VERSION), VERSION, nowhere, io)
  return { code, explanations: JSON.parse(io.outText) as Explanation[], err: io.errText }
}
const pod = (metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'jm', labels: { component: 'jobmanager' }, ...metadata },
  spec: { containers: [{ name: 'jobmanager', image: 'flink' }] },
})
const review = (object: object, request: object = {}) =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'u-1',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      operation: 'CREATE',
      namespace: 'flink',
      object,
      ...request,
    },
  })

t.test('a manifest’s pods are explained one by one', async t => {
  const text = `a: 1\n---\n${JSON.stringify(pod())}\n---\n${JSON.stringify(pod({ labels: { component: 'x' } }))}`
  const { code, explanations } = await explained(text, 'file', '-')
  t.equal(code, 0)
  t.match(explanations, [
    {
      subject: 'Pod jm (standard input: document 2)',
      row: { component: 'jobmanager', namespaceAsks: true, podAsks: '', injected: '' },
      decision: 'inject',
      reason: 'jobmanager',
    },
    { subject: 'Pod jm (standard input: document 3)', decision: 'skip', reason: 'not-flink', operations: [] },
  ])
  t.ok(explanations[0]?.operations.some(({ path }) => path === '/spec/initContainers'))
})

t.test('without the label, the pod’s own word is what counts', async t => {
  const one = async (metadata: object) =>
    (await explained(JSON.stringify(pod(metadata)), 'file', '-', '--no-as-if-labelled')).explanations[0]
  t.match(await one({}), {
    decision: 'skip',
    reason: 'namespace-not-labelled',
    row: { namespaceAsks: false },
    note: '',
  })
  t.match(await one({ annotations: { 'flink-ha.io/inject': 'true' } }), {
    decision: 'inject',
    row: { podAsks: 'annotation flink-ha.io/inject is "true"' },
  })
  t.match(await one({ annotations: { 'flink-ha.io/inject': 'True' } }), {
    decision: 'refuse',
    reason: 'bad-annotation',
  })
})

t.test('a stored review gives the decision and the patch', async t => {
  const { code, explanations } = await explained(review(pod(), { dryRun: true }), 'review', '-')
  t.equal(code, 0)
  t.match(explanations, [{ subject: /Pod in flink, AdmissionReview u-1 \(dry run\)/, decision: 'inject' }])
  t.ok((explanations[0]?.operations.length ?? 0) >= 3)
})

t.test('a review that is none is refused field by field', async t => {
  const wrong = await explained(review(pod(), { operation: 'DELETE', uid: '' }), 'review', '-')
  t.equal(wrong.code, 1)
  t.match(wrong.err, /standard input: .*request\.uid/)
  t.match(wrong.err, /standard input: .*request\.operation.*"DELETE"/)
  t.match((await explained('[', 'review', '-')).err, /line 1/)
  t.equal((await explained('', 'review', '-')).code, 1)
})

t.test('a file with no pods, or broken pods, says so', async t => {
  t.match((await explained('a: 1', 'file', '-')).err, 'there is no pod and nothing that makes pods')
  const wrong = await explained(JSON.stringify(pod({ labels: { component: true } })), 'file', '-')
  t.equal(wrong.code, 1)
  t.match(wrong.err, /document 1: Pod jm: metadata\.labels/)
})

const running = async (cluster: CheckedCluster, ...args: string[]) => {
  const io = new CapturedIo()
  const given = readExplainArgs(['pod', ...args, '-o', 'json'], VERSION)
  const code = await explain(given, VERSION, async () => cluster, io)
  return { code, explanation: (JSON.parse(io.outText) as Explanation[])[0], err: io.errText }
}

t.test('a running pod is explained by its cluster', async t => {
  const cluster = new CheckedCluster(0)
  cluster.create('namespaces', '', { metadata: { name: 'flink', labels: { 'flink-ha.io/injection': 'enabled' } } })
  cluster.create('namespaces', '', { metadata: { name: 'plain' } })
  cluster.create('pods', 'flink', pod())
  cluster.create('pods', 'plain', pod())
  const late = await running(cluster, 'jm', '-n', 'flink')
  t.equal(late.code, 0)
  t.match(late.explanation, { decision: 'inject', note: /made before the label was there.*kubectl rollout restart/ })
  t.match((await running(cluster, 'jm', '-n', 'plain')).explanation, {
    decision: 'skip',
    reason: 'namespace-not-labelled',
  })
  cluster.forbidden.add('/api/v1/namespaces/flink')
  t.match((await running(cluster, 'jm', '-n', 'flink')).explanation?.note, /taken for labelled/)
  const none = await running(cluster, 'nobody', '-n', 'flink')
  t.equal(none.code, 1)
  t.match(none.err, 'pod flink/nobody: pods "nobody" not found')
  cluster.version = 'v1.28.0'
  t.match((await running(cluster, 'jm', '-n', 'flink')).explanation, { reason: 'no-native-sidecars' })
})

t.test('the text is a table of what the decision goes by', async t => {
  const io = new CapturedIo(JSON.stringify(pod()))
  await explain(readExplainArgs(['file', '-'], VERSION), VERSION, nowhere, io)
  t.match(io.outText, /^Pod jm \(standard input: document 1\)\n {2}component +jobmanager\n {2}namespace asks +yes\n/)
  t.match(io.outText, /\n {2}decision +inject, as jobmanager\n/)
  t.match(io.outText, /\n {2}would +add \/spec\/initContainers/)
  t.match(io.outText, /\n {2}note +as in a namespace with label flink-ha\.io\/injection=enabled\n$/)
})

t.test('a wrong command line is refused with every problem', async t => {
  t.match(
    problemsOf(() => readExplainArgs([], VERSION)),
    [/"pod NAME", "file FILE" or "review FILE" is needed/],
  )
  t.match(
    problemsOf(() => readExplainArgs(['pod', 'x', 'y', '-o', 'z'], VERSION)),
    [/"y" is not an argument/, /^output is "z"/, /^namespace is missing/],
  )
  t.throws(() => readExplainArgs(['file', 'x', '--nope'], VERSION), ConfigError)
})
