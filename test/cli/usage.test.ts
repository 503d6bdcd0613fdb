import t from 'tap'
import { readCheckArgs } from '../../cli/check.ts'
import * as tables from '../../cli/flags.ts'
import { usage } from '../../cli/usage.ts'
import { SETTINGS } from '../../sidecar/config.ts'
import { RELAY_SETTINGS } from '../../sidecar/relay-config.ts'
import { WEBHOOK_SETTINGS } from '../../webhook/config.ts'

/** Of people. */
const COMMANDS = [
  'inject',
  'uninject',
  'check',
  'explain',
  'status',
  'switchover',
  'cleanup',
  'backup',
  'restore',
  'demo',
]

t.test('the help of each command names each of its flags', async t => {
  for (const flag of Object.keys(WEBHOOK_SETTINGS)) t.match(usage('webhook'), `--${flag} `, flag)
  for (const flag of Object.keys({ ...SETTINGS, ...RELAY_SETTINGS })) t.match(usage('sidecar'), `--${flag} `, flag)
  const byCommand = {
    inject: { ...tables.REWRITE_FLAGS, ...tables.INJECT_FLAGS },
    uninject: tables.REWRITE_FLAGS,
    check: tables.CHECK_FLAGS,
    explain: tables.EXPLAIN_FLAGS,
    status: tables.STATUS_FLAGS,
    switchover: tables.ENDPOINT_FLAGS,
    cleanup: tables.CLEANUP_FLAGS,
    backup: tables.BACKUP_FLAGS,
    restore: tables.RESTORE_FLAGS,
    demo: tables.DEMO_FLAGS,
  }
  for (const [command, flags] of Object.entries(byCommand))
    for (const flag of Object.keys(flags)) t.match(usage(command), `--${flag} `, `${command} --${flag}`)
})

t.test('the help names every command', async t => {
  for (const command of ['webhook', 'sidecar', ...COMMANDS]) t.match(usage(undefined), `flink-ha ${command}`)
  t.equal(usage('nonsense'), usage(undefined))
})

t.test('the flags that the help of check names exist', async t => {
  const flags = [...usage('check').matchAll(/--([a-z-]+)( [A-Z]+)?/g)]
  t.ok(flags.length >= 5)
  for (const [, flag, value] of flags) {
    const given = flag === 'output' ? 'json' : flag === 'allow' ? 'pods' : 'x'
    t.doesNotThrow(() => readCheckArgs([`--${flag}`, ...(value === undefined ? [] : [given])]), flag ?? '')
  }
})

t.test('no line is wider than a terminal of 130', async t => {
  for (const command of [undefined, ...COMMANDS])
    for (const line of usage(command).split('\n')) t.ok(line.length <= 130, line)
})
