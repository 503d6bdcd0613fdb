// What `inject` and `uninject` share: which files, what comes out where, what is said about it. Nothing is written unless
// everything could be read and decided: half of a cluster's manifests in a pipe to kubectl would be worse than none.
import { writeFile } from 'node:fs/promises'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { ConfigError } from '../shared/errors.ts'
import { REWRITE_FLAGS } from './flags.ts'
import { complain, type Io } from './io.ts'
import { joinedTexts, type Outcome, placeOf, type RewritePod, type Rewritten, rewriteSource } from './rewrite.ts'
import { readSources, replaceFile, STANDARD_INPUT } from './sources.ts'

type Options = NonNullable<ParseArgsConfig['options']>
export type FlagValues = { [flag: string]: string | boolean | undefined }
export type RewriteArgs = {
  names: string[]
  output: string | undefined
  inPlace: boolean
  quiet: boolean
  flags: FlagValues
}

/** @throws ConfigError with every problem */
export const readRewriteArgs = (args: readonly string[], options: Options): RewriteArgs => {
  const { values, positionals: names } = parsed(args, { ...REWRITE_FLAGS, ...options })
  const [output, inPlace] = [values['output'] as string | undefined, values['in-place'] === true]
  const problems: string[] = []
  if (names.length === 0) problems.push('a FILE, a FOLDER or - (standard input) is needed')
  if (names.filter(name => name === STANDARD_INPUT).length > 1) problems.push('- is given twice: it can be read once')
  if (inPlace && names.includes(STANDARD_INPUT)) problems.push('--in-place needs files: - cannot be written back')
  if (inPlace && output !== undefined) problems.push(`output is "${output}": with --in-place nothing is put out`)
  if (problems.length > 0) throw new ConfigError(problems)
  return { names, output, inPlace, quiet: values['quiet'] === true, flags: values as FlagValues }
}

const parsed = (args: readonly string[], options: Options) => {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new ConfigError([(error as Error).message])
  }
}

/** Resolves with the exit code. */
export const rewriteCommand = async (args: RewriteArgs, rewritePod: RewritePod, io: Io): Promise<number> => {
  const { sources, problems } = await readSources(args.names, io.readInput)
  const rewritten = sources.map(source => ({ name: source.name, ...rewriteSource(source, rewritePod) }))
  const all = [...problems, ...rewritten.flatMap(one => one.problems)]
  if (!args.quiet) for (const outcome of rewritten.flatMap(one => one.outcomes)) io.err(lineOf(outcome))
  if (all.length > 0) {
    const code = complain(io, all)
    io.err('flink-ha: nothing is written\n')
    return code
  }
  try {
    await write(args, rewritten, io)
  } catch (error) {
    return complain(io, [(error as Error).message])
  }
  if (!args.quiet) io.err(summaryOf(rewritten))
  return 0
}

const write = async (
  { output, inPlace }: RewriteArgs,
  rewritten: readonly (Rewritten & { name: string })[],
  io: Io,
): Promise<void> => {
  if (inPlace) {
    for (const { name, text, changed } of rewritten) if (changed) await replaceFile(name, text)
    return
  }
  const text = joinedTexts(rewritten.map(one => one.text))
  if (output === undefined) io.out(text)
  else await writeFile(output, text)
}

const lineOf = (outcome: Outcome): string => {
  const why = outcome.changed ? outcome.message : `left alone: ${outcome.reason} (${outcome.message})`
  const lines = [why, ...outcome.warnings.map(warning => `warning: ${warning}`)]
  return lines.map(line => `${placeOf(outcome)}: ${outcome.object}: ${line}\n`).join('')
}

const summaryOf = (rewritten: readonly Rewritten[]): string => {
  const outcomes = rewritten.flatMap(one => one.outcomes)
  const changed = outcomes.filter(outcome => outcome.changed).length
  return `${changed} changed, ${outcomes.length - changed} left alone\n`
}
