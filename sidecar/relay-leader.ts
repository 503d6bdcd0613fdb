// Who leads, as a relay can tell it at this moment, and since when it knows nothing new.
import type { LeaderDocument } from './leader.ts'
import type { RelayState } from './relay-core.ts'

/** How long the last document that was believed can still be relied on. */
export const relayValidForMs = (s: RelayState, monoMs: number): number =>
  Math.floor(Math.max(0, s.validUntilMs - monoMs))

/** Never a stale name: one is told while its term can be valid, and not longer. */
export const relayLeader = (s: RelayState, monoMs: number): LeaderDocument => {
  const validForMs = relayValidForMs(s, monoMs)
  const known = validForMs > 0 && s.leader !== undefined ? s.leader : undefined
  return {
    clusterId: s.clusterId,
    name: known?.name ?? null,
    isLeader: false,
    token: known?.token ?? 0,
    validForMs,
    transitions: s.leader?.transitions ?? 0,
    lastUpdate: s.leader?.lastUpdate ?? null,
    ageSeconds: s.heardMs === undefined ? null : Math.round((monoMs - s.heardMs) / 100) / 10,
    components: known?.components ?? { jobs: {} },
  }
}
