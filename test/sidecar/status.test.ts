import t from 'tap'
import type { Candidate } from '../../sidecar/candidate.ts'
import { Status } from '../../sidecar/status.ts'

/** A candidate that leads for this long yet. */
const leadingFor = (validForMs: number): Candidate =>
  ({
    identity: 'jm-0_uid',
    lock: { record: { holder: 'jm-0_uid', transitions: 1 }, successor: '' },
    token: 7,
    history: { lastChange: null },
    target: { namespace: 'ns', clusterId: 'c', name: 'c-cluster-config-map' },
    cached: undefined,
    leading: () => true,
    validForMs: () => validForMs,
    onChange: () => () => {},
  }) as unknown as Candidate

t.test('a leader that names itself for no time any more does not say either that it leads', async t => {
  const told = (validForMs: number) => new Status(leadingFor(validForMs), 1, () => () => {}).leader()
  t.match(told(2.5), { name: 'jm-0', isLeader: true, token: 7, validForMs: 2 })
  t.match(told(0.5), { name: null, isLeader: false, token: 0, validForMs: 0 })
})
