// Conformance of lists, selectors and forms of answers.
import { type Case, configMaps, MERGE, make, PARTIAL, refused, versionOf } from './conformance-target.ts'
import type { Body } from './kube-probe.ts'

const namesOf = (list: Body): string[] => list.items.map((item: Body) => item.metadata.name)
const field = (selector: string): string => `fieldSelector=${encodeURIComponent(selector)}`
const labels = (selector: string): string => `labelSelector=${encodeURIComponent(selector)}`

export const readCases: Case[] = [
  {
    name: 'a list is sorted by name, tells its version, and its items do not say their kind',
    run: async (t, target) => {
      await make(t, target, 'r-list-b')
      const last = await make(t, target, 'r-list-a')
      const { status, body } = await target.request('GET', `${configMaps(target)}?resourceVersion=0`)
      t.equal(status, 200)
      t.equal(body.kind, 'ConfigMapList')
      t.equal(body.apiVersion, 'v1')
      t.strictSame(namesOf(body), [...namesOf(body)].sort())
      t.notOk('kind' in body.items[0] || 'apiVersion' in body.items[0])
      const consistent = await target.request('GET', configMaps(target))
      t.ok(BigInt(versionOf(consistent.body)) >= BigInt(versionOf(last)))
      const item = consistent.body.items.find((found: Body) => found.metadata.name === 'r-list-a')
      t.strictSame({ kind: 'ConfigMap', apiVersion: 'v1', ...item }, last)
    },
  },
  {
    name: 'a field selector picks one object by name, with a version even when it finds none',
    run: async (t, target) => {
      await make(t, target, 'r-field')
      const one = await target.request('GET', `${configMaps(target)}?${field('metadata.name=r-field')}`)
      t.strictSame(namesOf(one.body), ['r-field'])
      const none = await target.request(
        'GET',
        `${configMaps(target)}?${field('metadata.name=r-none')}&resourceVersion=0`,
      )
      t.strictSame(none.body.items, [])
      t.match(versionOf(none.body), /^[1-9][0-9]*$/)
      const all = await target.request(
        'GET',
        `/api/v1/configmaps?${field(`metadata.namespace=${target.namespace},metadata.name!=r-field`)}`,
      )
      t.ok(all.body.items.length > 0)
      t.notOk(namesOf(all.body).includes('r-field'))
      const unknown = await target.request('GET', `${configMaps(target)}?${field('data.a=b')}`)
      refused(t, unknown, 400, 'BadRequest', 'data.a')
    },
  },
  {
    name: 'label selectors know equality, inequality, sets and existence',
    run: async (t, target) => {
      await make(t, target, 'r-label-1', {}, { labels: { sel: 'x', tier: 'a' } })
      await make(t, target, 'r-label-2', {}, { labels: { sel: 'x', tier: 'b' } })
      await make(t, target, 'r-label-3', {}, { labels: { sel: 'x' } })
      for (const [selector, wanted] of [
        ['sel=x', '1 2 3'],
        ['sel==x,tier=a', '1'],
        ['sel=x,tier!=a', '2 3'],
        ['sel=x,tier in (a, b)', '1 2'],
        ['tier notin (a),sel=x', '2 3'],
        ['sel=x,tier', '1 2'],
        ['sel=x,!tier', '3'],
        ['sel=y', ''],
      ] as const) {
        const { body } = await target.request('GET', `${configMaps(target)}?${labels(selector)}`)
        t.equal(
          namesOf(body)
            .map(name => name.replace('r-label-', ''))
            .join(' '),
          wanted,
          selector,
        )
      }
      for (const selector of ['sel=a+b', 'sel like x', '==x'])
        t.equal((await target.request('GET', `${configMaps(target)}?${labels(selector)}`)).status, 400, selector)
    },
  },
  {
    name: 'a version that is no number, or that is yet to come, is refused',
    run: async (t, target) => {
      const bad = await target.request('GET', `${configMaps(target)}?resourceVersion=abc`)
      refused(t, bad, 400, 'BadRequest', 'abc')
      const future = await target.request('GET', `${configMaps(target)}?resourceVersion=999999999999`)
      refused(t, future, 504, 'Timeout', 'Too large resource version')
    },
  },
  {
    name: 'metadata alone is answered when asked for: to GET, PUT, PATCH and LIST',
    run: async (t, target) => {
      const path = `${configMaps(target)}/r-partial`
      const created = await make(t, target, 'r-partial', { data: { a: '1' } }, { annotations: { note: 'x' } })
      const wanted = {
        kind: 'PartialObjectMetadata',
        apiVersion: 'meta.k8s.io/v1',
        metadata: created.metadata,
      }
      t.strictSame((await target.request('GET', path, undefined, PARTIAL)).body, wanted)
      t.strictSame((await target.request('PUT', path, created, PARTIAL)).body, wanted)
      const patch = { metadata: { resourceVersion: versionOf(created), annotations: { note: 'y' } } }
      const { body } = await target.request('PATCH', path, patch, { ...PARTIAL, ...MERGE })
      t.equal(body.kind, 'PartialObjectMetadata')
      t.equal(body.metadata.annotations.note, 'y')
      t.notOk('data' in body)
      t.strictSame((await target.request('GET', path)).body.data, { a: '1' })
      const accept = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'
      const list = await target.request('GET', `${configMaps(target)}?${field('metadata.name=r-partial')}`, undefined, {
        accept,
      })
      t.equal(list.body.kind, 'PartialObjectMetadataList')
      t.equal(list.body.items[0].kind, 'PartialObjectMetadata')
      const missing = await target.request('GET', `${path}-none`, undefined, PARTIAL)
      refused(t, missing, 404, 'NotFound', 'not found')
    },
  },
  {
    name: 'the server tells that it is ready and what it serves',
    run: async (t, target) => {
      const ready = await target.request('GET', '/readyz')
      t.equal(ready.status, 200)
      t.equal(ready.body, 'ok')
      t.match((await target.request('GET', '/version')).body, { major: '1', gitVersion: /^v1\./ })
      t.match((await target.request('GET', '/api')).body, { kind: 'APIVersions', versions: ['v1'] })
      t.equal((await target.request('GET', '/apis')).body.kind, 'APIGroupList')
      const core = await target.request('GET', '/api/v1')
      t.match(
        core.body.resources.find(({ name }: Body) => name === 'configmaps'),
        { kind: 'ConfigMap', namespaced: true },
      )
    },
  },
  {
    name: 'a whole collection is deleted by selector',
    run: async (t, target) => {
      for (const name of ['r-gone-1', 'r-gone-2']) await make(t, target, name, {}, { labels: { gone: 'yes' } })
      const path = `${configMaps(target)}?${labels('gone=yes')}`
      const { status, body } = await target.request('DELETE', path)
      t.equal(status, 200)
      t.strictSame(namesOf(body), ['r-gone-1', 'r-gone-2'])
      t.strictSame((await target.request('GET', path)).body.items, [])
    },
  },
]
