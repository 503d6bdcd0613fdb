// What becomes of the Secret with our CA and server certificate: pure, one step at a time, each one write of the Secret.
//
// A life, in days (CA 365, server 90, each replaced at two thirds of its life):
//   0            make          a CA and a server certificate
//   60, 120, ..  renew-server  signed by the same CA
//   243          rotate-ca     a new CA enters the bundle, first; the old one's key is gone, its server certificate stays
//   + SPREAD     renew-server  signed by the new CA: by now every API server can know the bundle that has it
//   + OVERLAP    retire-ca     the old CA leaves the bundle: by now no replica serves its certificate any more
//
// Why nobody is refused: what is served is signed by a CA that has been in the published bundle for at least SPREAD_MS, and
// that stays in it for at least OVERLAP_MS after a successor took over. So a client may know a bundle that is up to
// SPREAD_MS old, and a replica may serve a pair that is up to OVERLAP_MS old. The wait counts from when the configuration
// was seen to have the bundle, not from when we wrote it: a bundle that could not be published changes nothing.

export const DAY_MS = 86_400_000
export const CA_LIFE_MS = 365 * DAY_MS
export const SERVER_LIFE_MS = 90 * DAY_MS
/** Certificates begin this long before they are made, so that a client whose clock is behind takes them all the same. */
export const BACKDATE_MS = 3_600_000

/** In milliseconds since the epoch. */
export type Span = { fromMs: number; toMs: number }
/** What a Secret holds. */
export type Holdings =
  | {
      kind: 'ours'
      /** Newest first: the one whose key we hold. */
      authorities: readonly [Span, ...Span[]]
      /** `signer`: index in `authorities`. */
      server: (Span & { signer: number }) | { problem: string }
    }
  /** A pair without the CA's key: somebody else keeps it, and we only serve it. */
  | { kind: 'given' }
  | { kind: 'spoilt'; problem: string }

export type Step = { do: 'use' } | { do: 'make' | 'renew-server' | 'rotate-ca' | 'retire-ca'; why: string }
export type Facts = {
  /** Undefined: there is no Secret. */
  held: Holdings | undefined
  /** `held` is what the Secret had before it was deleted or spoilt. */
  lost: boolean
  nowMs: number
  /** How long the webhook configuration has been seen with this bundle; undefined when it does not have it. */
  knownForMs: number | undefined
}

/** API servers follow the configuration by watch, within seconds; a wait of minutes costs nothing. */
export const SPREAD_MS = 600_000
/** A replica follows the Secret by watch, too; one that is cut off for a day is not called any more. */
export const OVERLAP_MS = DAY_MS
/** From here on a certificate that clients may not know yet is better than one that they will certainly refuse. */
const LAST_RESORT_MS = DAY_MS
/** A renewal that gains less than this is none: the CA's own end is near. */
const WORTHWHILE_MS = 3_600_000

const dueMs = ({ fromMs, toMs }: Span): number => fromMs + ((toMs - fromMs) * 2) / 3
const isValid = ({ fromMs, toMs }: Span, nowMs: number): boolean => fromMs <= nowMs && nowMs < toMs
const daysLeft = (toMs: number, nowMs: number): string => `${((toMs - nowMs) / DAY_MS).toFixed(1)} days`

/** The next step; after `use` there is none for now. */
export const plan = (facts: Facts): Step => {
  const { held, lost, nowMs } = facts
  if (held === undefined) return { do: 'make', why: 'there is no Secret yet' }
  if (held.kind === 'given') return { do: 'use' }
  if (held.kind === 'spoilt') return { do: 'make', why: `the Secret cannot be used: ${held.problem}` }
  const [authority, ...older] = held.authorities
  if (nowMs >= authority.toMs) return { do: 'make', why: 'the CA has expired' }
  // To delete the Secret is how people ask for a new CA; they get one, and no client is refused meanwhile.
  if (lost) return { do: 'rotate-ca', why: 'the Secret was deleted or spoilt' }
  if (nowMs < authority.fromMs) return { do: 'rotate-ca', why: 'the CA is not valid yet: it was made by a wrong clock' }
  const { server } = held
  if ('problem' in server) return { do: 'renew-server', why: server.problem }
  const signer = held.authorities[server.signer] ?? authority
  const toMs = Math.min(server.toMs, signer.toMs)
  if (!isValid({ ...server, toMs }, nowMs)) return { do: 'renew-server', why: 'the certificate is not valid now' }
  if (server.signer > 0) return planSwitch(toMs, facts)
  if (nowMs >= dueMs(server) && authority.toMs > server.toMs + WORTHWHILE_MS)
    return { do: 'renew-server', why: `the certificate has ${daysLeft(server.toMs, nowMs)} left` }
  if (nowMs >= dueMs(authority)) return { do: 'rotate-ca', why: `the CA has ${daysLeft(authority.toMs, nowMs)} left` }
  if (older.length > 0 && nowMs >= server.fromMs + BACKDATE_MS + OVERLAP_MS)
    return { do: 'retire-ca', why: 'its successor has signed for a day' }
  return { do: 'use' }
}

/** The new CA is in the bundle, the certificate is still the old one's. */
const planSwitch = (toMs: number, { nowMs, knownForMs }: Facts): Step => {
  if (knownForMs !== undefined && knownForMs >= SPREAD_MS)
    return { do: 'renew-server', why: 'API servers have had time to know the new CA' }
  if (toMs - nowMs < LAST_RESORT_MS)
    return { do: 'renew-server', why: `the old CA’s certificate has ${daysLeft(toMs, nowMs)} left` }
  return { do: 'use' }
}
