// What lies between two processes: delay, loss, and cuts. A message that meets a cut is lost, or waits in some buffer until
// the cut is over: then it arrives long after its sender gave up.
import type { Chance, SimTime } from './sim-time.ts'

export type Weather = {
  /** Longest delay of a message, one way. */
  maxDelayMs: number
  /** Share of messages that are lost. */
  loss: number
}

const CALM_MS = 3
const LATE_AFTER_CUT = 0.3
const OUTLIVES_CUT = 0.7

export class Link {
  readonly #time: SimTime
  readonly #chance: Chance
  readonly #calmMs: number
  #cutUntilMs = 0
  #weather: Weather | undefined

  /** `calmMs`: longest delay in good weather. */
  constructor(time: SimTime, chance: Chance, calmMs = CALM_MS) {
    this.#time = time
    this.#chance = chance
    this.#calmMs = calmMs
  }

  get cut(): boolean {
    return this.#time.nowMs < this.#cutUntilMs
  }
  cutFor(durationMs: number): void {
    this.#cutUntilMs = Math.max(this.#cutUntilMs, this.#time.nowMs + durationMs)
  }
  storm(weather: Weather, durationMs: number): void {
    this.#weather = weather
    this.#time.after(durationMs, () => {
      if (this.#weather === weather) this.#weather = undefined
    })
  }
  heal(): void {
    this.#cutUntilMs = 0
    this.#weather = undefined
  }

  delayMs(): number {
    const chance = this.#chance()
    if (this.#weather !== undefined) return chance * chance * this.#weather.maxDelayMs
    return 0.05 + chance * this.#calmMs
  }

  /** When a cut that there is lets through what goes on being sent again; undefined when the connection dies of it. */
  passesAtMs(): number | undefined {
    if (!this.cut) return this.#time.nowMs
    return this.#chance() < OUTLIVES_CUT ? this.#cutUntilMs : undefined
  }

  /** False: it will never arrive. */
  send(run: () => void): boolean {
    if (this.cut) {
      if (this.#chance() >= LATE_AFTER_CUT) return false
      this.#time.at(this.#cutUntilMs + this.#chance() * 1_000, run)
      return true
    }
    if (this.#weather !== undefined && this.#chance() < this.#weather.loss) return false
    this.#time.after(this.delayMs(), run)
    return true
  }
}

/** One direction of one connection: what is sent arrives in order. */
export class Channel {
  readonly #time: SimTime
  readonly #link: Link
  #lastMs = 0
  #broken = false

  constructor(time: SimTime, link: Link) {
    this.#time = time
    this.#link = link
  }

  /** `lagMs`: beside the link's own delay. Some connections outlive a cut, others carry nothing any more and nobody knows. */
  send(run: () => void, lagMs = 0): void {
    if (this.#broken) return
    const sentMs = this.#link.passesAtMs()
    if (sentMs === undefined) {
      this.#broken = true
      return
    }
    this.#lastMs = Math.max(this.#lastMs, sentMs + this.#link.delayMs() + lagMs)
    this.#time.at(this.#lastMs, run)
  }
}

/** Every link is made when it is first used; the names of its ends tell it. */
export class Network {
  readonly #time: SimTime
  readonly #chance: Chance
  readonly #links = new Map<string, Link>()

  constructor(time: SimTime, chance: Chance) {
    this.#time = time
    this.#chance = chance
  }

  link(a: string, b: string): Link {
    const name = a < b ? `${a} ${b}` : `${b} ${a}`
    let link = this.#links.get(name)
    if (link === undefined) {
      link = new Link(this.#time, this.#chance)
      this.#links.set(name, link)
    }
    return link
  }

  heal(): void {
    for (const link of this.#links.values()) link.heal()
  }
}
