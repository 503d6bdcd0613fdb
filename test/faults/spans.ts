// Spans of time in which somebody held a belief; what two of different holders share, and what nobody covers. Pure.
export type Span = { who: string; fromMs: number; toMs: number }
export type Overlap = { who: readonly [string, string]; fromMs: number; toMs: number }

export const overlaps = (spans: readonly Span[]): Overlap[] =>
  spans.flatMap((a, i) =>
    spans.slice(i + 1).flatMap(b => {
      const fromMs = Math.max(a.fromMs, b.fromMs)
      const toMs = Math.min(a.toMs, b.toMs)
      return a.who !== b.who && toMs > fromMs ? [{ who: [a.who, b.who] as const, fromMs, toMs }] : []
    }),
  )

/** For how long at least one covers the time between two times. */
export const coveredMs = (spans: readonly { fromMs: number; toMs: number }[], fromMs: number, toMs: number): number => {
  let covered = 0
  let untilMs = fromMs
  for (const span of spans.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const endMs = Math.min(span.toMs, toMs)
    covered += Math.max(0, endMs - Math.max(span.fromMs, untilMs))
    untilMs = Math.max(untilMs, endMs)
  }
  return covered
}

/** What is left of spans outside of the times that are taken out of them. */
export const without = (spans: readonly Span[], holes: readonly Span[]): Span[] =>
  holes.reduce<Span[]>(
    (left, hole) =>
      left.flatMap(span => {
        if (span.who !== hole.who || hole.toMs <= span.fromMs || hole.fromMs >= span.toMs) return [span]
        const parts = [
          { ...span, toMs: hole.fromMs },
          { ...span, fromMs: hole.toMs },
        ]
        return parts.filter(({ fromMs, toMs }) => toMs > fromMs)
      }),
    [...spans],
  )

/** Things by a word of theirs, in the order of their coming. */
export const grouped = <T>(things: readonly T[], wordOf: (thing: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>()
  for (const thing of things) {
    const group = groups.get(wordOf(thing))
    if (group === undefined) groups.set(wordOf(thing), [thing])
    else group.push(thing)
  }
  return groups
}
