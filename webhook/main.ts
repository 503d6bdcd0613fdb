// Puts the webhook together, starts it and stops it in order; no decisions.
import { randomUUID } from 'node:crypto'
import { systemClock } from '../shared/clock.ts'
import { Informer } from '../shared/informer.ts'
import { KubeClient } from '../shared/kube-client.ts'
import { type Log, makeLog } from '../shared/log.ts'
import { INSTALL } from '../shared/names.ts'
import { PROFILES } from '../shared/timings.ts'
import { eventOf } from './admission-events.ts'
import { readWebhookConfig, type WebhookConfig } from './config.ts'
import { Events } from './events.ts'
import { ClusterFacts } from './facts.ts'
import { Leadership } from './leadership.ts'
import { makeWebhookMetrics } from './metrics.ts'
import { JOB_MANAGERS } from './namespace-watch.ts'
import { Owners, type ReplicaSet } from './owners.ts'
import { Reconciler } from './reconciler.ts'
import { AdmissionServer } from './server.ts'
import { StatusPort } from './status-port.ts'
import { makeTlsSource, type TlsSource } from './tls.ts'

/** The endpoint is gone from every node by then, and the API server's connections have been used once more. */
const DRAIN_MS = 5_000

/** @throws ConfigError */
export const runWebhook = async (args: readonly string[], version: string): Promise<void> => {
  const config = readWebhookConfig(args, process.env)
  const clock = systemClock
  const log = makeLog(config.logLevel, { pod: config.podName })
  const client = clientOf(config, version)
  // A time-out ends all that is under way on the same client: no owner's look-up and no Event may end a renewal.
  const ofLease = clientOf(config, version)
  const ofOwners = clientOf(config, version)
  const { namespace, podName } = config

  const leadership = new Leadership({
    client: ofLease,
    clock,
    log,
    namespace,
    name: INSTALL.lease,
    identity: `${podName}_${config.podUid ?? randomUUID()}`,
    timings: PROFILES.default,
  })
  const leading = (): boolean => leadership.leading()
  const wallMs = (): number => clock.wallUs() / 1000
  const { serviceName, webhookConfiguration } = config
  const tls = makeTlsSource(
    { ...config.tls, namespace, serviceName, webhookConfiguration },
    { client, clock, log, wallMs, leading },
  )
  const facts = new ClusterFacts({ client, clock, log, namespace, podName, image: config.image })
  const replicaSets = replicaSetInformer(client, log)
  const owners = new Owners({ client: ofOwners, clock, cache: replicaSets })
  const events = new Events({ client, clock, log, instance: podName })
  const reconciler = new Reconciler({ client, clock, log, leading, namespace, events })
  const metrics = makeWebhookMetrics(() => ({
    leading: leading(),
    certificateSeconds: secondsLeft(tls, wallMs()),
    findings: reconciler.findings(),
  }))
  const admission = new AdmissionServer({
    factsOf: (name, namespaceAsks) => facts.of(name, namespaceAsks),
    deploymentOf: (name, pod, limitMs) => owners.deploymentOf(name, pod, limitMs),
    version,
    clock,
    log,
    metrics,
    onOutcome: (outcome, { pod }) => {
      const event = eventOf(outcome, pod)
      if (event !== undefined) events.record(event)
    },
  })
  const status = new StatusPort({
    registry: metrics.registry,
    notReady: () => [
      ...(admission.draining ? ['shutting down'] : []),
      ...(tls.current() === undefined ? ['no certificate yet'] : []),
      ...(facts.problem === undefined ? [] : [`facts of the cluster: ${facts.problem}`]),
    ],
  })

  const stop = stopper(log, async () => {
    // Work of the active replica goes on elsewhere while this one serves what still comes.
    reconciler.stop()
    await Promise.all([leadership.stop(), admission.stop(DRAIN_MS)])
    tls.stop()
    facts.stop()
    replicaSets.stop()
    status.close()
    for (const one of [client, ofLease, ofOwners]) one.close()
  })
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)

  tls.onChange(pair => admission.setPair(pair))
  const statusPort = await status.listen(config.statusPort)
  facts.start()
  replicaSets.start()
  leadership.start()
  reconciler.start()
  await tls.start()
  // The first certificate may take as long as the API server is away; ready is said only after it.
  const port = await admission.listen(config.port)
  log.info({ version, port, statusPort, tls: config.tls.mode }, 'serving')
}

const clientOf = ({ apiServer, tokenFile, caFile }: WebhookConfig, version: string): KubeClient =>
  new KubeClient({
    url: apiServer,
    userAgent: `flink-ha/${version} webhook`,
    monoMs: systemClock.monoMs,
    ...(tokenFile !== undefined && { tokenFile }),
    ...(caFile !== undefined && { caFile }),
  })

/** Only those that make JobManagers: a ReplicaSet has the labels of its template. */
const replicaSetInformer = (client: KubeClient, log: Log) =>
  new Informer<ReplicaSet & { metadata: { name: string } }>({
    client,
    clock: systemClock,
    collection: '/apis/apps/v1/replicasets',
    query: JOB_MANAGERS,
    metadataOnly: true,
    onProblem: problem => log.warn({ problem }, 'lost sight of the ReplicaSets, trying again'),
  })

const secondsLeft = (tls: TlsSource, nowMs: number): number | undefined => {
  const pair = tls.current()
  return pair === undefined ? undefined : (pair.notAfterMs - nowMs) / 1000
}

/** The first signal stops things in order, the second ends it at once. */
const stopper = (log: Log, end: () => Promise<void>): ((signal: string) => void) => {
  let stopping = false
  return signal => {
    if (stopping) process.exit(1)
    stopping = true
    log.info({ signal }, 'stopping')
    end().then(
      () => process.exit(0),
      (error: Error) => {
        log.error({ problem: error.stack }, 'did not stop in order')
        process.exit(1)
      },
    )
  }
}
