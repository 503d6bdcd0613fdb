// Which rights are needed by whom, and whether the API server grants them. The tables are what manifests/base grants; a test
// holds the two together.
import { INSTALL } from '../shared/names.ts'
import { at, reasonOf } from './check-api.ts'
import { fail, ok, skip, type Verdict } from './check-report.ts'
import type { Cluster } from './cluster.ts'

export type Right = {
  group: string
  resource: string
  verbs: readonly string[]
  /** Of one object alone. */
  name?: string
  /** undefined: everywhere. */
  namespace?: string
}

const right = (group: string, resource: string, verbs: string, name?: string): Right => ({
  group,
  resource,
  verbs: verbs.split(' '),
  ...(name !== undefined && { name }),
})

const RBAC = 'rbac.authorization.k8s.io'
const ADMISSION = 'admissionregistration.k8s.io'
const LEASES = ['coordination.k8s.io', 'leases'] as const

/** Of the webhook's service account, everywhere. */
export const WEBHOOK_RIGHTS: readonly Right[] = [
  right('', 'namespaces', 'list watch'),
  right('', 'pods', 'list watch'),
  right('apps', 'replicasets', 'get list watch'),
  right('apps', 'deployments', 'list watch patch'),
  right('apps', 'statefulsets', 'list watch patch'),
  right('batch', 'jobs', 'list watch'),
  right('', 'services', 'list watch create patch delete'),
  right(RBAC, 'rolebindings', 'list watch create delete'),
  right(RBAC, 'clusterroles', 'bind', INSTALL.candidateRole),
  right('', 'events', 'create'),
  right(ADMISSION, 'mutatingwebhookconfigurations', 'list watch patch', INSTALL.webhookConfiguration),
]
/** As well, where its owner has not taken them away: a ClusterRole of their own, for they are not needed for anything else. */
export const CONFIGURATION_RIGHTS: readonly Right[] = [right('', 'configmaps', 'list watch patch')]
/** Of the webhook's service account, in its own namespace. */
export const WEBHOOK_HOME_RIGHTS: readonly Right[] = [
  right('', 'pods', 'get'),
  right(...LEASES, 'create'),
  right(...LEASES, 'list watch patch', INSTALL.lease),
]
/** As well, where the webhook keeps its certificate itself. */
export const WEBHOOK_SECRET_RIGHTS: readonly Right[] = [
  right('', 'secrets', 'create'),
  right('', 'secrets', 'get list watch update', INSTALL.tlsSecret),
]
/** Of the service account of JobManager pods, in their namespace. */
export const CANDIDATE_RIGHTS: readonly Right[] = [
  right('', 'configmaps', 'get list watch create update patch delete'),
  right('', 'pods', 'list watch patch'),
]
/** As well, where the lock is a Lease. */
export const LEASE_RIGHTS: readonly Right[] = [right(...LEASES, 'get list watch create update patch delete')]
/** Of whoever installs. */
export const INSTALLER_RIGHTS: readonly Right[] = [
  right('', 'namespaces', 'create'),
  right(RBAC, 'clusterroles', 'create'),
  right(RBAC, 'clusterrolebindings', 'create'),
  right(ADMISSION, 'mutatingwebhookconfigurations', 'create'),
  ...[
    right('', 'serviceaccounts', 'create'),
    right('', 'services', 'create'),
    right('apps', 'deployments', 'create'),
    right(RBAC, 'roles', 'create'),
    right(RBAC, 'rolebindings', 'create'),
    right('policy', 'poddisruptionbudgets', 'create'),
    right('networking.k8s.io', 'networkpolicies', 'create'),
  ].map(one => ({ ...one, namespace: INSTALL.namespace })),
]

/** undefined: the caller. */
export type Account = { namespace: string; name: string } | undefined

export type Asked = { missing: string[]; unanswered: string }

/** Asks the API server for each verb; `unanswered` says why it would not tell. */
export const missingRights = async (cluster: Cluster, account: Account, rights: readonly Right[]): Promise<Asked> => {
  const questions = rights.flatMap(one => one.verbs.map(verb => ({ ...one, verb })))
  const answers = await Promise.all(
    questions.map(async question => ({ question, ...(await ask(cluster, account, question)) })),
  )
  return {
    missing: answers.filter(({ allowed }) => allowed === false).map(({ question }) => inWords(question)),
    unanswered: answers.find(({ allowed }) => allowed === undefined)?.why ?? '',
  }
}

type Question = Right & { verb: string }

const ask = async (
  cluster: Cluster,
  account: Account,
  { group, resource, verb, name, namespace }: Question,
): Promise<{ allowed: boolean | undefined; why: string }> => {
  const resourceAttributes = { group, resource, verb, ...(name && { name }), ...(namespace && { namespace }) }
  const spec = { resourceAttributes, ...(account !== undefined && identityOf(account)) }
  const kind = account === undefined ? 'SelfSubjectAccessReview' : 'SubjectAccessReview'
  const review = { apiVersion: 'authorization.k8s.io/v1', kind, spec }
  const path = `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`
  const { status, body } = await cluster.request('POST', path, review)
  const allowed = at(body, 'status')['allowed']
  return status === 201 && typeof allowed === 'boolean'
    ? { allowed, why: '' }
    : { allowed: undefined, why: reasonOf(status, body) }
}

/** As the API server knows a service account (`serviceaccount.UserInfo`). */
const identityOf = ({ namespace, name }: { namespace: string; name: string }): object => ({
  user: `system:serviceaccount:${namespace}:${name}`,
  groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
})

const inWords = ({ group, resource, verb, name, namespace }: Question): string =>
  `${verb} ${resource}${group === '' ? '' : `.${group}`}${name === undefined ? '' : ` "${name}"`}` +
  (namespace === undefined ? '' : ` in ${namespace}`)

/** The usual verdict on what was asked. */
export const rightsVerdict = ({ missing, unanswered }: Asked, granted: string, hint: string): Verdict => {
  if (missing.length > 0) return fail(`may not ${missing.join(', ')}`, hint)
  if (unanswered !== '') return skip(`the API server does not tell you: ${unanswered}`)
  return ok(granted)
}
