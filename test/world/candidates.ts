// Candidates on a simulated API, network and clocks, all driven by one seed: the election core that ships, N times, with
// lost, late and duplicated answers, pauses, clock drift and a third party that meddles. The checks stand outside of it.
import { type Action, type Election, type Event, type Lock, makeElection, type State } from '../../shared/election.ts'
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
export type Outcome = { violations: string[]; terms: number; leaderMs: number; finalLeader: string | undefined }

export type WorldOptions = { seed: number; candidates: number; timings: Timings; simulatedMs: number }

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

  constructor(name: string, timings: Timings, random: () => number) {
    this.name = name
    this.election = makeElection(name, timings)
    this.state = this.election.initial
    this.rate = 1 + (random() - 0.5) * 0.04
    this.offsetMs = random() * 1e6
  }
}

export class CandidateWorld {
  readonly outcome: Outcome = { violations: [], terms: 0, leaderMs: 0, finalLeader: undefined }
  #random: () => number
  #options: WorldOptions
  #nowMs = 0
  #order = 0
  #jobs: Job[] = []
  #candidates: Candidate[] = []
  #lock: Lock = { version: '1000', exists: false, raw: '', record: undefined, token: 0, successor: '' }
  #version = 1000
  #faults = true
  #tokens = new Map<number, string>()
  #lastToken = 0

  constructor(options: WorldOptions) {
    this.#options = options
    this.#random = seeded(options.seed)
  }

  play(): Outcome {
    const { candidates, timings, simulatedMs } = this.#options
    for (let i = 0; i < candidates; i++) this.#candidates.push(new Candidate(`c${i}`, timings, this.#random))
    for (const candidate of this.#candidates) {
      this.#at(this.#random() * 1_000, () => this.#tell(candidate))
      this.#at(this.#random() * 2_000, () => this.#give(candidate, { type: 'stand' }))
    }
    for (let at = 0; at < simulatedMs; at += 1_000 + this.#random() * 8_000) this.#at(at, () => this.#strike())
    // The healed phase: no faults, everybody stands; somebody has to lead at its end.
    this.#at(simulatedMs, () => this.#heal())
    const endMs = simulatedMs + 6 * timings.leaseMs + 35_000
    for (let job = this.#next(); job !== undefined && job.atMs <= endMs; job = this.#next()) {
      this.#nowMs = job.atMs
      job.run()
      this.#check()
    }
    this.outcome.finalLeader = this.#candidates.find(candidate => this.#believes(candidate))?.name
    return this.outcome
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
      default:
    }
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
      const lost = this.#faults && this.#random() < 0.05
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
      if (this.#faults && this.#random() < 0.03)
        return answer({ type: 'write-failed', id: write.id, why: 'refused', retryAfterMs: 500 })
      const matches =
        write.kind === 'create' ? !this.#lock.exists : this.#lock.exists && write.version === this.#lock.version
      if (!matches) return answer({ type: 'write-failed', id: write.id, why: 'conflict' })
      this.#change({ exists: true, raw: write.raw, token: write.token, successor: write.successor })
      if (this.#faults && this.#random() < 0.05) return
      answer({ type: 'write-done', id: write.id, lock: this.#lock })
    })
  }

  #change(fields: Pick<Lock, 'exists' | 'raw' | 'token' | 'successor'>): void {
    this.#lock = { ...fields, version: String(++this.#version), record: parseRecord(fields.raw) }
    for (const candidate of this.#candidates) this.#tell(candidate)
  }

  /** A sight of the lock as it is now, by the watch: late, sometimes very, sometimes out of order, but not never. */
  #tell(candidate: Candidate): void {
    const lock = this.#lock
    this.#at(this.#nowMs + this.#delay(), () => this.#give(candidate, { type: 'lock-seen', lock }))
  }

  #strike(): void {
    if (!this.#faults) return
    const candidate = this.#candidates[Math.floor(this.#random() * this.#candidates.length)] as Candidate
    const luck = this.#random()
    const { leaseMs } = this.#options.timings
    if (luck < 0.25) candidate.pausedUntilMs = this.#nowMs + this.#random() * 3 * leaseMs
    else if (luck < 0.45) this.#restart(candidate)
    else if (luck < 0.7) {
      const other = this.#candidates[Math.floor(this.#random() * this.#candidates.length)] as Candidate
      const successor = other === candidate || this.#random() < 0.5 ? '' : other.name
      this.#give(candidate, { type: 'withdraw', reason: 'jvm-gone', successor })
      this.#at(this.#nowMs + this.#random() * 5_000, () => this.#give(candidate, { type: 'stand' }))
    } else if (luck < 0.76) this.#change({ exists: false, raw: '', token: 0, successor: '' })
    else if (luck < 0.82)
      this.#change({ ...this.#lock, exists: true, raw: '{"holderIdentity":7', token: this.#lock.token })
    else if (this.#lock.exists) this.#change(this.#lock)
  }

  /** The process ends and comes back: it knows nothing, and what was under way for it goes nowhere. */
  #restart(candidate: Candidate): void {
    if (candidate.leading !== undefined) this.outcome.leaderMs += this.#nowMs - candidate.leading.fromMs
    candidate.generation++
    candidate.leading = undefined
    candidate.state = candidate.election.initial
    candidate.pausedUntilMs = 0
    this.#at(this.#nowMs + this.#random() * 3_000, () => this.#tell(candidate))
    this.#at(this.#nowMs + this.#random() * 3_000, () => this.#give(candidate, { type: 'stand' }))
  }

  #heal(): void {
    this.#faults = false
    for (const candidate of this.#candidates) {
      candidate.pausedUntilMs = Math.min(candidate.pausedUntilMs, this.#nowMs)
      this.#at(this.#nowMs + 1, () => this.#give(candidate, { type: 'stand' }))
      this.#at(this.#nowMs + 2, () => this.#read(candidate))
    }
  }

  #check(): void {
    const believers = this.#candidates.filter(candidate => this.#believes(candidate))
    if (believers.length > 1) this.#violate(`two leaders: ${believers.map(c => c.name).join(', ')}`)
  }

  #violate(what: string): void {
    if (this.outcome.violations.length < 5) this.outcome.violations.push(`${what} at ${Math.round(this.#nowMs)} ms`)
  }
}
