// Never two leaders, by what happened and not by what the code says of itself (S1 to S10 of the safety properties).
import { FAILSAFE_LIMIT_MS } from '../../shared/failsafe.ts'
import { ANNOTATION_SUCCESSOR } from '../../shared/names.ts'
import { compareVersions } from '../../shared/resource-version.ts'
import type { Timings } from '../../shared/timings.ts'
import { readRecord } from './flink-records.ts'
import type { Change } from './kube-history.ts'
import type { ApiCall } from './sim-api.ts'
import { eraOf, type Ledger, rawIn, rawOf, rosterOf } from './sim-ledger.ts'
import type { SimNative } from './sim-native.ts'
import type { SimPod } from './sim-pod.ts'
import type { Rounds } from './sim-rounds.ts'
import type { SimTime } from './sim-time.ts'

export type Violate = (rule: string, what: string) => void
export type LeaderCheckOptions = {
  time: SimTime
  pods: readonly SimPod[]
  natives: () => readonly SimNative[]
  ledger: Ledger
  timings: Timings
  /** With failsafe: what others promised. */
  rounds: Rounds | undefined
  violate: Violate
}

/** What one sidecar's process was seen to do. */
type Seen = { leading: number | undefined; ended: Set<number>; version: string; cachedVersion: string }

/** Clocks differ by up to 4 %; what is counted by another clock than the true one may be that much shorter. */
const DRIFT = 0.025
/** Of Flink's default configuration. */
const FLINK_LEASE_MS = 15_000
/** A little longer than its retry period. */
const TICK_MS = 6_000
const EPSILON_MS = 0.01

export class LeaderCheck {
  readonly #options: LeaderCheckOptions
  readonly #seen = new Map<string, Seen>()

  constructor(options: LeaderCheckOptions) {
    this.#options = options
  }

  /** A sidecar's process has done something. */
  ran(pod: SimPod): void {
    const { sidecar } = pod
    if (sidecar === undefined) return
    const { candidate, process } = sidecar
    const seen = this.#of(process.name)
    this.#versions(pod, seen)
    if (!candidate.leading()) return
    this.#alone(pod)
    const { ledger, violate } = this.#options
    const heldSinceMs = ledger.heldSinceMs.get(process.name) ?? Number.NEGATIVE_INFINITY
    const untilMs = process.monoMs() + candidate.validForMs()
    if (untilMs > this.#endMs(process.name, heldSinceMs) + EPSILON_MS)
      violate(
        'S4',
        `${pod.name} leads ${Math.round(untilMs - heldSinceMs)} ms after the sending of its last write that was made`,
      )
    if (seen.leading === undefined) violate('S10', `${pod.name} leads and has not said so`)
  }

  /** By the leader's own clock: its last write that was made, or the last promise of all the others, which have a limit. */
  #endMs(process: string, heldSinceMs: number): number {
    const { rounds, timings, ledger } = this.#options
    const byWrites = heldSinceMs + timings.renewDeadlineMs
    if (rounds === undefined) return byWrites
    const limitMs = heldSinceMs + FAILSAFE_LIMIT_MS
    // Whoever is alone in the roster has nobody to ask.
    if (ledger.roster.length < 2) return limitMs
    return Math.max(byWrites, Math.min(rounds.sinceMs(process) + timings.renewDeadlineMs, limitMs))
  }

  /** At most one valid believer. One that is stopped counts: were it to wake now, it would act. */
  #alone(pod: SimPod): void {
    const { pods, natives, violate } = this.#options
    for (const other of pods)
      if (other !== pod && other.sidecar?.candidate.leading() === true)
        violate('S1', `${pod.name} and ${other.name} lead at once`)
    for (const native of natives())
      if (native.leading && this.#isValid(native)) violate('S1', `${pod.name} and a native elector lead at once`)
  }

  /** A native elector believes for longer than its lease: what it does after that is its own fault. */
  #isValid(native: SimNative): boolean {
    const { ledger, time } = this.#options
    return time.nowMs < (ledger.lastRecordMs.get(native.identity) ?? 0) + FLINK_LEASE_MS * (1 - DRIFT)
  }

  nativeGranted(native: SimNative): void {
    const { pods, violate } = this.#options
    if (!this.#isValid(native)) return
    for (const pod of pods)
      if (pod.sidecar?.candidate.leading() === true) violate('S1', `a native elector and ${pod.name} lead at once`)
  }

  #versions(pod: SimPod, seen: Seen): void {
    const { candidate } = pod.sidecar!
    const version = candidate.lock?.version ?? ''
    const cachedVersion = candidate.cached?.version ?? ''
    const { violate } = this.#options
    if (version !== seen.version) {
      if (seen.version !== '' && (compareVersions(version, seen.version) ?? 1) < 0)
        violate('S8', `${pod.name} went back from version ${seen.version} to ${version}`)
      seen.version = version
    }
    if (cachedVersion !== seen.cachedVersion) {
      if (seen.cachedVersion !== '' && (compareVersions(cachedVersion, seen.cachedVersion) ?? 1) < 0)
        violate('S8', `${pod.name} shows version ${cachedVersion} after ${seen.cachedVersion}`)
      seen.cachedVersion = cachedVersion
    }
  }

  /** A JVM that is stopped for longer than its lease, within a term, is not led for: another one could do its work. */
  frozen(pod: SimPod): void {
    const { sidecar, jvm } = pod
    if (sidecar === undefined || jvm === undefined || !jvm.process.paused || sidecar.process.paused) return
    if (!sidecar.candidate.leading()) return
    const { ledger, time, violate } = this.#options
    const term = ledger.terms.get(sidecar.candidate.token)
    // The lease of a JVM begins with the term: it has not had to renew before.
    const ledMs = time.nowMs - (term?.beganMs ?? time.nowMs)
    const steadyMs = Math.min(sidecar.process.steadyMs, jvm.process.steadyMs, ledMs)
    if (steadyMs > FLINK_LEASE_MS * (1 + 2 * DRIFT) + TICK_MS)
      violate('L4', `${pod.name} leads, and its JVM has been stopped for ${Math.round(steadyMs)} ms of its term`)
  }

  began(pod: SimPod, token: number, resumed: boolean): void {
    const { ledger, time, timings, violate } = this.#options
    const { process } = pod.sidecar!
    const seen = this.#of(process.name)
    const heldForMs = process.monoMs() - (ledger.heldSinceMs.get(process.name) ?? Number.NEGATIVE_INFINITY)
    if (heldForMs >= timings.renewDeadlineMs)
      violate('S4', `${pod.name} begins a term ${Math.round(heldForMs)} ms after the sending of its write`)
    if (seen.leading !== undefined) violate('S10', `${pod.name} leads again and never said that it had stopped`)
    if (seen.ended.has(token)) violate('S6', `${pod.name} leads again in term ${token}, which it gave up`)
    const known = ledger.terms.get(token)
    if (resumed && known !== undefined && known.identity !== pod.identity)
      violate('S2', `${pod.name} resumes term ${token} of ${known.name}`)
    if (resumed ? token < ledger.newestToken : token <= ledger.newestToken)
      violate('S2', `${pod.name} begins term ${token} after term ${ledger.newestToken}`)
    seen.leading = token
    ledger.begin({ token, identity: pod.identity, name: pod.name, beganMs: time.nowMs, endedMs: undefined })
  }

  ended(pod: SimPod): void {
    const seen = this.#of(pod.sidecar!.process.name)
    if (seen.leading === undefined) return
    seen.ended.add(seen.leading)
    const term = this.#options.ledger.terms.get(seen.leading)
    if (term !== undefined) term.endedMs = this.#options.time.nowMs
    seen.leading = undefined
  }

  /** A write of the lock leaves a sidecar. */
  sent(pod: SimPod, call: ApiCall): void {
    const { ledger, time, violate } = this.#options
    const { candidate, process } = pod.sidecar!
    const raw = rawIn(call)
    if (call.method === 'PATCH') {
      const version = (call.body as { metadata: { resourceVersion?: string } }).metadata.resourceVersion
      if (version === undefined || version === '') violate('S3', `${pod.name} writes the lock whatever its version`)
      else if (raw !== undefined && version !== candidate.lock?.version)
        violate('S3', `${pod.name} writes on version ${version} and has judged ${candidate.lock?.version}`)
    }
    if (raw !== undefined)
      ledger.writes.set(raw, { by: process.name, pod, raw, sentMonoMs: process.monoMs(), sentMs: time.nowMs })
  }

  /** The lock has changed. */
  changed(change: Change, call: ApiCall | undefined): void {
    const { ledger, natives, time } = this.#options
    const raw = change.type === 'DELETED' ? '' : rawOf(change.object)
    const before = ledger.era
    if (change.type !== 'DELETED') ledger.roster = rosterOf(change.object)
    if (raw === before.raw) return
    ledger.era = eraOf(raw, time.nowMs)
    const holder = ledger.era.record?.holder ?? ''
    if (holder !== '') ledger.lastRecordMs.set(holder, time.nowMs)
    // fabric8 gives its lock up first and says so to Flink when the answer has come: what is between is its own fault.
    else
      for (const { identity, process } of natives()) if (call?.by === process.name) ledger.lastRecordMs.delete(identity)
    const write = ledger.writes.get(raw)
    if (write === undefined || call === undefined || write.by !== call.by) return
    this.#readable(change, write.pod)
    if (holder !== write.pod.identity) return
    ledger.heldSinceMs.set(write.by, Math.max(ledger.heldSinceMs.get(write.by) ?? 0, write.sentMonoMs))
    this.#patient(change, write.pod, before, write.sentMs)
  }

  /** Nobody is overtaken before the lease of his record has passed. */
  #patient(change: Change, pod: SimPod, before: Ledger['era'], sentMs: number): void {
    const { timings, violate } = this.#options
    const holder = before.record?.holder
    if (holder === '' || holder === pod.identity || change.before === undefined) return
    const successor = change.before.metadata.annotations?.[ANNOTATION_SUCCESSOR]
    if (successor === pod.identity) return
    const leaseMs = (before.record?.leaseMs ?? timings.leaseMs) * (1 - DRIFT)
    const waitedMs = sentMs - before.sinceMs
    if (waitedMs < leaseMs)
      violate('S3', `${pod.name} overtakes "${holder}" ${Math.round(waitedMs)} ms after its record was written`)
  }

  /** An unmodified Flink must be able to read what we write, else a rolling update never elects. */
  #readable(change: Change, pod: SimPod): void {
    if (readRecord(change.object as Parameters<typeof readRecord>[0]) === undefined)
      this.#options.violate('native', `${pod.name} wrote a record that Flink cannot read: ${rawOf(change.object)}`)
  }

  #of(process: string): Seen {
    let seen = this.#seen.get(process)
    if (seen === undefined) {
      seen = { leading: undefined, ended: new Set(), version: '', cachedVersion: '' }
      this.#seen.set(process, seen)
    }
    return seen
  }
}
