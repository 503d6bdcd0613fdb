// Two terms on the ConfigMap of one job, with every request and every answer as late as chance will have it: what the older
// term sent is never made after the newer term's first read was answered.
import fc, { type Scheduler } from 'fast-check'
import t from 'tap'
import { type RequestInput, Unreachable } from '../../shared/kube-client.ts'
import type { ConfigMap } from '../../shared/lock.ts'
import { ANNOTATION_TOKEN } from '../../shared/names.ts'
import { type JobMethod, JobStore } from '../../sidecar/job-store.ts'
import type { Answer } from '../../sidecar/upstream.ts'
import { seeded } from '../world/candidates.ts'
import { type KubeAnswer, KubeApi } from '../world/kube-api.ts'
import { type KubeObject, resourceOf } from '../world/kube-resources.ts'
import { holds } from '../world/seed.ts'

const CONFIG_MAPS = resourceOf('configmaps')
const NAME = 'c-00000000000000000000000000000001-config-map'
const OLD = 2_000
const NEW = 3_000

/** What a JVM does next; each write carries a value of its own. */
const STEPS = ['read', 'put', 'put what it read first', 'put blindly', 'patch', 'json patch', 'delete', 'make'] as const
type Step = (typeof STEPS)[number]

/** `uid`: of the object that was written, as it was before. */
type Accepted = { by: string; method: string; uid: string; body: string }

/** The API server behind a network that delays, and loses answers, as chance will have it. */
class Network {
  readonly api = new KubeApi({ now: () => 1e12, random: seeded(1), namespaces: ['ns'] })
  readonly accepted: Accepted[] = []
  /** Writes that were sent without a term. */
  readonly unfounded: string[] = []
  #chance: Scheduler
  #loses: () => boolean

  constructor(chance: Scheduler, loses: () => boolean) {
    this.#chance = chance
    this.#loses = loses
    this.api.store.create(CONFIG_MAPS, 'ns', { metadata: { name: NAME }, data: { value: 'first' } })
  }
  client(by: string, term: () => number | undefined) {
    return {
      request: async (method: string, path: string, { body, contentType }: RequestInput) => {
        const headers = { 'content-type': contentType ?? 'application/json' }
        if (method !== 'GET' && term() === undefined) this.unfounded.push(`${by} ${method}`)
        await this.#chance.schedule(Promise.resolve(), `${by} ${method} arrives`)
        const uid = this.real?.metadata.uid ?? ''
        const answer = (await this.api.handle({ method, path, headers, body })) as KubeAnswer
        const isWrite = method !== 'GET' && answer.status < 300
        if (isWrite) this.accepted.push({ by, method, uid, body: JSON.stringify(body) ?? '' })
        await this.#chance.schedule(Promise.resolve(), `${by} ${method} is answered ${answer.status}`)
        if (this.#loses()) throw new Unreachable('lost')
        return { status: answer.status, headers: {}, body: answer.body }
      },
    }
  }
  get real(): KubeObject | undefined {
    return this.api.store.find(CONFIG_MAPS, 'ns', NAME)
  }
}

class Jvm {
  readonly store: JobStore
  readonly name: string
  token: number | undefined
  fenced = 0
  /** Values that were answered 2xx, as they were answered. */
  readonly written: string[] = []
  /** The object that this JVM was first told of, and how many writes the API server had taken by then. */
  told: { uid: string; writes: number } | undefined
  #network: Network
  #read: ConfigMap[] = []
  #values = 0

  constructor(name: string, network: Network) {
    this.name = name
    this.#network = network
    this.store = new JobStore({
      client: network.client(name, () => this.token),
      namespace: () => 'ns',
      monoMs: () => 0,
      term: () => this.token,
      onFenced: () => void this.fenced++,
      onOversize: () => {},
    })
  }
  /** The tests of one JVM's threads: each does its steps one after the other. */
  async play(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#do(step)
  }
  async #do(step: Step): Promise<void> {
    if (step === 'read') return await this.#look()
    const value = `${this.name}-${++this.#values}`
    const seen = step === 'put what it read first' ? this.#read[0] : this.#read.at(-1)
    const data = { ...seen?.data, value }
    const blind = { metadata: { name: NAME }, data: { value } }
    switch (step) {
      case 'put':
      case 'put what it read first':
        return await this.#write('PUT', seen === undefined ? blind : { ...seen, data }, value)
      case 'put blindly':
        return await this.#write('PUT', blind, value)
      case 'patch':
        return await this.#write('PATCH', { data: { value } }, value, 'application/merge-patch+json')
      case 'json patch': {
        const operations = [{ op: 'add', path: '/data', value: { value } }]
        return await this.#write('PATCH', operations, value, 'application/json-patch+json')
      }
      case 'delete':
        return await this.#write('DELETE', {}, '')
      default:
        return await this.#write('POST', { metadata: { name: NAME } }, '')
    }
  }
  async #look(): Promise<void> {
    const hadTerm = this.token
    const { status, body } = await this.store.read(NAME)
    if (status !== 200) return
    this.#read.push(body as ConfigMap)
    const uid = (body as ConfigMap).metadata.uid ?? ''
    if (hadTerm !== undefined && this.token === hadTerm) this.told ??= { uid, writes: this.#network.accepted.length }
  }
  async #write(method: JobMethod, body: unknown, value: string, contentType = 'application/json'): Promise<void> {
    const answer: Answer = await this.store.write(method, NAME, body, contentType)
    if (answer.status >= 300) return
    this.written.push(value)
    if (method !== 'DELETE') this.#read.push(answer.body as ConfigMap)
  }
}

const steps = fc.array(fc.constantFrom<Step>(...STEPS), { minLength: 1, maxLength: 6 })
const threads = fc.array(steps, { minLength: 1, maxLength: 3 })
const STORY = {
  chance: fc.scheduler(),
  old: threads,
  next: threads,
  /** The old term ends, and the new one begins, after so many deliveries. */
  change: fc.nat({ max: 30 }),
  /** The old one never hears of its end: it may not rely on that. */
  stubborn: fc.boolean(),
  loses: fc.constant(() => false),
}
type Story = {
  chance: Scheduler
  old: Step[][]
  next: Step[][]
  change: number
  stubborn: boolean
  loses: () => boolean
}

/** One answer in so many is lost. */
const losing = fc.infiniteStream(fc.nat({ max: 7 })).map(stream => (): boolean => stream.next().value === 0)

/** Delivers what is under way, in any order, until all is done. */
const delivered = async (chance: Scheduler, all: Promise<unknown>): Promise<void> => {
  let done = false
  const end = all.finally(() => {
    done = true
  })
  while (!done) {
    if (chance.count() > 0) await chance.waitOne()
    else await new Promise(resolve => setImmediate(resolve))
  }
  await end
}

const played = async ({ chance, old, next, change, stubborn, loses }: Story) => {
  const network = new Network(chance, loses)
  const [older, newer] = [new Jvm('old', network), new Jvm('new', network)]
  older.token = OLD
  const turn = async (): Promise<void> => {
    for (let i = 0; i < change; i++) await chance.schedule(Promise.resolve(), 'time passes')
    if (!stubborn) older.token = undefined
    newer.token = NEW
    // The first thing that a new leader does with a job is to read it.
    await Promise.all(next.map(thread => newer.play(['read', ...thread])))
  }
  await delivered(chance, Promise.all([turn(), ...old.map(thread => older.play(thread))]))
  return { network, older, newer }
}

/** Whether the store tells what is there. */
const tellsTheTruth = async (chance: Scheduler, { network }: { network: Network }, jvm: Jvm): Promise<boolean> => {
  const read = jvm.store.read(NAME)
  await delivered(chance, read)
  const { status, body } = await read
  const { real } = network
  if (real === undefined) return status === 404
  return status === 200 && (body as ConfigMap).metadata.resourceVersion === real.metadata.resourceVersion
}

t.test('an older term’s write is never made after the newer term’s first read was answered', async t => {
  let heard = 0
  const property = fc.asyncProperty(fc.record({ ...STORY, loses: losing }), async story => {
    const { network, newer } = await played(story)
    if (network.unfounded.length > 0) throw new Error(`sent without a term: ${network.unfounded}`)
    const { told } = newer
    if (told === undefined) return
    heard++
    // One that was made anew since is another object: a creation names no version; Flink creates them empty.
    const late = network.accepted.slice(told.writes).filter(({ by, uid }) => by === 'old' && uid === told.uid)
    if (late.length > 0) throw new Error(`made all the same: ${JSON.stringify(late)}`)
  })
  await holds(t, property, 2_000)
  t.ok(heard > 0, `${heard} terms were told something`)
})

const CALM: Step[] = ['read', 'put', 'put blindly', 'patch', 'json patch']

t.test('what the newer term was answered is there in the end, with its token, whatever the older one sent', async t => {
  const calm = fc.array(fc.array(fc.constantFrom(...CALM), { maxLength: 6 }), { minLength: 1, maxLength: 3 })
  const alone = fc.constantFrom<Step[][]>([['put', 'patch', 'put']], [['put', 'put blindly']], [['json patch']])
  const property = fc.asyncProperty(fc.record({ ...STORY, old: calm, next: alone }), async story => {
    const { network, newer } = await played(story)
    const { real } = network
    const value = (real?.['data'] as { value?: string } | undefined)?.value
    if (newer.written.length === 0) throw new Error('the newer term wrote nothing')
    if (value !== newer.written.at(-1)) throw new Error(`${value} is there, ${newer.written.at(-1)} was answered`)
    if (real?.metadata.annotations?.[ANNOTATION_TOKEN] !== String(NEW)) throw new Error('without the token')
  })
  await holds(t, property, 500)
})

t.test(
  'what is told in a term is what is there, in the first, the second, and the next of the first pod again',
  async t => {
    const property = fc.asyncProperty(
      fc.record({ ...STORY, loses: losing, stubborn: fc.constant(false) }),
      async story => {
        const lost = { now: true }
        const all = await played({ ...story, loses: () => lost.now && story.loses() })
        lost.now = false
        if (!(await tellsTheTruth(story.chance, all, all.newer)))
          throw new Error('the newer term is told another thing')
        all.newer.token = undefined
        all.older.token = NEW + 1_000
        if (!(await tellsTheTruth(story.chance, all, all.older))) throw new Error('the next term is told another thing')
      },
    )
    await holds(t, property, 1_000)
  },
)

t.test('an answer that comes in a later term of the same pod is not taken for its present', async t => {
  const property = fc.asyncProperty(
    fc.record({ ...STORY, old: fc.constant<Step[][]>([['read'], ['patch']]) }),
    async story => {
      const { chance } = story
      const network = new Network(chance, () => false)
      const [older, newer] = [new Jvm('old', network), new Jvm('new', network)]
      older.token = OLD
      const turns = async (): Promise<void> => {
        for (let i = 0; i < story.change; i++) await chance.schedule(Promise.resolve(), 'time passes')
        older.token = undefined
        newer.token = NEW
        await newer.play(['read', 'patch'])
        newer.token = undefined
        older.token = NEW + 1_000
        await older.play(['read'])
      }
      await delivered(chance, Promise.all([turns(), ...story.old.map(thread => older.play(thread))]))
      if (!(await tellsTheTruth(chance, { network }, older))) throw new Error('it is told what an older term knew')
    },
  )
  await holds(t, property, 1_000)
})

t.test('nobody without a term writes anything', async t => {
  const property = fc.asyncProperty(fc.scheduler(), threads, async (chance, all) => {
    const network = new Network(chance, () => false)
    const jvm = new Jvm('nobody', network)
    await delivered(chance, Promise.all(all.map(thread => jvm.play(thread))))
    if (network.accepted.length > 0) throw new Error(JSON.stringify(network.accepted))
  })
  await holds(t, property, 200)
})
