// `flink-ha explain`: why a pod is injected or is not: one that runs, those of a manifest, or that of a stored AdmissionReview.
// Exit code 0 when it could be explained, whatever the decision is.
import { parseArgs } from 'node:util'
import { ConfigError } from '../shared/errors.ts'
import { INSTALL, LABEL_INJECTION } from '../shared/names.ts'
import { type Facts, isReservedNamespace } from '../webhook/decide.ts'
import type { Pod } from '../webhook/pod.ts'
import { podProblems, templateProblems } from '../webhook/pod-shape.ts'
import { ReviewError, readReview } from '../webhook/review.ts'
import { hasNativeSidecars, labelOf, read, textOf } from './check-api.ts'
import type { Cluster, ClusterFlags } from './cluster.ts'
import { type Explanation, explainPod, explanationText } from './explain-pod.ts'
import { EXPLAIN_FLAGS } from './flags.ts'
import { factsFor, podOf, readWishes, type Wishes } from './inject.ts'
import { complain, type Io, processIo } from './io.ts'
import { dotted, podPlaces } from './pod-templates.ts'
import { placeOf, titleOf } from './rewrite.ts'
import { readSources, type Source, STANDARD_INPUT } from './sources.ts'
import { parsePart, splitDocuments } from './yaml-documents.ts'

export type ExplainArgs = ClusterFlags & { what: What; name: string; json: boolean; wishes: Wishes }
type What = (typeof WHATS)[number]
const WHATS = ['pod', 'file', 'review'] as const
export type Connecting = () => Promise<Cluster>

export const runExplain = async (args: readonly string[], version: string): Promise<void> => {
  const given = readExplainArgs(args, version)
  const connecting: Connecting = async () =>
    (await import('./cluster.ts')).connect(given, `flink-ha/${version} explain`)
  process.exitCode = await explain(given, version, connecting, processIo)
}

/** @throws ConfigError with every problem */
export const readExplainArgs = (args: readonly string[], version: string): ExplainArgs => {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: EXPLAIN_FLAGS, allowPositionals: true })
    const [what, name, ...rest] = positionals
    const problems: string[] = []
    if (!WHATS.includes(what as What) || name === undefined)
      problems.push('"pod NAME", "file FILE" or "review FILE" is needed')
    for (const extra of rest) problems.push(`"${extra}" is not an argument of this command`)
    if (!['text', 'json'].includes(values.output)) problems.push(`output is "${values.output}": text or json is needed`)
    if (what === 'pod' && values.namespace === undefined) problems.push('namespace is missing: -n NAMESPACE is needed')
    if (problems.length > 0) throw new ConfigError(problems)
    const { kubeconfig, context } = values
    const json = values.output === 'json'
    return { what: what as What, name: name ?? '', json, kubeconfig, context, wishes: readWishes(values, version) }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError([(error as Error).message])
  }
}

/** Problems are told, explanations too: a file can have both. Resolves with the exit code. */
export const explain = async (args: ExplainArgs, version: string, connecting: Connecting, io: Io): Promise<number> => {
  const { explanations, problems } =
    args.what === 'pod' ? await ofRunning(args, version, connecting) : await ofFile(args, version, io)
  if (args.json) io.out(`${JSON.stringify(explanations, undefined, 2)}\n`)
  else if (explanations.length > 0) io.out(explanations.map(explanationText).join('\n'))
  return problems.length === 0 ? 0 : complain(io, problems)
}

type Explained = { explanations: Explanation[]; problems: string[] }

const ofFile = async ({ what, name, wishes }: ExplainArgs, version: string, io: Io): Promise<Explained> => {
  const { sources, problems } = await readSources([name], io.readInput)
  const explained = sources.map(source =>
    what === 'review' ? ofReview(source, wishes, version) : ofManifest(source, wishes, version),
  )
  const explanations = explained.flatMap(one => one.explanations)
  const all = [...problems, ...explained.flatMap(one => one.problems)]
  if (explanations.length === 0 && all.length === 0)
    all.push(`${name === STANDARD_INPUT ? 'standard input' : name}: there is no pod and nothing that makes pods`)
  return { explanations, problems: all }
}

const ofManifest = (source: Source, wishes: Wishes, version: string): Explained => {
  const context = { image: wishes.image, version }
  const explanations: Explanation[] = []
  const problems: string[] = []
  for (const [index, part] of splitDocuments(source.text).entries()) {
    const place = placeOf({ source: source.name, document: index + 1 })
    const parsed = parsePart(part)
    problems.push(...parsed.problems.map(problem => `${place}: ${problem}`))
    for (const found of podPlaces(parsed.value)) {
      const title = `${titleOf(found)} (${place})`
      const wrong = templateProblems(found.pod, dotted(found.path))
      problems.push(...wrong.map(problem => `${place}: ${titleOf(found)}: ${problem}`))
      if (wrong.length > 0) continue
      const namespace = found.namespace ?? wishes.namespace
      const note = wishes.asIfLabelled ? `as in a namespace with label ${LABEL_INJECTION}=enabled` : ''
      explanations.push(explainPod(title, podOf(found.pod, namespace), factsFor(wishes, namespace), context, note))
    }
  }
  return { explanations, problems }
}

const ofReview = (source: Source, wishes: Wishes, version: string): Explained => {
  const { value, problems } = parsePart({ source: source.text, firstLine: 1 })
  if (problems.length > 0) return { explanations: [], problems: problems.map(problem => `${source.name}: ${problem}`) }
  try {
    const { uid, namespace, dryRun, pod } = readReview(value)
    const title = `Pod in ${namespace}, AdmissionReview ${uid}${dryRun ? ' (dry run)' : ''} (${source.name})`
    const note = wishes.asIfLabelled ? `as in a namespace with label ${LABEL_INJECTION}=enabled` : ''
    const context = { image: wishes.image, version }
    return { explanations: [explainPod(title, pod, factsFor(wishes, namespace), context, note)], problems: [] }
  } catch (error) {
    if (!(error instanceof ReviewError)) throw error
    return { explanations: [], problems: error.problems.map(problem => `${source.name}: ${problem}`) }
  }
}

/** The facts come from the cluster then. */
const ofRunning = async (args: ExplainArgs, version: string, connecting: Connecting): Promise<Explained> => {
  const { name, wishes } = args
  const { namespace = '', image } = wishes
  try {
    const cluster = await connecting()
    const path = `/api/v1/namespaces/${namespace}`
    const [pod, home, server] = await Promise.all(
      [`${path}/pods/${name}`, path, '/version'].map(wanted => read(cluster, wanted)),
    )
    if (!pod?.ok) return { explanations: [], problems: [`pod ${namespace}/${name}: ${pod?.why}`] }
    const wrong = podProblems(pod.object, '')
    if (wrong.length > 0) return { explanations: [], problems: wrong.map(problem => `pod ${name}: ${problem}`) }
    const facts: Facts = {
      // Whoever may not read the namespace can say it.
      namespaceAsks: home?.ok ? labelOf(home.object, LABEL_INJECTION) === 'enabled' : wishes.asIfLabelled,
      nativeSidecars: server?.ok !== true || hasNativeSidecars(textOf(server.object['gitVersion'])),
      imageOfOurs: image,
      reserved: isReservedNamespace(namespace, INSTALL.namespace),
    }
    const subject = `Pod ${namespace}/${name}`
    const explanation = explainPod(subject, pod.object as Pod, facts, { image, version })
    return { explanations: [{ ...explanation, note: noteOf(explanation, home?.ok === true) }], problems: [] }
  } catch (error) {
    return { explanations: [], problems: [(error as Error).message] }
  }
}

/** A running pod that would be injected now was not when it was made. */
const noteOf = ({ decision }: Explanation, isHomeKnown: boolean): string => {
  const notes = [
    isHomeKnown ? '' : `the namespace is not shown to you: taken for labelled`,
    decision === 'inject' || decision === 'refuse'
      ? `it runs without: it was made before the label was there, or without the webhook; see kubectl -n ${INSTALL.namespace} logs deployment/${INSTALL.service}, then kubectl rollout restart what made it`
      : '',
  ]
  return notes.filter(note => note !== '').join('; ')
}
