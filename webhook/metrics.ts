// The webhook's metrics, on a registry of its own. Labels are bounded: no pod, namespace or annotation is among them.
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Outcome } from './admit.ts'
import type { FindingReason } from './change.ts'

export type WebhookMetrics = ReturnType<typeof makeWebhookMetrics>

/** Asked for when scraped, so that a wedged loop cannot leave a pretty value behind. */
export type WebhookReadings = {
  leading: boolean
  /** Seconds until the served certificate ends; undefined: none is served. */
  certificateSeconds: number | undefined
  /** By reason; all 0 where nothing is reconciled. */
  findings: { [reason in FindingReason]: number }
}

export const makeWebhookMetrics = (read: () => WebhookReadings, registry = new Registry()) => {
  const registers = [registry]
  new Gauge({
    name: 'flink_ha_certificate_expiry_seconds',
    help: 'Until the served certificate ends; 0 when none is served.',
    registers,
    collect() {
      this.set(read().certificateSeconds ?? 0)
    },
  })
  new Gauge({
    name: 'flink_ha_webhook_leading',
    help: 'Whether this replica is the active one, which rotates certificates and reconciles: 1 or 0.',
    registers,
    collect() {
      this.set(read().leading ? 1 : 0)
    },
  })
  new Gauge({
    name: 'flink_ha_findings',
    help: 'What somebody has to put right, as the active replica saw it last, by the reason of its Event.',
    labelNames: ['reason'],
    registers,
    collect() {
      for (const [reason, count] of Object.entries(read().findings)) this.set({ reason }, count)
    },
  })
  const seconds = new Histogram({
    name: 'flink_ha_admission_seconds',
    help: 'From the arrival of a review to its answer, dry runs among them.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  })
  const labelNames = ['decision', 'reason'] as const
  const admissions = new Counter({
    name: 'flink_ha_admissions_total',
    help: 'Pods by decision (inject, skip, refuse, deadline, error) and reason; of an injection the reason is the role.',
    labelNames,
    registers,
  })
  const dryRuns = new Counter({
    name: 'flink_ha_dry_run_admissions_total',
    help: 'As flink_ha_admissions_total, for pods that were never to be created.',
    labelNames,
    registers,
  })
  const rejected = new Counter({
    name: 'flink_ha_bad_requests_total',
    help: 'Requests that were not a review of a pod’s creation, by HTTP status.',
    labelNames: ['status'],
    registers,
  })
  return {
    registry,
    rejected,
    admitted: ({ decision, reason, dryRun }: Outcome, elapsedMs: number): void => {
      seconds.observe(elapsedMs / 1000)
      const counter = dryRun ? dryRuns : admissions
      counter.inc({ decision, reason })
    },
  }
}
