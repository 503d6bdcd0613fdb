// Manifests in, manifests out: every pod in every document is shown to a rewriter. What is not changed comes out as it was,
// to the last byte; what is wrong is named by file, document, line or field. Knows neither files nor flags.
import type { Pod } from '../webhook/pod.ts'
import { dotted, type Path, type PodPlace, podPlaces, withValueAt } from './pod-templates.ts'
import type { Source } from './sources.ts'
import { parsePart, splitDocuments } from './yaml-documents.ts'

export type Verdict =
  | { did: 'changed'; pod: Pod; what: string; warnings: readonly string[] }
  | { did: 'left-alone'; reason: string; message: string }
  | { did: 'refused'; problems: readonly string[] }
export const leftAlone = (reason: string, message: string): Verdict => ({ did: 'left-alone', reason, message })
/** `field` is where the pod stands in its document. */
export type PodContext = { field: string } & Pick<PodPlace, 'namespace' | 'selectorLabels'>
export type RewritePod = (pod: unknown, where: PodContext) => Verdict

export type Outcome = {
  source: string
  document: number
  object: string
  changed: boolean
  /** One literal when it was left alone. */
  reason: string
  message: string
  warnings: readonly string[]
}
export type Rewritten = { text: string; changed: boolean; outcomes: Outcome[]; problems: string[] }

export const rewriteSource = (source: Source, rewritePod: RewritePod): Rewritten => {
  const outcomes: Outcome[] = []
  const problems: string[] = []
  const texts = splitDocuments(source.text).map((part, index) => {
    const where = { source: source.name, document: index + 1 }
    const parsed = parsePart(part)
    problems.push(...parsed.problems.map(problem => `${placeOf(where)}: ${problem}`))
    const after = podPlaces(parsed.value).reduce((value, place) => {
      const verdict = verdictOn(place, rewritePod)
      if (verdict.did === 'refused') {
        const named = verdict.problems.map(problem => `${placeOf(where)}: ${titleOf(place)}: ${problem}`)
        problems.push(...named)
        return value
      }
      outcomes.push({ ...where, object: titleOf(place), ...outcomeOf(verdict) })
      return verdict.did === 'changed' ? withValueAt(value, place.path, verdict.pod) : value
    }, parsed.value)
    if (after === parsed.value) return part.source
    try {
      return parsed.render(after)
    } catch (error) {
      problems.push(`${placeOf(where)}: ${(error as Error).message}`)
      return part.source
    }
  })
  const text = texts.join('')
  return { text, changed: text !== source.text, outcomes, problems }
}

const verdictOn = (place: PodPlace, rewritePod: RewritePod): Verdict => {
  const { pod, path, namespace, selectorLabels } = place
  const spec = (pod as { spec?: { containers?: unknown } } | null | undefined)?.spec
  // Such as a patch for kustomize; what it patches has the containers.
  if (spec?.containers === undefined) return leftAlone('no-containers', `${fieldOf(place)} has no containers`)
  return rewritePod(pod, { field: dotted(path), namespace, selectorLabels })
}

const outcomeOf = (
  verdict: Exclude<Verdict, { did: 'refused' }>,
): Pick<Outcome, 'changed' | 'reason' | 'message' | 'warnings'> =>
  verdict.did === 'changed'
    ? { changed: true, reason: '', message: verdict.what, warnings: verdict.warnings }
    : { changed: false, reason: verdict.reason, message: verdict.message, warnings: [] }

export const titleOf = ({ kind, name, namespace }: PodPlace): string =>
  `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name || '(no name)'}`

export const placeOf = ({ source, document }: { source: string; document: number }): string =>
  `${source}: document ${document}`

const fieldOf = ({ path }: { path: Path }): string => dotted(path) || 'it'

/** Texts as one stream of documents, which needs a marker between two that have none. */
export const joinedTexts = (texts: readonly string[]): string =>
  texts.reduce((stream, given) => {
    if (stream === '' || given === '') return stream + given
    const text = given.replace(/^\uFEFF/, '')
    const ended = stream.endsWith('\n') ? stream : `${stream}\n`
    const [prefix, mark] = LEAD.exec(text) ?? []
    if (mark === undefined) return `${ended}---\n${text}`
    // A directive has to follow an end.
    return /^%/m.test(prefix ?? '') ? `${ended}...\n${text}` : ended + text
  }, '')

/** What leads to a marker of its own. */
const LEAD = /^(?:[ \t]*(?:#.*)?\r?\n|%.*\n)*(---)(?=\s)/
