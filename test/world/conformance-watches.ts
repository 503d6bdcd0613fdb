// Conformance of watches: where they begin, what they tell, how they end.
import type { Test } from 'tap'
import {
  type Case,
  configMaps,
  eventually,
  MERGE,
  make,
  nextOf,
  PARTIAL,
  refused,
  type Target,
  takeFrom,
  versionOf,
} from './conformance-target.ts'
import type { Body, Event } from './kube-probe.ts'

const named = (target: Target, name: string, more: string): string =>
  `${configMaps(target)}?watch=true&fieldSelector=metadata.name%3D${name}&${more}`

const told = (events: Event[]): string[] => events.map(({ type, object }) => `${type} ${object.data?.n ?? '-'}`)

/** One object: made, changed twice, deleted; with the version of each. */
const life = async (t: Test, target: Target, name: string): Promise<Body[]> => {
  const made = await make(t, target, name, { data: { n: '1' } })
  const path = `${configMaps(target)}/${name}`
  const second = await target.request('PATCH', path, { data: { n: '2' } }, MERGE)
  const third = await target.request('PUT', path, { ...second.body, data: { n: '3' } })
  return [made, second.body, third.body]
}

export const watchCases: Case[] = [
  {
    name: 'a watch tells what came after its version, in order and once',
    run: async (t, target) => {
      const [first, second, third] = await life(t, target, 'v-order')
      const watch = await target.watch(named(target, 'v-order', `resourceVersion=${versionOf(first)}`))
      const missed = await takeFrom(watch, 2)
      t.strictSame(
        missed.map(({ object }) => object),
        [second, third],
      )
      await target.request('DELETE', `${configMaps(target)}/v-order`)
      await make(t, target, 'v-order', { data: { n: '9' } })
      const live = await takeFrom(watch, 2)
      t.strictSame(told([...missed, ...live]), ['MODIFIED 2', 'MODIFIED 3', 'DELETED 3', 'ADDED 9'])
      t.ok(BigInt(versionOf(live[0]?.object)) > BigInt(versionOf(third)), 'a deletion has a version of its own')
      watch.close()
    },
  },
  {
    name: 'a watch from no version, or from 0, begins with what is there',
    run: async (t, target) => {
      const [, , third] = await life(t, target, 'v-begin')
      for (const from of ['', 'resourceVersion=0']) {
        const watch = await target.watch(named(target, 'v-begin', from))
        t.strictSame(await nextOf(watch), { type: 'ADDED', object: third })
        watch.close()
      }
    },
  },
  {
    name: 'a write that changes nothing is not told',
    run: async (t, target) => {
      const made = await make(t, target, 'v-same', { data: { n: '1' } })
      const watch = await target.watch(named(target, 'v-same', `resourceVersion=${versionOf(made)}`))
      await target.request('PUT', `${configMaps(target)}/v-same`, made)
      await target.request('PATCH', `${configMaps(target)}/v-same`, { data: { n: '2' } }, MERGE)
      t.strictSame(told(await takeFrom(watch, 1)), ['MODIFIED 2'])
      watch.close()
    },
  },
  {
    name: 'an object that begins to fit the selector is ADDED, one that ceases to is DELETED as it was',
    run: async (t, target) => {
      const made = await make(t, target, 'v-select', { data: { n: '1' } })
      const path = `${configMaps(target)}?watch=1&labelSelector=v-select%3Dyes&resourceVersion=${versionOf(made)}`
      const watch = await target.watch(path)
      const write = async (label: string | null, n: string) => {
        const patch = { metadata: { labels: { 'v-select': label } }, data: { n } }
        return (await target.request('PATCH', `${configMaps(target)}/v-select`, patch, MERGE)).body
      }
      await write('no', '2')
      await write('yes', '3')
      await write('yes', '4')
      const ceased = await write('no', '5')
      await write(null, '6')
      await write('yes', '7')
      await target.request('DELETE', `${configMaps(target)}/v-select`)
      const events = await takeFrom(watch, 5)
      t.strictSame(told(events), ['ADDED 3', 'MODIFIED 4', 'DELETED 4', 'ADDED 7', 'DELETED 7'])
      t.equal(versionOf(events[2]?.object), versionOf(ceased))
      t.equal(events[2]?.object.metadata.labels['v-select'], 'yes')
      watch.close()
    },
  },
  {
    name: 'all watches of one object are told the same',
    run: async (t, target) => {
      const made = await make(t, target, 'v-many', { data: { n: '1' } })
      const open = () => target.watch(named(target, 'v-many', `resourceVersion=${versionOf(made)}`))
      const watches = [await open(), await open(), await open()]
      await target.request('PATCH', `${configMaps(target)}/v-many`, { data: { n: '2' } }, MERGE)
      for (const watch of watches) {
        t.strictSame(told(await takeFrom(watch, 1)), ['MODIFIED 2'])
        watch.close()
      }
    },
  },
  {
    name: 'timeoutSeconds ends a watch properly',
    run: async (t, target) => {
      const watch = await target.watch(named(target, 'v-none', 'timeoutSeconds=1'))
      t.equal(await nextOf(watch), undefined)
      const bad = await target.request('GET', named(target, 'v-none', 'timeoutSeconds=x'))
      refused(t, bad, 400, 'BadRequest', 'x')
    },
  },
  {
    name: 'a watch that allows bookmarks is told how far it has come',
    run: async (t, target) => {
      const made = await make(t, target, 'v-mark')
      const query = `allowWatchBookmarks=true&timeoutSeconds=4&resourceVersion=${versionOf(made)}`
      const watch = await target.watch(named(target, 'v-none', query))
      // The API server tells no bookmark that is no news since the watch began (apiserver `cacheWatcher.process`).
      const later = await make(t, target, 'v-mark-later')
      const event = await watch.next()
      t.equal(event?.type, 'BOOKMARK')
      t.equal(event?.object.kind, 'ConfigMap')
      t.equal(event?.object.apiVersion, 'v1')
      t.ok(BigInt(versionOf(event?.object)) >= BigInt(versionOf(later)))
      watch.close()
    },
  },
  {
    name: 'an ancient version is told as an ERROR 410, and the stream ends',
    run: async (t, target) => {
      // Version 1 is older than any cluster's present history, but for one that was just created: there it has to be
      // pushed out of the API server's cache first (apiserver `watchCache`: a hundred events at least, 75 s at least).
      const busy = await make(t, target, 'v-busy')
      let watch = await target.watch(named(target, 'v-old', 'resourceVersion=1&timeoutSeconds=1'))
      let event = await nextOf(watch)
      await eventually(async () => {
        if (event !== undefined) return true
        for (let i = 0; i < 40; i++)
          await target.request('PATCH', `${configMaps(target)}/${busy.metadata.name}`, { data: { i: `${i}` } }, MERGE)
        watch = await target.watch(named(target, 'v-old', 'resourceVersion=1&timeoutSeconds=1'))
        event = await nextOf(watch)
        return event !== undefined
      }, 240_000)
      t.match(event, {
        type: 'ERROR',
        object: { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'Expired', code: 410 },
      })
      t.match(event?.object.message, /^too old resource version: 1 \(\d+\)$/)
      t.equal(await nextOf(watch), undefined)
    },
  },
  {
    name: 'a version that was compacted away is told as an ERROR 410; one from after it is not',
    needsCompaction: true,
    run: async (t, target) => {
      const [first, , third] = await life(t, target, 'v-compact')
      await target.canCompact?.()
      const old = await target.watch(named(target, 'v-compact', `resourceVersion=${versionOf(first)}`))
      t.match(await nextOf(old), { type: 'ERROR', object: { code: 410, reason: 'Expired' } })
      const list = await target.request('GET', configMaps(target))
      const watch = await target.watch(named(target, 'v-compact', `resourceVersion=${versionOf(list.body)}`))
      await target.request('PUT', `${configMaps(target)}/v-compact`, { ...third, data: { n: '4' } })
      t.strictSame(told(await takeFrom(watch, 1)), ['MODIFIED 4'])
      watch.close()
    },
  },
  {
    name: 'a watch of metadata tells metadata',
    run: async (t, target) => {
      const made = await make(t, target, 'v-partial', { data: { n: '1' } })
      const watch = await target.watch(named(target, 'v-partial', ''), PARTIAL)
      const { kind, apiVersion } = { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1' }
      t.strictSame(await nextOf(watch), { type: 'ADDED', object: { kind, apiVersion, metadata: made.metadata } })
      watch.close()
    },
  },
  {
    name: 'a watch that cannot be begun is refused before it is a stream',
    run: async (t, target) => {
      const bad = await target.request('GET', named(target, 'v-none', 'resourceVersion=abc'))
      refused(t, bad, 500, undefined, 'abc')
      const selector = await target.request('GET', `${configMaps(target)}?watch=true&labelSelector=a%3Db%2Bc`)
      refused(t, selector, 400, 'BadRequest', 'b+c')
    },
  },
]
