/**
 * The rules of the election, the gateway and the fence, each with a weakening of one line and with who has to notice it. The
 * groups are what electors for Kubernetes got wrong, in this order of frequency or in their algorithms. Add the removal of
 * each new rule here; `npm run mutations` tries them, `mutations.test.ts` holds that each one still fits the code.
 */
import { type Finder, SIMULATION, tests } from './mutation-finders.ts'

export type Mutation = {
  /** What holds, as a sentence that the weakening makes false. */
  rule: string
  file: string
  /** Is there once. */
  code: string
  weaker: string
  /** Cheapest first; one that notices is enough. */
  finders: readonly Finder[]
}

const election = tests('test/shared/election.test.ts')
const worlds = tests('test/shared/election-world.test.ts')
const failsafe = tests('test/shared/failsafe.test.ts')
const asking = tests('test/sidecar/failsafe-round.test.ts')
const failsafeSidecars = tests('test/sidecar/failsafe.test.ts')
const jvm = tests('test/sidecar/jvm.test.ts')
const lockWrite = tests('test/sidecar/lock-write.test.ts')
const lock = tests('test/shared/lock.test.ts')
const informer = (rule: string): Finder => tests('test/shared/informer.test.ts', rule)
const gateway = (rule: string): Finder => tests('test/sidecar/gateway.test.ts', rule)
const endpoint = (rule: string): Finder => tests('test/sidecar/endpoint.test.ts', rule)

const rule = (
  text: string,
  file: string,
  code: string,
  weaker: string,
  ...finders: [Finder, ...Finder[]]
): Mutation => ({ rule: text, file, code, weaker, finders })

const ELECTION = 'shared/election.ts'
const CANDIDATE = 'sidecar/candidate.ts'
const GATEWAY = 'sidecar/gateway.ts'
const JOB_STORE = 'sidecar/job-store.ts'

/** A term ends before the next one begins. */
const TERMS = [
  rule(
    'a term counts from the sending, not from the reply',
    ELECTION,
    'see(acknowledge(done, s.write), event.lock',
    'see(acknowledge(done, { ...s.write, sentAtMs: now.monoMs }), event.lock',
    election,
    SIMULATION,
  ),
  rule(
    'the deadline ends a term',
    ELECTION,
    "if (s.role !== 'leader' || now.monoMs < validUntilMs(s)) return s",
    'return s',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'the deadline ends a term while a call is under way, too',
    ELECTION,
    "if (s.role !== 'leader' || now.monoMs < validUntilMs(s)) return s",
    "if (s.role !== 'leader' || s.write !== undefined || now.monoMs < validUntilMs(s)) return s",
    election,
    SIMULATION,
  ),
  rule(
    'whoever slept looks at the clock before he takes an event',
    ELECTION,
    'let s = settle(before, now, actions)',
    'let s = before',
    election,
    SIMULATION,
  ),
  rule(
    'whoever slept looks at the clock before he answers',
    CANDIDATE,
    'return this.#options.clock.monoMs() < this.#election.validUntilMs(this.#state)',
    "return this.#state.role === 'leader'",
    tests('test/sidecar/candidate.test.ts'),
    SIMULATION,
  ),
  rule(
    'a late success does not lead',
    ELECTION,
    'if (now.monoMs >= s.heldSinceMs + t.renewDeadlineMs) return s',
    '',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'a lease is longer than the renew deadline, by more than clocks may drift',
    'shared/timings.ts',
    'if (t.renewDeadlineMs > latest)',
    'if (t.renewDeadlineMs > t.leaseMs)',
    tests('test/shared/timings.test.ts'),
  ),
  rule(
    'a follower waits the whole lease',
    ELECTION,
    'return sinceMs + lock.record.leaseMs',
    'return sinceMs + lock.record.leaseMs / 2',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'a follower waits for the lease of the record, not for its own',
    ELECTION,
    'return sinceMs + lock.record.leaseMs',
    'return sinceMs + t.leaseMs',
    election,
    SIMULATION,
  ),
  rule(
    'a follower waits from its own sight, not from the time that the record states',
    ELECTION,
    'unchanged(s.lock, lock) ? s.lockSinceMs : now.monoMs',
    'unchanged(s.lock, lock) ? s.lockSinceMs : now.monoMs - Math.max(0, now.wallUs / 1000 - (Date.parse(lock.record?.renewTime ?? "") || now.wallUs / 1000))',
    election,
    worlds,
    SIMULATION,
  ),
  rule('a renewal begins the wait anew', ELECTION, '    a.raw === b.raw &&\n', '', election, worlds, SIMULATION),
  rule(
    'a renewal never looks like the last one',
    ELECTION,
    'old?.renewTime === stamp ? formatTime(now.wallUs + 1) : stamp',
    'stamp',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'another holder ends a term',
    ELECTION,
    'if (mine === undefined || !isMine(mine)) return lost(fresh, actions)',
    'if (mine === undefined || !isMine(mine)) return fresh',
    election,
    worlds,
    SIMULATION,
  ),
]

/** What is written, and what the answer means. */
const WRITES = [
  rule(
    'a write is a compare-and-set on the version that was judged',
    'shared/lock.ts',
    '    resourceVersion: write.version,\n    labels,',
    '    labels,',
    lock,
    SIMULATION,
  ),
  rule(
    'so is one of a Lease',
    'shared/lock.ts',
    'metadata: { resourceVersion: write.version, annotations: besides(write, jvm) },',
    'metadata: { annotations: besides(write, jvm) },',
    lock,
  ),
  rule(
    'an unanswered write is not taken as made',
    ELECTION,
    'return backOff({ ...s, write: undefined, unknown: [...s.unknown, s.write] }, now, event.retryAfterMs)',
    'return backOff({ ...acknowledge(s, s.write), write: undefined }, now, event.retryAfterMs)',
    election,
    worlds,
    SIMULATION,
  ),
  rule('nor as not made', ELECTION, 'unknown: [...s.unknown, s.write] }', 'unknown: s.unknown }', election, SIMULATION),
  rule(
    'a 5xx leaves the outcome unknown',
    'shared/lock-writes.ts',
    "status < 500 ? 'refused' : 'unreachable'",
    "'refused'",
    tests('test/shared/lock-writes.test.ts'),
    SIMULATION,
  ),
  rule(
    'a conflict is read before it is written over',
    ELECTION,
    "if (!s.reading) actions.push({ type: 'read-lock' })",
    '',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'lower versions are ignored',
    ELECTION,
    'isStale(s.lock.version, lock.version)\n',
    'false\n',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'a release is final: no late renewal brings the term back',
    ELECTION,
    'const sent = { write: undefined, unknown: [] }',
    'const sent = {}',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'a garbled record is waited for',
    ELECTION,
    'return sinceMs + t.leaseMs',
    'return sinceMs',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'a missing lock is made held by nobody for a lease',
    ELECTION,
    "leaseMs: kind === 'release' ?",
    'leaseMs: given ?',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'whoever makes a missing lock does not hold it yet',
    ELECTION,
    'const holder = given ? successor : me',
    "const holder = kind === 'create' ? me : given ? successor : me",
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'a leader whose lock was deleted ends its term',
    ELECTION,
    "return yieldTerm(s, s.lock?.exists === false ? 'lock-deleted' : 'superseded', actions)",
    "return s.lock?.exists === false ? s : yieldTerm(s, 'superseded', actions)",
    election,
    SIMULATION,
  ),
]

/** Fencing tokens. */
const TOKENS = [
  rule(
    'a term keeps its token, whatever a third party makes of it',
    ELECTION,
    "const own = kind === 'renew' ? s.token : Math.max(lock.token, s.token)",
    'const own = lock.token',
    election,
    SIMULATION,
  ),
  rule(
    'a new term has a new token',
    ELECTION,
    'Math.max(lock.token, versionNumber(lock.version)) + 1',
    'Math.max(lock.token, 1)',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'tokens grow over deletion and re-creation of the lock',
    ELECTION,
    'Math.max(lock.token, versionNumber(lock.version)) + 1',
    'lock.token + 1',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'whoever takes back what he gave up begins a new term',
    ELECTION,
    "(kind === 'acquire' && begun && s.resumable)",
    "(kind === 'acquire' && begun)",
    election,
    SIMULATION,
  ),
  rule(
    'a handed-over term is a new one',
    ELECTION,
    "const begun = isMine(lock) && lock.successor === ''",
    'const begun = isMine(lock)',
    election,
    worlds,
    SIMULATION,
  ),
]

/** Somebody leads, soon, and nobody is worn out by it. */
const LIVENESS = [
  rule(
    'whoever lost a term stands for the next one',
    ELECTION,
    'heldSinceMs: undefined, data: [], resumable: false }',
    'heldSinceMs: undefined, data: [], resumable: false, standing: false }',
    election,
    SIMULATION,
  ),
  rule(
    'a failed read is tried again',
    ELECTION,
    'return backOff({ ...s, reading: false }, now, undefined)',
    'return s',
    election,
    SIMULATION,
  ),
  rule('a vacant lock is taken at once', ELECTION, "if (lock.record.holder === '') return 0", '', election, SIMULATION),
  rule(
    'a successor that does not come is overtaken soon',
    ELECTION,
    "leaseMs: kind === 'release' ? GIVEN_UP_LEASE_MS : t.leaseMs",
    'leaseMs: t.leaseMs',
    election,
    SIMULATION,
  ),
  rule(
    'a failed renewal is tried again before the next period',
    ELECTION,
    's.data.length > 0 || s.failures > 0 ? 0',
    's.data.length > 0 ? 0',
    election,
    SIMULATION,
  ),
  rule(
    'only who has something to lead for stands',
    ELECTION,
    'return s.standing && now.monoMs >= takeoverAtMs(s) ? send(',
    'return now.monoMs >= takeoverAtMs(s) ? send(',
    election,
    worlds,
    SIMULATION,
  ),
  rule(
    'a leader writes once in a retry period',
    ELECTION,
    's.failures > 0 ? 0 : s.lastSentMs + t.retryMs',
    's.failures > 0 ? 0 : 0',
    election,
    SIMULATION,
  ),
  rule(
    'a storm of conflicts does not become one of ours',
    ELECTION,
    ': backOff({ ...next, reading: true }, now, undefined)',
    ': { ...next, reading: true }',
    election,
    SIMULATION,
  ),
  rule(
    'an API server that is away is asked less and less often',
    'shared/watch-loop.ts',
    'Math.min(MAX_BACKOFF_MS, 100 * 2 ** this.#failures)',
    '1',
    informer('an API server that is away, or fails'),
    SIMULATION,
  ),
  rule(
    'a watch that is silent for long is dropped',
    'shared/watch-loop.ts',
    'let cancelIdle = clock.after(IDLE_MS, silent)',
    'let cancelIdle = (): void => {}',
    informer('a watch that falls silent'),
    SIMULATION,
  ),
  rule(
    'a watch whose history is gone begins with a list',
    'shared/watch-loop.ts',
    '      this.#version = undefined\n      throw',
    '      throw',
    tests('test/shared/list-watch.test.ts', 'a lost history'),
    SIMULATION,
  ),
]

/** Who leads is told truly, and only while it is true. */
const WORDS = [
  rule(
    'a name is told only while its term can be valid',
    'sidecar/status.ts',
    'const known = validMs > 0',
    'const known = true',
    endpoint('never a stale name'),
    SIMULATION,
  ),
  rule(
    'whoever lost does not tell its own name',
    'sidecar/status.ts',
    "return holder === candidate.identity || holder === '' ? 0",
    "return holder === '' ? 0",
    tests('test/sidecar/candidate.test.ts'),
    SIMULATION,
  ),
  rule(
    'a lock that is handed over and not taken is nobody’s',
    ELECTION,
    "lock?.record === undefined || lock.successor !== '' ? ''",
    "lock?.record === undefined ? ''",
    election,
    SIMULATION,
  ),
  rule(
    'a standby is ready, too',
    'sidecar/endpoint.ts',
    'const ready = candidate.target === undefined || candidate.cached !== undefined',
    'const ready = candidate.leading()',
    endpoint('healthz, /readyz and /metrics'),
  ),
  rule(
    'a silent peer is left',
    'sidecar/relay-core.ts',
    'toldMs + SILENCE_MS',
    'toldMs + 100 * SILENCE_MS',
    tests('test/sidecar/relay-core.test.ts'),
  ),
]

/** Whether there is a Flink to lead for. */
const JVM = [
  rule(
    'a JVM that is gone ends the term',
    'sidecar/jvm.ts',
    ": leave(s, 'absent', 'jvm-gone', actions)",
    ': s',
    jvm,
    SIMULATION,
  ),
  rule('the port confirms a death', 'sidecar/jvm.ts', 'if (s.sockets > 0) return s\n', '', jvm),
  rule(
    'a silent JVM is withdrawn',
    'sidecar/jvm.ts',
    'if (nowMs < silentAtMs(s)) return s',
    'return s',
    jvm,
    SIMULATION,
  ),
  rule(
    'a stopping JVM does not stand again',
    'sidecar/jvm.ts',
    "if (s.phase === 'stopped' && nowMs < s.stoppedAtMs + STOPPED_MS) return heardNow\n",
    '',
    jvm,
    SIMULATION,
  ),
  rule(
    'a JVM that gave leadership up and asks on stands again',
    'sidecar/jvm.ts',
    "if (s.phase === 'stopped' && nowMs < s.stoppedAtMs + STOPPED_MS) return heardNow",
    "if (s.phase === 'stopped') return heardNow",
    jvm,
    SIMULATION,
  ),
  rule(
    'once a JVM claimed its term, only its renewals show that it lives',
    'sidecar/jvm.ts',
    'const heardNow = claimed ? s : {',
    'const heardNow = {',
    jvm,
  ),
]

/** What the JVM may write. */
const FENCE = [
  rule(
    'no job write without a granted term',
    GATEWAY,
    'term: () => (this.#granted() ? candidate.token : undefined)',
    'term: () => candidate.token',
    gateway('a JVM without a granted term'),
    SIMULATION,
  ),
  rule(
    'a job is stamped with the term before it is told',
    JOB_STORE,
    'const answer = stamp === term ? read : await this.#stamp(name, metadata.resourceVersion, term)',
    'const answer = read',
    gateway('the first read of a job in a term'),
    SIMULATION,
  ),
  rule(
    'a job of a newer term is not touched',
    JOB_STORE,
    'if (stamp > term)',
    'if (stamp > term && term < 0)',
    gateway('a job of a newer term'),
    SIMULATION,
  ),
  rule(
    'a job is written on a version of this term alone',
    JOB_STORE,
    "if (method !== 'POST' && current === undefined) {",
    "if (method === 'DELETE' && current === undefined) {",
    gateway('a write of a job that was not read'),
    SIMULATION,
  ),
  rule(
    'a deletion names the version that it removes',
    JOB_STORE,
    'preconditions: { uid: current?.metadata.uid, resourceVersion: current?.metadata.resourceVersion },',
    'preconditions: { uid: current?.metadata.uid },',
    gateway('a deletion names what this term knows'),
    SIMULATION,
  ),
  rule(
    'a JVM that was deposed is told for as long as its elector may not have asked',
    GATEWAY,
    "this.#believes || this.#mayNotHaveHeard() || candidate.jvm.phase === 'stopped'",
    "this.#believes || candidate.jvm.phase === 'stopped'",
    tests('test/sidecar/held-read.test.ts', 'a JVM that lost its term is told'),
  ),
  rule(
    'a JVM whose term is gone on with is shown its own name',
    'sidecar/watchers.ts',
    'const isMended = watcher.strange && hasPublished',
    'const isMended = false',
    gateway('a restarted sidecar takes a watch'),
  ),
  rule(
    'a JVM that removes what the last leader left is not closing',
    GATEWAY,
    'if (decision.stops && this.#publishedToken === token) candidate',
    'if (decision.stops) candidate',
    gateway('who removes what the last leader left'),
  ),
  rule(
    'a JVM that has published nothing has nothing to mend',
    GATEWAY,
    'return this.#granted() && this.#publishedToken === this.#options.candidate.token',
    'return this.#granted()',
    gateway('who removes what the last leader left'),
  ),
  rule(
    'a JVM that takes its watch up again is shown its own name, whatever it was shown before',
    'sidecar/watchers.ts',
    "const strange = scope === 'local'",
    'const strange = false',
    gateway('a restarted sidecar takes a watch'),
  ),
  rule(
    'what waited in the socket of a sidecar that was stopped is no news',
    CANDIDATE,
    'this.#recordSinceMs = this.#pulse.heardAtMs()',
    'this.#recordSinceMs = this.#options.clock.monoMs()',
    tests('test/sidecar/endpoint.test.ts'),
  ),
  rule(
    'who just woke up does not know yet what is news',
    'sidecar/pulse.ts',
    'if (nowMs - this.#beatMs <= LATE_MS) this.#awakeMs = nowMs',
    'this.#awakeMs = nowMs',
    tests('test/sidecar/pulse.test.ts'),
  ),
  rule(
    'a relay doubts an older term for longer than any sidecar may believe in it',
    'sidecar/relay-core.ts',
    'const RESET_MS = 300_000',
    'const RESET_MS = 60_000',
    tests('test/sidecar/relay-core.test.ts'),
  ),
  rule(
    'whoever lost the term may still look whether a write of his was made',
    JOB_STORE,
    "return term === undefined ? await this.#send('GET', name)",
    "return term === undefined ? this.#fenced(name, 'this pod does not lead')",
    tests('test/sidecar/job-store-late.test.ts'),
  ),
  rule(
    'a lock that the JVM removes at its cluster’s end is not made anew',
    CANDIDATE,
    "if (object === undefined && this.removing) this.jvmEvent({ type: 'stopped' })",
    '',
    gateway('a lock that the JVM removes itself'),
  ),
  rule(
    'a Lease goes with the HA data only while it is nobody else’s',
    CANDIDATE,
    "if (lock?.exists !== true || (holder !== '' && holder !== this.identity)) return",
    'if (lock?.exists !== true) return',
    gateway('beside a ConfigMap that the JVM removes'),
  ),
  rule(
    'a ConfigMap does not become too large',
    'sidecar/size-limit.ts',
    'if (bytes <= MAX_DATA_BYTES || bytes <= dataBytes(before)) return undefined',
    'if (bytes <= 2 * MAX_DATA_BYTES || bytes <= dataBytes(before)) return undefined',
    gateway('a write near the limit'),
  ),
  rule(
    'a sidecar that was stopped takes no answer to an old question for told',
    GATEWAY,
    'if (clock.monoMs() < this.#believesUntilMs) return true\n',
    '',
    tests('test/sidecar/held-read.test.ts'),
  ),
  rule(
    'a leader in doubt answers its JVM when the doubt is over',
    GATEWAY,
    'if (candidate.ready() ? !this.#inDoubt() : isTold)',
    'if (candidate.ready() || isTold)',
    gateway('a leader whose renewals fail'),
    SIMULATION,
  ),
  rule(
    'no write to the lock without a term',
    GATEWAY,
    "if (!candidate.ready()) return this.#fence(request, response, 'lock'",
    "if (false) return this.#fence(request, response, 'lock'",
    gateway('a JVM without a granted term'),
    SIMULATION,
  ),
  rule(
    'data that waits is refused when the term ends',
    ELECTION,
    "for (const data of s.data) actions.push({ type: 'data-refused', data })",
    '',
    election,
    SIMULATION,
  ),
  rule(
    'what was read before a term claims nothing in it',
    GATEWAY,
    '(compareVersions(version, termVersion) ?? -1) < 0',
    'false',
    gateway('what was read before a term'),
    SIMULATION,
  ),
  rule(
    'a second identity is refused',
    GATEWAY,
    "if (jvm.identity !== '' && identity !== jvm.identity && this.#granted())",
    'if (false)',
    gateway('a second identity'),
    SIMULATION,
  ),
  rule(
    'a JVM that gives up leadership is taken at its word',
    GATEWAY,
    "this.#believes = false\n    candidate.jvmEvent({ type: 'stopped' })",
    'this.#believes = false',
    gateway('a JVM that gives the lock up'),
    SIMULATION,
  ),
  rule(
    'a deposed JVM is told the other holder at once',
    GATEWAY,
    'this.#believes = true\n    this.#toldLostMs',
    'this.#believes = false\n    this.#toldLostMs',
    gateway('a JVM that was deposed'),
    SIMULATION,
  ),
  rule(
    'a renewal is never refused for its version',
    'sidecar/lock-write.ts',
    ": { kind: 'absorb', claim }",
    ": (compareVersions(String(metadata['resourceVersion']), current.metadata.resourceVersion ?? '') ?? 0) < 0 ? { kind: 'stale' } : { kind: 'absorb', claim }",
    lockWrite,
    SIMULATION,
  ),
  rule(
    'data on an old version is refused',
    'sidecar/lock-write.ts',
    'if (order === undefined || order < 0) return',
    'if (order === undefined) return',
    lockWrite,
    SIMULATION,
  ),
  rule(
    'a renewal that is written as a replacement does not undo data',
    'sidecar/cached.ts',
    'hasSameData ? before.dataSince : seen',
    'before.dataSince',
    tests('test/sidecar/cached.test.ts'),
    SIMULATION,
  ),
  rule(
    'data that is refused does not starve renewals',
    ELECTION,
    "kind === 'renew' && s.failures === 0 ? s.data[0]",
    "kind === 'renew' ? s.data[0]",
    election,
  ),
  rule(
    'a replacement without a version is refused',
    'sidecar/lock-write.ts',
    "else if (method === 'PUT') return { kind: 'stale' }",
    '',
    lockWrite,
  ),
]

/** Certificates of the webhook. */
const TLS = [
  rule(
    'a new authority signs only when everybody knows it',
    'webhook/tls-plan.ts',
    'knownForMs >= SPREAD_MS',
    'true',
    tests('test/webhook/tls-content.test.ts'),
  ),
  rule(
    'a bad key pair never replaces a good one',
    'webhook/tls-served.ts',
    '(check.refused.length === 0 || isSame || !this.isGood())',
    'true',
    tests('test/webhook/tls-files.test.ts'),
  ),
]

/** What holds while the API server is away (opt-in). */
const FAILSAFE = [
  rule(
    'whoever is not in the roster waits for the longest term',
    'shared/failsafe.ts',
    'roster.length === 0 || roster.includes(me) ? 0 :',
    'roster.length !== -1 ? 0 :',
    failsafe,
    worlds,
  ),
  rule(
    'no term is older than the limit',
    'shared/failsafe.ts',
    'heldSinceMs + limitMs))',
    'heldSinceMs + 9e9))',
    failsafe,
    worlds,
  ),
  rule(
    'a promise binds',
    'shared/election.ts',
    'return given ? { ...s, lockSinceMs: now.monoMs } : s',
    'return s',
    failsafe,
    worlds,
  ),
  rule(
    'a promise is only to whom the lock names',
    'shared/failsafe.ts',
    'lock?.record?.holder === ask.leader &&',
    'lock?.record !== undefined &&',
    failsafe,
    worlds,
  ),
  rule('a promise is of one term', 'shared/failsafe.ts', 'lock.token === ask.token &&', '', failsafe, worlds),
  rule(
    'a promise is no longer than the record',
    'shared/failsafe.ts',
    'Math.round(lock.record.leaseMs) >= Math.round(ask.leaseMs)',
    'true',
    failsafe,
    worlds,
  ),
  rule(
    'the rosters of all writes that may have been made are asked',
    'shared/failsafe.ts',
    'last !== undefined && last.members.join() === members.join() ? v.rosters.slice(0, -1) : v.rosters',
    'last === undefined ? [] : []',
    failsafe,
    worlds,
  ),
  rule(
    'the roster of the last acknowledged write is asked',
    'shared/failsafe.ts',
    'roster.id >= id',
    'roster.id > id',
    failsafe,
    worlds,
  ),
  rule(
    'a round counts from its sending',
    'shared/election.ts',
    'Math.max(s.vouching.sinceMs, event.sentAtMs)',
    'now.monoMs',
    failsafe,
    worlds,
  ),
  rule(
    'a missing lock keeps the roster that is known',
    'shared/election.ts',
    'withKnownRoster(sight, s.lock, NOBODY)',
    'withKnownRoster(sight, undefined, NOBODY)',
    failsafe,
    worlds,
  ),
  rule(
    'who makes a lock writes the roster that he knows',
    'shared/election.ts',
    "kind === 'create' ? lock.roster : []",
    "kind === 'create' ? undefined : []",
    failsafe,
    worlds,
  ),
  rule(
    'an unreadable roster is one that nobody is in',
    'shared/lock.ts',
    '? value : UNREADABLE_ROSTER',
    '? value : []',
    failsafe,
    worlds,
  ),
  rule(
    'a question is signed by that leader',
    'sidecar/failsafe.ts',
    'if (!signer.verify(questionText(question), signature, key))',
    'if (key === questionText(question))',
    asking,
    failsafeSidecars,
  ),
  rule(
    'a question is asked once',
    'sidecar/failsafe.ts',
    'question.round <= this.#heard.round',
    'question.round < 0',
    asking,
    failsafeSidecars,
  ),
  rule(
    'a promise is signed by that member',
    'sidecar/failsafe.ts',
    'signer.verify(promiseText(question), signature, key)',
    'key !== signature',
    asking,
    failsafeSidecars,
  ),
  rule(
    'all members are needed',
    'sidecar/failsafe.ts',
    "answers.filter(({ result }) => result !== 'promised')",
    "answers.filter(({ result }) => result === 'refused')",
    asking,
    failsafeSidecars,
  ),
  rule(
    'a leader that is vouched for is well',
    'sidecar/endpoint.ts',
    'candidate.provenAgeMs() > timings.leaseMs',
    'candidate.renewalAgeMs() > timings.leaseMs',
    asking,
    failsafeSidecars,
  ),
  rule(
    'its silence is no sign of a stuck loop',
    'sidecar/endpoint.ts',
    '!candidate.vouchedFor() && candidate',
    'candidate',
    asking,
    failsafeSidecars,
  ),
]

/** HA data outlives its cluster; what looks at it, removes it or puts it back harms none that lives. */
const cleaning = tests('test/cli/cleanup.test.ts')
const restoring = tests('test/cli/backup.test.ts')
const DATA = [
  rule(
    'a ConfigMap that has the name alone is nobody’s HA data',
    'sidecar/ha-names.ts',
    'labels[FLINK_TYPE_LABEL.name] !== FLINK_TYPE_LABEL.value || isAutoscalers(labels)',
    'isAutoscalers(labels)',
    tests('test/sidecar/ha-names.test.ts'),
    cleaning,
  ),
  rule(
    'a name that only begins alike is another’s',
    'sidecar/ha-names.ts',
    'JOB_ID.test(jobId) ? { clusterId, jobId } : undefined',
    '{ clusterId, jobId }',
    tests('test/sidecar/ha-names.test.ts'),
  ),
  rule(
    'a value that is no state pointer is no checkpoint',
    'sidecar/ha-data.ts',
    'value.startsWith(JAVA_STREAM) && value.length % 4 === 0 && BASE64.test(value)',
    "value !== ''",
    tests('test/sidecar/ha-data.test.ts'),
  ),
  rule(
    'a cluster with pods is alive',
    'cli/liveness.ts',
    'if (pods.length > 0) return',
    'if (pods.length > 99) return',
    cleaning,
  ),
  rule(
    'a lock that is written while it is watched is somebody’s',
    'cli/liveness.ts',
    'if (problem !== undefined) return problem',
    "if (problem === '') return problem",
    cleaning,
  ),
  rule(
    'a leader that goes on without the API server is watched for as long as it may',
    'cli/liveness.ts',
    " + strangerWaitMs(roster, '', FAILSAFE_LIMIT_MS)",
    '',
    cleaning,
  ),
  rule(
    'no plan is left without its checkpoints',
    'cli/cleanup.ts',
    '[...leases, ...locks, ...[...data.jobMaps.values()].map(mapOf)]',
    '[...[...data.jobMaps.values()].map(mapOf), ...locks, ...leases]',
    cleaning,
  ),
  rule(
    'nothing is removed that has changed since it was shown',
    'cli/cleanup.ts',
    'preconditions: { uid, resourceVersion }',
    'preconditions: { uid }',
    cleaning,
  ),
  rule(
    'nothing more is removed once somebody has the lock',
    'cli/cleanup.ts',
    '(await guard.problem()) ?? (await removeOne(cluster, target))',
    'await removeOne(cluster, target)',
    cleaning,
  ),
  rule(
    'a restored lock’s token is the highest that anybody has seen',
    'cli/restore-plan.ts',
    'const token = Math.max(...locks.map(lock => lock.token))',
    'const token = locks.find(lock => lock.token > 0)?.token ?? 0',
    restoring,
  ),
  rule(
    'a restored lock names no leader that is gone',
    'cli/restore-plan.ts',
    '  data: withoutLeaders(saved),',
    '  data: saved.data ?? {},',
    restoring,
  ),
  rule(
    'a restored job keeps the later term’s token',
    'cli/restore-plan.ts',
    'Math.max(tokenIn(saved.metadata), current === undefined ? 0 : tokenIn(current.metadata))',
    'tokenIn(saved.metadata)',
    restoring,
  ),
]

export const MUTATIONS: readonly Mutation[] = [
  TERMS,
  WRITES,
  TOKENS,
  LIVENESS,
  WORDS,
  JVM,
  FENCE,
  FAILSAFE,
  TLS,
  DATA,
].flat()
