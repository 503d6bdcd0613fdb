import fc from 'fast-check'
import t from 'tap'
import { allow, deny, ReviewError, readReview } from '../../webhook/review.ts'
import { jobManagerPod, reviewOf } from '../world/admission-review.ts'

const problems = (body: unknown): readonly string[] => {
  try {
    readReview(body)
    return []
  } catch (error) {
    if (error instanceof ReviewError) return error.problems
    throw error
  }
}

t.test('a review of a pod’s creation is read, with the request’s namespace', async t => {
  t.match(readReview(reviewOf(jobManagerPod())), {
    uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
    namespace: 'flink',
    dryRun: false,
    pod: { metadata: { namespace: 'flink', generateName: 'jm-5d-' } },
  })
  t.equal(readReview(reviewOf(jobManagerPod(), { dryRun: true })).dryRun, true)
  t.equal(readReview(reviewOf(jobManagerPod(), { dryRun: null })).dryRun, false)
})

t.test('what is wrong is named: field, value, what would be right', async t => {
  const pod = jobManagerPod()
  const spec = (fields: object) => reviewOf({ ...pod, spec: { ...pod.spec, ...fields } })
  const metadata = (fields: object) => reviewOf({ ...pod, metadata: { ...pod.metadata, ...fields } })
  for (const [body, wanted] of [
    [undefined, 'the body is missing: an object is needed'],
    [null, 'the body is null: an object is needed'],
    [[], 'the body is a list: an object is needed'],
    ['text', 'the body is "text": an object is needed'],
    [{}, 'apiVersion is missing: "admission.k8s.io/v1" is needed'],
    [
      { ...reviewOf(pod), apiVersion: 'admission.k8s.io/v1beta1' },
      'apiVersion is "admission.k8s.io/v1beta1": "admission.k8s.io/v1"',
    ],
    [{ ...reviewOf(pod), kind: 'Pod' }, 'kind is "Pod": "AdmissionReview" is needed'],
    [{ ...reviewOf(pod), request: null }, 'request is null: an object is needed'],
    [reviewOf(pod, { uid: '' }), 'request.uid is "": a text that is not empty is needed'],
    [reviewOf(pod, { uid: 5 }), 'request.uid is 5'],
    [reviewOf(pod, { kind: { group: 'apps', version: 'v1', kind: 'Deployment' } }), 'request.kind.group is "apps": ""'],
    [reviewOf(pod, { resource: undefined }), 'request.resource is missing'],
    [reviewOf(pod, { subResource: 'ephemeralcontainers' }), 'request.subResource is "ephemeralcontainers": nothing'],
    [reviewOf(pod, { operation: 'UPDATE' }), 'request.operation is "UPDATE": "CREATE" is needed'],
    [reviewOf(pod, { namespace: '' }), 'request.namespace is ""'],
    [reviewOf(pod, { dryRun: 'yes' }), 'request.dryRun is "yes": true or false is needed'],
    [reviewOf(null), 'request.object is null: an object is needed'],
    [reviewOf({ ...pod, metadata: undefined }), 'request.object.metadata is missing'],
    [metadata({ labels: [] }), 'request.object.metadata.labels is a list: an object is needed'],
    [metadata({ labels: { a: 1 } }), 'request.object.metadata.labels["a"] is 1: a text is needed'],
    [metadata({ ownerReferences: [{}] }), 'request.object.metadata.ownerReferences[0].apiVersion is missing'],
    [spec({ containers: undefined }), 'request.object.spec.containers is missing: a list is needed'],
    [spec({ containers: [{ name: '' }] }), 'request.object.spec.containers[0].name is ""'],
    [spec({ containers: [{ name: 'a', env: [{ name: 1 }] }] }), 'request.object.spec.containers[0].env[0].name is 1'],
    [spec({ initContainers: {} }), 'request.object.spec.initContainers is an object: a list is needed'],
    [spec({ volumes: [null] }), 'request.object.spec.volumes[0] is null: an object is needed'],
    [spec({ hostNetwork: 'true' }), 'request.object.spec.hostNetwork is "true": true or false'],
  ] as [unknown, string][])
    t.ok(problems(body)[0]?.startsWith(wanted), `${problems(body)[0]} starts with ${wanted}`)
})

t.test('a value is shown short, on one line', async t => {
  const [problem = ''] = problems(reviewOf(jobManagerPod(), { operation: `A\n\u0007${'x'.repeat(10_000)}` }))
  t.ok(problem !== '' && problem.length < 200 && !/\p{Cc}/u.test(problem), problem)
})

t.test('no more is said than anybody reads', async t => {
  const many = Array.from({ length: 100_000 }, () => ({ name: 1 }))
  t.ok(problems(reviewOf({ metadata: {}, spec: { containers: many } })).length <= 20)
})

t.test('the decoder throws ReviewError and nothing else', async () => {
  const onlyReviewErrors = (body: unknown): void => void problems(body)
  fc.assert(fc.property(fc.anything(), onlyReviewErrors), { numRuns: 1_000 })
  fc.assert(
    fc.property(fc.jsonValue(), object => onlyReviewErrors(reviewOf(object))),
    { numRuns: 1_000 },
  )
  // One place of a good review replaced by anything at all.
  const mutated = fc
    .tuple(fc.nat(), fc.anything())
    .map(([at, value]) => replaceAt(reviewOf(jobManagerPod()), at, value))
  fc.assert(fc.property(mutated, onlyReviewErrors), { numRuns: 2_000 })
})

t.test('names that every object has are no fields', async t => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty'])
    t.ok(
      problems(JSON.parse(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"${name}":{}}}`))
        .length > 0,
    )
  const pod = JSON.parse('{"metadata":{"labels":{"__proto__":"x"}},"spec":{"containers":[{"name":"a"}]}}')
  t.same(problems(reviewOf(pod)), [])
})

t.test('the answer has the uid, and a patch type exactly when there is a patch', async t => {
  t.same(allow('u'), {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: 'u', allowed: true },
  })
  const { response } = allow('u', [], [{ op: 'add', path: '/a', value: 'ü' }])
  t.equal(response.patchType, 'JSONPatch')
  t.same(JSON.parse(Buffer.from(response.patch ?? '', 'base64').toString()), [{ op: 'add', path: '/a', value: 'ü' }])
  t.same(deny('u', 400, 'no').response, {
    uid: 'u',
    allowed: false,
    status: { code: 400, message: 'flink-ha: no', reason: 'BadRequest' },
  })
})

t.test('a warning is one line of at most 120 characters', async t => {
  const { response } = allow('u', [`a\nb\u0000c\u2028d`, 'x'.repeat(500)])
  t.same(response.warnings?.[0], 'flink-ha: a b c d')
  t.equal(response.warnings?.[1]?.length, 120)
  t.ok((allow('u', Array(1_000).fill('w')).response.warnings?.length ?? 0) <= 16)
})

/** The document with the `at`-th place of it, counted in reading order, replaced. */
const replaceAt = (document: unknown, at: number, value: unknown): unknown => {
  const count = { left: at % placesOf(document) }
  const visit = (node: unknown): unknown => {
    if (count.left-- === 0) return value
    if (Array.isArray(node)) return node.map(visit)
    if (typeof node !== 'object' || node === null) return node
    return Object.fromEntries(Object.entries(node).map(([name, member]) => [name, visit(member)]))
  }
  return visit(document)
}
const placesOf = (node: unknown): number =>
  1 + (typeof node === 'object' && node !== null ? Object.values(node).reduce((sum, one) => sum + placesOf(one), 0) : 0)
