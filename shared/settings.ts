// Settings of a command: flags and FLINK_HA_* variables of the same name, checked all at once. A flag wins over its variable.
import { parseArgs } from 'node:util'
import { CLUSTER_ID, CLUSTER_ID_RULE } from './cluster-id.ts'

/** Every setting: flag, default as text, what it means. Reference tables and `--help` are made from such a table. */
export type Settings = { readonly [flag: string]: readonly [value: string, meaning: string] }
export type Environment = { readonly [name: string]: string | undefined }

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export type SettingsReader<Flag extends string> = {
  text: (flag: Flag) => string
  /** Notes a problem: `right` says what would be. */
  wrong: (flag: Flag, right: string) => void
  choice: <T extends string>(flag: Flag, choices: readonly T[]) => T
  named: (flag: Flag, pattern: RegExp, right: string) => string
  optional: (flag: Flag, pattern: RegExp, right: string) => string | undefined
  port: (flag: Flag) => number
}

/** Names that several commands take: what they look like, and how that is said. */
export const RULES = {
  clusterId: [CLUSTER_ID, CLUSTER_ID_RULE],
  namespace: [/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'a namespace’s name is needed'],
  podName: [/^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/, 'the pod’s name is needed (metadata.name)'],
} as const

export const variableOf = (flag: string): string => `FLINK_HA_${flag.toUpperCase().replaceAll('-', '_')}`

/** A value as it may be shown in an error: short, and without control characters. */
export const printable = (value: string, most = 100): string => JSON.stringify(value.slice(0, most)).slice(1, -1)

/** Reads what was given; what is wrong is added to `problems`, one sentence each. */
export const readSettings = <S extends Settings>(
  settings: S,
  args: readonly string[],
  env: Environment,
  problems: string[],
): SettingsReader<keyof S & string> => {
  type Flag = keyof S & string
  const flags = readFlags(settings, args, problems)
  const text = (flag: Flag): string => flags.get(flag) ?? env[variableOf(flag)] ?? settings[flag]?.[0] ?? ''
  const wrong = (flag: Flag, right: string): void => {
    problems.push(`${flag} is "${printable(text(flag))}": ${right}`)
  }
  const named = (flag: Flag, pattern: RegExp, right: string): string => {
    if (!pattern.test(text(flag))) wrong(flag, right)
    return text(flag)
  }
  return {
    text,
    wrong,
    named,
    choice: <T extends string>(flag: Flag, choices: readonly T[]): T => {
      const value = text(flag) as T
      if (!choices.includes(value)) wrong(flag, `one of ${choices.join(', ')} is needed`)
      return value
    },
    optional: (flag, pattern, right) => (text(flag) === '' ? undefined : named(flag, pattern, right)),
    port: flag => {
      const value = Number(text(flag))
      if (!/^\d+$/.test(text(flag)) || value > 65_535) wrong(flag, 'a port from 0 to 65535 is needed')
      return value
    },
  }
}

const readFlags = (settings: Settings, args: readonly string[], problems: string[]): Map<string, string> => {
  const options = Object.fromEntries(Object.keys(settings).map(flag => [flag, { type: 'string' as const }]))
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true })
  const flags = new Map<string, string>()
  for (const token of tokens) {
    if (token.kind === 'positional') problems.push(`"${printable(token.value)}" is not a flag`)
    if (token.kind !== 'option') continue
    if (!Object.hasOwn(settings, token.name)) problems.push(`${token.rawName} is not a flag; see --help`)
    else if (token.value === undefined) problems.push(`${token.rawName} has no value`)
    else flags.set(token.name, token.value)
  }
  return flags
}
