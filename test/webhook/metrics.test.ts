import t from 'tap'
import { makeWebhookMetrics, type WebhookReadings } from '../../webhook/metrics.ts'

const outcome = {
  decision: 'inject',
  reason: 'jobmanager',
  message: '',
  namespace: 'n',
  pod: 'p',
  dryRun: false,
  regrettable: false,
} as const

const findings = { NameTaken: 0, HaConfigMapOwned: 0 }

t.test('dry runs are counted apart, and nothing is named by its pod', async t => {
  const metrics = makeWebhookMetrics(() => ({ leading: true, certificateSeconds: 42, findings }))
  metrics.admitted(outcome, 0.4)
  metrics.admitted({ ...outcome, dryRun: true }, 3)
  const text = await metrics.registry.metrics()
  for (const line of [
    'flink_ha_admissions_total{decision="inject",reason="jobmanager"} 1',
    'flink_ha_dry_run_admissions_total{decision="inject",reason="jobmanager"} 1',
    'flink_ha_admission_seconds_bucket{le="0.0005"} 1',
    'flink_ha_admission_seconds_count 2',
    'flink_ha_certificate_expiry_seconds 42',
    'flink_ha_webhook_leading 1',
  ])
    t.ok(text.includes(line), line)
  t.notMatch(text, /namespace=|pod=/)
})

t.test('gauges are read when they are asked for', async t => {
  let readings: WebhookReadings = { leading: true, certificateSeconds: 1, findings }
  const { registry } = makeWebhookMetrics(() => readings)
  readings = { leading: false, certificateSeconds: undefined, findings: { ...findings, HaConfigMapOwned: 2 } }
  const text = await registry.metrics()
  t.ok(text.includes('flink_ha_webhook_leading 0'))
  t.ok(text.includes('flink_ha_certificate_expiry_seconds 0'))
  t.ok(text.includes('flink_ha_findings{reason="HaConfigMapOwned"} 2'))
  t.ok(text.includes('flink_ha_findings{reason="NameTaken"} 0'))
})
