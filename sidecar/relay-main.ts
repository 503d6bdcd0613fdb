// Puts a TaskManager's relay together, starts it and stops it in order; no decisions.
import { lookup } from 'node:dns/promises'
import { systemClock } from '../shared/clock.ts'
import { makeLog } from '../shared/log.ts'
import { HA_SERVICE_SUFFIX, PORT_POD } from '../shared/names.ts'
import { LeaderIndex } from './leader-index.ts'
import { Relay } from './relay.ts'
import { readRelayConfig } from './relay-config.ts'
import { RelayEndpoint } from './relay-endpoint.ts'
import { RelayGateway } from './relay-gateway.ts'
import type { RelayTarget } from './relay-link.ts'
import { makeRelayMetrics } from './relay-metrics.ts'
import { serve } from './server.ts'

/** The JobManagers' addresses, from the headless Service of their cluster: each pod's own, ready or not. */
const lookUpService = async ({ namespace, clusterId }: RelayTarget): Promise<readonly string[]> => {
  const found = await lookup(`${clusterId}${HA_SERVICE_SUFFIX}.${namespace}.svc`, { all: true })
  return found.map(({ address, family }) => `${family === 6 ? `[${address}]` : address}:${PORT_POD}`)
}

/** @throws ConfigError */
export const runRelay = async (args: readonly string[], version: string): Promise<void> => {
  const config = readRelayConfig(args, process.env)
  const { namespace, clusterId, peers } = config
  const clock = systemClock
  const log = makeLog(config.logLevel, { pod: config.podName })
  const metrics = makeRelayMetrics(() => ({
    connected: relay.connected,
    ageSeconds: relay.leader().ageSeconds ?? Number.NaN,
    validitySeconds: relay.validForMs() / 1000,
    token: relay.token,
    watchers: gateway.watchers.size + endpoint.openStreams,
  }))
  const relay = new Relay({
    namespace,
    clusterId,
    lookUp: peers.length > 0 ? async () => peers : lookUpService,
    userAgent: `flink-ha/${version} relay`,
    clock,
    log,
    metrics,
  })
  const source = { leader: () => relay.leader(), validForMs: () => relay.validForMs(), target: () => relay.target }
  const status = new LeaderIndex(source, Date.now(), clock.after)
  relay.onChange(() => status.changed())
  const gateway = new RelayGateway({ relay, clock, metrics })
  const endpoint = new RelayEndpoint({ relay, status, clock, metrics })

  const local = await serve({ scope: 'local', host: config.localHost, port: config.localPort, endpoint, gateway, log })
  const pod = await serve({ scope: 'pod', host: config.podHost, port: config.podPort, endpoint, gateway, log })
  log.info({ version, localPort: local.port, podPort: pod.port }, 'serving')
  relay.attach(namespace, clusterId)

  let stopping = false
  const stop = (signal: string): void => {
    if (stopping) process.exit(1)
    stopping = true
    log.info({ signal }, 'stopping')
    relay.stop()
    status.stop()
    // Streams end properly, then the ports close.
    gateway.watchers.end()
    endpoint.end()
    for (const { server } of [local, pod]) {
      server.close()
      server.closeIdleConnections()
    }
    process.exit(0)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}
