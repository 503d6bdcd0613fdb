// Bipartite matching by augmenting paths (Kuhn): gives each need something of its own that meets it.

/** The first need that cannot be met together with those before it; undefined when all can. */
export const matching = <Need, Thing>(
  needs: readonly Need[],
  things: readonly Thing[],
  meets: (need: Need, thing: Thing) => boolean,
): Need | undefined => {
  const takenBy = new Map<Thing, Need>()
  const take = (need: Need, tried: Set<Thing>): boolean => {
    for (const thing of things) {
      if (tried.has(thing) || !meets(need, thing)) continue
      tried.add(thing)
      const other = takenBy.get(thing)
      if (other !== undefined && !take(other, tried)) continue
      takenBy.set(thing, need)
      return true
    }
    return false
  }
  return needs.find(need => !take(need, new Set()))
}
