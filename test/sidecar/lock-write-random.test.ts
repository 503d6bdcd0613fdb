// Writers of the lock in any order, by seed: a data write that was answered is neither lost nor undone, whatever renewals and
// other writes come in between; first by the decision alone, then through a whole sidecar.
import fc from 'fast-check'
import t from 'tap'
import type { ConfigMap } from '../../shared/lock.ts'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { applyPatch, type DataPatch, decideLockWrite, difference } from '../../sidecar/lock-write.ts'
import { seeded } from '../world/candidates.ts'
import { PATH } from '../world/hand-made-jvm.ts'
import { holds } from '../world/seed.ts'
import { LOCK } from '../world/sidecar.ts'
import { stage } from '../world/stage.ts'

const RECORD = '{"holderIdentity":"j","leaseDuration":"PT15S"}'
const KEYS = ['a', 'b', 'c', '__proto__', 'toString']

/** The lock as the API server has it; each change of data is known by its version. */
class Real {
  object: ConfigMap = { metadata: { name: LOCK, resourceVersion: '100' }, data: { a: 'first' } }
  dataSince = '100'
  #version = 100
  /** What it has to be: every answered write, in order. */
  expected: { [key: string]: string } = { a: 'first' }

  renew(): void {
    this.object = { ...this.object, metadata: { ...this.object.metadata, resourceVersion: String(++this.#version) } }
  }
  change(patch: DataPatch): void {
    this.renew()
    this.object = { ...this.object, data: applyPatch(this.object.data ?? {}, patch) }
    this.dataSince = String(this.#version)
  }
}

const OF_A_WRITER = [
  'read',
  'renew by PATCH',
  'renew by PUT',
  'set by PUT',
  'set by PATCH',
  'remove by PUT',
  'stale PUT',
] as const
const step = fc.oneof(
  fc.record({
    writer: fc.nat({ max: 2 }),
    does: fc.constantFrom(...OF_A_WRITER),
    key: fc.constantFrom(...KEYS),
  }),
  fc.record({
    writer: fc.constant(-1),
    does: fc.constantFrom('renewal', 'another’s data'),
    key: fc.constantFrom(...KEYS),
  }),
)

t.test('no order of renewals and data writes loses or undoes an answered data write', async t => {
  let taken = 0
  let refused = 0
  const property = fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), steps => {
    const real = new Real()
    const reads: ConfigMap[][] = [[real.object], [real.object], [real.object]]
    let value = 0
    for (const { writer, does, key } of steps) {
      const mine = `w${writer}-${++value}`
      if (does === 'renewal') real.renew()
      else if (does === 'another’s data') {
        real.change(Object.fromEntries([[key, mine]]))
        real.expected = applyPatch(real.expected, Object.fromEntries([[key, mine]]))
      } else if (does === 'read') reads[writer]?.push(real.object)
      else {
        const seen = (does === 'stale PUT' ? reads[writer]?.[0] : reads[writer]?.at(-1)) as ConfigMap
        const metadata = { ...seen.metadata, annotations: { [ANNOTATION_LEADER]: RECORD } }
        const set: DataPatch = Object.fromEntries([[key, mine]])
        const patch: DataPatch = does === 'remove by PUT' ? Object.fromEntries([[key, null]]) : set
        const isRenewal = does.startsWith('renew')
        const data = isRenewal ? seen.data : applyPatch(seen.data ?? {}, patch)
        const method = does.endsWith('PUT') ? 'PUT' : 'PATCH'
        const body = method === 'PUT' ? { metadata, data } : isRenewal ? { metadata } : { metadata, data: patch }
        const contentType = method === 'PUT' ? 'application/json' : 'application/merge-patch+json'
        const decision = decideLockWrite({ method, contentType, body, current: real.object, dataSince: real.dataSince })
        if (isRenewal && method === 'PATCH' && decision.kind !== 'absorb')
          throw new Error(`a renewal: ${decision.kind}`)
        if (decision.kind === 'bad' || decision.kind === 'release') throw new Error(decision.kind)
        if (decision.kind === 'stale') refused++
        if (decision.kind !== 'data') continue
        taken++
        // What it meant: the difference between what it had read and what it wrote, and nothing else.
        const meant = method === 'PUT' ? difference(seen.data ?? {}, data ?? {}) : patch
        real.expected = applyPatch(real.expected, meant)
        real.change(decision.patch)
        reads[writer]?.push(real.object)
      }
      const left = difference(real.expected, real.object.data ?? {})
      if (Object.keys(left).length > 0) throw new Error(`after ${does}: ${JSON.stringify(left)}`)
    }
  })
  await holds(t, property, 3_000)
  t.ok(taken > 100 && refused > 100, `${taken} taken, ${refused} refused`)
})

const seed = Number(process.env['FLINK_HA_SEED'] ?? 1)
for (const lockKind of ['configmap', 'lease'] as const)
  t.test(`through a whole sidecar (${lockKind}) with failures on the way: what was answered 200 is there`, async t => {
    t.comment(`FLINK_HA_SEED=${seed}`)
    const random = seeded(seed)
    const { api, jvm, real, sidecar } = await stage(t, { lockKind })
    await jvm.lead()
    const { token } = sidecar.candidate
    const answered: { [key: string]: string } = {}
    const unknown = new Set<string>()
    const counts = { taken: 0, refused: 0, failed: 0 }
    /** One thread of the JVM: it alone writes its key, all write the same object. */
    const thread = async (name: string): Promise<void> => {
      for (let i = 0; i < 25; i++) {
        const { body } = await jvm.ask('GET', `${PATH}/${LOCK}`)
        if (random() < 0.3) await jvm.claim(body.metadata.resourceVersion ?? '')
        if (random() < 0.3) await new Promise(resolve => setTimeout(resolve, random() * 20))
        const value = `${name}-${i}`
        const put = { ...body, data: { ...body.data, [name]: value } }
        const { status } = await jvm.ask('PUT', `${PATH}/${LOCK}`, put, { 'content-type': 'application/json' })
        if (status === 200) {
          answered[name] = value
          unknown.delete(name)
          counts.taken++
        } else if (status === 409) counts.refused++
        else {
          // Nobody knows whether it was made: then this key says nothing until it is written again.
          unknown.add(name)
          counts.failed++
        }
      }
    }
    let done = false
    const trouble = async (): Promise<void> => {
      while (!done) {
        const luck = random()
        const match = ({ method }: { method: string }): boolean => method === 'PATCH'
        if (luck < 0.2) api.fail({ match, status: 409, times: 1 })
        else if (luck < 0.3) api.fail({ match, afterCommit: true, times: 1 })
        else if (luck < 0.4) api.fail({ match, status: 429, times: 1 })
        else if (luck < 0.5) api.breakWatches()
        api.delay(luck < 0.7 ? 0 : 10, luck < 0.85 ? 'before' : 'after')
        await new Promise(resolve => setTimeout(resolve, 250))
      }
    }
    const troubled = trouble()
    await Promise.all(['t1', 't2', 't3', 't4'].map(thread))
    done = true
    await troubled
    api.heal()
    t.comment(JSON.stringify(counts))
    t.ok(counts.taken > 10, `${counts.taken} were taken`)
    const data = (real()['data'] ?? {}) as { [key: string]: string }
    for (const [name, value] of Object.entries(answered))
      if (!unknown.has(name)) t.equal(data[name], value, `the last answered write of ${name}`)
    t.equal(sidecar.candidate.token, token, 'all in one term')
  })
