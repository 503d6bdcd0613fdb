// A relay's metrics: the candidate's names where they mean the same. Labels are bounded.
import { Counter, Gauge, Registry } from 'prom-client'

export type RelayMetrics = ReturnType<typeof makeRelayMetrics>

/** Set by the caller when scraped, so that a wedged loop cannot leave a pretty value behind. */
export type RelayReadings = {
  connected: boolean
  /** NaN before the first word of a JobManager's sidecar. */
  ageSeconds: number
  validitySeconds: number
  token: number
  watchers: number
}

export const makeRelayMetrics = (read: () => RelayReadings, registry = new Registry()) => {
  const registers = [registry]
  const gauge = (name: string, help: string, of: (readings: RelayReadings) => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(of(read()))
      },
    })
  }
  gauge('flink_ha_relay_connected', 'Whether a JobManager’s sidecar is followed: 1 or 0.', r => (r.connected ? 1 : 0))
  gauge('flink_ha_relay_age_seconds', 'Since a JobManager’s sidecar was last heard.', r => r.ageSeconds)
  gauge('flink_ha_term_validity_seconds', 'How long the term that is told is still valid.', r => r.validitySeconds)
  gauge('flink_ha_term_token', 'Fencing token of the newest term that was told.', r => r.token)
  gauge('flink_ha_watchers', 'Open watches and event streams.', r => r.watchers)
  return {
    registry,
    left: new Counter({
      name: 'flink_ha_relay_left_total',
      help: 'Sidecars that were followed and left, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    gateway: new Counter({
      name: 'flink_ha_gateway_requests_total',
      help: 'Requests of the ConfigMap API by verb and outcome.',
      labelNames: ['verb', 'outcome'],
      registers,
    }),
    cutOff: new Counter({
      name: 'flink_ha_streams_cut_off_total',
      help: 'Streams whose reader did not read.',
      registers,
    }),
  }
}
