// Whether the webhook is installed, runs, is known to the API server and has its rights.
import type { X509Certificate } from 'node:crypto'
import { INSTALL } from '../shared/names.ts'
import { beginMs, certificatesOf, checkPair, endMs } from '../webhook/tls-check.ts'
import { at, type Json, listOf, mapOf, numberOf, type Read, read, some, textOf } from './check-api.ts'
import { fail, ok, skip, type Verdict, warn } from './check-report.ts'
import {
  CONFIGURATION_RIGHTS,
  missingRights,
  rightsVerdict,
  WEBHOOK_HOME_RIGHTS,
  WEBHOOK_RIGHTS,
  WEBHOOK_SECRET_RIGHTS,
} from './check-rights.ts'
import type { Cluster } from './cluster.ts'

/** What several checks look at, read once. */
export type Installation = { deployment: Read; configuration: Read }

const DEPLOYMENT = `/apis/apps/v1/namespaces/${INSTALL.namespace}/deployments/${INSTALL.service}`
const CONFIGURATION = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${INSTALL.webhookConfiguration}`
const REINSTALL = 'install again: kubectl apply -k manifests'
const LOGS = `kubectl -n ${INSTALL.namespace} logs deployment/${INSTALL.service}`
const DAY_MS = 86_400_000

export const readInstallation = async (cluster: Cluster): Promise<Installation> => ({
  deployment: await read(cluster, DEPLOYMENT),
  configuration: await read(cluster, CONFIGURATION),
})

const unread = ({ status, why }: { status: number; why: string }, what: string): Verdict =>
  status === 403 ? skip(`${what} is not shown to you: ${why}`) : fail(`${what}: ${why}`, REINSTALL)

export const checkDeployment = ({ deployment }: Installation): Verdict => {
  if (!deployment.ok) return unread(deployment, 'the webhook’s Deployment')
  const wanted = numberOf(at(deployment.object, 'spec')['replicas'])
  const ready = numberOf(at(deployment.object, 'status')['readyReplicas'])
  const inWords = `${ready} of ${wanted} replicas are ready`
  if (ready === 0) return fail(inWords, LOGS)
  if (ready < wanted) return warn(inWords, `kubectl -n ${INSTALL.namespace} get pods`)
  return wanted === 1 ? warn(inWords, 'with one replica, its restart holds up the pods of Flink') : ok(inWords)
}

export const checkVersion = ({ deployment }: Installation, version: string): Verdict => {
  if (!deployment.ok) return skip('the Deployment is not known')
  const image = textOf(webhookContainer(deployment.object)['image'])
  const tag = /:([^:/@]+)$/.exec(image)?.[1]
  if (tag === undefined) return skip(`the image ${image || 'of no name'} does not tell its version`)
  if (tag === version) return ok(image)
  return warn(`the webhook runs ${image}, this command is ${version}`, 'use a command of the same version')
}

/** As the webhook itself names it; a chart may put another one beside it. */
const webhookContainer = (deployment: Json): Json => {
  const containers = listOf(at(deployment, 'spec', 'template', 'spec')['containers']).map(mapOf)
  return containers.find(container => container['name'] === 'webhook') ?? containers[0] ?? {}
}

export const checkConfiguration = ({ configuration }: Installation): Verdict => {
  if (!configuration.ok) return unread(configuration, 'the MutatingWebhookConfiguration')
  const webhooks = webhooksOf(configuration.object)
  if (!webhooks.some(webhook => webhook['name'] === INSTALL.webhook))
    return fail(`it has no webhook ${INSTALL.webhook}`, REINSTALL)
  for (const webhook of webhooks) {
    const name = textOf(webhook['name'])
    const { caBundle, service } = at(webhook, 'clientConfig')
    const target = `${textOf(mapOf(service)['namespace'])}/${textOf(mapOf(service)['name'])}`
    if (target !== `${INSTALL.namespace}/${INSTALL.service}`)
      return fail(`${name} goes to the Service ${target}, not to ${INSTALL.namespace}/${INSTALL.service}`, REINSTALL)
    if (textOf(caBundle) === '')
      return fail(
        `${name} has no caBundle: the API server will not believe the webhook`,
        `the webhook fills it in: ${LOGS}`,
      )
  }
  const ignoring = webhooks.filter(webhook => webhook['failurePolicy'] === 'Ignore').map(({ name }) => textOf(name))
  return ignoring.length === 0
    ? ok(some(webhooks.map(({ name }) => textOf(name))))
    : warn(
        `failurePolicy of ${some(ignoring)} is Ignore`,
        'pods made while the webhook is away get no sidecar, silently',
      )
}

const webhooksOf = (configuration: Json): Json[] => listOf(configuration['webhooks']).map(mapOf)

/** What the API server trusts; it goes by each entry's own, whatever the others have. */
type Bundle = { title: string; caPem: string }

const bundlesOf = ({ configuration }: Installation): Bundle[] =>
  (configuration.ok ? webhooksOf(configuration.object) : [])
    .map(webhook => ({
      title: `caBundle of ${textOf(webhook['name'])}`,
      caPem: Buffer.from(textOf(at(webhook, 'clientConfig')['caBundle']), 'base64').toString('utf8'),
    }))
    // That there is none is another check's to say.
    .filter(({ caPem }) => caPem.trim() !== '')

export const checkCertificate = async (cluster: Cluster, installed: Installation, nowMs: number): Promise<Verdict> => {
  const bundles = bundlesOf(installed)
  const name = secretName(installed.deployment)
  const secret = await read(cluster, `/api/v1/namespaces/${INSTALL.namespace}/secrets/${name}`)
  if (!secret.ok) return bundleVerdict(bundles, `Secret ${name} is not shown to you`, nowMs)
  const [certPem, keyPem] = ['tls.crt', 'tls.key'].map(key =>
    Buffer.from(textOf(at(secret.object, 'data')[key]), 'base64').toString('utf8'),
  ) as [string, string]
  const names = [`${INSTALL.service}.${INSTALL.namespace}.svc`]
  const problemsBy = (caPem: string): string[] => {
    const { broken, refused } = checkPair({ certPem, keyPem, caPem }, names, nowMs)
    return [...broken, ...refused]
  }
  const own = problemsBy('')
  const byBundle = bundles.flatMap(({ title, caPem }) =>
    problemsBy(caPem)
      .filter(problem => !own.includes(problem))
      .map(problem => `${problem} (${title})`),
  )
  const problems = [...own, ...byBundle]
  if (problems.length > 0) return fail(`Secret ${name}: ${problems.join('; ')}`, LOGS)
  return lifeVerdict(certPem, `Secret ${name}`, nowMs, served)
}

/** The Secret that is mounted, if one is; else the one that the webhook keeps itself. */
const secretName = (deployment: Read): string => {
  if (!deployment.ok) return INSTALL.tlsSecret
  const volumes = listOf(at(deployment.object, 'spec', 'template', 'spec')['volumes']).map(mapOf)
  return (
    volumes.map(volume => textOf(at(volume, 'secret')['secretName'])).find(name => name !== '') ?? INSTALL.tlsSecret
  )
}

/** The worst one counts. */
const bundleVerdict = (bundles: readonly Bundle[], why: string, nowMs: number): Verdict => {
  const verdicts = bundles.map(({ title, caPem }) => lifeVerdict(caPem, `${title}; ${why}`, nowMs, lasting))
  const of = (result: Verdict['result']): Verdict | undefined => verdicts.find(verdict => verdict.result === result)
  return of('fail') ?? of('warn') ?? of('ok') ?? skip(`${why}, and there is no caBundle to judge by`)
}

/** Which certificate of several tells how long they are good for. */
type Choice = (certificates: readonly X509Certificate[]) => X509Certificate | undefined
/** The server's own comes first (RFC 8446 section 4.4.2), then those that lead to an authority, which live longer. */
export const served: Choice = ([leaf]) => leaf
/** A bundle keeps the old authority for a while. */
export const lasting: Choice = all => all.toSorted((a, b) => endMs(b) - endMs(a))[0]

/**
 * Renewal is due at two thirds of a life, so what is left of a long one is judged in days, and of a short one as a part of it.
 */
export const lifeVerdict = (pem: string, what: string, nowMs: number, choose: Choice): Verdict => {
  try {
    const judged = choose(certificatesOf(pem))
    if (judged === undefined) return fail(`${what} has no certificate`, LOGS)
    const [leftMs, lifeMs] = [endMs(judged) - nowMs, endMs(judged) - beginMs(judged)]
    const left = `${Math.floor(leftMs / DAY_MS)} days left, until ${new Date(endMs(judged)).toISOString().slice(0, 10)} (${what})`
    if (leftMs <= 0) return fail(`expired on ${new Date(endMs(judged)).toISOString().slice(0, 10)} (${what})`, LOGS)
    const late = 'it should have been renewed long since'
    if (leftMs < Math.min(3 * DAY_MS, lifeMs / 20)) return fail(left, `${late}: ${LOGS}`)
    return leftMs < Math.min(30 * DAY_MS, lifeMs / 4) ? warn(left, `${late}: ${LOGS}`) : ok(left)
  } catch (error) {
    return fail(`${what}: ${(error as Error).message}`, LOGS)
  }
}

export const checkWebhookRights = async (cluster: Cluster, { deployment }: Installation): Promise<Verdict> => {
  const pod = deployment.ok ? at(deployment.object, 'spec', 'template', 'spec') : {}
  const name = textOf(pod['serviceAccountName']) || INSTALL.service
  const account = { namespace: INSTALL.namespace, name }
  // A mounted certificate needs no right to Secrets.
  const keepsSecret = secretName(deployment) === INSTALL.tlsSecret
  const atHome = [...WEBHOOK_HOME_RIGHTS, ...(keepsSecret ? WEBHOOK_SECRET_RIGHTS : [])]
  const rights = [...WEBHOOK_RIGHTS, ...atHome.map(one => ({ ...one, namespace: INSTALL.namespace }))]
  const asked = await missingRights(cluster, account, rights)
  const { missing } = await missingRights(cluster, account, CONFIGURATION_RIGHTS)
  const without = missing.length === 0 ? '' : ', but none over ConfigMaps: those of Flink’s configuration get no owner'
  return rightsVerdict(asked, `service account ${name} has its rights${without}`, REINSTALL)
}
