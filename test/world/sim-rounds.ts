// The rounds of failsafe as they went over the network: until when a leader was promised to be left alone.
import type { Question } from '../../sidecar/failsafe-question.ts'

/** A term lasts no longer than a few rounds after the last that was promised. */
const KEPT = 20

type Round = { sentMonoMs: number; asked: number; promised: number }

export class Rounds {
  /** By the leader's process, the newest last. */
  readonly #rounds = new Map<string, Map<number, Round>>()

  asked(process: string, body: string, monoMs: number): (promised: boolean) => void {
    const { round } = JSON.parse(body) as Question
    const rounds = this.#rounds.get(process) ?? new Map<number, Round>()
    this.#rounds.set(process, rounds)
    const known = rounds.get(round) ?? { sentMonoMs: monoMs, asked: 0, promised: 0 }
    rounds.set(round, known)
    known.asked++
    if (rounds.size > KEPT) rounds.delete(rounds.keys().next().value ?? 0)
    return promised => {
      if (promised) known.promised++
    }
  }

  /** When, by the leader's clock, the last round was sent in which everybody promised. */
  sinceMs(process: string): number {
    let sinceMs = Number.NEGATIVE_INFINITY
    for (const { sentMonoMs, asked, promised } of this.#rounds.get(process)?.values() ?? [])
      if (promised === asked) sinceMs = Math.max(sinceMs, sentMonoMs)
    return sinceMs
  }
}
