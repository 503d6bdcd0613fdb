import t from 'tap'
import { KubeError } from './kube-errors.ts'
import { applyJsonPatch, applyPatch, mergePatch } from './kube-patch.ts'

t.test('a merge patch does what RFC 7386 says', async t => {
  const cases: [unknown, unknown, unknown][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ]
  for (const [target, patch, wanted] of cases) t.strictSame(mergePatch(target, patch), wanted, JSON.stringify(patch))
})

t.test('a JSON patch leaves the given document as it was', async t => {
  const document = { a: { b: [1, 2] } }
  const patch = [
    { op: 'add', path: '/a/b/-', value: 3 },
    { op: 'copy', from: '/a/b', path: '/c' },
    { op: 'move', from: '/a/b', path: '/d' },
    { op: 'remove', path: '/d/0' },
    { op: 'replace', path: '/d/0', value: 9 },
  ]
  t.strictSame(applyJsonPatch(document, patch), { a: {}, c: [1, 2, 3], d: [9, 3] })
  t.strictSame(document, { a: { b: [1, 2] } })
})

t.test('a JSON patch tests objects by their content', async t => {
  const document = { a: { b: 1 }, c: null }
  t.strictSame(applyJsonPatch(document, [{ op: 'test', path: '/a', value: { b: 1 } }]), document)
  t.strictSame(applyJsonPatch(document, [{ op: 'test', path: '/c', value: null }]), document)
  for (const value of [{ b: 2 }, {}, null, 1])
    t.throws(() => applyJsonPatch(document, [{ op: 'test', path: '/a', value }]), KubeError, JSON.stringify(value))
})

t.test('what is no patch of its type is refused', async t => {
  const object = { metadata: { name: 'a' } }
  for (const patch of [[], 1, 'x', null]) {
    t.throws(() => applyPatch('merge', object, patch), { code: 400 })
    t.throws(() => applyPatch('strategic', object, patch), { code: 400 })
  }
  t.throws(() => applyPatch('json', object, {}), { code: 400 })
  for (const operation of [
    { op: 'nonsense', path: '/a' },
    { op: 'add' },
    null,
    { op: 'replace', path: '/x/y', value: 1 },
  ])
    t.throws(() => applyPatch('json', object, [operation]), { code: 422 }, JSON.stringify(operation))
})

t.test('a strategic merge patch keeps finalizers as a set and replaces other lists', async t => {
  const object = { metadata: { name: 'a', finalizers: ['x'] }, list: [1, 2] }
  const patch = { metadata: { finalizers: ['y', 'x'] }, list: [3] }
  t.strictSame(applyPatch('strategic', object, patch), {
    metadata: { name: 'a', finalizers: ['x', 'y'] },
    list: [3],
  })
  const without = { metadata: { '$deleteFromPrimitiveList/finalizers': ['x'] } }
  t.strictSame(applyPatch('strategic', object, without).metadata.finalizers, [])
})
