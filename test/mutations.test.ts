// The list of weakenings fits the code: else a rule that was moved would silently no longer be tried.
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { findingIn, SIMULATION } from './mutation-finders.ts'
import { MUTATIONS } from './mutations-list.ts'

t.test('each weakening finds its code once, and somebody who has to notice', async t => {
  for (const { rule, file, code, weaker, finders } of MUTATIONS) {
    t.equal(readFileSync(file, 'utf8').split(code).length, 2, `${rule}: its code is in ${file}, once`)
    t.not(code, weaker, rule)
    for (const { script, env } of finders.filter(finder => finder !== SIMULATION)) {
      if (!t.ok(existsSync(script), `${rule}: ${script} is there`)) continue
      const only = env['TAP_GREP']
      if (only !== undefined) t.match(readFileSync(script, 'utf8'), new RegExp(only), `${rule}: "${only}" is a test`)
    }
  }
})

t.test('no rule is in the list twice', async t => {
  const rules = MUTATIONS.map(({ rule }) => rule)
  t.strictSame([...new Set(rules)], rules)
})

t.test('a finder is read by the checker that it names, or by its red tests', async t => {
  const red = [
    '    not ok 1 - SEED=17: two leaders: c0, c1 at 5 ms; token fell',
    'not ok 2 - never two leaders # time=3ms',
  ]
  t.strictSame(findingIn('…\n{"checker":"lock history","seeds":3}\n'), { checker: 'lock history', seeds: 3 })
  t.strictSame(findingIn(red.join('\n')), { checker: 'two leaders', seeds: 17 })
  t.strictSame(findingIn('    not ok 1 - should be equal\nnot ok 9 - a late success does not lead # time=3ms'), {
    checker: 'a late success does not lead',
    seeds: undefined,
  })
  t.equal(findingIn('ok 1 - all is well'), undefined)
})
