// One fault for several stages: it strikes when all of them are ready for it, and is healed for all of them at once.
import type { Cast, Kind, Struck } from './kinds.ts'

/** Whoever cannot play to the end has to leave, or the others wait for it. */
export const together = (kind: Kind, parties: number): { kind: Kind; leave: () => void } => {
  let awaited = parties
  let struck: Promise<Struck> | undefined
  let go = (): void => undefined
  const ready = new Promise<void>(resolve => {
    go = resolve
  })
  const arrive = (): void => {
    if (--awaited === 0) go()
  }
  const strike = async (cast: Cast): Promise<Struck> => {
    arrive()
    await ready
    struck ??= kind.strike(cast).then(({ heal, ...rest }) => {
      let healed: Promise<unknown> | undefined
      return heal === undefined ? rest : { ...rest, heal: () => (healed ??= heal()) }
    })
    return await struck
  }
  return { kind: { ...kind, strike }, leave: arrive }
}
