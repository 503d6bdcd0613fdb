// `flink-ha check`: is everything there that an injection, an election and a retrieval need? Each finding says what to do.
// Exit code 0, 1 when something failed that was not allowed to, 2 for a wrong command line.
import { parseArgs } from 'node:util'
import { ConfigError } from '../shared/errors.ts'
import { LABEL_INJECTION } from '../shared/names.ts'
import { RULES } from '../shared/settings.ts'
import { nameOf, readList } from './check-api.ts'
import { checkApiServer, checkInstaller, checkKubelets } from './check-cluster.ts'
import {
  checkCertificate,
  checkConfiguration,
  checkDeployment,
  checkVersion,
  checkWebhookRights,
  readInstallation,
} from './check-install.ts'
import {
  checkAccounts,
  checkDryRun,
  checkHaData,
  checkLabel,
  checkPods,
  checkServices,
  checkSidecars,
  readNamespace,
} from './check-namespace.ts'
import {
  allowed,
  asJson,
  asText,
  CHECKS,
  type CheckId,
  exitCodeOf,
  type Finding,
  fail,
  skip,
  type Verdict,
  warn,
} from './check-report.ts'
import type { Cluster, ClusterFlags } from './cluster.ts'
import { CHECK_FLAGS } from './flags.ts'
import { type Io, processIo } from './io.ts'

export type CheckArgs = ClusterFlags & {
  namespace: string | undefined
  pre: boolean
  /** Ids of checks that may fail. */
  allow: readonly string[]
  json: boolean
}

export const runCheck = async (args: readonly string[], version: string): Promise<void> => {
  const given = readCheckArgs(args)
  const connecting = async (): Promise<Cluster> =>
    (await import('./cluster.ts')).connect(given, `flink-ha/${version} check`)
  process.exitCode = await check(given, version, { connecting, nowMs: Date.now() }, processIo)
}

/** @throws ConfigError with every problem */
export const readCheckArgs = (args: readonly string[]): CheckArgs => {
  try {
    const { values } = parseArgs({ args: [...args], options: CHECK_FLAGS })
    const { namespace, pre = false, allow = [], output, kubeconfig, context } = values
    const problems: string[] = []
    if (!['text', 'json'].includes(output)) problems.push(`output is "${output}": text or json is needed`)
    if (namespace !== undefined && !RULES.namespace[0].test(namespace))
      problems.push(`namespace is ${JSON.stringify(namespace)}: ${RULES.namespace[1]}`)
    if (pre && namespace !== undefined) problems.push('--pre is about the cluster: it takes no namespace')
    const known = Object.keys(CHECKS)
    for (const id of allow.filter(id => !known.includes(id)))
      problems.push(`allow is ${JSON.stringify(id)}: ${known.join(', ')} are checks`)
    if (problems.length > 0) throw new ConfigError(problems)
    return { namespace, pre, allow, json: output === 'json', kubeconfig, context }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError([(error as Error).message])
  }
}

export type CheckWorld = { connecting: () => Promise<Cluster>; nowMs: number }

/** Resolves with the exit code. */
export const check = async (args: CheckArgs, version: string, world: CheckWorld, io: Io): Promise<number> => {
  const found = await findingsOf(args, version, world)
  const findings = found.map(finding => (args.allow.includes(finding.id) ? allowed(finding) : finding))
  io.out(args.json ? asJson(version, findings) : asText(findings))
  return exitCodeOf(findings)
}

type Look = { id: CheckId; namespace?: string; look: () => Verdict | Promise<Verdict> }

const findingsOf = async (
  args: CheckArgs,
  version: string,
  { connecting, nowMs }: CheckWorld,
): Promise<readonly Finding[]> => {
  const apiServer = { id: 'api-server', title: CHECKS['api-server'].title } as const
  let cluster: Cluster
  let first: Finding
  try {
    cluster = await connecting()
    first = { ...apiServer, ...(await checkApiServer(cluster)) }
  } catch (error) {
    // Nothing else can be known.
    const hint = 'is the kubeconfig right, and the cluster up? KUBECONFIG, --kubeconfig and --context choose another'
    return [{ ...apiServer, ...fail((error as Error).message, hint) }]
  }
  let looks: Look[]
  try {
    looks = args.pre
      ? preLooks(cluster)
      : [
          { id: 'kubelets', look: () => checkKubelets(cluster) },
          ...(await installationLooks(cluster, version, nowMs)),
          ...(await namespaceLooks(cluster, args.namespace, version)),
        ]
  } catch (error) {
    return [first, { ...apiServer, ...fail((error as Error).message, '') }]
  }
  const found: Finding[] = [first]
  for (const look of looks) found.push(await findingOf(look))
  return found
}

/** An answer that never comes is that check's failure, not the end of all. */
const findingOf = async ({ look, ...rest }: Look): Promise<Finding> => {
  const what = { ...rest, title: CHECKS[rest.id].title }
  try {
    return { ...what, ...(await look()) }
  } catch (error) {
    return { ...what, ...fail((error as Error).message, '') }
  }
}

const preLooks = (cluster: Cluster): Look[] => [
  { id: 'kubelets', look: () => checkKubelets(cluster) },
  { id: 'installer-rights', look: () => checkInstaller(cluster) },
]

const installationLooks = async (cluster: Cluster, version: string, nowMs: number): Promise<Look[]> => {
  const installed = await readInstallation(cluster)
  return [
    { id: 'webhook', look: () => checkDeployment(installed) },
    { id: 'webhook-version', look: () => checkVersion(installed, version) },
    { id: 'webhook-configuration', look: () => checkConfiguration(installed) },
    { id: 'certificate', look: () => checkCertificate(cluster, installed, nowMs) },
    { id: 'webhook-rights', look: () => checkWebhookRights(cluster, installed) },
  ]
}

const namespaceLooks = async (cluster: Cluster, given: string | undefined, version: string): Promise<Look[]> => {
  const named = given === undefined ? await labelledNamespaces(cluster) : { names: [given] }
  if ('verdict' in named) {
    const { verdict } = named
    return [{ id: 'namespaces', look: () => verdict }]
  }
  const looks = await Promise.all(
    named.names.map(async (namespace): Promise<Look[]> => {
      const state = await readNamespace(cluster, namespace)
      return [
        { id: 'namespace-label', namespace, look: () => checkLabel(state) },
        { id: 'dry-run', namespace, look: () => checkDryRun(cluster, state) },
        { id: 'candidate-rights', namespace, look: () => checkAccounts(cluster, state) },
        { id: 'pods', namespace, look: () => checkPods(state) },
        { id: 'sidecar-version', namespace, look: () => checkSidecars(state, version) },
        { id: 'ha-service', namespace, look: () => checkServices(cluster, state) },
        { id: 'ha-data', namespace, look: () => checkHaData(cluster, state) },
      ]
    }),
  )
  return looks.flat()
}

const labelledNamespaces = async (cluster: Cluster): Promise<{ names: string[] } | { verdict: Verdict }> => {
  const labelled = await readList(cluster, '/api/v1/namespaces', `${LABEL_INJECTION}=enabled`)
  if (!labelled.ok)
    return { verdict: skip(`the namespaces are not shown to you: ${labelled.why}`, 'name one: -n NAMESPACE') }
  if (labelled.items.length > 0) return { names: labelled.items.map(nameOf) }
  return {
    verdict: warn('none is labelled', `kubectl label namespace NAMESPACE ${LABEL_INJECTION}=enabled`),
  }
}
