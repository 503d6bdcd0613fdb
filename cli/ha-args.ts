// The command lines of those who look at HA data in a cluster: what all of them take, checked all at once.
import { parseArgs } from 'node:util'
import { ConfigError } from '../shared/errors.ts'
import { printable, RULES } from '../shared/settings.ts'
import type { Cluster, ClusterFlags } from './cluster.ts'
import type { Flags } from './flags.ts'

export type Values = { readonly [flag: string]: string | boolean | undefined }
/** What a command works with: a cluster, waiting, and both clocks: one to decide by, one to tell the time. */
export type HaWorld = {
  connecting: () => Promise<Cluster>
  pause: (ms: number) => Promise<void>
  monoMs: () => number
  wallMs: () => number
}

/** `needed`: flags without which the command is none. @throws ConfigError with every problem */
export const readHaArgs = (args: readonly string[], flags: Flags, needed: readonly string[]): Values => {
  const values = parsed(args, flags)
  const problems: string[] = []
  for (const flag of needed.filter(flag => values[flag] === undefined))
    problems.push(`${flag} is missing: --${flag} ${flags[flag]?.value ?? ''} is needed`)
  const named = [
    ['namespace', RULES.namespace],
    ['cluster-id', RULES.clusterId],
  ] as const
  for (const [flag, [pattern, right]] of named) {
    const value = values[flag]
    if (typeof value === 'string' && !pattern.test(value)) problems.push(`${flag} is "${printable(value)}": ${right}`)
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return values
}

const parsed = (args: readonly string[], options: Flags): Values => {
  try {
    return parseArgs({ args: [...args], options }).values as Values
  } catch (error) {
    throw new ConfigError([(error as Error).message])
  }
}

export const textIn = (values: Values, flag: string): string => (values[flag] as string | undefined) ?? ''

export const processWorld = (values: Values, userAgent: string): HaWorld => ({
  connecting: async () => (await import('./cluster.ts')).connect(clusterFlags(values), userAgent),
  pause: ms => new Promise(resolve => setTimeout(resolve, ms)),
  monoMs: () => performance.now(),
  wallMs: () => Date.now(),
})

const clusterFlags = (values: Values): ClusterFlags => ({
  kubeconfig: values['kubeconfig'] as string | undefined,
  context: values['context'] as string | undefined,
})
