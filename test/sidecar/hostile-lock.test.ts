// A lock whose annotations somebody else wrote into, before a term and under it: nobody falls over, nobody leads beside
// another, and nobody storms the API server.
import t, { type Test } from 'tap'
import {
  ANNOTATION_CANDIDATES,
  ANNOTATION_JVM,
  ANNOTATION_LEADER,
  ANNOTATION_REASON,
  ANNOTATION_SUCCESSOR,
  ANNOTATION_TOKEN,
} from '../../shared/names.ts'
import type { LeaderDocument } from '../../sidecar/leader.ts'
import { HandMadeJvm, PATH } from '../world/hand-made-jvm.ts'
import { resourceOf } from '../world/kube-resources.ts'
import type { KubeServer } from '../world/kube-server.ts'
import { LOCK, NAMESPACE, TEST_TIMINGS, TestSidecar } from '../world/sidecar.ts'
import { anApi, until, VACANT_LOCK } from '../world/stage.ts'

const CONFIG_MAPS = resourceOf('configmaps')
const LONG = 'x'.repeat(100_000)
const many = (address: (i: number) => unknown): string =>
  JSON.stringify(Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`jm-${i}_uid`, address(i)])))

const HOSTILE: { [name: string]: { [annotation: string]: string } } = {
  'a token of words': { [ANNOTATION_TOKEN]: 'soon' },
  'no token': { [ANNOTATION_TOKEN]: '' },
  'a negative token': { [ANNOTATION_TOKEN]: '-5' },
  'a broken token': { [ANNOTATION_TOKEN]: '1.5' },
  'an endless token': { [ANNOTATION_TOKEN]: 'Infinity' },
  'a token of 400 digits': { [ANNOTATION_TOKEN]: '9'.repeat(400) },
  'a token above all': { [ANNOTATION_TOKEN]: String(2 ** 53) },
  'the highest token': { [ANNOTATION_TOKEN]: String(2 ** 52) },
  'a successor of words': { [ANNOTATION_SUCCESSOR]: 'nobody at all' },
  'a long successor': { [ANNOTATION_SUCCESSOR]: LONG },
  'the other pod as successor': { [ANNOTATION_SUCCESSOR]: 'jm-1_uid' },
  'the pod itself as successor': { [ANNOTATION_SUCCESSOR]: 'jm-0_uid' },
  'candidates that are no JSON': { [ANNOTATION_CANDIDATES]: '{"jm-1_uid":' },
  'candidates that are a list': { [ANNOTATION_CANDIDATES]: '[1,2,3]' },
  'many candidates nowhere': { [ANNOTATION_CANDIDATES]: many(i => `127.0.0.1:${1 + (i % 1_000)}`) },
  'many candidates at no address': { [ANNOTATION_CANDIDATES]: many(() => 'example.com:80') },
  'candidates of every kind': {
    [ANNOTATION_CANDIDATES]: JSON.stringify({ a: null, b: 7, c: {}, __proto__: [], d: LONG }),
  },
  'a long reason and a long JVM': { [ANNOTATION_REASON]: LONG, [ANNOTATION_JVM]: LONG },
  'a record of everything': { [ANNOTATION_LEADER]: LONG },
}

type Scene = { api: KubeServer; pods: { sidecar: TestSidecar; jvm: HandMadeJvm }[] }

/** Two pods with a Flink each; the first one starts first. */
const scene = async (t: Test, annotations: object): Promise<Scene> => {
  const api = await anApi()
  t.teardown(() => api.close())
  const { metadata } = VACANT_LOCK
  api.store.create(CONFIG_MAPS, NAMESPACE, {
    metadata: { ...metadata, annotations: { ...metadata.annotations, ...annotations } },
  })
  const pods: Scene['pods'] = []
  for (const i of [0, 1]) {
    const jvm = new HandMadeJvm(`jvm-${i}`)
    await jvm.start()
    const sidecar = new TestSidecar({ apiUrl: api.url, name: `jm-${i}`, jvmPort: jvm.port })
    await sidecar.start()
    jvm.url = sidecar.url
    t.teardown(async () => {
      await sidecar.crash()
      await jvm.die()
    })
    pods.push({ sidecar, jvm })
    // Held until its pod leads, or for 8 s.
    jvm.ask('GET', `${PATH}/${LOCK}`).catch(() => {})
    await until(() => sidecar.candidate.standing && sidecar.candidate.synced)
  }
  return { api, pods }
}
const leaders = ({ pods }: Scene): TestSidecar[] => pods.map(pod => pod.sidecar).filter(s => s.candidate.leading())
/** Of the pods; what the test does itself goes not over HTTP. */
const asked = ({ api }: Scene, method?: string): number =>
  api.requests.filter(request => method === undefined || request.method === method).length

/** For so long, with never more than one leader, and each endpoint alive. */
const watched = async (t: Test, all: Scene, ms: number): Promise<void> => {
  const end = Date.now() + ms
  while (Date.now() < end) {
    if (leaders(all).length > 1) t.fail('two leaders')
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  for (const { sidecar } of all.pods)
    for (const path of ['/healthz', '/readyz', '/members', '/history', '/metrics'])
      t.equal((await fetch(`${sidecar.url}${path}`)).status, 200, path)
}
const WATCH_MS = 1.2 * TEST_TIMINGS.retryMs
/** A write of the leader’s in each period, a join of each pod, and some to spare. */
const PEACEFUL = 12

for (const [name, annotations] of Object.entries(HOSTILE)) {
  const isRecord = ANNOTATION_LEADER in annotations
  t.test(`${name}, before anybody leads`, async t => {
    const all = await scene(t, annotations)
    await until(() => leaders(all).length === 1)
    const [leader] = leaders(all)
    t.ok(Number.isSafeInteger(leader?.candidate.token), `token ${leader?.candidate.token}`)
    t.ok((leader?.candidate.token ?? 0) > 0)
    const before = asked(all)
    await watched(t, all, WATCH_MS)
    t.ok(asked(all) - before <= PEACEFUL, `${asked(all) - before} requests`)
  })

  t.test(`${name}, under a leader`, async t => {
    const all = await scene(t, {})
    await until(() => leaders(all).length === 1)
    const leader = leaders(all)[0] as TestSidecar
    const { token } = leader.candidate
    const before = asked(all)
    all.api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { metadata: { annotations } })
    await watched(t, all, WATCH_MS)
    t.ok(asked(all) - before <= PEACEFUL, `${asked(all) - before} requests`)
    if (!isRecord) {
      t.same(leaders(all), [leader], 'the term goes on')
      t.equal(leader.candidate.token, token, 'under its own token')
      const told = (await (await fetch(`${leader.url}/leader`)).json()) as LeaderDocument
      t.match(told, { name: 'jm-0', isLeader: true })
    } else {
      await until(() => leaders(all).length === 1)
      t.ok((leaders(all)[0]?.candidate.token ?? 0) > token, 'another term has a higher token')
    }
    const real = () => all.api.store.get(CONFIG_MAPS, NAMESPACE, LOCK).metadata.annotations ?? {}
    await until(() => !(ANNOTATION_SUCCESSOR in real()))
    t.pass('and the lock says again what is')
  })
}

t.test('what is told of the leader while a hostile successor stands in the lock is never an empty name', async t => {
  const all = await scene(t, {})
  await until(() => leaders(all).length === 1)
  const seen = new Set<string>()
  for (let i = 0; i < 20; i++) {
    const annotations = { [ANNOTATION_SUCCESSOR]: `jm-${i}_uid` }
    all.api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { metadata: { annotations } })
    await new Promise(resolve => setTimeout(resolve, 20))
    for (const { sidecar } of all.pods) {
      const told = (await (await fetch(`${sidecar.url}/leader`)).json()) as LeaderDocument
      seen.add(String(told.name))
    }
  }
  t.notOk(seen.has(''), [...seen].join())
})
