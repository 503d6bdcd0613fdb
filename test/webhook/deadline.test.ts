import t from 'tap'
import { answerWithinMs, parseDuration } from '../../webhook/deadline.ts'

t.test('a Go duration is read', async t => {
  for (const [text, ms] of [
    ['5s', 5_000],
    ['1.5s', 1_500],
    ['250ms', 250],
    ['1m0s', 60_000],
    ['1us', 0.001],
  ] as const)
    t.equal(parseDuration(text), ms, text)
})

t.test('what is none counts as not said', async t => {
  for (const text of [
    undefined,
    '',
    '5',
    's',
    '-5s',
    '5 s',
    '5s5',
    '0s',
    'x'.repeat(10_000),
    ['5s', '6s'],
    { s: 5 },
    5,
  ])
    t.equal(parseDuration(text), undefined, JSON.stringify(text))
  t.equal(answerWithinMs(undefined), 9_500)
})

t.test('the answer leaves before the caller gives up, however short its time is', async t => {
  t.equal(answerWithinMs('5s'), 4_500)
  t.equal(answerWithinMs('1s'), 800)
  t.equal(answerWithinMs('10ms'), 8)
  t.equal(answerWithinMs('1h'), 29_500, 'no webhook is given more than 30 s')
})
