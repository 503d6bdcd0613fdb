// Conformance of writes to ConfigMaps: creation, compare-and-set, patches, deletion.
import { type Case, configMaps, JSON_PATCH, MERGE, make, STRATEGIC, versionOf } from './conformance-target.ts'

const UNKNOWN_UID = '11111111-2222-4333-8444-555555555555'

export const writeCases: Case[] = [
  {
    name: 'a created object has a uid, a version and a time of creation, and is read back the same',
    run: async (t, target) => {
      const created = await make(t, target, 'w-create', { data: { key: 'value' } }, { labels: { a: 'b' } })
      t.match(created.metadata.uid, /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
      t.match(created.metadata.resourceVersion, /^[0-9]+$/)
      t.match(created.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      t.equal(created.metadata.namespace, target.namespace)
      t.equal(created.kind, 'ConfigMap')
      t.equal(created.apiVersion, 'v1')
      const read = await target.request('GET', `${configMaps(target)}/w-create`)
      t.equal(read.status, 200)
      t.strictSame(read.body, created)
    },
  },
  {
    name: 'generateName makes a name of its own each time',
    run: async (t, target) => {
      const body = { metadata: { generateName: 'w-generated-' } }
      const [a, b] = [
        await target.request('POST', configMaps(target), body),
        await target.request('POST', configMaps(target), body),
      ]
      t.equal(a.status, 201)
      t.match(a.body.metadata.name, /^w-generated-[a-z0-9]{5}$/)
      t.not(a.body.metadata.name, b.body.metadata.name)
      t.equal(a.body.metadata.generateName, 'w-generated-')
    },
  },
  {
    name: 'a PUT with the present version replaces everything, and gets a higher version',
    run: async (t, target) => {
      const created = await make(t, target, 'w-put', { data: { a: '1', b: '2' } }, { labels: { x: 'y' } })
      const metadata = { name: 'w-put', resourceVersion: versionOf(created) }
      const put = await target.request('PUT', `${configMaps(target)}/w-put`, { metadata, data: { c: '3' } })
      t.equal(put.status, 200)
      t.strictSame(put.body.data, { c: '3' })
      t.notOk(put.body.metadata.labels)
      t.equal(put.body.metadata.uid, created.metadata.uid)
      t.equal(put.body.metadata.creationTimestamp, created.metadata.creationTimestamp)
      t.ok(BigInt(versionOf(put.body)) > BigInt(versionOf(created)))
    },
  },
  {
    name: 'a PUT with a stale version is a conflict and changes nothing',
    run: async (t, target) => {
      const path = `${configMaps(target)}/w-stale`
      const created = await make(t, target, 'w-stale', { data: { a: '1' } })
      const next = await target.request('PUT', path, { ...created, data: { a: '2' } })
      t.equal((await target.request('PUT', path, { ...created, data: { a: '3' } })).status, 409)
      t.strictSame((await target.request('GET', path)).body, next.body)
    },
  },
  {
    name: 'a PUT without a version is unconditional',
    run: async (t, target) => {
      const path = `${configMaps(target)}/w-free`
      await make(t, target, 'w-free')
      for (const value of ['1', '2']) {
        const put = await target.request('PUT', path, { metadata: { name: 'w-free' }, data: { value } })
        t.equal(put.status, 200)
        t.strictSame(put.body.data, { value })
      }
    },
  },
  {
    name: 'a PUT that names the uid of another life is a conflict',
    run: async (t, target) => {
      await make(t, target, 'w-uid')
      const body = { metadata: { name: 'w-uid', uid: UNKNOWN_UID } }
      t.equal((await target.request('PUT', `${configMaps(target)}/w-uid`, body)).status, 409)
    },
  },
  {
    name: 'a write that changes nothing keeps the version',
    run: async (t, target) => {
      const path = `${configMaps(target)}/w-same`
      const created = await make(t, target, 'w-same', { data: { a: '1' } }, { annotations: { note: 'x' } })
      const version = versionOf(created)
      t.equal(versionOf((await target.request('PUT', path, created)).body), version, 'PUT')
      t.equal(versionOf((await target.request('PATCH', path, {}, MERGE)).body), version, 'an empty patch')
      const same = { metadata: { resourceVersion: version }, data: { a: '1' } }
      t.equal(versionOf((await target.request('PATCH', path, same, MERGE)).body), version, 'an equal value')
      const empty = await target.request('PATCH', path, { metadata: { labels: {} }, binaryData: {} }, MERGE)
      t.equal(versionOf(empty.body), version, 'empty maps')
      t.equal(versionOf((await target.request('GET', path)).body), version)
    },
  },
  {
    name: 'a merge patch changes what it names, and deletes a key by null',
    run: async (t, target) => {
      const path = `${configMaps(target)}/w-merge`
      await make(t, target, 'w-merge', { data: { a: '1', b: '2' } }, { annotations: { x: '1', y: '2' } })
      const patch = { metadata: { annotations: { x: null, z: '3' } }, data: { a: null, b: '5' } }
      const { status, body } = await target.request('PATCH', path, patch, MERGE)
      t.equal(status, 200)
      t.strictSame(body.data, { b: '5' })
      t.strictSame(body.metadata.annotations, { y: '2', z: '3' })
      const all = await target.request('PATCH', path, { data: null }, MERGE)
      t.notOk('data' in all.body)
    },
  },
  {
    name: 'a merge patch with a resourceVersion is compare-and-set',
    run: async (t, target) => {
      const path = `${configMaps(target)}/w-cas`
      const created = await make(t, target, 'w-cas')
      const patch = (value: string) => ({
        metadata: { resourceVersion: versionOf(created), annotations: { value } },
      })
      const first = await target.request('PATCH', path, patch('1'), MERGE)
      t.equal(first.status, 200)
      const second = await target.request('PATCH', path, patch('2'), MERGE)
      t.equal(second.status, 409)
      t.equal(second.body.reason, 'Conflict')
      const read = await target.request('GET', path)
      t.strictSame(read.body, first.body)
      const stale = { metadata: { resourceVersion: versionOf(created), annotations: { value: '1' } } }
      t.equal((await target.request('PATCH', path, stale, MERGE)).status, 409, 'even when it changes nothing')
    },
  },
  {
    name: 'a JSON patch applies wholly or not at all',
    run: async (t, target) => {
      const path = `${configMaps(target)}/w-json`
      const created = await make(t, target, 'w-json', { data: { a: '1' } })
      const done = await target.request(
        'PATCH',
        path,
        [
          { op: 'test', path: '/metadata/resourceVersion', value: versionOf(created) },
          { op: 'add', path: '/metadata/annotations', value: { 'a/b': '1' } },
          { op: 'replace', path: '/metadata/annotations/a~1b', value: '2' },
          { op: 'replace', path: '/data/new', value: 'a missing key is added' },
        ],
        JSON_PATCH,
      )
      t.equal(done.status, 200)
      t.strictSame(done.body.metadata.annotations, { 'a/b': '2' })
      t.strictSame(done.body.data, { a: '1', new: 'a missing key is added' })
      for (const failing of [
        { op: 'test', path: '/data/a', value: '9' },
        { op: 'test', path: '/data', value: { a: '9' } },
        { op: 'remove', path: '/data/nothing' },
        { op: 'add', path: '/spec/nothing', value: '1' },
      ]) {
        const patch = [{ op: 'add', path: '/data/b', value: '2' }, failing]
        t.equal((await target.request('PATCH', path, patch, JSON_PATCH)).status, 422, JSON.stringify(failing))
      }
      t.strictSame((await target.request('GET', path)).body, done.body)
      const stale = [{ op: 'replace', path: '/metadata/resourceVersion', value: versionOf(created) }]
      t.equal((await target.request('PATCH', path, stale, JSON_PATCH)).status, 409)
    },
  },
  {
    name: 'a strategic merge patch merges maps, and owner references by uid',
    run: async (t, target) => {
      const path = `${configMaps(target)}/w-strategic`
      const [a, b] = [await make(t, target, 'w-owner-a'), await make(t, target, 'w-owner-b')]
      const reference = ({ metadata }: typeof a) => {
        const { name, uid } = metadata
        return { apiVersion: 'v1', kind: 'ConfigMap', name, uid }
      }
      await make(t, target, 'w-strategic', { data: { a: '1' } }, { ownerReferences: [reference(a)] })
      const patch = { metadata: { ownerReferences: [reference(b)] }, data: { b: '2' } }
      const both = await target.request('PATCH', path, patch, STRATEGIC)
      t.equal(both.status, 200)
      t.strictSame(both.body.data, { a: '1', b: '2' })
      t.strictSame(new Set(both.body.metadata.ownerReferences), new Set([reference(a), reference(b)]))
      const without = { metadata: { ownerReferences: [{ $patch: 'delete', uid: a.metadata.uid }] }, data: { a: null } }
      const one = await target.request('PATCH', path, without, STRATEGIC)
      t.strictSame(one.body.metadata.ownerReferences, [reference(b)])
      t.strictSame(one.body.data, { b: '2' })
    },
  },
  {
    name: 'DELETE answers a Status that names the object and its uid',
    run: async (t, target) => {
      const created = await make(t, target, 'w-delete')
      const options = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' }
      const { status, body } = await target.request('DELETE', `${configMaps(target)}/w-delete`, options)
      t.equal(status, 200)
      t.strictSame(body, {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Success',
        details: { name: 'w-delete', kind: 'configmaps', uid: created.metadata.uid },
      })
      t.equal((await target.request('GET', `${configMaps(target)}/w-delete`)).status, 404)
    },
  },
  {
    name: 'DELETE with stale preconditions is a conflict and deletes nothing',
    run: async (t, target) => {
      const path = `${configMaps(target)}/w-precondition`
      const created = await make(t, target, 'w-precondition')
      const changed = await target.request('PATCH', path, { data: { a: '1' } }, MERGE)
      for (const preconditions of [{ resourceVersion: versionOf(created) }, { uid: UNKNOWN_UID }]) {
        const { status, body } = await target.request('DELETE', path, { preconditions })
        t.equal(status, 409)
        t.equal(body.reason, 'Conflict')
        t.equal(body.details.name, 'w-precondition')
      }
      const { uid, resourceVersion } = changed.body.metadata
      const fitting = await target.request('DELETE', path, { preconditions: { uid, resourceVersion } })
      t.equal(fitting.status, 200)
    },
  },
  {
    name: 'an object with a finalizer stays, marked, until the finalizer goes',
    run: async (t, target) => {
      const path = `${configMaps(target)}/w-final`
      await make(t, target, 'w-final', {}, { finalizers: ['example.com/hold'] })
      const deleted = await target.request('DELETE', path)
      t.equal(deleted.status, 200)
      t.equal(deleted.body.kind, 'ConfigMap')
      t.ok(deleted.body.metadata.deletionTimestamp)
      const again = await target.request('DELETE', path)
      t.equal(versionOf(again.body), versionOf(deleted.body), 'deleting it again changes nothing')
      const more = { metadata: { finalizers: ['example.com/hold', 'example.com/late'] } }
      t.equal((await target.request('PATCH', path, more, MERGE)).status, 422)
      t.equal((await target.request('PATCH', path, { metadata: { finalizers: null } }, MERGE)).status, 200)
      t.equal((await target.request('GET', path)).status, 404)
    },
  },
  {
    name: 'dryRun=All answers as if, and changes nothing',
    run: async (t, target) => {
      const path = `${configMaps(target)}/w-dry`
      const created = await target.request('POST', `${configMaps(target)}?dryRun=All`, { metadata: { name: 'w-dry' } })
      t.equal(created.status, 201)
      t.ok(created.body.metadata.uid)
      t.notOk(created.body.metadata.resourceVersion)
      t.equal((await target.request('GET', path)).status, 404)
      const real = await make(t, target, 'w-dry', { data: { a: '1' } })
      const put = await target.request('PUT', `${path}?dryRun=All`, { metadata: { name: 'w-dry' }, data: { a: '2' } })
      t.strictSame(put.body.data, { a: '2' })
      t.equal(versionOf(put.body), versionOf(real))
      t.equal((await target.request('PATCH', `${path}?dryRun=All`, { data: { a: '3' } }, MERGE)).status, 200)
      t.equal((await target.request('DELETE', `${path}?dryRun=All`)).status, 200)
      t.strictSame((await target.request('GET', path)).body, real)
    },
  },
]
