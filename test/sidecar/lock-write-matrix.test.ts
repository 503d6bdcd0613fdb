// What a write of the lock becomes: method x content type x body, each cell by name.
import t from 'tap'
import { ANNOTATION_LEADER, LEADER_KEY_PREFIX } from '../../shared/names.ts'
import { decideLockWrite, type LockWrite } from '../../sidecar/lock-write.ts'

const REAL = '{"holderIdentity":"pod_uid","leaseDuration":10,"acquireTime":"","renewTime":"","leaderTransitions":1}'
const record = (holder: string): string => `{"holderIdentity":"${holder}","leaseDuration":"PT15S"}`
const KEY = `${LEADER_KEY_PREFIX}dispatcher`
const NAME = 'c-cluster-config-map'
const DATA = { a: '1', [KEY]: 's,x' }
const current = {
  metadata: { name: NAME, resourceVersion: '20', labels: { app: 'c' }, annotations: { [ANNOTATION_LEADER]: REAL } },
  data: DATA,
}
const DATA_SINCE = '15'

const PUT = 'PUT application/json'
const MERGE = 'PATCH application/merge-patch+json'
const STRATEGIC = 'PATCH application/strategic-merge-patch+json'
const JSON_PATCH = 'PATCH application/json-patch+json'
const KINDS = [PUT, MERGE, STRATEGIC, JSON_PATCH] as const
type Kind = (typeof KINDS)[number]

type Wish = { holder?: string; data?: { [key: string]: string } | null; removes?: string[]; version?: string }

/** The same wish, said as each kind of write says it. */
const bodyOf = (kind: Kind, { holder, data, removes = [], version = '20' }: Wish): unknown => {
  const annotations = holder === undefined ? {} : { [ANNOTATION_LEADER]: record(holder) }
  const metadata = { name: NAME, resourceVersion: version, annotations }
  if (kind === PUT) {
    const kept = Object.entries({ ...DATA, ...data }).filter(([key]) => !removes.includes(key))
    return { metadata, data: data === null ? undefined : Object.fromEntries(kept) }
  }
  if (kind !== JSON_PATCH) {
    const change = { ...data, ...Object.fromEntries(removes.map(key => [key, null])) }
    const names = data === null || Object.keys(change).length > 0
    return { metadata, ...(names && { data: data === null ? null : change }) }
  }
  const path = (...parts: string[]): string =>
    parts.map(part => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
  return [
    ...(version === '20' ? [] : [{ op: 'replace', path: '/metadata/resourceVersion', value: version }]),
    ...(holder === undefined
      ? []
      : [{ op: 'add', path: path('metadata', 'annotations', ANNOTATION_LEADER), value: record(holder) }]),
    ...(data === null ? [{ op: 'remove', path: '/data' }] : []),
    ...Object.entries(data ?? {}).map(([key, value]) => ({ op: 'add', path: path('data', key), value })),
    ...removes.map(key => ({ op: 'remove', path: path('data', key) })),
  ]
}
const decide = (kind: Kind, body: unknown): LockWrite => {
  const [method, contentType] = kind.split(' ') as ['PUT' | 'PATCH', string]
  return decideLockWrite({ method, contentType, body, current, dataSince: DATA_SINCE })
}

const claim = { record: { holder: 'j' }, spelling: 'iso' }
/** `but`: where a kind of write differs. */
const WISHES: { [name: string]: { wish: Wish; is: object; but?: { [kind in Kind]?: object } } } = {
  'a claim or renewal': { wish: { holder: 'j' }, is: { kind: 'absorb', claim } },
  'a renewal of an old read, before the data changed': {
    wish: { holder: 'j', version: '3' },
    is: { kind: 'absorb', claim },
  },
  'a release': { wish: { holder: '' }, is: { kind: 'release' } },
  nothing: { wish: {}, is: { kind: 'nothing', claim: undefined } },
  'a new key': { wish: { data: { b: '2' } }, is: { kind: 'data', patch: { b: '2' }, claim: undefined, stops: false } },
  'a new value': { wish: { data: { a: '9' } }, is: { kind: 'data', patch: { a: '9' } } },
  'a value as it is': { wish: { data: { a: '1' } }, is: { kind: 'nothing' } },
  'the removal of a key': { wish: { removes: ['a'] }, is: { kind: 'data', patch: { a: null }, stops: false } },
  'the removal of the process’s last key': {
    wish: { removes: [KEY] },
    is: { kind: 'data', patch: { [KEY]: null }, stops: true },
  },
  'the removal of all': {
    wish: { data: null },
    is: { kind: 'data', patch: { a: null, [KEY]: null }, stops: true },
  },
  'data with a renewal': { wish: { holder: 'j', data: { b: '2' } }, is: { kind: 'data', claim, patch: { b: '2' } } },
  'data with a release': { wish: { holder: '', data: { b: '2' } }, is: { kind: 'data', patch: { b: '2' } } },
  'data as read since it last changed': {
    wish: { data: { b: '2' }, version: '15' },
    is: { kind: 'data', patch: { b: '2' } },
  },
  'data as read before it last changed': { wish: { data: { b: '2' }, version: '14' }, is: { kind: 'stale' } },
  'data as read at no version': {
    wish: { data: { b: '2' }, version: '' },
    is: { kind: 'data', patch: { b: '2' } },
    // A replacement speaks of all keys, so it has to say what it read.
    but: { [PUT]: { kind: 'stale' }, [JSON_PATCH]: { kind: 'stale' } },
  },
  'data as read at a version that is none': { wish: { data: { b: '2' }, version: 'x' }, is: { kind: 'stale' } },
}

for (const kind of KINDS)
  for (const [name, { wish, is, but }] of Object.entries(WISHES))
    t.test(`${kind}: ${name}`, async t => {
      t.match(decide(kind, bodyOf(kind, wish)), but?.[kind] ?? is)
    })

t.test('an unreadable record in any kind of write claims nothing', async t => {
  for (const raw of ['', '{', '[]', '7', '{"holderIdentity":7,"leaseDuration":15}', '{"holderIdentity":"j"}'])
    for (const kind of [PUT, MERGE, STRATEGIC] as const)
      t.match(
        decide(kind, { metadata: { annotations: { [ANNOTATION_LEADER]: raw } }, ...(kind === PUT && { data: DATA }) }),
        { kind: 'nothing', claim: undefined },
        `${kind} ${raw}`,
      )
  t.match(decide(JSON_PATCH, [{ op: 'test', path: '/data/a', value: '1' }]), { kind: 'nothing', claim: undefined })
})

const UNFIT: { [body: string]: unknown } = {
  'no body': undefined,
  null: null,
  'a string': 'x',
  'a number': 7,
  'a list': [],
  'an object': {},
}
t.test('bodies of the wrong kind are told so, whatever the kind of write', async t => {
  for (const [name, body] of Object.entries(UNFIT)) {
    for (const kind of [PUT, MERGE, STRATEGIC] as const) {
      const fits = name === 'an object'
      const whole = kind === PUT ? { kind: 'stale' } : { kind: 'nothing' }
      t.match(decide(kind, body), fits ? whole : { kind: 'bad', status: 400 }, `${kind}, ${name}`)
    }
    t.match(decide(JSON_PATCH, body), name === 'a list' ? { kind: 'nothing' } : { kind: 'bad', status: 400 }, name)
  }
})

t.test('data that is none, or of another name, is told so in every kind of write', async t => {
  for (const kind of [PUT, MERGE, STRATEGIC] as const) {
    for (const data of ['x', 7, [], true])
      t.match(decide(kind, { metadata: {}, data }), { kind: 'bad', status: 422 }, `${kind}, data ${data}`)
    for (const value of [7, true, {}, [], ...(kind === PUT ? [null] : [])])
      t.match(decide(kind, { metadata: {}, data: { a: value } }), { kind: 'bad', status: 422 }, `${kind}, a ${value}`)
    t.match(decide(kind, { metadata: { name: 'other' } }), { kind: 'bad', status: 400 }, kind)
    t.match(decide(kind, { metadata: 7, data: DATA }), { kind: 'nothing' }, `${kind}, metadata that is none`)
  }
  for (const value of [7, true, {}, [], null])
    t.match(decide(JSON_PATCH, [{ op: 'add', path: '/data/a', value }]), { kind: 'bad', status: 422 })
})

t.test('a JSON patch that does not apply, or takes the object apart, is told so and harms nobody', async t => {
  for (const operations of [
    [{ op: 'remove', path: '/data/none' }],
    [{ op: 'test', path: '/data/a', value: 'other' }],
    [{ op: 'nonsense', path: '/data/a' }],
    [{ op: 'replace', path: '/none/at/all', value: 1 }],
    [{}],
    [null],
    [7],
    [{ op: 'replace', path: '/metadata/name', value: 'other' }],
    [{ op: 'replace', path: '/data', value: 'x' }],
    [{ op: 'add', path: '/data/a' }],
    [{ op: 'move', from: '/data', path: '/data/a' }],
    [{ op: 'replace', path: '', value: null }],
    [{ op: 'replace', path: '', value: 7 }],
  ])
    t.match(decide(JSON_PATCH, operations), { kind: 'bad' }, JSON.stringify(operations))
  for (const operations of [
    [{ op: 'remove', path: '/metadata' }],
    [{ op: 'replace', path: '/metadata', value: 7 }],
    [{ op: 'replace', path: '/metadata/annotations', value: 'x' }],
  ])
    t.doesNotThrow(() => decide(JSON_PATCH, operations), JSON.stringify(operations))
  t.same(current.data, DATA, 'and what is cached was never touched')
})

t.test('media types: parameters do not matter, others are told what is needed', async t => {
  const body = bodyOf(MERGE, { holder: 'j' })
  for (const type of ['application/merge-patch+json; charset=utf-8', 'application/strategic-merge-patch+json;q=1'])
    t.match(decide(`PATCH ${type}` as Kind, body), { kind: 'absorb' }, type)
  for (const type of [
    '',
    'application/json',
    'text/plain',
    'application/apply-patch+yaml',
    'x-application/merge-patch+json',
  ])
    t.match(
      decideLockWrite({ method: 'PATCH', contentType: type, body, current, dataSince: DATA_SINCE }),
      { kind: 'bad', status: 415, message: /merge patch|JSON patch/ },
      `"${type}"`,
    )
  for (const type of ['', 'application/json', 'text/plain'])
    t.match(
      decideLockWrite({
        method: 'PUT',
        contentType: type,
        body: bodyOf(PUT, { holder: 'j' }),
        current,
        dataSince: DATA_SINCE,
      }),
      { kind: 'absorb' },
      `a replacement of "${type}" is read as JSON`,
    )
})
