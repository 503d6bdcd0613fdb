import t from 'tap'
import { eventOf } from '../../webhook/admission-events.ts'
import { admit, failureOf } from '../../webhook/admit.ts'
import type { Facts, Injection } from '../../webhook/decide.ts'
import { decide } from '../../webhook/decide.ts'
import type { Pod } from '../../webhook/pod.ts'
import { readReview } from '../../webhook/review.ts'
import { jobManagerPod, reviewOf } from '../world/admission-review.ts'

const facts: Facts = { namespaceAsks: true, nativeSidecars: true, imageOfOurs: 'flink-ha/flink-ha:1' }
const context = { image: 'flink-ha/flink-ha:1', version: '1' }
const play = (pod: Pod, given: Partial<Facts> = {}, fields: object = {}) =>
  admit(readReview(reviewOf(pod, fields)), { ...facts, ...given }, context)
const taskManagerPod = (): Pod => ({
  metadata: { labels: { component: 'taskmanager' } },
  spec: { containers: [{ name: 'x' }] },
})
const withAnnotation = (name: string, value: string): Pod => {
  const pod = jobManagerPod()
  return { ...pod, metadata: { ...pod.metadata, annotations: { [name]: value } } }
}

t.test('an injection is a patch, and counts as one by role', async t => {
  const { answer, outcome } = play(jobManagerPod())
  t.match(answer.response, { allowed: true, patchType: 'JSONPatch' })
  t.notOk('warnings' in answer.response)
  t.match(outcome, { decision: 'inject', reason: 'jobmanager', namespace: 'flink', pod: 'jm-5d-*', regrettable: false })
})

t.test('a skip has no patch, and says why when it was not chosen', async t => {
  const { answer, outcome } = play(jobManagerPod(), { nativeSidecars: false })
  t.same(answer.response.allowed, true)
  t.notOk('patch' in answer.response || 'patchType' in answer.response)
  t.match(answer.response.warnings, [/^flink-ha: not injected: no-native-sidecars: /])
  t.match(outcome, { decision: 'skip', reason: 'no-native-sidecars', regrettable: true })
})

t.test('a skip that somebody chose is silent', async t => {
  for (const [pod, given] of [
    [withAnnotation('flink-ha.io/inject', 'false'), {}],
    [jobManagerPod(), { namespaceAsks: false }],
    [jobManagerPod(), { reserved: true }],
    [{ ...jobManagerPod(), metadata: {} }, {}],
  ] as const) {
    const { answer, outcome } = play(pod, given)
    t.notOk('warnings' in answer.response, outcome.reason)
    t.equal(outcome.regrettable, false, outcome.reason)
  }
})

t.test('a pod that asks by itself is told also what a labelled namespace would not be', async t => {
  const notFlink = { ...withAnnotation('flink-ha.io/inject', 'true') }
  delete notFlink.metadata.labels
  t.match(play(notFlink).answer.response.warnings, [/not injected: not-flink/])
  t.match(play(withAnnotation('flink-ha.io/inject', 'true'), { reserved: true }).answer.response.warnings, [
    /own-namespace/,
  ])
})

t.test('a wrong wish is refused with its name', async t => {
  const { answer, outcome } = play(withAnnotation('flink-ha.io/profile', 'quick'))
  t.match(answer.response, {
    allowed: false,
    status: { code: 400, message: /^flink-ha: annotation flink-ha.io\/profile is "quick"/ },
  })
  t.match(outcome, { decision: 'refuse', reason: 'bad-annotation' })
})

t.test('what we cannot serve: a JobManager that asked is refused, anybody else let in with a warning', async t => {
  for (const what of ['deadline', 'error'] as const) {
    const failed = (pod: Pod) => {
      const request = readReview(reviewOf(pod))
      return failureOf(request, decide(request.pod, facts) as Injection, what, 'because')
    }
    const code = what === 'deadline' ? 503 : 500
    t.match(failed(jobManagerPod()).answer.response, {
      allowed: false,
      status: { code, message: /must not run without its sidecar: because/ },
    })
    t.match(failed(taskManagerPod()).answer.response, {
      allowed: true,
      warnings: [`flink-ha: not injected: ${what}: because`],
    })
    t.match(failed(taskManagerPod()).outcome, { decision: what, reason: 'taskmanager', regrettable: true })
  }
})

t.test('a pod that cannot take the patch is never sent one', async t => {
  const volumes = [{ name: 'a' }, { name: 'a' }]
  const broken = (pod: Pod): Pod => ({ ...pod, spec: { ...pod.spec, volumes } })
  t.match(play(broken(jobManagerPod())).answer.response, { allowed: false, status: { code: 500 } })
  const { answer, outcome } = play(broken(taskManagerPod()))
  t.equal(answer.response.allowed, true)
  t.notOk('patch' in answer.response)
  t.match(outcome, { decision: 'error', message: 'two volumes would have the name a' })
})

t.test('an Event goes to what creates the pod, for what was not chosen alone', async t => {
  const { outcome } = play(jobManagerPod(), { nativeSidecars: false })
  t.match(eventOf(outcome, jobManagerPod()), {
    regarding: { kind: 'ReplicaSet', namespace: 'flink', name: 'jm-5d', uid: 'rs-1' },
    type: 'Warning',
    reason: 'NotInjected',
    note: /no-native-sidecars/,
  })
  t.equal(eventOf(outcome, taskManagerPod()), undefined, 'nobody to put it on')
  t.equal(eventOf(play(jobManagerPod()).outcome, jobManagerPod()), undefined)
  t.equal(eventOf(play(jobManagerPod(), { namespaceAsks: false }).outcome, jobManagerPod()), undefined)
})
