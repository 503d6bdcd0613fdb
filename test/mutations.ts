// Removes the rules of `mutations-list.ts` one at a time, in a copy, and looks at who notices. A rule whose removal nobody
// notices is not tested.   npm run mutations -- [--only N] [--sample N] [--finder NAME] [--table]
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Finding, isThere, look } from './mutation-finders.ts'
import { MUTATIONS, type Mutation } from './mutations-list.ts'
import { seeded } from './world/candidates.ts'

type Found = Finding & { finder: string }

const { values } = parseArgs({
  options: {
    /** Numbers, as they are printed: "3" or "3,14". */
    only: { type: 'string' },
    /** So many, by chance; FLINK_HA_SEED replays it. */
    sample: { type: 'string' },
    /** This one alone, for all rules, such as "simulation". */
    finder: { type: 'string' },
    /** All finders of each rule, and at the end a table for docs/safety.md. */
    table: { type: 'boolean', default: false },
  },
})

const chosen = (): number[] => {
  const all = MUTATIONS.map((_, index) => index)
  if (values.only !== undefined) return values.only.split(',').map(number => Number(number) - 1)
  if (values.sample === undefined) return all
  const seed = Number(process.env['FLINK_HA_SEED'] ?? Date.now() % 1_000_000)
  console.log(`SEED=${seed}`)
  const random = seeded(seed)
  const ranked = all.map(index => ({ index, rank: random() })).sort((a, b) => a.rank - b.rank)
  return ranked.map(({ index }) => index).slice(0, Number(values.sample))
}

const copy = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'flink-ha-mutations-'))
  for (const part of ['shared', 'sidecar', 'webhook', 'cli', 'test', 'package.json', 'tsconfig.json'])
    cpSync(part, join(folder, part), { recursive: true })
  symlinkSync(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Who noticed; undefined when nobody could look. */
const attempt = ({ file, code, weaker, finders }: Mutation, folder: string): Found[] | undefined => {
  const path = join(folder, file)
  const original = readFileSync(path, 'utf8')
  const asked = finders.filter(one => isThere(one, folder) && [undefined, one.name].includes(values.finder))
  if (asked.length === 0) return undefined
  const found: Found[] = []
  writeFileSync(
    path,
    original.replace(code, () => weaker),
  )
  try {
    for (const finder of asked) {
      if (found.length > 0 && !values.table) break
      const finding = look(finder, folder)
      if (finding !== undefined) found.push({ ...finding, finder: finder.name })
    }
  } finally {
    writeFileSync(path, original)
  }
  return found
}

const told = ({ checker, seeds, finder }: Found): string =>
  `"${checker}" (${finder}${seeds === undefined ? '' : `, ${seeds} ${seeds === 1 ? 'seed' : 'seeds'}`})`

const row = (rule: string, found: readonly Found[]): string => {
  const cells = (cell: (one: Found) => string): string =>
    found.map(one => cell(one).replaceAll('|', '\\|')).join('<br>')
  return `| ${rule} | ${cells(({ checker, finder }) => `${checker} (\`${finder}\`)`)} | ${cells(({ seeds }) => String(seeds ?? '–'))} |`
}

const folder = copy()
const rows: string[] = []
const counts = { noticed: 0, missed: 0, waiting: 0 }
for (const index of chosen()) {
  const mutation = MUTATIONS[index]
  if (mutation === undefined) throw new Error(`there is no mutation ${index + 1}: they are 1 to ${MUTATIONS.length}`)
  const found = attempt(mutation, folder)
  const word = found === undefined ? 'waiting' : found.length === 0 ? 'missed' : 'noticed'
  counts[word]++
  rows.push(row(mutation.rule, found ?? []))
  const [label, number] = [word === 'missed' ? 'MISSED ' : word, String(index + 1).padStart(2)]
  console.log(`${label} ${number} ${mutation.rule}${found?.length ? `: ${found.map(told).join(', ')}` : ''}`)
}
if (values.table)
  console.log(['', '| rule removed | noticed by | after seeds |', '| --- | --- | --- |', ...rows, ''].join('\n'))
const { noticed, missed, waiting } = counts
if (waiting > 0) console.log(`${waiting} could not be tried: their finder is not there`)
// The last line is as a run of tap ends, so that both are counted the same way.
console.log(`# { total: ${noticed + missed}, pass: ${noticed}, fail: ${missed} }`)
process.exitCode = missed === 0 ? 0 : 1
