import fc from 'fast-check'
import t from 'tap'
import { formatRecord, formatTime, MAX_LEASE_MS, parseRecord } from '../../shared/record.ts'

const times = '"acquireTime":"2026-01-02T03:04:05.678901Z","renewTime":"2026-01-02T03:04:06.678901Z"'

t.test('the record of each writer is read', async t => {
  const seen = (text: string) => parseRecord(text)
  t.match(
    seen(`{"holderIdentity":"a","leaseDuration":15.000000000,${times},"leaderTransitions":3}`),
    {
      holder: 'a',
      leaseMs: 15_000,
      transitions: 3,
    },
    'Flink 1.x',
  )
  t.match(
    seen(`{"holderIdentity":"a","leaseDuration":"PT15S",${times},"leaderTransitions":3}`),
    { leaseMs: 15_000 },
    'Flink 2.x',
  )
  t.match(
    seen(`{"holderIdentity":"a","leaseDurationSeconds":15,${times},"leaderTransitions":3}`),
    { leaseMs: 15_000 },
    'client-go',
  )
  t.match(seen('{"holderIdentity":"a","leaseDuration":"PT1M0.5S"}'), { leaseMs: 60_500 }, 'minutes and fractions')
  for (const holder of ['"holderIdentity":"",', '"holderIdentity":null,', ''])
    t.equal(seen(`{${holder}"leaseDuration":1}`)?.holder, '', `vacant as {${holder}`)
})

t.test('a malformed or hostile record is no record', async t => {
  for (const text of [
    undefined,
    '',
    'null',
    '[]',
    '7',
    '{',
    '{}',
    '{"holderIdentity":"a"}',
    '{"holderIdentity":7,"leaseDuration":1}',
    '{"holderIdentity":"a","leaseDuration":-1}',
    '{"holderIdentity":"a","leaseDuration":0}',
    '{"holderIdentity":"a","leaseDuration":"15"}',
    '{"holderIdentity":"a","leaseDuration":"PT"}',
    '{"holderIdentity":"a","leaseDuration":{"seconds":1}}',
    `{"holderIdentity":"${'x'.repeat(5_000)}","leaseDuration":1}`,
  ])
    t.equal(parseRecord(text), undefined, String(text).slice(0, 60))
})

t.test('a record that asks for a week is waited for ten minutes', async t => {
  t.equal(parseRecord('{"holderIdentity":"a","leaseDuration":"PT168H"}')?.leaseMs, MAX_LEASE_MS)
})

t.test('what is written is what a strict reader of Flink takes', async t => {
  const record = {
    holder: 'pod_uid',
    leaseMs: 10_000,
    acquireTime: formatTime(1.7e15),
    renewTime: formatTime(1.7e15 + 1),
    transitions: 2,
  }
  t.equal(
    formatRecord(record),
    '{"holderIdentity":"pod_uid","leaseDuration":10.000000000,"acquireTime":"2023-11-14T22:13:20.000000Z","renewTime":"2023-11-14T22:13:20.000001Z","leaderTransitions":2}',
  )
  t.match(formatRecord(record, 'iso'), '"leaseDuration":"PT10S"')
})

t.test('every record that is written is read back as it was', async () => {
  const text = fc.string({ maxLength: 200 })
  fc.assert(
    fc.property(
      text,
      fc.integer({ min: 100, max: MAX_LEASE_MS }),
      fc.nat(),
      fc.boolean(),
      (holder, leaseMs, transitions, iso) => {
        const record = { holder, leaseMs, acquireTime: formatTime(0), renewTime: formatTime(1), transitions }
        const back = parseRecord(formatRecord(record, iso ? 'iso' : 'number'))
        return (
          back !== undefined &&
          back.holder === holder &&
          Math.abs(back.leaseMs - leaseMs) < 1e-6 &&
          back.transitions === transitions
        )
      },
    ),
    { verbose: true },
  )
})

t.test('no text at all makes the reader throw', async () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), text => parseRecord(text) === undefined || true))
})
