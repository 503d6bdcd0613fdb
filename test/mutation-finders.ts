/**
 * Who may notice that a rule is gone. A finder is a command. One that plays seeds prints a line of JSON that names the checker
 * that noticed and how many seeds that took, `{"checker":"two leaders","seeds":3}`; a test file is read by its red tests.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

export type Finder = {
  name: string
  /** The script, from the top of the repository, and its arguments. */
  script: string
  args: readonly string[]
  env: { [name: string]: string }
}
/** `seeds` undefined: it needs none. */
export type Finding = { checker: string; seeds: number | undefined }

const LIMIT_MS = 180_000
const SEEDS = 60

/** A file of tests; of a slow one only those whose names match. */
export const tests = (script: string, only?: string): Finder => ({
  name: script,
  script,
  args: [],
  // As literal text: names have dots and brackets.
  env: only === undefined ? {} : { TAP_GREP: only.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') },
})

/** The deterministic simulation of everything that ships. */
export const SIMULATION: Finder = {
  name: 'simulation',
  script: 'test/sim.mjs',
  args: ['--seed', '1', '--seeds', '200', '--first'],
  env: {},
}

export const isThere = ({ script }: Finder, folder: string): boolean => existsSync(join(folder, script))

/** What it noticed in the copy of the code in `folder`; undefined: nothing. */
export const look = (finder: Finder, folder: string): Finding | undefined => {
  const { status, stdout, stderr, error } = spawnSync(
    process.execPath,
    ['--import=tsx', finder.script, ...finder.args],
    {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 256 * 1024 * 1024,
      timeout: LIMIT_MS,
      // A weakening may make an endless loop, which hears no other signal.
      killSignal: 'SIGKILL',
      env: { ...process.env, FLINK_HA_SEED: '1', FLINK_HA_SEEDS: String(SEEDS), ...finder.env },
    },
  )
  const told = findingIn(stdout)
  if (told !== undefined || status === 0) return told
  // A weakening that does not even load is no weakening, and says nothing of the tests.
  if (/SyntaxError|TransformError|ERR_MODULE_NOT_FOUND/.test(stderr)) throw new Error(stderr.slice(0, 2_000))
  return { checker: error === undefined ? '(it ended without a word)' : '(it did not end)', seeds: undefined }
}

export const findingIn = (output: string): Finding | undefined => {
  const lines = output.split('\n')
  const told = lines.find(line => /^\{.*"checker":/.test(line))
  if (told === undefined) return ofTests(lines)
  const { checker, seeds } = JSON.parse(told) as { checker: string; seeds?: number }
  return { checker, seeds }
}

/** The outermost red test is the rule; the seed in what failed inside of it says how many were played. */
const ofTests = (lines: readonly string[]): Finding | undefined => {
  const red = lines.flatMap(line => {
    const [, indent, name] = /^( *)not ok \d+ - (.*?)(?: # time.*)?(?: \{)?$/.exec(line) ?? []
    return indent === undefined || name === undefined ? [] : [{ depth: indent.length, name }]
  })
  const rule = red.find(({ depth }) => depth === 0) ?? red[0]
  if (rule === undefined) return undefined
  const [, seed, what] = red.map(({ name }) => /^SEED=(\d+): (.*)/.exec(name)).find(match => match !== null) ?? []
  if (seed === undefined || what === undefined) return { checker: rule.name, seeds: undefined }
  // "token 7 of c0 given to c1 again at 5 ms; …" is the checker "token … of … given to … again".
  const checker = what.replace(/[:;].*/, '').replace(/ at \d+ ms/, '')
  return { checker: checker.replace(/\bc?\d+\b/g, '…'), seeds: Number(seed) }
}
