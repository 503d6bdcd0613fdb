/**
 * What the sidecar, the webhook and Flink's own client rely on in a Kubernetes API, as tests. They run against the embedded
 * API and against a real one, so that neither the embedded one nor our idea of the real one can drift.
 */
import type { Test } from 'tap'
import { clusterCases } from './conformance-cluster.ts'
import { errorCases } from './conformance-errors.ts'
import { readCases } from './conformance-reads.ts'
import type { Case, Target } from './conformance-target.ts'
import { watchCases } from './conformance-watches.ts'
import { writeCases } from './conformance-writes.ts'

export type { Target } from './conformance-target.ts'

export const CASES: readonly Case[] = [...writeCases, ...errorCases, ...readCases, ...watchCases, ...clusterCases]

export const conformance = (t: Test, target: Target): void => {
  for (const { name, needsCompaction = false, run } of CASES) {
    const skip = needsCompaction && target.canCompact === undefined ? 'needs an API that compacts when told to' : false
    t.test(name, { skip }, async t => run(t, target))
  }
}
