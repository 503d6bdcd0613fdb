// Answers of the API server that are late: what is kept of a job is what is there.
import t from 'tap'
import type { RequestInput } from '../../shared/kube-client.ts'
import type { ConfigMap } from '../../shared/lock.ts'
import { JobStore } from '../../sidecar/job-store.ts'
import { type KubeAnswer, KubeApi } from '../world/kube-api.ts'
import { resourceOf } from '../world/kube-resources.ts'

const NAME = 'c-00000000000000000000000000000001-config-map'
const CONFIG_MAPS = resourceOf('configmaps')

/** Requests are done at once, but for one that is told to wait, before it is made or before it is answered. */
class Scene {
  readonly api = new KubeApi({ namespaces: ['ns'] })
  readonly store: JobStore
  nowMs = 0
  #term: number | undefined = 2_000
  #waiting: (() => void)[] = []
  #holding: { method: string; when: 'before' | 'after' } | undefined

  constructor() {
    this.api.store.create(CONFIG_MAPS, 'ns', { metadata: { name: NAME }, data: { value: '1' } })
    const request = async (method: string, path: string, { body, contentType }: RequestInput) => {
      const headers = { 'content-type': contentType ?? 'application/json' }
      await this.#wait(method, 'before')
      const { status, body: object } = (await this.api.handle({ method, path, headers, body })) as KubeAnswer
      await this.#wait(method, 'after')
      return { status, headers: {}, body: object }
    }
    this.store = new JobStore({
      client: { request },
      namespace: () => 'ns',
      monoMs: () => this.nowMs,
      term: () => this.#term,
      onFenced: () => {},
      onOversize: () => {},
    })
  }
  /** The next request of this method waits for `letGo`. */
  holdNext(method: string, when: 'before' | 'after' = 'after'): void {
    this.#holding = { method, when }
  }
  async #wait(method: string, when: 'before' | 'after'): Promise<void> {
    if (this.#holding?.method !== method || this.#holding.when !== when) return
    this.#holding = undefined
    await new Promise<void>(resolve => this.#waiting.push(resolve))
  }
  turn(term: number | undefined): void {
    this.#term = term
    this.store.forget()
  }
  async held(): Promise<void> {
    while (this.#waiting.length === 0) await new Promise(resolve => setImmediate(resolve))
  }
  letGo(): void {
    for (const go of this.#waiting.splice(0)) go()
  }
  async read(): Promise<ConfigMap | undefined> {
    const { status, body } = await this.store.read(NAME)
    return status === 200 ? (body as ConfigMap) : undefined
  }
  async put(object: ConfigMap | undefined, value: string): Promise<number> {
    const body = { ...object, metadata: { name: NAME, ...object?.metadata }, data: { value } }
    return (await this.store.write('PUT', NAME, body, 'application/json')).status
  }
  /** Reads, and writes on that: the write is made, its answer waits. */
  async putHeld(value: string): Promise<{ first: ConfigMap | undefined; written: Promise<number> }> {
    const first = await this.read()
    this.holdNext('PUT')
    const written = this.put(first, value)
    await this.held()
    return { first, written }
  }
  get real(): string | undefined {
    return (this.api.store.find(CONFIG_MAPS, 'ns', NAME)?.['data'] as { value?: string } | undefined)?.value
  }
}

t.test('a request waits for the one before it, and finds what that left', async t => {
  const scene = new Scene()
  scene.holdNext('PATCH')
  const early = scene.read()
  await scene.held()
  const written = scene.put(undefined, '2')
  const late = scene.read()
  t.equal(scene.real, '1', 'the write is not sent yet')
  scene.letGo()
  t.equal((await early)?.data?.['value'], '1')
  t.equal(await written, 200)
  t.equal((await late)?.data?.['value'], '2')
})

t.test('what was deleted is not told any more, whatever was read meanwhile', async t => {
  const scene = new Scene()
  await scene.read()
  scene.holdNext('DELETE', 'before')
  const gone = scene.store.write('DELETE', NAME, {}, 'application/json')
  await scene.held()
  const late = scene.read()
  scene.letGo()
  t.equal((await gone).status, 200)
  t.equal(await late, undefined)
})

t.test('whoever waited for too long is told so, and nothing is sent for him', async t => {
  const scene = new Scene()
  const { first, written } = await scene.putHeld('2')
  const late = scene.put(first, '3')
  scene.nowMs += 5_001
  scene.letGo()
  t.equal(await written, 200)
  t.equal(await late, 503)
  t.equal(scene.real, '2')
})

t.test('an answer of an earlier term of the same pod is not kept in a later one', async t => {
  const scene = new Scene()
  const { written } = await scene.putHeld('2')
  scene.turn(undefined)
  // Another pod leads meanwhile.
  const annotations = { 'flink-ha.io/token': '3000' }
  scene.api.store.patch(CONFIG_MAPS, 'ns', NAME, 'merge', { metadata: { annotations }, data: { value: '3' } })
  scene.turn(4_000)
  scene.letGo()
  await written
  t.equal((await scene.read())?.data?.['value'], '3')
  t.equal(scene.real, '3')
})

t.test('whoever lost the term before the answer to a write may look whether it was made', async t => {
  const scene = new Scene()
  const { first, written } = await scene.putHeld('2')
  scene.turn(undefined)
  const asked = scene.read()
  scene.letGo()
  await written
  t.equal((await asked)?.data?.['value'], '2')
  t.equal(await scene.put(first, '3'), 409, 'and may not write again')
})
