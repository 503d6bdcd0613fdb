import fc from 'fast-check'
import t from 'tap'
import {
  BACKDATE_MS,
  CA_LIFE_MS,
  DAY_MS,
  type Facts,
  type Holdings,
  OVERLAP_MS,
  plan,
  SERVER_LIFE_MS,
  SPREAD_MS,
  type Span,
} from '../../webhook/tls-plan.ts'

const NOW = Date.UTC(2026, 5, 1)
const MINUTE_MS = 60_000

const ca = (ageMs: number): Span => ({ fromMs: NOW - ageMs - BACKDATE_MS, toMs: NOW - ageMs + CA_LIFE_MS })
const server = (ageMs: number, signer = 0) => ({
  fromMs: NOW - ageMs - BACKDATE_MS,
  toMs: NOW - ageMs + SERVER_LIFE_MS,
  signer,
})
const ours = (
  authorities: [Span, ...Span[]],
  pair: (Span & { signer: number }) | { problem: string } = server(DAY_MS * 2),
): Holdings => ({ kind: 'ours', authorities, server: pair })
const step = (held: Holdings | undefined, facts: Partial<Facts> = {}): string =>
  plan({ held, lost: false, nowMs: NOW, knownForMs: undefined, ...facts }).do

t.test('without a Secret, or with one that nothing can be made of, all is made', async t => {
  t.equal(step(undefined), 'make')
  t.equal(step({ kind: 'spoilt', problem: 'ca.key is not there' }), 'make')
  t.equal(step(ours([ca(CA_LIFE_MS)])), 'make', 'the CA has expired')
})

t.test('a given pair is used, however old', async t => {
  t.equal(step({ kind: 'given' }), 'use')
})

t.test('a young pair is used', async t => {
  t.equal(step(ours([ca(0)], server(0))), 'use')
  t.equal(step(ours([ca(DAY_MS * 200)], server(DAY_MS * 59))), 'use')
})

t.test('a server certificate is renewed at two thirds of its life', async t => {
  t.equal(step(ours([ca(DAY_MS * 61)], server(DAY_MS * 60.1))), 'renew-server')
})

t.test('a server certificate that clients refuse or TLS cannot use is renewed at once', async t => {
  t.equal(step(ours([ca(0)], { problem: 'the private key is not the certificate’s' })), 'renew-server')
  t.equal(step(ours([ca(DAY_MS * 100)], server(SERVER_LIFE_MS))), 'renew-server', 'expired')
  t.equal(step(ours([ca(0)], server(-DAY_MS))), 'renew-server', 'not valid yet')
  const signedByAnExpiredCa = ours([ca(0), ca(CA_LIFE_MS)], server(DAY_MS, 1))
  t.equal(step(signedByAnExpiredCa), 'renew-server')
})

t.test('a CA is replaced at two thirds of its life, after its last server certificate was renewed', async t => {
  t.equal(step(ours([ca(DAY_MS * 243)], server(DAY_MS))), 'use')
  t.equal(step(ours([ca(DAY_MS * 244)], server(DAY_MS))), 'rotate-ca')
  t.equal(step(ours([ca(DAY_MS * 244)], server(DAY_MS * 61))), 'renew-server', 'so that it outlives the wait')
})

t.test('a new CA signs nothing before its bundle has been public for the whole wait', async t => {
  const waiting = ours([ca(MINUTE_MS), ca(DAY_MS * 244)], server(DAY_MS, 1))
  t.equal(step(waiting, { knownForMs: undefined }), 'use', 'not published')
  t.equal(step(waiting, { knownForMs: SPREAD_MS - 1 }), 'use')
  t.equal(step(waiting, { knownForMs: SPREAD_MS }), 'renew-server')
})

t.test('a bundle that cannot be published holds the new CA back until the old certificate’s last day', async t => {
  const waiting = (ageMs: number) => ours([ca(DAY_MS * 30), ca(DAY_MS * 274)], server(ageMs, 1))
  t.equal(step(waiting(DAY_MS * 88)), 'use')
  t.equal(step(waiting(DAY_MS * 89.5)), 'renew-server')
})

t.test('an old CA leaves the bundle when its successor has signed for a day', async t => {
  const both = (ageMs: number) => ours([ca(DAY_MS * 2), ca(DAY_MS * 246)], server(ageMs))
  t.equal(step(both(OVERLAP_MS - 1)), 'use')
  t.equal(step(both(OVERLAP_MS)), 'retire-ca')
})

t.test('a Secret that was deleted brings a new CA beside the old one, not a new start', async t => {
  t.equal(step(ours([ca(0)], server(0)), { lost: true }), 'rotate-ca')
  t.equal(step(ours([ca(CA_LIFE_MS)]), { lost: true }), 'make', 'unless the old one is worth nothing')
})

t.test('a CA that a wrong clock dated into the future gets a successor that is valid now', async t => {
  t.equal(step(ours([ca(-DAY_MS * 30)], server(-DAY_MS * 30))), 'rotate-ca')
})

t.test('near its end a CA signs nothing more: the gain would be none', async t => {
  const toMs = NOW + MINUTE_MS
  const authority = { fromMs: toMs - CA_LIFE_MS, toMs }
  t.equal(step(ours([authority], { fromMs: NOW - DAY_MS * 60, toMs, signer: 0 })), 'rotate-ca')
})

/** What a step makes of the holdings, in dates alone. */
const after = (held: Holdings | undefined, what: string): Holdings => {
  const fresh: Span = { fromMs: NOW - BACKDATE_MS, toMs: NOW + CA_LIFE_MS }
  if (held === undefined || held.kind !== 'ours' || what === 'make') return ours([fresh], server(0))
  const [newest, ...older] = held.authorities
  if (what === 'renew-server')
    return { ...held, server: { ...server(0), toMs: Math.min(NOW + SERVER_LIFE_MS, newest.toMs) } }
  if (what === 'retire-ca') return { ...held, authorities: [newest] }
  const kept = [newest, ...older].filter(({ toMs }) => toMs > NOW)
  const moved = 'signer' in held.server ? { ...held.server, signer: held.server.signer + 1 } : held.server
  return { ...held, authorities: [fresh, ...kept], server: moved }
}

t.test('from anywhere, a few steps lead to rest, with a certificate that is valid', async t => {
  const span = (lifeMs: number) =>
    fc
      .integer({ min: -lifeMs / 2, max: lifeMs * 1.5 })
      .map(ageMs => ({ fromMs: NOW - ageMs, toMs: NOW - ageMs + lifeMs }))
  const authorities = fc.tuple(span(CA_LIFE_MS), fc.option(span(CA_LIFE_MS), { nil: undefined }))
  const pair = fc.oneof(
    fc.record({ span: span(SERVER_LIFE_MS), signer: fc.integer({ min: 0, max: 1 }) }),
    fc.constant({ problem: 'spoilt' }),
  )
  const known = fc.option(fc.integer({ min: 0, max: 2 * SPREAD_MS }), { nil: undefined })
  const property = fc.property(authorities, pair, known, fc.boolean(), ([newest, older], given, knownForMs, lost) => {
    const all: [Span, ...Span[]] = older === undefined ? [newest] : [newest, older]
    let held: Holdings = ours(
      all,
      'problem' in given ? given : { ...given.span, signer: Math.min(given.signer, all.length - 1) },
    )
    let isLost = lost
    for (let turn = 0; turn < 6; turn++) {
      const next = plan({ held, lost: isLost, nowMs: NOW, knownForMs })
      if (next.do === 'use') {
        if (held.kind !== 'ours' || 'problem' in held.server) return false
        return held.server.fromMs <= NOW && NOW < held.server.toMs
      }
      isLost = false
      held = after(held, next.do)
    }
    return false
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 5_000 }))
})
