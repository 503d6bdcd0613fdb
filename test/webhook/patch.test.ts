import jsonpatch from 'jsonpatch'
import t from 'tap'
import { add, addFirst, addLast, addMember, pointer, remove } from '../../webhook/patch.ts'

t.test('a pointer escapes what a step may not have, tilde first', async t => {
  t.equal(pointer(['metadata', 'annotations', 'a.io/b~c']), '/metadata/annotations/a.io~1b~0c')
  t.equal(pointer(['a', '~1']), '/a/~01')
  t.equal(pointer(['spec', 'containers', 0]), '/spec/containers/0')
  t.equal(pointer([]), '')
})

t.test('the first addition carries the parent', async t => {
  for (const missing of [undefined, null]) {
    t.same(addMember(['m'], missing, 'a/b', 1), { op: 'add', path: '/m', value: { 'a/b': 1 } })
    t.same(addLast(['l'], missing, 1), { op: 'add', path: '/l', value: [1] })
    t.same(addFirst(['l'], missing, 1), { op: 'add', path: '/l', value: [1] })
  }
  t.same(addMember(['m'], {}, 'a/b', 1), { op: 'add', path: '/m/a~1b', value: 1 })
  t.same(addLast(['l'], [], 1), { op: 'add', path: '/l/-', value: 1 })
  t.same(addFirst(['l'], [2], 1), { op: 'add', path: '/l/0', value: 1 })
})

t.test('what is built applies', async t => {
  const before = { m: { x: 1 }, l: [2, 3] }
  const after = jsonpatch.apply_patch(before, [
    addMember(['m'], before.m, 'a/b~', 'v'),
    addFirst(['l'], before.l, 1),
    addLast(['l'], before.l, 4),
    remove(['m', 'x']),
    add(['n'], null),
  ])
  t.same(after, { m: { 'a/b~': 'v' }, l: [1, 2, 3, 4], n: null })
  t.same(before, { m: { x: 1 }, l: [2, 3] }, 'the given document stays')
})
