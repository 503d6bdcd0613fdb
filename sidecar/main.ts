// Puts the sidecar together, starts it and stops it in order; no decisions.
import { systemClock } from '../shared/clock.ts'
import { KubeClient } from '../shared/kube-client.ts'
import { makeLog } from '../shared/log.ts'
import { Candidate } from './candidate.ts'
import { readConfig } from './config.ts'
import { Endpoint } from './endpoint.ts'
import { Gateway } from './gateway.ts'
import { makeMetrics } from './metrics.ts'
import { followOwnPod } from './own-pod.ts'
import { Peers } from './peers.ts'
import { PodRole } from './pod-role.ts'
import { serve } from './server.ts'
import { makeSigner } from './signer.ts'
import { dataBytes } from './size-limit.ts'
import { Status } from './status.ts'

/** How long the release of the lock may hold up the end of the process. */
const RELEASE_TIMEOUT_MS = 3_000

/** @throws ConfigError */
export const runSidecar = async (args: readonly string[], version: string): Promise<void> => {
  const config = readConfig(args, process.env)
  const clock = systemClock
  const log = makeLog(config.logLevel, { pod: config.podName })
  const { monoMs } = clock
  const newClient = (): KubeClient =>
    new KubeClient({
      url: config.apiServer,
      userAgent: `flink-ha/${version} sidecar`,
      monoMs,
      ...(config.tokenFile !== undefined && { tokenFile: config.tokenFile }),
      ...(config.caFile !== undefined && { caFile: config.caFile }),
    })
  // The election's own connections: no other request makes a renewal wait.
  const [client, electionClient] = [newClient(), newClient()]
  const metrics = makeMetrics(
    () => candidate.target?.name ?? '',
    () => ({
      leading: candidate.leading(),
      renewalAgeSeconds: candidate.renewalAgeMs() / 1000,
      validitySeconds: candidate.validForMs() / 1000,
      token: candidate.token,
      jvmPhase: candidate.jvm.phase,
      vouchedFor: candidate.vouchedFor(),
      watchers: gateway.watchers.size + endpoint.openStreams,
      lockBytes: dataBytes(candidate.cached?.object),
    }),
  )
  let podPort = 0
  const candidate = new Candidate({
    identity: `${config.podName}_${config.podUid}`,
    lockKind: config.lock,
    timings: config.timings,
    jvmAddress: config.jvm,
    address: () => (config.podAddress === '' || podPort === 0 ? '' : `${config.podAddress}:${podPort}`),
    client: electionClient,
    clock,
    log,
    metrics,
    signer: config.failsafe ? await makeSigner() : undefined,
  })
  const { namespace, clusterId } = config
  const { retryMs } = config.timings
  const gateway = new Gateway({ candidate, client, clock, log, metrics, namespace, clusterId, retryMs })
  const status = new Status(candidate, Date.now(), clock.after)
  const peers = new Peers(candidate)
  const endpoint = new Endpoint({ candidate, status, gateway, peers, client, clock, metrics, timings: config.timings })
  new PodRole({ candidate, client, clock, log, podName: config.podName })

  const local = await serve({ scope: 'local', host: config.localHost, port: config.localPort, endpoint, gateway, log })
  const pod = await serve({ scope: 'pod', host: config.podHost, port: config.podPort, endpoint, gateway, log })
  podPort = pod.port
  log.info(
    {
      version,
      localPort: local.port,
      podPort: pod.port,
      timings: config.timings,
      lock: config.lock,
      failsafe: config.failsafe,
    },
    'serving',
  )
  if (namespace !== undefined && clusterId !== undefined) candidate.attach(namespace, clusterId)

  // The preStop hook: the term goes on at once, while the JVM takes seconds to end; the sidecar stays to fence it.
  const retire = (sign: string): void => {
    log.info({ sign }, 'the pod is being deleted')
    candidate.retire('pod-deleted')
  }
  process.on('SIGUSR2', () => retire('preStop hook'))
  const { podName, podUid } = config
  const onDeleted = (): void => retire('deletionTimestamp')
  const leavePod =
    namespace === undefined ? () => {} : followOwnPod({ client, clock, log, namespace, podName, podUid, onDeleted })
  let stopping = false
  const stop = async (signal: string): Promise<void> => {
    if (stopping) process.exit(1)
    stopping = true
    log.info({ signal }, 'stopping')
    await candidate.stop('shutdown', RELEASE_TIMEOUT_MS)
    // Streams end properly, then the ports close; a held read is answered by the closing of its connection.
    gateway.watchers.end()
    endpoint.end()
    status.stop()
    leavePod()
    for (const { server } of [local, pod]) {
      server.close()
      server.closeAllConnections()
    }
    client.close()
    electionClient.close()
    process.exit(0)
  }
  process.on('SIGTERM', signal => void stop(signal))
  process.on('SIGINT', signal => void stop(signal))
}
