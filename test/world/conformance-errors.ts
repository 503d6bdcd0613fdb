// Conformance of refusals: their status, their reason, and that they are `Status` objects.
import { type Case, configMaps, MERGE, make, refused } from './conformance-target.ts'

const MIB = 1024 * 1024

export const errorCases: Case[] = [
  {
    name: 'creating what is there already is 409 AlreadyExists',
    run: async (t, target) => {
      await make(t, target, 'e-twice')
      const answer = await target.request('POST', configMaps(target), { metadata: { name: 'e-twice' } })
      refused(t, answer, 409, 'AlreadyExists', 'configmaps "e-twice" already exists')
      t.strictSame(answer.body.details, { name: 'e-twice', kind: 'configmaps' })
    },
  },
  {
    name: 'what is missing is 404 NotFound to every verb',
    run: async (t, target) => {
      const path = `${configMaps(target)}/e-missing`
      const put = { metadata: { name: 'e-missing', resourceVersion: '5' } }
      for (const answer of [
        await target.request('GET', path),
        await target.request('PUT', path, put),
        await target.request('PATCH', path, {}, MERGE),
        await target.request('DELETE', path),
      ]) {
        refused(t, answer, 404, 'NotFound', 'configmaps "e-missing" not found')
        t.strictSame(answer.body.details, { name: 'e-missing', kind: 'configmaps' })
      }
    },
  },
  {
    name: 'a stale version is 409 Conflict',
    run: async (t, target) => {
      const path = `${configMaps(target)}/e-stale`
      const created = await make(t, target, 'e-stale')
      await target.request('PATCH', path, { data: { a: '1' } }, MERGE)
      const answer = await target.request('PUT', path, created)
      const words = 'Operation cannot be fulfilled on configmaps "e-stale": the object has been modified'
      refused(t, answer, 409, 'Conflict', words)
      t.strictSame(answer.body.details, { name: 'e-stale', kind: 'configmaps' })
    },
  },
  {
    name: 'a bad or missing name is 422 Invalid, with its causes',
    run: async (t, target) => {
      const bad = await target.request('POST', configMaps(target), { metadata: { name: 'E_Bad' } })
      refused(t, bad, 422, 'Invalid', 'ConfigMap "E_Bad" is invalid: metadata.name: Invalid value: "E_Bad"')
      t.equal(bad.body.details.kind, 'ConfigMap')
      t.match(bad.body.details.causes, [{ reason: 'FieldValueInvalid', field: 'metadata.name' }])
      const none = await target.request('POST', configMaps(target), {})
      refused(t, none, 422, 'Invalid', 'metadata.name: Required value: name or generateName is required')
    },
  },
  {
    name: 'bad labels, data keys and owners are 422 Invalid, all named at once',
    run: async (t, target) => {
      const metadata = {
        name: 'e-labels',
        labels: { app: 'a+b' },
        ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: '' }],
      }
      const answer = await target.request('POST', configMaps(target), { metadata, data: { 'a b': '1' } })
      t.equal(answer.status, 422)
      const fields = answer.body.details.causes.map(({ field }: { field: string }) => field)
      t.strictSame(new Set(fields), new Set(['metadata.labels', 'metadata.ownerReferences.uid', 'data[a b]']))
    },
  },
  {
    name: 'another name in the body than in the path is 400',
    run: async (t, target) => {
      await make(t, target, 'e-name')
      const path = `${configMaps(target)}/e-name`
      const put = await target.request('PUT', path, { metadata: { name: 'other' } })
      refused(t, put, 400, 'BadRequest', 'the name of the object (other) does not match the name on the URL (e-name)')
      const patch = await target.request('PATCH', path, { metadata: { name: 'other' } }, MERGE)
      refused(t, patch, 400, 'BadRequest', 'the name of the object (other) does not match the name on the URL (e-name)')
      const none = await target.request('PUT', path, {})
      refused(t, none, 400, 'BadRequest', 'name must be provided')
      const metadata = { name: 'e-other', namespace: 'other' }
      const elsewhere = await target.request('POST', configMaps(target), { metadata })
      refused(t, elsewhere, 400, 'BadRequest', 'namespace of the provided object does not match the namespace sent')
      const pod = await target.request('POST', configMaps(target), { kind: 'Pod', apiVersion: 'v1' })
      refused(t, pod, 400, 'BadRequest', 'cannot be handled as a ConfigMap')
    },
  },
  {
    name: 'a uid cannot be patched',
    run: async (t, target) => {
      await make(t, target, 'e-uid')
      const patch = { metadata: { uid: '11111111-2222-4333-8444-555555555555' } }
      const answer = await target.request('PATCH', `${configMaps(target)}/e-uid`, patch, MERGE)
      refused(t, answer, 422, 'Invalid', 'metadata.uid: Invalid value')
    },
  },
  {
    name: 'a body that is not JSON, or of the wrong types, is 400; patched into the wrong types, 422',
    run: async (t, target) => {
      const collection = configMaps(target)
      await make(t, target, 'e-types')
      for (const body of ['{bad', '', '[]'])
        refused(t, await target.request('POST', collection, body), 400, 'BadRequest', 'must be of type ConfigMap')
      for (const body of [
        { metadata: { name: 'e-types-2' }, data: { key: 5 } },
        { metadata: { name: 'e-types-2' }, data: [] },
        { metadata: { name: 'e-types-2', labels: { a: 5 } } },
        { metadata: { name: 5 } },
        { metadata: 'x' },
      ])
        refused(t, await target.request('POST', collection, body), 400, 'BadRequest', 'cannot unmarshal')
      for (const body of ['{bad', '', '[]']) {
        const answer = await target.request('PATCH', `${collection}/e-types`, body, MERGE)
        refused(t, answer, 400, 'BadRequest', 'error decoding patch')
      }
      const patched = await target.request('PATCH', `${collection}/e-types`, { data: { key: 5 } }, MERGE)
      refused(t, patched, 422, 'Invalid', 'cannot unmarshal')
    },
  },
  {
    name: 'a patch of another content type is 415, and so is a body of none that is known',
    run: async (t, target) => {
      await make(t, target, 'e-type')
      const patch = await target.request('PATCH', `${configMaps(target)}/e-type`, {})
      refused(t, patch, 415, 'UnsupportedMediaType', '415')
      const text = { 'content-type': 'text/plain' }
      const post = await target.request('POST', configMaps(target), { metadata: { name: 'e-type-2' } }, text)
      refused(t, post, 415, 'UnsupportedMediaType', 'unknown format')
      const html = await target.request('GET', `${configMaps(target)}/e-type`, undefined, { accept: 'text/html' })
      refused(t, html, 406, 'NotAcceptable', '406')
    },
  },
  {
    name: 'ConfigMap data of 1 MiB is taken, a byte more is 422, a body over 3 MiB is 413',
    run: async (t, target) => {
      const post = (name: string, bytes: number) =>
        target.request('POST', configMaps(target), { metadata: { name }, data: { a: 'x'.repeat(bytes) } })
      t.equal((await post('e-fits', MIB)).status, 201)
      const over = await post('e-over', MIB + 1)
      refused(t, over, 422, 'Invalid', 'Too long: may not be more than 1048576 bytes')
      refused(t, await post('e-huge', 3 * MIB), 413, 'RequestEntityTooLarge', 'limit is 3145728')
      const grow = { data: { b: 'x' } }
      const grown = await target.request('PATCH', `${configMaps(target)}/e-fits`, grow, MERGE)
      refused(t, grown, 422, 'Invalid', 'Too long')
      const annotations = { a: 'x'.repeat(256 * 1024) }
      const noted = await target.request('PATCH', `${configMaps(target)}/e-fits`, { metadata: { annotations } }, MERGE)
      refused(t, noted, 422, 'Invalid', 'metadata.annotations: Too long: may not be more than 262144 bytes')
    },
  },
  {
    name: 'an immutable ConfigMap keeps its data',
    run: async (t, target) => {
      await make(t, target, 'e-fixed', { immutable: true, data: { a: '1' } })
      const path = `${configMaps(target)}/e-fixed`
      refused(t, await target.request('PATCH', path, { data: { a: '2' } }, MERGE), 422, 'Invalid', 'immutable')
      t.equal((await target.request('PATCH', path, { metadata: { labels: { a: '2' } } }, MERGE)).status, 200)
    },
  },
  {
    name: 'a version given at creation is 500, and one that is no number, too',
    run: async (t, target) => {
      const born = await target.request('POST', configMaps(target), {
        metadata: { name: 'e-version', resourceVersion: '5' },
      })
      refused(t, born, 500, undefined, 'resourceVersion should not be set on objects to be created')
      await make(t, target, 'e-version')
      const body = { metadata: { name: 'e-version', resourceVersion: 'abc' } }
      refused(t, await target.request('PUT', `${configMaps(target)}/e-version`, body), 500, undefined, 'abc')
    },
  },
  {
    name: 'unknown paths are 404, verbs that a path does not have 405',
    run: async (t, target) => {
      const unknown = await target.request('GET', `/api/v1/namespaces/${target.namespace}/nothings`)
      refused(t, unknown, 404, 'NotFound', 'the server could not find the requested resource')
      t.equal((await target.request('GET', '/apis/nothing.example.com/v1/things')).status, 404)
      t.equal((await target.request('GET', '/nothing')).status, 404)
      const put = await target.request('PUT', configMaps(target), {})
      refused(t, put, 405, 'MethodNotAllowed', 'does not allow this method')
      t.equal((await target.request('POST', `${configMaps(target)}/name`, {})).status, 405)
    },
  },
  {
    name: 'nothing can be made in a namespace that is not there; its lists are empty',
    run: async (t, target) => {
      const path = '/api/v1/namespaces/no-such-namespace/configmaps'
      const answer = await target.request('POST', path, { metadata: { name: 'x' } })
      refused(t, answer, 404, 'NotFound', 'namespaces "no-such-namespace" not found')
      const list = await target.request('GET', path)
      t.equal(list.status, 200)
      t.strictSame(list.body.items, [])
    },
  },
]
