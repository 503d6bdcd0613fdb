import t from 'tap'
import { compareVersions, isStale, versionNumber } from '../../shared/resource-version.ts'

t.test('versions are compared as numbers of any length', async t => {
  t.ok((compareVersions('9', '10') ?? 0) < 0)
  t.ok((compareVersions('123456789012345678901234567890', '123456789012345678901234567889') ?? 0) > 0)
  t.equal(compareVersions('007', '7'), 0)
  t.equal(compareVersions('abc', '7'), undefined)
})

t.test('an older and an equal sight are stale, a newer one and one that cannot be compared are news', async t => {
  t.ok(isStale('10', '9'))
  t.ok(isStale('10', '10'))
  t.notOk(isStale('10', '11'))
  t.notOk(isStale('10', 'x'))
})

t.test('a version too large for a double is no token', async t => {
  t.equal(versionNumber('12'), 12)
  t.equal(versionNumber('99999999999999999999'), 0)
  t.equal(versionNumber('x'), 0)
})
