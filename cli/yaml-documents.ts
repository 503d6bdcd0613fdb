// A file of YAML or JSON documents, taken apart so that a document that is not changed comes out to the last byte, and one that
// is changed keeps its comments and style where that is possible. Has never heard of pods.
import { isDeepStrictEqual } from 'node:util'
import { Document, isMap, isNode, isSeq, LineCounter, type Node, parseDocument, type Tags, visit } from 'yaml'

/** `source` is the document with its markers and comments; all the sources of a file together are the file. */
export type Part = { source: string; firstLine: number }
export type Parsed = { value: unknown; problems: readonly string[]; render: (after: unknown) => string }

type Json = { [name: string]: unknown }

const SPACE_OR_END = '(?=[ \\t\\r\\n]|$)'
const START = new RegExp(`^\\uFEFF?---${SPACE_OR_END}`)
const END = new RegExp(`^\\.\\.\\.${SPACE_OR_END}`)
/** What may stand before a document's `---` and belongs to it: blank lines, comments, directives. */
const PREFIX = /^\uFEFF?(\s*(#.*)?|%.*)$/

/**
 * Cuts at the lines that begin with `---` or `...`: YAML forbids these two at the begin of a line within a document, even in
 * a block scalar (YAML 1.2.2, 9.1.2, c-forbidden), so the cut needs no parser, and a broken document does not spoil the others.
 */
export const splitDocuments = (text: string): Part[] => {
  const parts: Part[] = []
  let source = ''
  let [line, firstLine] = [1, 1]
  let hasBegun = false
  const close = (): void => {
    parts.push({ source, firstLine })
    source = ''
    firstLine = line
    hasBegun = false
  }
  for (const whole of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    const isStart = START.test(whole)
    if (isStart && hasBegun) close()
    source += whole
    line += 1
    if (isStart || !PREFIX.test(whole.trimEnd())) hasBegun = true
    if (END.test(whole) && hasBegun) close()
  }
  const last = parts.at(-1)
  if (!hasBegun && last !== undefined) last.source += source
  else if (source !== '') close()
  return parts
}

// kubectl reads YAML 1.1 (`yes` is true, 0644 is octal, `<<` merges), but neither sexagesimal numbers nor, as anything but
// text, dates (go-yaml v2, resolve.go).
const SCHEMA = {
  version: '1.1',
  customTags: (tags: Tags): Tags =>
    tags.filter(
      tag =>
        typeof tag === 'string' ||
        (tag.tag !== 'tag:yaml.org,2002:timestamp' && !('format' in tag && tag.format === 'TIME')),
    ),
} as const

/** What we write is quoted so that every reader takes it for the same. (To read with `compat` fails on some broken lists.) */
const WRITING = { ...SCHEMA, compat: 'yaml-1.1' } as const

export const parsePart = (part: Part): Parsed => {
  const json = asJson(part.source)
  if (json !== undefined) return json
  const lineCounter = new LineCounter()
  // A line break is one character to YAML, however it is written.
  const text = part.source.replace(/\r\n/g, '\n')
  const document = parseDocument(text, { ...SCHEMA, logLevel: 'silent', prettyErrors: false, lineCounter })
  const problems = document.errors.map(({ pos, message }) => {
    const { line, col } = lineCounter.linePos(pos[0])
    return `line ${part.firstLine + line - 1}, column ${col}: ${message}`
  })
  if (problems.length > 0) return { value: undefined, problems, render: unrendered }
  try {
    const value: unknown = document.toJS()
    return { value, problems, render: after => rendered(part.source, document as Document, value, after) }
  } catch (error) {
    // An alias without its anchor, or a thousand of them.
    const problem = `line ${part.firstLine}: ${(error as Error).message}`
    return { value: undefined, problems: [problem], render: unrendered }
  }
}

const unrendered = (): never => {
  throw new Error('a document that cannot be read cannot be written')
}

const asJson = (source: string): Parsed | undefined => {
  const [, before = '', body = '', rest = ''] = /^(\uFEFF?(?:---\s+)?)(\{[\s\S]*\})(\s*)$/.exec(source) ?? []
  if (body === '') return undefined
  try {
    const value: unknown = JSON.parse(body)
    const indent = /\n([ \t]+)"/.exec(body)?.[1]
    const newline = body.includes('\r\n') ? '\r\n' : '\n'
    const render = (after: unknown): string =>
      `${before}${JSON.stringify(after, undefined, indent).replaceAll('\n', newline)}${rest}`
    return { value, problems: [], render }
  } catch {
    // Flow style that is YAML only.
    return undefined
  }
}

/** Written twice if need be: once by changing the nodes that changed, and if that does not say what it should, all anew. */
const rendered = (source: string, document: Document, before: unknown, after: unknown): string => {
  if (isDeepStrictEqual(before, after)) return source
  const options = {
    lineWidth: 0,
    indentSeq: !/^( *)[^\s#-].*:[ \t]*(?:#.*)?\r?\n\1- /m.test(source),
    flowCollectionPadding: !/[[{][^\s\]}]/.test(source),
  }
  for (const make of [edited, rebuilt]) {
    const text = make(document, before, after)?.toString(options)
    const again = text === undefined ? undefined : parsePart({ source: text, firstLine: 1 })
    if (text === undefined || again?.problems.length !== 0 || !isDeepStrictEqual(again.value, after)) continue
    return source.includes('\r\n') ? text.replaceAll('\n', '\r\n') : text
  }
  throw new Error('the changed document cannot be written so that it reads the same')
}

/** undefined: a node that others refer to by an alias cannot be changed in one place alone. */
const edited = (document: Document, before: unknown, after: unknown): Document | undefined => {
  let hasAlias = false
  visit(document, {
    Alias: () => {
      hasAlias = true
      return visit.BREAK
    },
  })
  if (hasAlias) return undefined
  const copy = withMarkers(document.clone(), document)
  copy.setSchema('1.1', WRITING)
  copy.contents = editedNode(copy, copy.contents, before, after)
  return copy
}

const rebuilt = (document: Document, _before: unknown, after: unknown): Document =>
  withMarkers(new Document(after, { ...WRITING, aliasDuplicateObjects: false }), document)

/** `...` matters where the next document has no `---`. */
const withMarkers = (document: Document, like: Document): Document => {
  if (document.directives === undefined || like.directives === undefined) return document
  document.directives.docStart = like.directives.docStart
  document.directives.docEnd = like.directives.docEnd
  return document
}

const editedNode = (document: Document, node: Node | null, before: unknown, after: unknown): Node => {
  if (node !== null && isDeepStrictEqual(before, after)) return node
  if (isMap(node) && isMapping(before) && isMapping(after)) {
    for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) node.delete(key)
    for (const [key, value] of Object.entries(after)) {
      const old = node.get(key, true)
      node.set(key, editedNode(document, isNode(old) ? old : null, before[key], value))
    }
    return node
  }
  if (isSeq(node) && Array.isArray(before) && Array.isArray(after)) {
    node.items = editedItems(document, node.items, before, after)
    return node
  }
  return document.createNode(after, { aliasDuplicateObjects: false }) as Node
}

/** Items that are still there keep their nodes, wherever they are now; named ones are the same by name. */
const editedItems = (document: Document, items: unknown[], before: unknown[], after: unknown[]): unknown[] => {
  const unused = new Set(before.keys())
  const take = (isIt: (item: unknown) => boolean): number | undefined => {
    const found = [...unused].find(index => isIt(before[index]))
    if (found !== undefined) unused.delete(found)
    return found
  }
  const equals = after.map(value => take(item => isDeepStrictEqual(item, value)))
  return after.map((value, at) => {
    const index = equals[at] ?? take(item => nameOf(item) !== undefined && nameOf(item) === nameOf(value))
    const node = index === undefined ? null : (items[index] as Node | null)
    return editedNode(document, node, index === undefined ? undefined : before[index], value)
  })
}

const isMapping = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const nameOf = (value: unknown): unknown => (isMapping(value) ? value['name'] : undefined)
