// Candidates on a simulated API, network and clocks, all driven by one seed: the election core that ships, N times, with
// lost, late and duplicated answers, pauses, clock drift and a third party that meddles. With failsafe on also API outages,
// partitions, candidates that ask each other, die for good and join. The checks stand outside of it.
import {
  type Action,
  type Election,
  type Event,
  type Lock,
  makeElection,
  NOBODY,
  type State,
} from '../../shared/election.ts'
import { parseRecord } from '../../shared/record.ts'
import type { Timings } from '../../shared/timings.ts'

/** A small, good, seeded generator (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

type Job = { atMs: number; order: number; run: () => void }
type Term = { by: string; fromMs: number; token: number }
export type Outcome = {
  violations: string[]
  terms: number
  leaderMs: number
  /** Rounds in which everybody promised, and terms that lasted longer than without. */
  rounds: number
  vouchedTerms: number
  finalLeader: string | undefined
}

export type WorldOptions = {
  seed: number
  candidates: number
  timings: Timings
  simulatedMs: number
  /** How long a term lasts without an acknowledged write at most; without it, failsafe is off. */
  failsafeLimitMs?: number
}

type Round = { id: number; sentAtMs: number; waiting: Set<string> }

class Candidate {
  readonly name: string
  readonly election: Election
  state: State
  leading: Term | undefined
  pausedUntilMs = 0
  /** This machine's clock: rate and offset. */
  readonly rate: number
  readonly offsetMs: number
  wake: Job | undefined
  generation = 0
  readonly failsafe: boolean
  cutOffUntilMs = 0
  gone = false
  vouched = false
  rounds: Round[] = []

  constructor(name: string, timings: Timings, random: () => number, failsafeLimitMs: number | undefined) {
    this.name = name
    // Now and then one that has it off, as while the annotation is being rolled out.
    this.failsafe = failsafeLimitMs !== undefined && random() < 0.9
    const limit = failsafeLimitMs === undefined ? {} : { limitMs: failsafeLimitMs }
    this.election = makeElection(name, timings, { failsafe: this.failsafe, ...limit })
    this.state = this.election.initial
    this.rate = 1 + (random() - 0.5) * 0.04
    this.offsetMs = random() * 1e6
  }
}

export class CandidateWorld {
  readonly outcome: Outcome = {
    violations: [],
    terms: 0,
    leaderMs: 0,
    rounds: 0,
    vouchedTerms: 0,
    finalLeader: undefined,
  }
  #random: () => number
  #options: WorldOptions
  #nowMs = 0
  #order = 0
  #jobs: Job[] = []
  #candidates: Candidate[] = []
  #lock: Lock = { version: '1000', exists: false, raw: '', record: undefined, token: 0, successor: '', roster: [] }
  #version = 1000
  #faults = true
  #tokens = new Map<number, string>()
  #lastToken = 0
  #nextRound = 1
  #joined = 0
  /** Pairs of candidates that do not hear each other, and until when. */
  #apart = new Map<string, number>()
  /** From the deletion of the lock to the next term. */
  #orphaned = false
  #lastRoster: readonly string[] = []

  constructor(options: WorldOptions) {
    this.#options = options
    this.#random = seeded(options.seed)
  }

  play(): Outcome {
    const { candidates, timings, simulatedMs, failsafeLimitMs } = this.#options
    for (let i = 0; i < candidates; i++) this.#join()
    // An outage in which something happens all the time is over before it is long.
    const calm = failsafeLimitMs === undefined ? 1 : 1 + this.#random() * 20
    for (let at = 0; at < simulatedMs; at += calm * (1_000 + this.#random() * 8_000)) this.#at(at, () => this.#strike())
    // The healed phase: no faults, everybody stands; somebody has to lead at its end.
    this.#at(simulatedMs, () => this.#heal())
    const endMs = simulatedMs + 6 * timings.leaseMs + 35_000 + 1.2 * (failsafeLimitMs ?? 0)
    for (let job = this.#next(); job !== undefined && job.atMs <= endMs; job = this.#next()) {
      this.#nowMs = job.atMs
      job.run()
      this.#check()
    }
    this.outcome.finalLeader = this.#candidates.find(candidate => this.#believes(candidate))?.name
    return this.outcome
  }

  #join(): void {
    const { timings, failsafeLimitMs } = this.#options
    const candidate = new Candidate(`c${this.#joined++}`, timings, this.#random, failsafeLimitMs)
    this.#candidates.push(candidate)
    this.#at(this.#nowMs + this.#random() * 1_000, () => this.#tell(candidate))
    this.#at(this.#nowMs + this.#random() * 2_000, () => this.#give(candidate, { type: 'stand' }))
    if (failsafeLimitMs !== undefined) this.#know(candidate)
  }

  #at(atMs: number, run: () => void): Job {
    const job = { atMs, order: this.#order++, run }
    this.#jobs.push(job)
    return job
  }
  #next(): Job | undefined {
    let best = 0
    for (let i = 1; i < this.#jobs.length; i++) {
      const [a, b] = [this.#jobs[i] as Job, this.#jobs[best] as Job]
      if (a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)) best = i
    }
    const job = this.#jobs[best]
    if (job !== undefined) this.#jobs.splice(best, 1)
    return job
  }

  #local(candidate: Candidate): number {
    return candidate.offsetMs + this.#nowMs * candidate.rate
  }
  #believes(candidate: Candidate): boolean {
    // A paused one cannot act; when it wakes, it looks at its clock first.
    return this.#local(candidate) < candidate.election.validUntilMs(candidate.state)
  }

  #give(candidate: Candidate, event: Event): void {
    if (candidate.gone) return
    if (this.#nowMs < candidate.pausedUntilMs) {
      const { generation } = candidate
      this.#at(candidate.pausedUntilMs, () => candidate.generation === generation && this.#give(candidate, event))
      return
    }
    const monoMs = this.#local(candidate)
    // Wall clocks are wrong by up to an hour, and step.
    const wallUs = Math.floor((this.#nowMs + candidate.offsetMs + (this.#random() < 0.01 ? -3_600_000 : 0)) * 1000)
    const { state, actions } = candidate.election.step(candidate.state, event, { monoMs, wallUs })
    candidate.state = state
    for (const action of actions) this.#perform(candidate, action)
    this.#schedule(candidate)
  }

  #schedule(candidate: Candidate): void {
    if (candidate.wake !== undefined) candidate.wake.run = () => {}
    const wakeAtMs = candidate.election.wakeAtMs(candidate.state)
    if (wakeAtMs === Number.POSITIVE_INFINITY) return
    const delayMs = Math.max(0, (wakeAtMs - this.#local(candidate)) / candidate.rate)
    candidate.wake = this.#at(this.#nowMs + delayMs + this.#random() * 5, () => this.#give(candidate, { type: 'tick' }))
  }

  #perform(candidate: Candidate, action: Action): void {
    switch (action.type) {
      case 'lead': {
        const { token } = action
        const owner = this.#tokens.get(token)
        if (owner !== undefined && owner !== candidate.name)
          this.#violate(`token ${token} of ${owner} given to ${candidate.name} again`)
        if (token < this.#lastToken) this.#violate(`token fell from ${this.#lastToken} to ${token}`)
        this.#lastToken = token
        this.#tokens.set(token, candidate.name)
        candidate.leading = { by: candidate.name, fromMs: this.#nowMs, token }
        candidate.vouched = false
        this.outcome.terms++
        return
      }
      case 'yield':
        if (candidate.leading !== undefined) this.outcome.leaderMs += this.#nowMs - candidate.leading.fromMs
        candidate.leading = undefined
        return
      case 'read-lock':
        this.#read(candidate)
        return
      case 'write-lock':
        this.#write(candidate, action)
        return
      case 'ask-promises':
        this.#ask(candidate, action)
        return
      case 'promise':
        this.#answer(candidate, action)
        return
      default:
    }
  }

  // ---- candidates among each other ----

  /** Whom it can ask: as its sidecar does, those of the others that answered lately. */
  #know(candidate: Candidate): void {
    const others = this.#candidates.filter(c => c !== candidate && c.failsafe && !c.gone)
    const members = others.filter(() => !this.#faults || this.#random() < 0.8).map(c => c.name)
    this.#give(candidate, { type: 'peers', members })
    const { retryMs } = this.#options.timings
    if (!candidate.gone) this.#at(this.#nowMs + retryMs * (0.5 + this.#random()), () => this.#know(candidate))
  }

  #carry(from: string, to: string, deliver: () => void): void {
    if (this.#nowMs < (this.#apart.get([from, to].sort().join()) ?? 0)) return
    if (this.#faults && this.#random() < 0.03) return
    const delayMs = this.#random() < 0.9 ? this.#random() * 30 : this.#random() * 15_000
    this.#at(this.#nowMs + delayMs, deliver)
    // A question may arrive twice.
    if (this.#faults && this.#random() < 0.02) this.#at(this.#nowMs + delayMs + this.#random() * 9_000, deliver)
  }

  #ask(leader: Candidate, action: Action & { type: 'ask-promises' }): void {
    const { token, leaseMs, sentAtMs, members } = action
    const id = this.#nextRound++
    leader.rounds = [...leader.rounds.slice(-20), { id, sentAtMs, waiting: new Set(members) }]
    if (members.length === 0) this.#promised(leader, id, '')
    for (const name of members) {
      const ask = { id, leader: leader.name, token, leaseMs }
      const member = this.#candidates.find(c => c.name === name)
      if (member !== undefined) this.#carry(leader.name, name, () => this.#give(member, { type: 'promise-asked', ask }))
    }
  }
  #answer(member: Candidate, { id, given }: Action & { type: 'promise' }): void {
    const leader = this.#candidates.find(c => c.rounds.some(round => round.id === id))
    if (given && leader !== undefined)
      this.#carry(member.name, leader.name, () => this.#promised(leader, id, member.name))
  }
  #promised(leader: Candidate, id: number, by: string): void {
    const round = leader.rounds.find(one => one.id === id)
    if (round === undefined) return
    round.waiting.delete(by)
    if (round.waiting.size > 0) return
    leader.rounds = leader.rounds.filter(one => one !== round)
    this.outcome.rounds++
    const { sentAtMs } = round
    // Not within a step: its answer comes from outside in any case.
    this.#at(this.#nowMs, () => this.#give(leader, { type: 'vouched', sentAtMs }))
  }

  // ---- candidates and the API ----

  #cutOff(candidate: Candidate): boolean {
    return this.#faults && this.#nowMs < candidate.cutOffUntilMs
  }

  #delay(): number {
    if (!this.#faults) return 1 + this.#random() * 10
    const luck = this.#random()
    return luck < 0.9 ? 1 + this.#random() * 30 : luck < 0.98 ? this.#random() * 3_000 : this.#random() * 30_000
  }

  #read(candidate: Candidate): void {
    const { generation } = candidate
    const fresh = (): boolean => candidate.generation === generation
    this.#at(this.#nowMs + this.#delay(), () => {
      const lock = this.#lock
      const lost = (this.#faults && this.#random() < 0.05) || this.#cutOff(candidate)
      this.#at(this.#nowMs + this.#delay(), () => {
        if (fresh()) this.#give(candidate, lost ? { type: 'read-failed' } : { type: 'lock-seen', lock, read: true })
      })
    })
  }

  #write(candidate: Candidate, { write }: Action & { type: 'write-lock' }): void {
    const { generation } = candidate
    const fresh = (): boolean => candidate.generation === generation
    const answer = (event: Event): void => {
      this.#at(this.#nowMs + this.#delay(), () => fresh() && this.#give(candidate, event))
    }
    const unreachable: Event = { type: 'write-failed', id: write.id, why: 'unreachable' }
    // The request time-out; a late answer after it is still given, and must do no harm.
    this.#at(this.#nowMs + 2_000, () => {
      if (fresh() && candidate.state.write?.id === write.id) this.#give(candidate, unreachable)
    })
    if (this.#faults && this.#random() < 0.05) return answer(unreachable)
    this.#at(this.#nowMs + this.#delay(), () => {
      if (this.#cutOff(candidate)) return answer(unreachable)
      if (this.#faults && this.#random() < 0.03)
        return answer({ type: 'write-failed', id: write.id, why: 'refused', retryAfterMs: 500 })
      const matches =
        write.kind === 'create' ? !this.#lock.exists : this.#lock.exists && write.version === this.#lock.version
      if (!matches) return answer({ type: 'write-failed', id: write.id, why: 'conflict' })
      const roster = write.roster ?? (this.#lock.exists ? this.#lock.roster : [])
      if (write.kind === 'acquire') this.#orphaned = false
      this.#change({ exists: true, raw: write.raw, token: write.token, successor: write.successor, roster })
      if (this.#faults && this.#random() < 0.05) return
      answer({ type: 'write-done', id: write.id, lock: this.#lock })
    })
  }

  #change(fields: Pick<Lock, 'exists' | 'raw' | 'token' | 'successor' | 'roster'>): void {
    this.#lock = { ...fields, version: String(++this.#version), record: parseRecord(fields.raw) }
    for (const candidate of this.#candidates) this.#tell(candidate)
  }

  /** A sight of the lock as it is now, by the watch: late, sometimes very, sometimes out of order, but not never. */
  #tell(candidate: Candidate): void {
    const lock = this.#lock
    const fromMs = this.#cutOff(candidate) ? candidate.cutOffUntilMs : this.#nowMs
    this.#at(fromMs + this.#delay(), () =>
      // Cut off in the meantime: seen when that is over.
      this.#cutOff(candidate) ? this.#tell(candidate) : this.#give(candidate, { type: 'lock-seen', lock }),
    )
  }

  #strike(): void {
    if (!this.#faults) return
    const { failsafeLimitMs } = this.#options
    if (failsafeLimitMs !== undefined) this.#strikeFailsafe(failsafeLimitMs)
    const candidate = this.#candidates[Math.floor(this.#random() * this.#candidates.length)] as Candidate
    const luck = this.#random()
    const { leaseMs } = this.#options.timings
    if (luck < 0.25) candidate.pausedUntilMs = this.#nowMs + this.#random() * 3 * leaseMs
    else if (luck < 0.45) {
      if (this.#mayForget(candidate)) this.#restart(candidate)
    } else if (luck < 0.7) {
      const other = this.#candidates[Math.floor(this.#random() * this.#candidates.length)] as Candidate
      const successor = other === candidate || this.#random() < 0.5 ? '' : other.name
      this.#give(candidate, { type: 'withdraw', reason: 'jvm-gone', successor })
      this.#at(this.#nowMs + this.#random() * 5_000, () => this.#give(candidate, { type: 'stand' }))
    } else if (luck < 0.76) {
      if (this.#seenByAll()) this.#delete()
    } else if (luck < 0.82)
      this.#change({ ...this.#lock, exists: true, raw: '{"holderIdentity":7', token: this.#lock.token })
    else if (this.#lock.exists) this.#change(this.#lock)
  }

  #delete(): void {
    this.#orphaned = this.#options.failsafeLimitMs !== undefined
    if (this.#lock.record?.holder !== NOBODY) this.#lastRoster = this.#lock.roster
    this.#change({ exists: false, raw: '', token: 0, successor: '', roster: [] })
  }
  /**
   * Not promised with failsafe: a deleted lock that is made anew by who has not seen its last record, or forgot it; but for
   * who was in that record's roster.
   */
  #mayForget(candidate: Candidate): boolean {
    return !this.#orphaned || this.#lastRoster.includes(candidate.name)
  }
  #seenByAll(): boolean {
    if (this.#options.failsafeLimitMs === undefined) return true
    return this.#candidates.every(c => c.gone || c.state.lock?.version === this.#lock.version)
  }

  #strikeFailsafe(limitMs: number): void {
    const pick = (): Candidate => this.#candidates[Math.floor(this.#random() * this.#candidates.length)] as Candidate
    const [luck, one, other] = [this.#random(), pick(), pick()]
    const lengthMs = this.#random() * 3 * limitMs
    const untilMs = this.#nowMs + lengthMs
    if (luck < 0.15) for (const candidate of this.#candidates) candidate.cutOffUntilMs = untilMs
    else if (luck < 0.25) this.#leaderOr(one).cutOffUntilMs = untilMs
    else if (luck < 0.28) {
      this.#leaderOr(one).cutOffUntilMs = untilMs
      for (const candidate of this.#candidates) if (this.#random() < 0.3) candidate.cutOffUntilMs = untilMs
      this.#at(this.#nowMs + this.#random() * lengthMs, () => this.#faults && this.#seenByAll() && this.#delete())
    } else if (luck < 0.35) this.#apart.set([one.name, other.name].sort().join(), untilMs)
    else if (luck < 0.42 && !this.#orphaned) {
      if (this.#candidates.filter(c => !c.gone).length > 2) this.#end(one)
      this.#join()
    }
  }
  #leaderOr(other: Candidate): Candidate {
    return this.#candidates.find(c => this.#believes(c)) ?? other
  }
  /** For good: a replacement has another identity, and is in nobody's roster. */
  #end(candidate: Candidate): void {
    this.#forget(candidate)
    candidate.gone = true
  }

  /** The process ends and comes back: it knows nothing, and what was under way for it goes nowhere. */
  #restart(candidate: Candidate): void {
    this.#forget(candidate)
    this.#at(this.#nowMs + this.#random() * 3_000, () => this.#tell(candidate))
    this.#at(this.#nowMs + this.#random() * 3_000, () => this.#give(candidate, { type: 'stand' }))
  }

  #forget(candidate: Candidate): void {
    if (candidate.leading !== undefined) this.outcome.leaderMs += this.#nowMs - candidate.leading.fromMs
    candidate.generation++
    candidate.leading = undefined
    candidate.rounds = []
    candidate.state = candidate.election.initial
    candidate.pausedUntilMs = 0
  }

  #heal(): void {
    this.#faults = false
    for (const candidate of this.#candidates) {
      candidate.pausedUntilMs = Math.min(candidate.pausedUntilMs, this.#nowMs)
      this.#at(this.#nowMs + 1, () => this.#give(candidate, { type: 'stand' }))
      // What was told to a paused one is taken late: it may withdraw once more.
      this.#at(this.#nowMs + 3 * this.#options.timings.leaseMs, () => this.#give(candidate, { type: 'stand' }))
      this.#at(this.#nowMs + 2, () => this.#read(candidate))
    }
  }

  #check(): void {
    const believers = this.#candidates.filter(candidate => this.#believes(candidate))
    for (const candidate of believers) {
      const { heldSinceMs = 0 } = candidate.state
      if (candidate.vouched || this.#local(candidate) < heldSinceMs + this.#options.timings.renewDeadlineMs) continue
      candidate.vouched = true
      this.outcome.vouchedTerms++
    }
    if (believers.length > 1) this.#violate(`two leaders: ${believers.map(c => c.name).join(', ')}`)
  }

  #violate(what: string): void {
    if (this.outcome.violations.length < 5) this.outcome.violations.push(`${what} at ${Math.round(this.#nowMs)} ms`)
  }
}
