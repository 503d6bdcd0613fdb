// What goes wrong in a simulation, and when: made up front from the seed, so that a failure can be shrunk by leaving things
// out.
import type { Chance } from './sim-time.ts'

export const FAULTS = [
  // between a pod and the API server, two pods, a relay and a pod
  'slow-api',
  'lossy-api',
  'cut-api',
  'cut-peers',
  'slow-peers',
  'cut-relay',
  'slow-relay',
  // watches
  'watch-lag',
  'watch-break',
  'watch-regress',
  'compact',
  // the API server
  'api-errors',
  'api-crash',
  'api-freeze',
  // processes
  'sidecar-crash',
  'sidecar-pause',
  'jvm-crash',
  'jvm-stop',
  'jvm-pause',
  'pod-pause',
  'pod-delete',
  'pod-vanish',
  'relay-crash',
  'relay-pause',
  // clocks
  'wall-step',
  'clock-rate',
  // third parties
  'lock-delete',
  'lock-garble',
  'lock-touch',
  'lock-keys',
  'switchover',
  // built-in high availability
  'native-start',
  'native-stop',
  'native-crash',
  'native-pause',
] as const
export type FaultKind = (typeof FAULTS)[number]

/** `target` and `size` are drawn from 0 to 1: which one, and how much. */
export type Fault = { atMs: number; kind: FaultKind; target: number; durationMs: number; size: number }

/** What is rarer than the rest. */
const WEIGHTS: { readonly [kind in FaultKind]?: number } = {
  'lock-delete': 0.4,
  'lock-garble': 0.4,
  'api-crash': 0.4,
  'api-freeze': 0.4,
  'pod-delete': 0.6,
  'pod-vanish': 0.6,
}
/**
 * Built-in high availability decides by the wall: it is only promised anything while walls agree. And it makes a lock that a
 * third party took away at once, without a thought of who may still believe to hold it.
 */
const NOT_BESIDE_NATIVE: ReadonlySet<FaultKind> = new Set(['wall-step', 'lock-delete', 'lock-garble'])
/** What failsafe is about is more frequent where it is on. */
const OF_FAILSAFE: ReadonlySet<FaultKind> = new Set(['api-crash', 'api-freeze', 'cut-peers', 'slow-peers', 'cut-api'])
const MEAN_MS = 12_000
/** Faults begin when a leader had the time to be there. */
const FIRST_MS = 15_000

export type PlanOptions = { chance: Chance; untilMs: number; leaseMs: number; native: boolean; failsafe: boolean }

/** Each seed has some kinds of faults only, and some seeds more of them than others: so rare ones meet. */
export const makePlan = ({ chance, untilMs, leaseMs, native, failsafe }: PlanOptions): Fault[] => {
  const share = 0.2 + 0.8 * chance()
  const kinds = FAULTS.filter(
    kind =>
      (native || !kind.startsWith('native')) &&
      !(native && NOT_BESIDE_NATIVE.has(kind)) &&
      // Of a lock that is deleted while all who know its roster are cut off, failsafe promises nothing.
      !(failsafe && kind === 'lock-delete') &&
      chance() < share,
  )
  if (kinds.length === 0) return []
  const weight = (kind: FaultKind): number => (failsafe && OF_FAILSAFE.has(kind) ? 4 : (WEIGHTS[kind] ?? 1))
  const total = kinds.reduce((sum, kind) => sum + weight(kind), 0)
  const draw = (): FaultKind => {
    let left = chance() * total
    for (const kind of kinds) {
      left -= weight(kind)
      if (left < 0) return kind
    }
    return kinds[0] as FaultKind
  }
  const meanMs = MEAN_MS * (0.25 + 2 * chance())
  const plan: Fault[] = []
  for (let atMs = FIRST_MS; ; ) {
    atMs += -Math.log(1 - chance()) * meanMs
    if (atMs >= untilMs) return plan
    // Short, about a lease, or long.
    const durationMs = chance() < 0.5 ? chance() * 3_000 : chance() * 2.5 * leaseMs
    plan.push({
      atMs: Math.round(atMs),
      kind: draw(),
      target: chance(),
      durationMs: Math.round(durationMs),
      size: chance(),
    })
  }
}

export const describe = ({ atMs, kind, target, durationMs, size }: Fault): string =>
  `${String(atMs).padStart(7)} ms ${kind} target=${target.toFixed(3)} size=${size.toFixed(3)} for ${durationMs} ms`
