// `flink-ha uninject`: takes out what injection put in, and nothing else.
import { ANNOTATION_INJECTED } from '../shared/names.ts'
import { templateProblems } from '../webhook/pod-shape.ts'
import { uninjectedPod } from '../webhook/uninject.ts'
import { at } from './check-api.ts'
import { podOf } from './inject.ts'
import { type Io, processIo } from './io.ts'
import { leftAlone, type RewritePod } from './rewrite.ts'
import { readRewriteArgs, rewriteCommand } from './rewrite-command.ts'

export const runUninject = async (args: readonly string[]): Promise<void> => {
  process.exitCode = await uninject(args, processIo)
}

/** Resolves with the exit code. @throws ConfigError */
export const uninject = async (args: readonly string[], io: Io): Promise<number> =>
  await rewriteCommand(readRewriteArgs(args, {}), uninjector, io)

const uninjector: RewritePod = (given, { field, selectorLabels }) => {
  const problems = templateProblems(given, field)
  const wasInjected = at(given, 'metadata', 'annotations')[ANNOTATION_INJECTED] !== undefined
  if (problems.length > 0 && wasInjected) return { did: 'refused', problems }
  if (!wasInjected) return leftAlone('not-injected', `it has no annotation ${ANNOTATION_INJECTED}`)
  const pod = podOf(given)
  const without = uninjectedPod(pod, selectorLabels)
  return { did: 'changed', pod: without, what: 'uninjected', warnings: [] }
}
