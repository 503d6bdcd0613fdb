// The table of docs/safety.md, from the samples of one or more runs: `npx tsx test/faults/report.ts [FILE…]`, by default all
// in test/faults/results/.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RESULTS } from './evidence.ts'
import { KINDS, type Mode } from './kinds.ts'
import type { Sample } from './round.ts'
import { grouped } from './spans.ts'

/** A round that could not be played to its end. */
export type Failure = { kind: string; mode: Mode; round: number; problem: string }
export type Result = { at: string; flink: string; samples: Sample[]; failures: Failure[] }

export const keep = async (name: string, result: Result): Promise<string> => {
  await mkdir(RESULTS, { recursive: true })
  const file = join(RESULTS, `${name}-${result.at.replaceAll(':', '')}.json`)
  await writeFile(file, `${JSON.stringify(result, undefined, 1)}\n`)
  return file
}

const HEAD = [
  'fault',
  'mode',
  'rounds',
  'two valid believers',
  'two Flinks believed, s',
  'checkpoints lost, overwritten, or completed by the deposed',
  'accepted writes of the deposed',
  'job restarts',
  'until the grant, s',
  'old one told before it, s (least)',
  'no leader, s',
  'job silent, s',
  'stuck',
]

export const table = (samples: readonly Sample[]): string => {
  const known = Object.keys(KINDS)
  // Rolling updates are no kind of fault: last.
  const placeOf = ({ kind }: Sample): number => (known.includes(kind) ? known.indexOf(kind) : known.length)
  const groups = [...grouped(samples, ({ kind, mode }) => `${kind} ${mode}`).values()]
  const rows = groups
    .toSorted((a, b) => placeOf(a[0]!) - placeOf(b[0]!) || a[0]!.mode.localeCompare(b[0]!.mode))
    .map(row)
  return [HEAD, HEAD.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

const MODE_NAMES: { readonly [mode in Mode]: string } = {
  builtin: 'built-in',
  'flink-ha': 'flink-ha',
  failsafe: 'flink-ha, failsafe',
  'end-deposed': 'flink-ha, end-deposed',
}

const row = (samples: readonly Sample[]): string[] => {
  const [{ kind, mode }] = samples as [Sample]
  const count = (bad: (sample: Sample) => boolean): string => String(samples.filter(bad).length)
  const spread = (value: (sample: Sample) => number, digits: number): string => spreadOf(samples.map(value), digits)
  return [
    KINDS[kind]?.what ?? kind,
    MODE_NAMES[mode],
    String(samples.length),
    mode === 'builtin' ? '–' : count(({ validOverlapMs }) => validOverlapMs > 0),
    spread(({ flinkOverlapMs }) => flinkOverlapMs / 1000, 1),
    String(samples.reduce((sum, { lost, stray }) => sum + lost.length + stray.length, 0)),
    samples.some(({ foreign }) => foreign === undefined)
      ? '?'
      : String(samples.reduce((sum, { foreign }) => sum + foreign!, 0)),
    spread(({ restarts }) => restarts, 0),
    spreadOf(samples.flatMap(({ grantedMs }) => grantedMs ?? []).map(value => value / 1000)),
    leastOf(samples.flatMap(({ toldMs }) => (typeof toldMs === 'number' ? toldMs / 1000 : []))),
    spread(({ leaderlessMs }) => leaderlessMs / 1000, 1),
    spread(({ silentMs }) => silentMs / 1000, 1),
    count(({ recoveredMs }) => recoveredMs === null),
  ]
}

const spreadOf = (values: readonly number[], digits = 1): string =>
  values.length === 0 ? '–' : `${median(values).toFixed(digits)} (${Math.max(...values).toFixed(digits)})`
const leastOf = (values: readonly number[]): string => (values.length === 0 ? '–' : Math.min(...values).toFixed(1))

const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const given = process.argv.slice(2)
  const files =
    given.length > 0
      ? given
      : (await readdir(RESULTS)).filter(name => name.endsWith('.json')).map(name => join(RESULTS, name))
  const results = await Promise.all(files.map(async file => JSON.parse(await readFile(file, 'utf8')) as Result))
  console.log(table(results.flatMap(({ samples }) => samples)))
  for (const { kind, mode, round, problem } of results.flatMap(({ failures }) => failures))
    console.log(`\nnot played to its end: ${kind}, ${mode}, round ${round}: ${problem}`)
}
