// What an election's write says to the API server.
import t from 'tap'
import type { Write } from '../../shared/election.ts'
import { configMapPatch, leasePatch, newConfigMapLock, newLeaseLock } from '../../shared/lock.ts'

const write = (kind: Write['kind'], version: string): Write => ({
  id: 1,
  kind,
  version,
  raw: '',
  token: 7,
  sentAtMs: 0,
  reason: '',
  successor: '',
  resumes: false,
  data: undefined,
  roster: [],
})

t.test('each write but a creation is a compare-and-set on the version that was judged', async t => {
  for (const kind of ['acquire', 'renew', 'release'] as const) {
    t.equal(configMapPatch(write(kind, '41'), '', {}, {}, undefined).metadata.resourceVersion, '41', kind)
    t.equal(leasePatch(write(kind, '41'), '').metadata.resourceVersion, '41', `${kind} of a Lease`)
  }
})

t.test('a creation names no version: it is refused when there is one', async t => {
  t.equal(newConfigMapLock(write('create', ''), 'c', 'c').metadata.resourceVersion, undefined)
  t.equal(newLeaseLock(write('create', ''), 'c', {}).metadata.resourceVersion, undefined)
})
