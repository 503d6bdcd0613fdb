// The installation under test, as the README says: one `kubectl apply -k`, and a label on a namespace.
import { INSTALL, LABEL_INJECTION } from '../../shared/names.ts'
import { Agent } from './agent.ts'
import { kubectl, Namespace, nowMs, sleep, until } from './cluster.ts'
import { type Documented, documented, storage } from './documented.ts'
import { flinkImage, IMAGE, RELEASED, storagePath } from './manifests.ts'
import type { Prelude } from './scene.ts'

export const WEBHOOK = 'flink-ha-webhook'
const IN = ['-n', INSTALL.namespace]

/** Installs, and waits until both replicas are ready and the API server trusts them. */
export const install = async (): Promise<void> => {
  if (process.env['FLINK_HA_IMAGE'] === undefined) await kubectl(['apply', '-k', 'manifests'])
  else await kubectl(['apply', '-f', '-'], (await kubectl(['kustomize', 'manifests'])).replaceAll(RELEASED, IMAGE))
  await ready()
}

/** The pods of the webhook that are not on their way out. */
export const replicas = async (): Promise<string[]> => {
  const { items } = JSON.parse(await kubectl([...IN, 'get', 'pods', '-o', 'json'])) as {
    items: { metadata: { name: string; deletionTimestamp?: string } }[]
  }
  return items.flatMap(({ metadata }) => (metadata.deletionTimestamp === undefined ? [metadata.name] : []))
}

/** The replica that holds the Lease. */
export const activeReplica = async (): Promise<string> => {
  const holder = await kubectl([...IN, 'get', 'lease', INSTALL.lease, '-o', 'jsonpath={.spec.holderIdentity}'])
  return holder.split('_')[0] ?? ''
}

/** Serial number of the certificate that a replica serves at this moment. */
export const servedSerial = async (replica: string): Promise<string> => {
  const connect = `require('node:tls').connect({ host: '127.0.0.1', port: 8443, rejectUnauthorized: false }, function () {
    console.log(this.getPeerCertificate().serialNumber)
    process.exit()
  })`
  return (await kubectl([...IN, 'exec', replica, '--', 'node', '-e', connect])).trim()
}

/** Without its certificate the Secret gets another one by whoever leads; when that one is there. */
export const rotate = async (): Promise<number> => {
  const certificate = () => kubectl([...IN, 'get', 'secret', INSTALL.tlsSecret, '-o', 'jsonpath={.data.tls\\.crt}'])
  const before = await certificate()
  const remove = JSON.stringify([{ op: 'remove', path: '/data/tls.crt' }])
  await kubectl([...IN, 'patch', 'secret', INSTALL.tlsSecret, '--type=json', '-p', remove])
  return await until('another certificate', 120_000, async () => {
    const now = await certificate()
    return now !== '' && now !== before ? nowMs() : undefined
  })
}

export const uninstall = async (): Promise<void> => {
  await kubectl(['delete', '-k', 'manifests', '--ignore-not-found', '--wait=false'])
  await until('the end of the installation', 120_000, async () => {
    const left = await kubectl(['get', 'namespace', INSTALL.namespace, '--ignore-not-found', '-o', 'name'])
    return left === '' || undefined
  })
}

export const ready = async (): Promise<void> => {
  await kubectl([...IN, 'rollout', 'status', `deployment/${WEBHOOK}`, '--timeout=180s'], '', 190_000)
  await until('a bundle that the API server trusts', 60_000, async () => {
    const path = '{.webhooks[*].clientConfig.caBundle}'
    const args = ['get', 'mutatingwebhookconfiguration', INSTALL.webhookConfiguration, '-o', `jsonpath=${path}`]
    return (await kubectl(args)) !== '' || undefined
  })
  // The API server takes up a changed configuration within about a second.
  await sleep(2_000)
}

export const unlabel = async (namespace: Namespace): Promise<void> => {
  await kubectl(['label', 'namespace', namespace.name, `${LABEL_INJECTION}-`])
}

export const label = async (namespace: Namespace): Promise<void> => {
  await kubectl(['label', 'namespace', namespace.name, `${LABEL_INJECTION}=enabled`, '--overwrite'])
}

/** All replicas go, at once and without grace; `back` brings them again. */
export const takeAway = async (): Promise<void> => {
  await kubectl([...IN, 'scale', `deployment/${WEBHOOK}`, '--replicas=0'])
  await kubectl([...IN, 'delete', 'pods', '--all', '--force', '--grace-period=0'])
  await until('the end of the webhook’s addresses', 60_000, async () => {
    const path = '{.items[*].endpoints[*].addresses[*]}'
    const slices = ['get', 'endpointslices', '-l', `kubernetes.io/service-name=${INSTALL.service}`]
    return (await kubectl([...IN, ...slices, '-o', `jsonpath=${path}`])) === '' || undefined
  })
}

export const back = async (): Promise<void> => {
  await kubectl([...IN, 'scale', `deployment/${WEBHOOK}`, '--replicas=2'])
  await ready()
}

/**
 * The documentation's objects in a namespace that is labelled. Flink's user owns the storage, and the agent lives where it is
 * allowed to. `later`: what has to be tidied up after the scene.
 */
export const labelled =
  (options: Documented, later: (tidy: () => Promise<unknown>) => void): Prelude =>
  async (namespace, node) => {
    const tools = await Namespace.create('tools')
    later(() => tools.remove())
    const agent = await Agent.start(tools, node, flinkImage(options.flink))
    const folder = storagePath(namespace.name)
    const jar = '/opt/flink/examples/streaming/Ticker.jar'
    await agent.shell(`mkdir -p ${folder}/usrlib && cp ${jar} ${folder}/usrlib/ && chmod -R 0777 ${folder}`)
    await label(namespace)
    const objects = [...storage(namespace.name, node), ...documented(options)]
    later(() => kubectl(['delete', 'persistentvolume', `flink-data-${namespace.name}`, '--wait=false']))
    return { agent, objects, application: options.job !== undefined }
  }
