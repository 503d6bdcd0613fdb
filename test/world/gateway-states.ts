// A sidecar in each state in which a JVM's request may find it, on a clock that the test lets go on.
import type { Test } from 'tap'
import { ANNOTATION_JVM, ANNOTATION_LEADER } from '../../shared/names.ts'
import { formatRecord, formatTime } from '../../shared/record.ts'
import type { Timings } from '../../shared/timings.ts'
import { HandMadeJvm, holderIn, PATH } from './hand-made-jvm.ts'
import { resourceOf } from './kube-resources.ts'
import type { KubeServer } from './kube-server.ts'
import { LOCK, NAMESPACE, TestSidecar } from './sidecar.ts'
import { anApi, until, VACANT_LOCK } from './stage.ts'
import { SteppedClock } from './stepped-clock.ts'

/** So long that a read may be held to its end within a term. */
const TIMINGS: Timings = { leaseMs: 60_000, renewDeadlineMs: 40_000, retryMs: 10_000 }
const CONFIG_MAPS = resourceOf('configmaps')
export const JOB = 'c-00000000000000000000000000000001-config-map'
export const LIST = `${PATH}?fieldSelector=metadata.name%3D${LOCK}&resourceVersion=0`

export const recordOf = (holder: string): string => {
  const time = formatTime(1e15)
  return formatRecord({ holder, leaseMs: 60_000, acquireTime: time, renewTime: time, transitions: 1 })
}

/** `jvm`: the one whose requests are tried. */
export type Found = { api: KubeServer; sidecar: TestSidecar; jvm: HandMadeJvm; clock: SteppedClock }

class Builder {
  readonly clock = new SteppedClock()
  readonly api: KubeServer
  #t: Test

  constructor(t: Test, api: KubeServer, lock: object) {
    this.#t = t
    this.api = api
    api.store.create(CONFIG_MAPS, NAMESPACE, lock)
    api.store.create(CONFIG_MAPS, NAMESPACE, { metadata: { name: JOB }, data: { counter: '1' } })
    // The last to be torn down, so the first to be said.
    t.teardown(() => api.close())
  }
  async sidecar(jvm: HandMadeJvm): Promise<TestSidecar> {
    const { api, clock } = this
    const sidecar = new TestSidecar({ apiUrl: api.url, name: 'jm-0', jvmPort: jvm.port, clock, timings: TIMINGS })
    await sidecar.start()
    jvm.url = sidecar.url
    this.#t.teardown(() => sidecar.crash())
    return sidecar
  }
  async jvm(identity: string): Promise<HandMadeJvm> {
    const jvm = new HandMadeJvm(identity)
    await jvm.start()
    this.#t.teardown(() => jvm.die())
    return jvm
  }
  async leading(): Promise<Found> {
    const jvm = await this.jvm('jvm-1')
    const sidecar = await this.sidecar(jvm)
    await jvm.lead()
    return { ...this, api: this.api, clock: this.clock, jvm, sidecar }
  }
}

const vacant = async (t: Test): Promise<Builder> => new Builder(t, await anApi(), VACANT_LOCK)

const noLockSeen = async (t: Test): Promise<Found> => {
  const builder = await vacant(t)
  const { api, clock } = builder
  api.fail({ status: 503, times: 1_000_000 })
  const jvm = await builder.jvm('jvm-1')
  return { api, clock, jvm, sidecar: await builder.sidecar(jvm) }
}

const follower = async (t: Test): Promise<Found> => {
  const lock = { metadata: { name: LOCK, annotations: { [ANNOTATION_LEADER]: recordOf('jm-1_uid') } } }
  const builder = new Builder(t, await anApi(), lock)
  const { api, clock } = builder
  const jvm = await builder.jvm('jvm-1')
  const sidecar = await builder.sidecar(jvm)
  await until(() => sidecar.candidate.synced)
  await jvm.ask('GET', LIST)
  return { api, clock, jvm, sidecar }
}

const notClaimed = async (t: Test): Promise<Found> => {
  const builder = await vacant(t)
  const { api, clock } = builder
  const jvm = await builder.jvm('jvm-1')
  const sidecar = await builder.sidecar(jvm)
  await jvm.ask('GET', LIST)
  while (!sidecar.candidate.ready()) await jvm.ask('GET', `${PATH}/${LOCK}`)
  return { api, clock, jvm, sidecar }
}

const claimed = async (t: Test): Promise<Found> => await (await vacant(t)).leading()

const claimedByAnother = async (t: Test): Promise<Found> => {
  const builder = await vacant(t)
  const found = await builder.leading()
  const second = await builder.jvm('jvm-2')
  second.url = found.sidecar.url
  return { ...found, jvm: second }
}

const stopped = async (t: Test): Promise<Found> => {
  const found = await claimed(t)
  await found.jvm.claim(found.sidecar.candidate.cached?.version ?? '', '')
  await until(() => found.sidecar.candidate.lock?.record?.holder === '')
  return found
}

const afterLoss = async (t: Test): Promise<Found> => {
  const found = await claimed(t)
  const annotations = { [ANNOTATION_LEADER]: recordOf('jm-1_uid') }
  found.api.store.patch(CONFIG_MAPS, NAMESPACE, LOCK, 'merge', { metadata: { annotations } })
  await until(() => found.sidecar.candidate.lock?.record?.holder === 'jm-1_uid')
  return found
}

/** Its sidecar was restarted, and has just seen its own record. */
const resuming =
  (identity: string) =>
  async (t: Test): Promise<Found> => {
    const builder = await vacant(t)
    const { api, clock } = builder
    const before = await builder.leading()
    const named = (): boolean =>
      api.store.get(CONFIG_MAPS, NAMESPACE, LOCK).metadata.annotations?.[ANNOTATION_JVM] === 'jvm-1'
    clock.advance(TIMINGS.retryMs)
    await until(named)
    await before.sidecar.crash()
    const jvm = identity === 'jvm-1' ? before.jvm : await builder.jvm(identity)
    const sidecar = await builder.sidecar(before.jvm)
    jvm.url = sidecar.url
    await until(() => sidecar.candidate.synced && sidecar.candidate.jvm.expected === 'jvm-1')
    return { api, clock, jvm, sidecar }
  }

export const STATES: { [name: string]: (t: Test) => Promise<Found> } = {
  'no lock seen': noLockSeen,
  follower,
  'not claimed': notClaimed,
  claimed,
  'by another': claimedByAnother,
  stopped,
  'after loss': afterLoss,
  resuming: resuming('jvm-1'),
  'by a new one': resuming('jvm-2'),
}

/** What there is of the JVM's doing in the real objects, in words. */
export const lookAt = ({ api }: Found): (() => string) => {
  const lock = () => api.store.find(CONFIG_MAPS, NAMESPACE, LOCK)
  const job = () => api.store.find(CONFIG_MAPS, NAMESPACE, JOB)
  const holder = (): string => (lock() === undefined ? '' : (holderIn(lock() as never) ?? ''))
  const dataOf = (object: { [field: string]: unknown } | undefined): string => JSON.stringify(object?.['data'] ?? {})
  const before = {
    holder: holder(),
    lock: dataOf(lock()),
    job: dataOf(job()),
    names: api.store.list(CONFIG_MAPS).length,
  }
  const stamp = () => job()?.metadata.annotations?.['flink-ha.io/token']
  const stampBefore = stamp()
  return () => {
    const found: string[] = []
    if (lock() === undefined) found.push('lock gone')
    else if (before.holder !== '' && holder() === '') found.push('released')
    else if (before.holder !== holder()) found.push(`now ${holder()}`)
    if (lock() !== undefined && dataOf(lock()) !== before.lock) found.push('data')
    if (job() === undefined) found.push('job gone')
    else if (dataOf(job()) !== before.job) found.push('job written')
    else if (stamp() !== stampBefore) found.push('stamped')
    const gone = [lock(), job()].filter(object => object === undefined).length
    if (api.store.list(CONFIG_MAPS).length + gone > before.names) found.push('job made')
    return found.join(', ')
  }
}
