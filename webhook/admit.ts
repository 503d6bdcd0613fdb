// The whole of an admission without its input and output: review and decision in, answer and what to count out.
//
// A pod that asked for us and is a JobManager must not run without us: it would quietly be without the failover that was
// asked for, so when we cannot serve it, it is refused, as failurePolicy Fail does when we are away. Nothing else is ever
// stopped by a failure of ours.
import type { SkipReason } from '../shared/names.ts'
import { type Decision, decide, type Facts, type Injection, wishOf } from './decide.ts'
import { applied, type InjectContext, InjectError, injectOperations } from './inject.ts'
import { nameOf, type Pod } from './pod.ts'
import { allow, deny, type ReviewRequest, type ReviewResponse } from './review.ts'

/** What became of a pod: label values of the metric and fields of the log, bounded. */
export type Outcome = {
  decision: 'inject' | 'skip' | 'refuse' | 'deadline' | 'error'
  /** Why; of an injection the role, of a failure the role that the pod has. */
  reason: string
  message: string
  namespace: string
  pod: string
  dryRun: boolean
  /** It asked for us and does not get us, by no choice of its own. */
  regrettable: boolean
}
export type Admitted = { answer: ReviewResponse; outcome: Outcome }

/** Skips that somebody chose. */
const CHOSEN: readonly SkipReason[] = ['already-injected', 'taskmanager-off', 'opted-out', 'namespace-not-labelled']
/** Skips that only a pod that asks by itself has reason to regret: a labelled namespace does not mean these. */
const NOT_MEANT: readonly SkipReason[] = ['not-flink', 'own-namespace', 'mirror-pod']

/** Decides and answers in one go, for whoever has nothing to look up in between. */
export const admit = (request: ReviewRequest, facts: Facts, context: InjectContext): Admitted =>
  answerTo(request, decide(request.pod, facts), context)

/** The answer to a decision; never throws: a patch that would not do is answered as a failure of ours. */
export const answerTo = (
  request: ReviewRequest,
  decision: Decision,
  context: InjectContext,
  warnings: readonly string[] = [],
): Admitted => {
  if (decision.inject === 'refuse') {
    const { reason, message } = decision
    return { answer: deny(request.uid, 400, message), outcome: outcomeOf(request, 'refuse', reason, message) }
  }
  if (decision.inject === false) {
    const { reason, message } = decision
    const outcome = outcomeOf(request, 'skip', reason, message)
    outcome.regrettable = isRegrettable(request.pod, reason)
    const said = outcome.regrettable ? [`not injected: ${reason}: ${message}`] : []
    return { answer: allow(request.uid, said), outcome }
  }
  try {
    const operations = injectOperations(request.pod, decision, context)
    applied(request.pod, operations, decision, context)
    const outcome = outcomeOf(request, 'inject', decision.inject, '')
    return { answer: allow(request.uid, [...decision.warnings, ...warnings], operations), outcome }
  } catch (error) {
    if (!(error instanceof InjectError)) throw error
    return failureOf(request, decision, 'error', error.message)
  }
}

/** For a pod that would be injected when there is no time left, or no way, to do it. */
export const failureOf = (
  request: ReviewRequest,
  decision: Injection,
  what: 'deadline' | 'error',
  message: string,
): Admitted => {
  const outcome = outcomeOf(request, what, decision.inject, message)
  outcome.regrettable = true
  const answer =
    decision.inject === 'jobmanager'
      ? deny(request.uid, what === 'deadline' ? 503 : 500, `a JobManager must not run without its sidecar: ${message}`)
      : allow(request.uid, [`not injected: ${what}: ${message}`])
  return { answer, outcome }
}

/** Whether whoever asked for the sidecar has reason to regret that the pod was skipped. */
export const isRegrettable = (pod: Pod, reason: SkipReason): boolean => {
  if (CHOSEN.includes(reason)) return false
  const wish = wishOf(pod)
  return !NOT_MEANT.includes(reason) || ('wants' in wish && wish.wants === true)
}

const outcomeOf = (
  { namespace, pod, dryRun }: ReviewRequest,
  decision: Outcome['decision'],
  reason: string,
  message: string,
): Outcome => ({ decision, reason, message, namespace, pod: nameOf(pod), dryRun, regrettable: false })
