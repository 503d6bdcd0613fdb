// What a check found, and how it is printed. The exit code is 1 when something failed; a warning is for a human to weigh.
import { EXIT } from '../shared/errors.ts'

export type Result = 'ok' | 'warn' | 'fail' | 'skip'
export type Finding = {
  /** One literal per check, so that a script can look for it. */
  id: string
  title: string
  /** Of checks of one namespace. */
  namespace?: string
  result: Result
  message: string
  /** What to do about it; "" when there is nothing to do. */
  hint: string
}
export type Verdict = Pick<Finding, 'result' | 'message' | 'hint'>

export const ok = (message: string): Verdict => ({ result: 'ok', message, hint: '' })
export const warn = (message: string, hint: string): Verdict => ({ result: 'warn', message, hint })
export const fail = (message: string, hint: string): Verdict => ({ result: 'fail', message, hint })
export const skip = (message: string, hint = ''): Verdict => ({ result: 'skip', message, hint })

export type Summary = { [result in Result]: number }

export const summaryOf = (findings: readonly Finding[]): Summary => {
  const count = (result: Result): number => findings.filter(finding => finding.result === result).length
  return { ok: count('ok'), warn: count('warn'), fail: count('fail'), skip: count('skip') }
}

export const exitCodeOf = (findings: readonly Finding[]): number =>
  findings.some(({ result }) => result === 'fail') ? EXIT.failed : 0

export const asJson = (version: string, findings: readonly Finding[]): string =>
  `${JSON.stringify({ version, summary: summaryOf(findings), findings }, undefined, 2)}\n`

export const asText = (findings: readonly Finding[]): string => {
  const width = Math.max(0, ...findings.map(finding => finding.title.length))
  const sections = [undefined, ...new Set(findings.flatMap(({ namespace }) => namespace ?? []))].flatMap(namespace => {
    const own = findings.filter(finding => finding.namespace === namespace)
    const heading = namespace === undefined ? [] : ['', `namespace ${namespace}`]
    return own.length === 0 ? [] : [...heading, ...own.flatMap(finding => linesOf(finding, width))]
  })
  const counts = Object.entries(summaryOf(findings)).map(([result, count]) => `${count} ${result}`)
  return `${[...sections, '', counts.join(', ')].join('\n')}\n`
}

const linesOf = ({ result, title, message, hint }: Finding, width: number): string[] => {
  const line = `${result.padEnd(4)}  ${title.padEnd(width)}  ${message}`
  return hint === '' ? [line] : [line, `${' '.repeat(6)}${' '.repeat(width)}  -> ${hint}`]
}
