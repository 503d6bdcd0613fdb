import t from 'tap'
import { parseQuantity } from '../../webhook/quantity.ts'

t.test('what Kubernetes takes for a quantity is one', async t => {
  for (const [text, size] of [
    ['0', 0],
    ['100m', 0.1],
    ['1', 1],
    ['1.5', 1.5],
    ['.5', 0.5],
    ['1.', 1],
    ['+2', 2],
    ['64Mi', 64 * 1024 ** 2],
    ['1k', 1000],
    ['2Gi', 2 * 1024 ** 3],
    ['1E', 1e18],
    ['1e3', 1000],
    ['1E3', 1000],
    ['5n', 5e-9],
  ] as const)
    t.ok(Math.abs((parseQuantity(text) ?? Number.NaN) - size) <= size * 1e-9, text)
})

t.test('anything else is none: control characters, signs, units, sizes', async t => {
  for (const text of [
    '',
    ' ',
    '1Gi\n',
    '\n1Gi',
    '1Gi\u0000',
    '1\t',
    '1 Gi',
    '-1',
    '-100m',
    'Gi',
    '1gb',
    '1KB',
    '1mi',
    '0x10',
    'NaN',
    'Infinity',
    '1e999',
    '1e',
    '1Mi1',
    '１００m',
    '100m\nprivileged: true',
    '1'.repeat(33),
    '16E',
  ])
    t.equal(parseQuantity(text), undefined, JSON.stringify(text))
})
