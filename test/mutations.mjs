// Removes the rules of the election, the JVM's life, the gateway, the relay and TLS one at a time, in a copy, and looks at which named test
// turns red. A rule whose removal nobody notices is not tested.   npm run mutations [-- --only N]
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const ELECTION = ['test/shared/election.test.ts', 'test/shared/election-world.test.ts']
/** What the rule says, the file, the code, its weakening, and the tests that must notice. */
const MUTATIONS = [
  [
    'a term counts from the sending',
    'shared/election.ts',
    'write.sentAtMs)\n    return { ...s, heldSinceMs,',
    'now_())\n    return { ...s, heldSinceMs,',
    ELECTION,
    s => `${s}\nconst now_ = (): number => Number.MAX_SAFE_INTEGER\n`,
  ],
  [
    'the deadline ends a term',
    'shared/election.ts',
    "if (s.role !== 'leader' || now.monoMs < validUntilMs(s)) return s",
    'return s',
    ELECTION,
  ],
  [
    'a late success does not lead',
    'shared/election.ts',
    'if (now.monoMs >= s.heldSinceMs + t.renewDeadlineMs) return s',
    '',
    ELECTION,
  ],
  [
    'a follower waits the whole lease',
    'shared/election.ts',
    'return s.lockSinceMs + lock.record.leaseMs',
    'return s.lockSinceMs + lock.record.leaseMs / 2',
    ELECTION,
  ],
  [
    'a missing lock is made held by nobody for a lease',
    'shared/election.ts',
    "leaseMs: kind === 'release' ?",
    'leaseMs: given ?',
    ELECTION,
  ],
  [
    'a garbled record is waited for',
    'shared/election.ts',
    'return s.lockSinceMs + t.leaseMs',
    'return s.lockSinceMs',
    ELECTION,
  ],
  ['a renewal begins the wait anew', 'shared/election.ts', '    a.raw === b.raw &&\n', '', ELECTION],
  ['lower versions are ignored', 'shared/election.ts', 'isStale(s.lock.version, lock.version)\n', 'false\n', ELECTION],
  [
    'another holder ends a term',
    'shared/election.ts',
    'if (mine === undefined || !isMine(mine)) return lost(fresh, actions)',
    'if (mine === undefined || !isMine(mine)) return fresh',
    ELECTION,
  ],
  [
    'an unanswered write proves nothing',
    'shared/election.ts',
    'return backOff({ ...s, write: undefined, unknown: [...s.unknown, s.write] }, now, event.retryAfterMs)',
    'return backOff({ ...acknowledge(s, s.write), write: undefined }, now, event.retryAfterMs)',
    ELECTION,
  ],
  [
    'a conflict is read before it is written over',
    'shared/election.ts',
    "if (!s.reading) actions.push({ type: 'read-lock' })",
    '',
    ELECTION,
  ],
  [
    'a release is final',
    'shared/election.ts',
    'const sent = { write: undefined, unknown: [] }',
    'const sent = {}',
    ELECTION,
  ],
  [
    'tokens grow',
    'shared/election.ts',
    'Math.max(lock.token, versionNumber(lock.version)) + 1',
    'lock.token',
    ELECTION,
  ],
  [
    'only who has something to lead for stands',
    'shared/election.ts',
    'return s.standing && now.monoMs >= takeoverAtMs(s) ? send(',
    'return now.monoMs >= takeoverAtMs(s) ? send(',
    ELECTION,
  ],
  [
    'a handed-over term is a new one',
    'shared/election.ts',
    "const begun = isMine(lock) && lock.successor === ''",
    'const begun = isMine(lock)',
    ELECTION,
  ],
  [
    'a renewal never looks like the last one',
    'shared/election.ts',
    'old?.renewTime === stamp ? formatTime(now.wallUs + 1) : stamp',
    'stamp',
    ELECTION,
  ],
  ['the port confirms a death', 'sidecar/jvm.ts', 'if (s.sockets > 0) return s\n', '', ['test/sidecar/jvm.test.ts']],
  [
    'a silent JVM is withdrawn',
    'sidecar/jvm.ts',
    'if (nowMs < silentAtMs(s)) return s',
    'return s',
    ['test/sidecar/jvm.test.ts'],
  ],
  [
    'a stopping JVM does not stand again',
    'sidecar/jvm.ts',
    "if (s.phase === 'stopped' || s.phase === 'standing') return heardNow",
    "if (s.phase === 'standing') return heardNow",
    ['test/sidecar/jvm.test.ts'],
  ],
  [
    'data on an old version is refused',
    'sidecar/lock-write.ts',
    'if (order === undefined || order < 0) return',
    'if (order === undefined) return',
    ['test/sidecar/lock-write.test.ts'],
  ],
  [
    'no job write without a granted term',
    'sidecar/gateway.ts',
    "if (!this.#granted()) return this.#fence(request, response, 'job'",
    "if (false) return this.#fence(request, response, 'job'",
    ['test/sidecar/gateway.test.ts'],
  ],
  [
    'what was read before a term claims nothing in it',
    'sidecar/gateway.ts',
    '(compareVersions(version, termVersion) ?? -1) < 0',
    'false',
    ['test/sidecar/gateway.test.ts'],
  ],
  [
    'a second identity is refused',
    'sidecar/gateway.ts',
    "if (jvm.identity !== '' && identity !== jvm.identity && this.#granted())",
    'if (false)',
    ['test/sidecar/gateway.test.ts'],
  ],
  [
    'a silent peer is left',
    'sidecar/relay-core.ts',
    'let s = settle(before, now, actions)',
    'let s = before',
    ['test/sidecar/relay-core.test.ts'],
  ],
  [
    'a new authority signs only when everybody knows it',
    'webhook/tls-plan.ts',
    'knownForMs >= SPREAD_MS',
    'true',
    ['test/webhook/tls-content.test.ts'],
  ],
  [
    'a bad key pair never replaces a good one',
    'webhook/tls-served.ts',
    '(check.refused.length === 0 || isSame || !this.isGood())',
    'true',
    ['test/webhook/tls-files.test.ts'],
  ],
]

const { values } = parseArgs({ options: { only: { type: 'string' } } })
const folder = mkdtempSync(join(tmpdir(), 'flink-ha-mutations-'))
for (const room of ['shared', 'sidecar', 'webhook', 'cli', 'test', 'package.json', 'tsconfig.json'])
  cpSync(room, join(folder, room), { recursive: true })
symlinkSync(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'))
let survived = 0
for (const [index, [rule, file, code, weaker, tests, more]] of MUTATIONS.entries()) {
  if (values.only !== undefined && Number(values.only) !== index + 1) continue
  const path = join(folder, file)
  const original = readFileSync(path, 'utf8')
  if (original.split(code).length !== 2)
    throw new Error(`mutation ${index + 1} (${rule}): its code is not there, or more than once`)
  const mutated = original.replace(code, () => weaker)
  writeFileSync(path, more ? more(mutated) : mutated)
  const red = tests.flatMap(test => failures(test, folder))
  writeFileSync(path, original)
  if (red.length === 0) survived++
  console.log(
    `${red.length === 0 ? 'SURVIVED' : 'found   '} ${String(index + 1).padStart(2)} ${rule}${red.length === 0 ? '' : `: "${red[0]}"`}`,
  )
}
rmSync(folder, { recursive: true, force: true })
console.log(`${MUTATIONS.length} rules removed, ${survived} not noticed`)
process.exitCode = survived === 0 ? 0 : 1

/** Names of the failed tests. */
function failures(test, cwd) {
  try {
    execFileSync(process.execPath, ['--import=tsx', test], {
      cwd,
      stdio: 'pipe',
      timeout: 120_000,
      env: { ...process.env, FLINK_HA_SEEDS: '60' },
    })
    return []
  } catch (error) {
    const lines = String(error.stdout).split('\n')
    const names = lines.flatMap(line => /^not ok \d+ - (.*?)(?: # time.*)?$/.exec(line)?.[1] ?? [])
    return names.length > 0 ? names : ['(the test did not end)']
  }
}
