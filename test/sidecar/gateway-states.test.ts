// Each kind of request of a JVM x each state of its sidecar: the status, whom the answer names as the leader, and what became
// of the real objects.
import { request as httpRequest } from 'node:http'
import t, { type Test } from 'tap'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { type Found, JOB, LIST, lookAt, STATES } from '../world/gateway-states.ts'
import { holderIn, PATH } from '../world/hand-made-jvm.ts'
import { resourceOf } from '../world/kube-resources.ts'
import { LOCK, NAMESPACE } from '../world/sidecar.ts'

/**
 * `409`: the status; `200 jvm-1`: with the holder that is shown, – for nobody; `(…)`: the effect. `by another`: a second JVM, where the
 * first one claimed; `by a new one`: where the sidecar was restarted, too. Only a record in the request tells one from another.
 */
const TABLE = `
request        | no lock seen | follower     | not claimed      | claimed                 | by another              | stopped      | after loss   | resuming                | by a new one
GET lock       | 503          | 503          | 200 –            | 200 jvm-1               | 200 jvm-1               | 200 jm-0_uid | 200 jm-1_uid | 200 jvm-1               | 200 jvm-1
GET lock again | 503          | 200 jm-1_uid | 200 –            | 200 jvm-1               | 200 jvm-1               | 200 jm-0_uid | 200 jm-1_uid | 200 jvm-1               | 200 jvm-1
claim          | 503          | 409          | 200 jvm-1        | 200 jvm-1               | 409                     | 409          | 409          | 200 jvm-1               | 409 (released)
renew          | 503          | 409          | 409              | 200 jvm-1               | 409                     | 409          | 409          | 200 jvm-1               | 409 (released)
renew by PUT   | 503          | 409          | 409              | 200 jvm-1               | 409                     | 409          | 409          | 200 jvm-1               | 409 (released)
release        | 503          | 409          | 409              | 200 jm-0_uid (released) | 200 jm-0_uid (released) | 409          | 409          | 200 jm-0_uid (released) | 200 jm-0_uid (released)
data           | 503          | 409          | 200 jvm-1 (data) | 200 jvm-1 (data)        | 409                     | 409          | 409          | 200 jvm-1 (data)        | 409 (released)
stale data     | 503          | 409          | 409              | 409                     | 409                     | 409          | 409          | 409                     | 409
data, no claim | 503          | 409          | 409              | 200 jvm-1 (data)        | 200 jvm-1 (data)        | 409          | 409          | 200 jvm-1 (data)        | 200 jvm-1 (data)
POST lock      | 503          | 409          | 409              | 409                     | 409                     | 409          | 409          | 409                     | 409
DELETE lock    | 503          | 409          | 409              | 200 (lock gone)         | 200 (lock gone)         | 409          | 409          | 200 (lock gone)         | 200 (lock gone)
GET job        | 503          | 200          | 200              | 200 (stamped)           | 200 (stamped)           | 200          | 200          | 200                     | 200
POST job       | 503          | 409          | 409              | 201 (job made)          | 201 (job made)          | 409          | 409          | 201 (job made)          | 201 (job made)
PUT job        | 503          | 409          | 409              | 200 (job written)       | 200 (job written)       | 409          | 409          | 409 (stamped)           | 409 (stamped)
PATCH job      | 503          | 409          | 409              | 200 (job written)       | 200 (job written)       | 409          | 409          | 200 (job written)       | 200 (job written)
DELETE job     | 503          | 409          | 409              | 200 (job gone)          | 200 (job gone)          | 409          | 409          | 200 (job gone)          | 200 (job gone)
LIST           | 503          | 200          | 200              | 200                     | 200                     | 200          | 200          | 200 (released)          | 200 (released)
LIST of 1.17   | 503          | 200          | 200              | 200                     | 200                     | 200          | 200          | 200 (released)          | 200 (released)
WATCH          | 503          | 200          | 200              | 200                     | 200                     | 200          | 200          | 200                     | 200
GET another’s  | 403          | 403          | 403              | 403                     | 403                     | 403          | 403          | 403                     | 403
GET secrets    | 404          | 404          | 404              | 404                     | 404                     | 404          | 404          | 404                     | 404
`

const CONFIG_MAPS = resourceOf('configmaps')
const JSON_TYPE = { 'content-type': 'application/json' }
const MERGE_TYPE = { 'content-type': 'application/merge-patch+json' }
const LABELS = `${PATH}?labelSelector=app%3Dc%2Cconfigmap-type%3Dhigh-availability%2Ctype%3Dflink-native-kubernetes`
const OTHER_JOB = 'c-00000000000000000000000000000002-config-map'

type Told = { status: number; holder?: string | undefined }

/** As a GET would have shown the lock, with the JVM's own record in it. */
const shown = ({ api, jvm }: Found, version?: string) => {
  const real = api.store.get(CONFIG_MAPS, NAMESPACE, LOCK)
  const metadata = { ...real.metadata, annotations: { [ANNOTATION_LEADER]: jvm.record() } }
  return { ...real, metadata: { ...metadata, ...(version !== undefined && { resourceVersion: version }) } }
}
const ask = async ({ jvm }: Found, ...args: Parameters<Found['jvm']['ask']>): Promise<Told> => {
  const { status, body } = await jvm.ask(...args)
  return { status, ...(body.metadata?.name === LOCK && { holder: holderIn(body) }) }
}
/** Only its head: a watch has no end. */
const head = ({ jvm }: Found, path: string): Promise<Told> =>
  new Promise((resolve, reject) => {
    const request = httpRequest(`${jvm.url}${path}`, { headers: { 'user-agent': 'flink' } }, response => {
      resolve({ status: response.statusCode ?? 0 })
      response.on('error', () => {})
      request.destroy()
    })
    request.on('error', reject)
    request.end()
  })
const versionOf = ({ api }: Found, name: string): string =>
  api.store.get(CONFIG_MAPS, NAMESPACE, name).metadata.resourceVersion ?? ''

const REQUESTS: { [name: string]: (found: Found) => Promise<Told> } = {
  'GET lock': found => ask(found, 'GET', `${PATH}/${LOCK}`),
  'GET lock again': async found => {
    await held(found, ask(found, 'GET', `${PATH}/${LOCK}`))
    return await ask(found, 'GET', `${PATH}/${LOCK}`)
  },
  claim: found => ask(found, 'PATCH', `${PATH}/${LOCK}`, { metadata: shown(found).metadata }, MERGE_TYPE),
  renew: found => ask(found, 'PATCH', `${PATH}/${LOCK}`, { metadata: shown(found, '1').metadata }, MERGE_TYPE),
  'renew by PUT': found => ask(found, 'PUT', `${PATH}/${LOCK}`, shown(found, '1'), JSON_TYPE),
  release: found => {
    const annotations = { [ANNOTATION_LEADER]: found.jvm.record('') }
    return ask(found, 'PATCH', `${PATH}/${LOCK}`, { metadata: { name: LOCK, annotations } }, MERGE_TYPE)
  },
  data: found => ask(found, 'PUT', `${PATH}/${LOCK}`, { ...shown(found), data: { a: '1' } }, JSON_TYPE),
  'stale data': found => ask(found, 'PUT', `${PATH}/${LOCK}`, { ...shown(found, '1'), data: { a: '1' } }, JSON_TYPE),
  'data, no claim': found => ask(found, 'PATCH', `${PATH}/${LOCK}`, { data: { a: '1' } }, MERGE_TYPE),
  'POST lock': found => ask(found, 'POST', PATH, { metadata: { name: LOCK } }, JSON_TYPE),
  'DELETE lock': found => ask(found, 'DELETE', `${PATH}/${LOCK}`, {}, JSON_TYPE),
  'GET job': found => ask(found, 'GET', `${PATH}/${JOB}`),
  'POST job': found => ask(found, 'POST', PATH, { metadata: { name: OTHER_JOB } }, JSON_TYPE),
  'PUT job': async found => {
    const { body } = await found.jvm.ask('GET', `${PATH}/${JOB}`)
    const resourceVersion = body.metadata?.resourceVersion ?? versionOf(found, JOB)
    return await ask(
      found,
      'PUT',
      `${PATH}/${JOB}`,
      { metadata: { name: JOB, resourceVersion }, data: { counter: '2' } },
      JSON_TYPE,
    )
  },
  'PATCH job': found => ask(found, 'PATCH', `${PATH}/${JOB}`, { data: { counter: '2' } }, MERGE_TYPE),
  'DELETE job': found => ask(found, 'DELETE', `${PATH}/${JOB}`, {}, JSON_TYPE),
  LIST: found => head(found, LIST),
  'LIST of 1.17': found => head(found, LABELS),
  WATCH: found => head(found, `${PATH}?watch=true&fieldSelector=metadata.name%3D${LOCK}&resourceVersion=1`),
  'GET another’s': found => ask(found, 'GET', `${PATH}/kube-root-ca.crt`),
  'GET secrets': found => ask(found, 'GET', `/api/v1/namespaces/${NAMESPACE}/secrets/x`),
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** What is held is held for 8 s at most, which pass at once when nothing else happens. */
const held = async <T>({ clock }: Found, answer: Promise<T>): Promise<T> => {
  let done = false
  const end = answer.finally(() => {
    done = true
  })
  for (let i = 0; i < 15 && !done; i++) await pause(10)
  while (!done) {
    clock.advance(8_001)
    await pause(150)
  }
  return await end
}

const inWords = ({ status, holder }: Told, effect: string): string =>
  [
    status,
    ...(holder === undefined ? [] : [holder === '' ? '–' : holder]),
    ...(effect === '' ? [] : [`(${effect})`]),
  ].join(' ')

const [names = [], ...rows] = TABLE.trim()
  .split('\n')
  .map(line => line.split('|').map(cell => cell.trim()))

const tried = async (t: Test, state: string, request: string, expected: string): Promise<void> => {
  const found = await (STATES[state] as (t: Test) => Promise<Found>)(t)
  const effect = lookAt(found)
  const told = await held(found, (REQUESTS[request] as (found: Found) => Promise<Told>)(found))
  // Effects come a moment after the answer, and what has none has to be given the time for one.
  const endMs = Date.now() + 3_000
  do await pause(60)
  while (inWords(told, effect()) !== expected && Date.now() < endMs && expected !== '')
  t.equal(inWords(told, effect()), expected)
}

for (const [column, state] of names.slice(1).entries())
  t.test(state, async t => {
    for (const [request = '', ...cells] of rows)
      await t.test(request, async t => await tried(t, state, request, cells[column] ?? ''))
  })

t.test('the table has every request and every state', async t => {
  t.same(names.slice(1), Object.keys(STATES))
  t.same(
    rows.map(([request]) => request),
    Object.keys(REQUESTS),
  )
})
