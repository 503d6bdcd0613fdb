// Whether this cluster can run native sidecars at all, and whether you may install here.
import { INSTALL } from '../shared/names.ts'
import { at, hasNativeSidecars, nameOf, read, readList, some, textOf } from './check-api.ts'
import { fail, ok, skip, type Verdict } from './check-report.ts'
import {
  type Asked,
  CANDIDATE_RIGHTS,
  CONFIGURATION_RIGHTS,
  INSTALLER_RIGHTS,
  LEASE_RIGHTS,
  missingRights,
  type Right,
  rightsVerdict,
  WEBHOOK_HOME_RIGHTS,
  WEBHOOK_RIGHTS,
  WEBHOOK_SECRET_RIGHTS,
} from './check-rights.ts'
import type { Cluster } from './cluster.ts'

export const checkApiServer = async (cluster: Cluster): Promise<Verdict> => {
  const answer = await read(cluster, '/version')
  if (!answer.ok) return fail(`${cluster.server}: ${answer.why}`, 'is this the right kubeconfig context?')
  const version = textOf(answer.object['gitVersion'])
  if (hasNativeSidecars(version)) return ok(`${version} at ${cluster.server}`)
  return fail(
    `${version || 'its version is not told'}: 1.29 or later is needed`,
    'sidecars are containers since Kubernetes 1.29',
  )
}

/** An older kubelet does not know what to do with a sidecar, and its pods never start. */
export const checkKubelets = async (cluster: Cluster): Promise<Verdict> => {
  const nodes = await readList(cluster, '/api/v1/nodes')
  if (!nodes.ok) return skip(`the nodes are not shown to you: ${nodes.why}`)
  const old = nodes.items
    .map(node => ({ name: nameOf(node), version: textOf(at(node, 'status', 'nodeInfo')['kubeletVersion']) }))
    .filter(({ version }) => !hasNativeSidecars(version))
  if (old.length === 0) return ok(`${nodes.items.length} nodes, all of Kubernetes 1.29 or later`)
  const names = old.map(({ name, version }) => `${name} (${version || 'unknown'})`)
  return fail(`older than Kubernetes 1.29: ${some(names)}`, 'upgrade these nodes, or keep Flink away from them')
}

/** What a role of manifests/base grants, and the verbs on roles that make up for not having it. */
type Grant = { role: Right; rights: readonly Right[] }

const RBAC = { group: 'rbac.authorization.k8s.io' }
const HOME = { namespace: INSTALL.namespace }
/** The candidate's role is made, but bound by the webhook only. */
const GRANTS: readonly Grant[] = [
  {
    role: { ...RBAC, resource: 'clusterroles', verbs: ['escalate', 'bind'] },
    rights: [...WEBHOOK_RIGHTS, ...CONFIGURATION_RIGHTS],
  },
  { role: { ...RBAC, resource: 'clusterroles', verbs: ['escalate'] }, rights: [...CANDIDATE_RIGHTS, ...LEASE_RIGHTS] },
  {
    role: { ...RBAC, ...HOME, resource: 'roles', verbs: ['escalate', 'bind'] },
    rights: [...WEBHOOK_HOME_RIGHTS, ...WEBHOOK_SECRET_RIGHTS].map(right => ({ ...right, ...HOME })),
  },
]

/**
 * Who makes a role has to have its rights, or may escalate; who binds one has to have them, or may bind it (Kubernetes
 * "Privilege escalation prevention and bootstrapping").
 */
const missingFor = async (cluster: Cluster, { role, rights }: Grant): Promise<Asked> => {
  const held = await missingRights(cluster, undefined, rights)
  if (held.missing.length === 0) return held
  const instead = await missingRights(cluster, undefined, [role])
  return instead.missing.length === 0 && instead.unanswered === '' ? NOTHING_MISSING : held
}
const NOTHING_MISSING: Asked = { missing: [], unanswered: '' }

export const checkInstaller = async (cluster: Cluster): Promise<Verdict> => {
  const asked = [await missingRights(cluster, undefined, INSTALLER_RIGHTS)]
  for (const grant of GRANTS) asked.push(await missingFor(cluster, grant))
  const all: Asked = {
    missing: [...new Set(asked.flatMap(({ missing }) => missing))],
    unanswered: asked.map(({ unanswered }) => unanswered).find(why => why !== '') ?? '',
  }
  return rightsVerdict(all, 'you may make everything that an installation has', 'let an administrator install')
}
