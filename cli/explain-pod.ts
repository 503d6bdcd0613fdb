// The decision about one pod, with the row of the truth table (webhook/decide.ts) that it comes from. Pure.
import { ANNOTATION_INJECTED, LABEL_COMPONENT, LABEL_INJECT } from '../shared/names.ts'
import { type Decision, decide, type Facts } from '../webhook/decide.ts'
import { type InjectContext, InjectError, injectedPod, injectOperations } from '../webhook/inject.ts'
import type { Operation } from '../webhook/patch.ts'
import { annotationOf, labelOf, type Pod } from '../webhook/pod.ts'

export type Explanation = {
  /** Which pod, and where it is from. */
  subject: string
  /** What the decision goes by. */
  row: { component: string; namespaceAsks: boolean; podAsks: string; injected: string }
  decision: 'inject' | 'skip' | 'refuse' | 'error'
  /** The role when it is injected. */
  reason: string
  message: string
  warnings: readonly string[]
  /** RFC 6902, what would change. */
  operations: readonly Operation[]
  /** What else is worth knowing of this pod. */
  note: string
}

export const explainPod = (subject: string, pod: Pod, facts: Facts, context: InjectContext, note = ''): Explanation => {
  const decision = decide(pod, facts)
  return {
    subject,
    row: {
      component: labelOf(pod, LABEL_COMPONENT) ?? '',
      namespaceAsks: facts.namespaceAsks,
      podAsks: podAsks(pod),
      injected: annotationOf(pod, ANNOTATION_INJECTED) ?? '',
    },
    ...consequence(pod, decision, context),
    note,
  }
}

type Consequence = Pick<Explanation, 'decision' | 'reason' | 'message' | 'warnings' | 'operations'>

const consequence = (pod: Pod, decision: Decision, context: InjectContext): Consequence => {
  const nothing = { warnings: [], operations: [] }
  if (decision.inject === 'refuse')
    return { decision: 'refuse', reason: decision.reason, message: decision.message, ...nothing }
  if (decision.inject === false)
    return { decision: 'skip', reason: decision.reason, message: decision.message, ...nothing }
  try {
    // Applied as well, for what cannot be applied is not done.
    injectedPod(pod, decision, context)
    const { inject: reason, warnings } = decision
    const operations = injectOperations(pod, decision, context)
    return { decision: 'inject', reason, message: `as ${reason}`, warnings, operations }
  } catch (error) {
    if (!(error instanceof InjectError)) throw error
    return { decision: 'error', reason: decision.inject, message: error.message, ...nothing }
  }
}

const podAsks = (pod: Pod): string =>
  [
    ['label', labelOf(pod, LABEL_INJECT)],
    ['annotation', annotationOf(pod, LABEL_INJECT)],
  ]
    .filter(([, value]) => value !== undefined)
    .map(([where, value]) => `${where} ${LABEL_INJECT} is ${JSON.stringify(value)}`)
    .join(', ')

export const explanationText = (explanation: Explanation): string => {
  const { subject, row, decision, reason, message, warnings, operations, note } = explanation
  const verdict = decision === 'inject' ? `inject, as ${reason}` : `${decision}: ${reason} (${message})`
  const lines: [string, string][] = [
    ['component', row.component || '(no such label)'],
    ['namespace asks', row.namespaceAsks ? 'yes' : 'no'],
    ['the pod itself', row.podAsks || 'says nothing'],
    ['injected already', row.injected === '' ? 'no' : `by ${row.injected}`],
    ['decision', verdict],
    ...warnings.map((warning): [string, string] => ['warning', warning]),
    ...operations.map((operation): [string, string] => ['would', operationText(operation)]),
    ...(note === '' ? [] : [['note', note] as [string, string]]),
  ]
  return `${subject}\n${lines.map(([what, text]) => `  ${what.padEnd(16)}  ${text}\n`).join('')}`
}

const operationText = (operation: Operation): string => {
  if (operation.op === 'remove') return `remove ${operation.path}`
  const { path, value } = operation
  const name = typeof value === 'object' && value !== null && 'name' in value ? ` (${String(value.name)})` : ''
  return `add ${path}${name || (typeof value === 'string' ? ` = ${value}` : '')}`
}
