import fc from 'fast-check'
import t from 'tap'
import { ANNOTATION_LEADER, LEADER_KEY_PREFIX } from '../../shared/names.ts'
import { applyPatch, decideLockWrite, difference, type LockWriteInput } from '../../sidecar/lock-write.ts'

const KEYS = ['dispatcher', 'resourcemanager', 'restserver'].map(name => LEADER_KEY_PREFIX + name)
const record = (holder: string): string => `{"holderIdentity":"${holder}","leaseDuration":"PT15S"}`
const current = { metadata: { name: 'c-cluster-config-map', resourceVersion: '20' }, data: { a: '1', b: '2' } }
const decide = (input: Partial<LockWriteInput>) =>
  decideLockWrite({ method: 'PUT', contentType: 'application/json', body: {}, current, dataSince: '15', ...input })
const merge = 'application/merge-patch+json; charset=utf-8'
const body = (fields: { data?: unknown; version?: string; holder?: string; name?: string }) => ({
  metadata: {
    name: fields.name ?? 'c-cluster-config-map',
    ...(fields.version !== undefined && { resourceVersion: fields.version }),
    annotations: { [ANNOTATION_LEADER]: record(fields.holder ?? 'j') },
  },
  ...('data' in fields && { data: fields.data }),
})

t.test('a renewal is absorbed whatever version it was read at', async t => {
  for (const version of ['1', '20', '99', 'x', ''])
    t.match(decide({ method: 'PATCH', contentType: merge, body: body({ version }) }), {
      kind: 'absorb',
      claim: { record: { holder: 'j' }, spelling: 'iso' },
    })
  t.match(
    decide({ body: body({ version: '1', data: { a: '1', b: '2' } }) }),
    { kind: 'absorb' },
    'also as a PUT with the same data (1.17)',
  )
})

t.test('a vacated record is a release', async t => {
  t.match(decide({ method: 'PATCH', contentType: merge, body: body({ holder: '' }) }), { kind: 'release' })
})

t.test('changed data becomes a patch of what changed, rebased over renewals', async t => {
  t.match(decide({ body: body({ version: '15', data: { a: '1', c: '3' } }) }), {
    kind: 'data',
    patch: { b: null, c: '3' },
    stops: false,
  })
})

t.test('data that was read before the data last changed is stale', async t => {
  t.match(decide({ body: body({ version: '14', data: { a: '9' } }) }), { kind: 'stale' })
  t.match(decide({ body: body({ data: { a: '9' } }) }), { kind: 'stale' }, 'and so is a replacement that does not say')
  t.match(decide({ body: body({ version: 'x', data: { a: '9' } }) }), { kind: 'stale' })
})

t.test('a renewal written as PUT cannot undo a data write', async t => {
  t.match(decide({ body: body({ version: '14', data: { a: '1' } }) }), { kind: 'stale' })
})

t.test('the removal of the last key of the process means that it stops, of a job means nothing', async t => {
  const data = { [KEYS[0] as string]: 's,a', [`${LEADER_KEY_PREFIX}job-1`]: 's,a' }
  const led = { ...current, data }
  t.match(decide({ current: led, body: body({ version: '20', data: { [`${LEADER_KEY_PREFIX}job-1`]: 's,a' } }) }), {
    kind: 'data',
    publishes: false,
    stops: true,
  })
  t.match(decide({ current: led, body: body({ version: '20', data: { [KEYS[0] as string]: 's,b' } }) }), {
    kind: 'data',
    publishes: true,
    stops: false,
  })
})

t.test('bad input names what is wrong', async t => {
  t.match(decide({ method: 'PATCH', contentType: 'text/plain', body: [] }), { kind: 'bad', status: 415 })
  const jsonPatch = 'application/json-patch+json'
  t.match(decide({ method: 'PATCH', contentType: jsonPatch, body: {} }), { kind: 'bad', status: 400 })
  const missing = [{ op: 'remove', path: '/data/none' }]
  t.match(decide({ method: 'PATCH', contentType: jsonPatch, body: missing }), { kind: 'bad', status: 422 })
  t.match(decide({ body: [] }), { kind: 'bad', status: 400 })
  t.match(decide({ body: body({ name: 'other' }) }), { kind: 'bad', status: 400, message: /"other"/ })
  t.match(decide({ body: body({ version: '20', data: { a: 7 } }) }), {
    kind: 'bad',
    status: 422,
    message: 'data["a"] is 7, not a string',
  })
  t.match(decide({ body: body({ version: '20', data: 'x' }) }), { kind: 'bad', status: 422 })
})

t.test('a merge patch removes a key by null, and all by null for the whole', async t => {
  t.match(decide({ method: 'PATCH', contentType: merge, body: { metadata: {}, data: { a: null } } }), {
    kind: 'data',
    patch: { a: null },
  })
  t.match(decide({ method: 'PATCH', contentType: merge, body: { metadata: {}, data: null } }), {
    kind: 'data',
    patch: { a: null, b: null },
  })
})

t.test('a JSON patch of the data becomes a patch of the data, and of the record a claim', async t => {
  const patch = (body: unknown) => decide({ method: 'PATCH', contentType: 'application/json-patch+json', body })
  t.match(patch([{ op: 'add', path: '/data/c', value: '3' }]), { kind: 'data', patch: { c: '3' } })
  t.match(patch([{ op: 'test', path: '/data/a', value: '1' }]), { kind: 'nothing' })
  const annotations = { [ANNOTATION_LEADER]: record('j') }
  t.match(patch([{ op: 'add', path: '/metadata/annotations', value: annotations }]), {
    kind: 'absorb',
    claim: { record: { holder: 'j' } },
  })
})

t.test('a difference, applied, is what was wanted', async () => {
  const map = fc.dictionary(fc.string(), fc.string()).map(object => ({ ...object }))
  fc.assert(
    fc.property(map, map, (from, to) => {
      const result = applyPatch(from, difference(from, to))
      const keys = Object.keys(to)
      return keys.length === Object.keys(result).length && keys.every(key => result[key] === to[key])
    }),
    { verbose: true },
  )
})
