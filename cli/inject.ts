// `flink-ha inject`: what the webhook would do to the pods of these manifests, done here. By the same two pure functions, so the
// result cannot differ, but for the owner reference to the Deployment, whose uid only a cluster knows.
import { ConfigError } from '../shared/errors.ts'
import { INSTALL, LABEL_COMPONENT, SKIP_REASONS } from '../shared/names.ts'
import { RULES } from '../shared/settings.ts'
import { decide, type Facts, type Injection, isReservedNamespace } from '../webhook/decide.ts'
import { type InjectContext, InjectError, injectedPod } from '../webhook/inject.ts'
import type { Pod } from '../webhook/pod.ts'
import { templateProblems } from '../webhook/pod-shape.ts'
import { at } from './check-api.ts'
import { INJECT_FLAGS } from './flags.ts'
import { type Io, processIo } from './io.ts'
import { leftAlone, type RewritePod, type Verdict } from './rewrite.ts'
import { type FlagValues, readRewriteArgs, rewriteCommand } from './rewrite-command.ts'

/** What the installation runs and injects, unless told otherwise. */
export const defaultImage = (version: string): string => `flink-ha/flink-ha:${version}`

export const runInject = async (args: readonly string[], version: string): Promise<void> => {
  process.exitCode = await inject(args, version, processIo)
}

/** Resolves with the exit code. @throws ConfigError */
export const inject = async (args: readonly string[], version: string, io: Io): Promise<number> => {
  const given = readRewriteArgs(args, INJECT_FLAGS)
  const wishes = readWishes(given.flags, version)
  return await rewriteCommand(given, injector(wishes, version), io)
}

export type Wishes = { image: string; namespace: string | undefined; asIfLabelled: boolean }

/** @throws ConfigError with every problem */
export const readWishes = (flags: FlagValues, version: string): Wishes => {
  const image = (flags['image'] as string | undefined) ?? defaultImage(version)
  const namespace = flags['namespace'] as string | undefined
  const problems: string[] = []
  if (!/^[^\s"']+$/.test(image)) problems.push(`image is ${JSON.stringify(image)}: an image’s name is needed`)
  if (namespace !== undefined && !RULES.namespace[0].test(namespace))
    problems.push(`namespace is ${JSON.stringify(namespace)}: ${RULES.namespace[1]}`)
  if (flags['as-if-labelled'] === true && flags['no-as-if-labelled'] === true)
    problems.push('--as-if-labelled and --no-as-if-labelled are both given')
  if (problems.length > 0) throw new ConfigError(problems)
  // Whoever runs the command asks by it; a pod's own "false" still wins.
  return { image, namespace, asIfLabelled: flags['no-as-if-labelled'] !== true }
}

export const factsFor = (wishes: Wishes, namespace: string | undefined): Facts => ({
  namespaceAsks: wishes.asIfLabelled,
  nativeSidecars: true,
  imageOfOurs: wishes.image,
  reserved: namespace !== undefined && isReservedNamespace(namespace, INSTALL.namespace),
})

const injector =
  (wishes: Wishes, version: string): RewritePod =>
  (given, { field, namespace = wishes.namespace }) => {
    const problems = templateProblems(given, field)
    if (problems.length > 0)
      return mayBeFlinks(given) ? { did: 'refused', problems } : leftAlone('not-flink', SKIP_REASONS['not-flink'])
    const pod = podOf(given, namespace)
    const decision = decide(pod, factsFor(wishes, namespace))
    if (decision.inject === 'refuse')
      return { did: 'refused', problems: [`${field === '' ? '' : `${field}: `}${decision.message}`] }
    if (decision.inject === false) return leftAlone(decision.reason, decision.message)
    const verdict = changed(pod, decision, { image: wishes.image, version })
    if (verdict.did === 'changed' && podOf(given).metadata.namespace === undefined)
      delete verdict.pod.metadata.namespace
    return verdict
  }

const changed = (pod: Pod, decision: Injection, context: InjectContext): Verdict => {
  try {
    const what = `injected, as ${decision.inject}`
    const after = structuredClone(injectedPod(pod, decision, context))
    return { did: 'changed', pod: after, what, warnings: decision.warnings }
  } catch (error) {
    if (error instanceof InjectError) return { did: 'refused', problems: [error.message] }
    throw error
  }
}

/** What is wrong with the pods of others is theirs to know. */
const mayBeFlinks = (pod: unknown): boolean => {
  const component = at(pod, 'metadata', 'labels')[LABEL_COMPONENT]
  return typeof component === 'string' ? ['jobmanager', 'taskmanager'].includes(component) : component !== undefined
}

/** A pod template may come without metadata, which a pod never does, and is in the namespace of what makes the pods. */
export const podOf = (template: unknown, namespace?: string): Pod => {
  const pod = template as Pod
  const metadata = pod.metadata ?? {}
  return { ...pod, metadata: namespace === undefined ? metadata : { namespace, ...metadata } }
}
