// The API in process, with time and webhooks in the test's hands.
import t, { type Test } from 'tap'
import type { CallWebhook } from './kube-admission.ts'
import { type ApiOptions, type KubeAnswer, KubeApi } from './kube-api.ts'
import type { Body } from './kube-probe.ts'
import type { WatchEvent } from './kube-watch.ts'

const PODS = '/api/v1/namespaces/flink/pods'
const MAPS = '/api/v1/namespaces/flink/configmaps'
const pod = (name: string, labels: object = {}) => ({
  metadata: { name, labels },
  spec: { containers: [{ name: 'c' }] },
})

/** Timers that fire when told. */
class Timers {
  nowMs = 0
  #pending: { atMs: number; run: () => void }[] = []

  after = (delayMs: number, run: () => void): (() => void) => {
    const timer = { atMs: this.nowMs + delayMs, run }
    this.#pending.push(timer)
    return () => {
      this.#pending = this.#pending.filter(other => other !== timer)
    }
  }

  advance(ms: number): void {
    const endMs = this.nowMs + ms
    for (;;) {
      const due = this.#pending.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      this.#pending = this.#pending.filter(other => other !== due)
      this.nowMs = due.atMs
      due.run()
    }
    this.nowMs = endMs
  }

  get pending(): number {
    return this.#pending.length
  }
}

const newApi = (options: ApiOptions = {}): KubeApi => new KubeApi({ namespaces: ['flink'], ...options })

const ask = async (
  api: KubeApi,
  method: string,
  path: string,
  body?: unknown,
): Promise<KubeAnswer & { body: Body }> => {
  const answer = await api.handle({ method, path, body })
  if ('watch' in answer) throw new Error('a watch was opened')
  return answer
}

const openWatch = async (api: KubeApi, query: string) => {
  const answer = await api.handle({ method: 'GET', path: `${MAPS}?watch=true&${query}` })
  if (!('watch' in answer)) throw new Error(`no watch was opened: ${answer.status}`)
  const events: WatchEvent[] = []
  const seen = { events, ended: false, stream: answer.watch }
  answer.watch.start({ event: event => events.push(event), end: () => (seen.ended = true) })
  return seen
}

t.test('a watch gets a bookmark a minute, and one before its time is up', async t => {
  const timers = new Timers()
  const api = newApi({ after: timers.after })
  const marked = await openWatch(api, 'allowWatchBookmarks=true&timeoutSeconds=150')
  const plain = await openWatch(api, 'timeoutSeconds=150')
  timers.advance(149_000)
  t.strictSame(
    marked.events.map(({ type }) => type),
    ['BOOKMARK', 'BOOKMARK'],
  )
  t.notOk(marked.ended)
  timers.advance(1_000)
  t.equal(marked.events.length, 3)
  t.ok(marked.ended && plain.ended)
  t.strictSame(plain.events, [])
  t.equal(timers.pending, 0, 'no timer is left')
  await ask(api, 'POST', MAPS, { metadata: { name: 'late' } })
  t.equal(marked.events.length, 3, 'nothing is told after the end')
})

t.test('a watch that is closed leaves nothing behind; one that expires says so', async t => {
  const timers = new Timers()
  const api = newApi({ after: timers.after })
  const closed = await openWatch(api, 'allowWatchBookmarks=true')
  closed.stream.close()
  t.notOk(closed.ended)
  const expired = await openWatch(api, '')
  expired.stream.expire()
  t.match(expired.events, [{ type: 'ERROR', object: { code: 410 } }])
  t.ok(expired.ended)
  t.equal(timers.pending, 0)
})

t.test('answers are copies', async t => {
  const api = newApi()
  const made = await ask(api, 'POST', MAPS, { metadata: { name: 'a' }, data: { k: 'v' } })
  made.body.data.k = 'changed'
  t.equal((await ask(api, 'GET', `${MAPS}/a`)).body.data.k, 'v')
})

type Review = { request: Body }
const webhook = (name: string, more: object = {}) => ({
  name,
  clientConfig: { url: `https://${name}/` },
  rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
  sideEffects: 'None',
  ...more,
})
const patchOf = (...operations: object[]): string => Buffer.from(JSON.stringify(operations)).toString('base64')
const allow = ({ request }: Review, more: object = {}) => ({ response: { uid: request.uid, allowed: true, ...more } })

/** An API with webhooks, and the reviews that they got. */
const withWebhooks = async (t: Test, webhooks: object[], answer: (review: Review, url: string) => unknown) => {
  const timers = new Timers()
  const reviews: Body[] = []
  const callWebhook: CallWebhook = async ({ url = '' }, review) => {
    reviews.push((review as Review).request)
    return answer(review as Review, url)
  }
  const api = newApi({ callWebhook, after: timers.after })
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'
  t.equal((await ask(api, 'POST', path, { metadata: { name: 'hooks' }, webhooks })).status, 201)
  return { api, reviews, timers }
}

t.test('a webhook sees a new pod, and its patch and warnings are taken', async t => {
  const { api, reviews } = await withWebhooks(t, [webhook('one'), webhook('two')], (review, url) => {
    const key = url.includes('one') ? 'one' : 'two'
    const patch = patchOf({ op: 'add', path: `/metadata/labels/${key}`, value: 'yes' })
    return allow(review, { patch, patchType: 'JSONPatch', warnings: [`from "${key}"`] })
  })
  const made = await ask(api, 'POST', PODS, pod('a', { app: 'x' }))
  t.equal(made.status, 201)
  t.strictSame(made.body.metadata.labels, { app: 'x', one: 'yes', two: 'yes' })
  t.strictSame(made.headers['warning'], ['299 - "from \\"one\\""', '299 - "from \\"two\\""'])
  t.match(reviews[0], { operation: 'CREATE', namespace: 'flink', name: 'a', dryRun: false, kind: { kind: 'Pod' } })
  t.match(reviews[0].object, { kind: 'Pod', apiVersion: 'v1', metadata: { namespace: 'flink' } })
  t.equal(reviews[1].object.metadata.labels.one, 'yes', 'the second sees what the first did')
  await ask(api, 'PATCH', `${PODS}/a`, {})
  await ask(api, 'POST', MAPS, { metadata: { name: 'a' } })
  t.equal(reviews.length, 2, 'nothing but the creation of pods is shown')
})

t.test('selectors and rules decide which webhooks are asked', async t => {
  const injected = { matchLabels: { 'flink-ha.io/injection': 'enabled' } }
  const { api, reviews } = await withWebhooks(
    t,
    [
      webhook('by-namespace', { namespaceSelector: injected }),
      webhook('by-name', {
        namespaceSelector: {
          matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['flink'] }],
        },
      }),
      webhook('by-object', { objectSelector: { matchExpressions: [{ key: 'component', operator: 'Exists' }] } }),
      webhook('other', { rules: [{ operations: ['UPDATE'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }] }),
    ],
    review => allow(review),
  )
  await ask(api, 'POST', PODS, pod('a'))
  t.equal(reviews.length, 0)
  await ask(api, 'POST', PODS, pod('b', { component: 'jobmanager' }))
  t.equal(reviews.length, 1)
  const label = { metadata: { labels: { 'flink-ha.io/injection': 'enabled' } } }
  const headers = { 'content-type': 'application/merge-patch+json' }
  await api.handle({ method: 'PATCH', path: '/api/v1/namespaces/flink', headers, body: label })
  await ask(api, 'POST', PODS, pod('c'))
  t.equal(reviews.length, 2)
})

t.test("a pod that is denied is not made, and the words are the webhook's", async t => {
  const status = { code: 403, message: 'not here' }
  const { api } = await withWebhooks(t, [webhook('one')], ({ request }) => ({
    response: { uid: request.uid, allowed: false, status },
  }))
  const { status: code, body } = await ask(api, 'POST', PODS, pod('a'))
  t.equal(code, 403)
  t.equal(body.message, 'admission webhook "one" denied the request: not here')
  t.equal((await ask(api, 'GET', `${PODS}/a`)).status, 404)
})

t.test('a webhook that fails stops the pod, unless its policy is to ignore that', async t => {
  const answers: { [what: string]: (review: Review) => unknown } = {
    'refuses the connection': () => Promise.reject(new Error('connection refused')),
    'answers nothing': () => undefined,
    'answers another uid': () => ({ response: { uid: 'x', allowed: true } }),
  }
  for (const [what, answer] of Object.entries(answers)) {
    const strict = await withWebhooks(t, [webhook('one', { failurePolicy: 'Fail' })], answer)
    const failed = await ask(strict.api, 'POST', PODS, pod('a'))
    t.equal(failed.status, 500, what)
    t.match(failed.body.message, 'failed calling webhook "one"')
    const lenient = await withWebhooks(t, [webhook('one', { failurePolicy: 'Ignore' })], answer)
    t.equal((await ask(lenient.api, 'POST', PODS, pod('a'))).status, 201, what)
  }
  const broken = await withWebhooks(t, [webhook('one', { failurePolicy: 'Ignore' })], review =>
    allow(review, { patch: patchOf({ op: 'remove', path: '/nothing' }) }),
  )
  t.equal((await ask(broken.api, 'POST', PODS, pod('a'))).status, 500, 'a bad patch is never ignored')
})

t.test('a webhook that does not answer is given up after its time', async t => {
  const { api, timers } = await withWebhooks(t, [webhook('one', { timeoutSeconds: 3 })], () => new Promise(() => {}))
  const asked = ask(api, 'POST', PODS, pod('a'))
  await new Promise(resolve => setImmediate(resolve))
  timers.advance(2_999)
  t.equal(timers.pending, 1)
  timers.advance(1)
  const { status, body } = await asked
  t.equal(status, 500)
  t.match(body.message, 'context deadline exceeded')
})

t.test('a dry run is told to webhooks without side effects, and refused by others', async t => {
  const fine = await withWebhooks(t, [webhook('one')], review => allow(review))
  t.equal((await ask(fine.api, 'POST', `${PODS}?dryRun=All`, pod('a'))).status, 201)
  t.equal(fine.reviews[0].dryRun, true)
  t.equal((await ask(fine.api, 'GET', `${PODS}/a`)).status, 404)
  const other = await withWebhooks(t, [webhook('one', { sideEffects: 'Some' })], review => allow(review))
  t.equal((await ask(other.api, 'POST', `${PODS}?dryRun=All`, pod('a'))).status, 400)
})
