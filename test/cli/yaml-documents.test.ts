import fc from 'fast-check'
import t from 'tap'
import { parsePart, splitDocuments } from '../../cli/yaml-documents.ts'

const sources = (text: string): string[] => splitDocuments(text).map(part => part.source)
const only = (text: string) => parsePart({ source: text, firstLine: 1 })
const changed = (text: string, change: (value: never) => unknown): string => {
  const parsed = only(text)
  return parsed.render(change(structuredClone(parsed.value) as never))
}

t.test('documents are cut at their markers, comments before a marker belong to what follows', async t => {
  t.same(sources('a: 1\n---\nb: 2\n'), ['a: 1\n', '---\nb: 2\n'])
  t.same(sources('# licence\n---\na: 1\n'), ['# licence\n---\na: 1\n'], 'a leading comment is no document')
  t.same(sources('---\na: 1\n---\n# nothing\n---\nb: 2\n'), ['---\na: 1\n', '---\n# nothing\n', '---\nb: 2\n'])
  t.same(sources('a: 1\n...\n# next\n%YAML 1.1\n---\nb: 2'), ['a: 1\n...\n', '# next\n%YAML 1.1\n---\nb: 2'])
  t.same(sources('a: |\n  ---\n  text\n'), ['a: |\n  ---\n  text\n'], 'an indented marker is text')
  t.same(sources('a: ---\n----\n'), ['a: ---\n----\n'], 'four are no marker')
  t.same(sources('a: 1\r\n---\r\nb: 2\r\n'), ['a: 1\r\n', '---\r\nb: 2\r\n'])
  t.same(sources(''), [])
  t.same(sources('\n# only a comment\n'), ['\n# only a comment\n'])
  t.same(
    splitDocuments('a: 1\n\n---\nb: 2\n').map(part => part.firstLine),
    [1, 3],
  )
})

t.test('the parts of any text are the text', async t => {
  const line = fc.constantFrom(
    '---',
    '--- # x',
    '...',
    'a: 1',
    '',
    '# c',
    '%YAML 1.1',
    '  b',
    '- ---',
    '\uFEFF---',
    'é',
  )
  const end = fc.constantFrom('\n', '\r\n', '')
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(fc.tuple(line, end)), lines => {
        const text = lines.map(pair => pair.join('')).join('')
        return sources(text).join('') === text
      }),
      { numRuns: 2_000 },
    ),
  )
})

t.test('what is wrong is named by the line of the file', async t => {
  const [, second] = splitDocuments('a: 1\n---\nb:\n  - c\n d: [\n')
  t.match(parsePart(second!).problems, [/^line [56], column \d+: ./])
  t.match(only('a: *nobody\n').problems, [/line 1.*nobody/])
  t.match(only('a: 1\na: 2\n').problems, [/^line 2, column 1: Map keys must be unique/])
  const laughs = `a: &a [x, x, x, x, x, x, x, x, x, x]\n${['b', 'c', 'd', 'e', 'f']
    .map((name, at) => `${name}: &${name} [${Array(10).fill(`*${'abcde'[at]}`).join(', ')}]\n`)
    .join('')}`
  t.match(only(laughs).problems, [/Excessive alias count/], 'a bomb of aliases is not unfolded')
})

t.test('YAML is read as kubectl reads it', async t => {
  t.same(only('a: yes\nb: 0644\nc: 12:30\nd: 2001-12-14\ne: 1_000\n').value, {
    a: true,
    b: 420,
    c: '12:30',
    d: '2001-12-14',
    e: 1000,
  })
  t.same(only('p: &x {a: 1}\nq: {<<: *x, b: 2}\n').value, { p: { a: 1 }, q: { a: 1, b: 2 } })
})

t.test('a changed document keeps comments, order, quotes and the style of its lists', async t => {
  const text = `# first\n---\nkind: Pod # a pod\nspec:\n  # containers\n  containers:\n  - name: "a"\n    args: ['x', "y"]\n    mode: 0644\n\n  - name: b # second\n`
  t.equal(
    changed(text, (pod: { spec: { containers: object[] } }) => {
      pod.spec.containers.push({ name: 'c' })
      return pod
    }),
    text.replace(/$/, '  - name: c\n'),
  )
})

t.test('items keep their lines when others come before them', async t => {
  const text = 'list:\n  # why b\n  - name: b # b\n  - name: c # c\n'
  const after = changed(text, (value: { list: object[] }) => ({ list: [{ name: 'a' }, ...value.list] }))
  t.match(after, /- name: a\n/)
  t.match(after, /- name: b # b\n {2}- name: c # c\n$/)
  t.equal(
    changed(after, (value: { list: object[] }) => ({ list: value.list.slice(1) })),
    text.replace('  # why b\n', after.includes('# why b') ? '  # why b\n' : ''),
  )
})

t.test('a document that is not changed comes out to the last byte', async t => {
  for (const text of ['a:   1\n', '{"a":1}', 'a: "x"   # y\r\n', '--- \na: [1,\n 2]', '\uFEFFa: 1\n'])
    t.equal(
      changed(text, value => value),
      text,
    )
})

t.test('line ends, end markers and JSON stay what they are', async t => {
  const more = (value: object): object => ({ ...value, b: 'c' })
  t.equal(changed('a: 1\r\n', more), 'a: 1\r\nb: c\r\n')
  t.equal(changed('---\na: 1\n...\n', more), '---\na: 1\nb: c\n...\n')
  t.equal(changed('{"a": 1}\n', more), '{"a":1,"b":"c"}\n')
  t.equal(changed('{\n    "a": 1\n}', more), '{\n    "a": 1,\n    "b": "c"\n}')
  t.equal(changed('{\n\t"a": 1\n}\n', more), '{\n\t"a": 1,\n\t"b": "c"\n}\n')
  t.equal(changed('{a: 1}\n', more), '{a: 1, b: c}\n', 'flow style that is no JSON')
})

t.test('where an alias stands, one place is changed and the other is not', async t => {
  const text = 'a: &x\n  v: 1\nb: *x\n'
  const after = changed(text, (value: { a: object; b: object }) => ({ ...value, b: { v: 2 } }))
  t.same(only(after).value, { a: { v: 1 }, b: { v: 2 } })
})

t.test('what is written reads the same to a reader of YAML 1.1 and to one of 1.2', async t => {
  const tricky = [
    'yes',
    'no',
    'on',
    'y',
    '0644',
    '12:30',
    '2001-12-14',
    '1_000',
    '',
    'null',
    '~',
    ' x',
    'a: b',
    '# x',
    '\n',
  ]
  const text = changed('a: 1\n', () => ({ tricky }))
  const { parse } = await import('yaml')
  t.same(parse(text, { version: '1.1' }), { tricky })
  t.same(parse(text, { version: '1.2' }), { tricky })
})

t.test('any change of any document is written so that it reads as meant', async t => {
  const key = fc.stringMatching(/^[a-zA-Z][-a-zA-Z0-9./]{0,8}$/)
  const leaf = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.constantFrom('yes', '1:20', '|', '- x'),
  )
  const { value } = fc.letrec<{ value: unknown }>(tie => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }))
  const { stringify } = await import('yaml')
  const map = fc.dictionary(key, value, { maxKeys: 5, noNullPrototype: true })
  fc.assert(
    fc.property(map, map, (before, after) => {
      const parsed = only(stringify(before, { version: '1.1' }))
      t.same(parsed.problems, [])
      const again = only(parsed.render(after))
      t.same(again.value, after)
    }),
    { numRuns: 200 },
  )
})
