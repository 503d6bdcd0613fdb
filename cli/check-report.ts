// What a check found, and how it is printed. The exit code is 1 when something failed; a warning is for a human to weigh.
import { EXIT } from '../shared/errors.ts'

export type Result = 'ok' | 'warn' | 'fail' | 'skip'

/** Each check: one literal, so that a script can look for it; what it is called; when it is not ok. */
export const CHECKS = {
  'api-server': { title: 'API server', when: 'it does not answer, or is older than Kubernetes 1.29' },
  kubelets: { title: 'Nodes', when: 'a node is older than Kubernetes 1.29' },
  'installer-rights': {
    title: 'Your rights',
    when: 'you may not make what an installation has, or lack a right that its roles grant (the candidate’s too) and may not `escalate` and `bind`',
  },
  webhook: { title: 'Webhook', when: 'no replica is ready; warns of fewer than wanted, or of one alone' },
  'webhook-version': { title: 'Version', when: 'warns when it is not this command’s' },
  'webhook-configuration': {
    title: 'Webhook configuration',
    when: 'it is not there, has no caBundle, or goes elsewhere; warns of `failurePolicy: Ignore`',
  },
  certificate: {
    title: 'Certificate',
    when: 'key, name, dates or authority do not fit (by each entry’s caBundle), or the server’s own ends within 3 days; warns 30 days ahead (less for short lives)',
  },
  'webhook-rights': { title: 'Webhook’s rights', when: 'its service account lacks a right that `manifests/` grants' },
  namespaces: { title: 'Namespaces', when: 'warns when none is labelled' },
  'namespace-label': { title: 'Label', when: 'the namespace has no label `flink-ha.io/injection: enabled`' },
  'dry-run': { title: 'Injection', when: 'a JobManager pod comes out without the sidecar' },
  'candidate-rights': {
    title: 'JobManagers’ rights',
    when: 'a JobManager’s service account lacks a right that its sidecar needs',
  },
  pods: {
    title: 'Pods',
    when: 'pods run without the sidecar that they should have: made before the label, or without the webhook; warns of those that were skipped for a reason that nobody chose',
  },
  'sidecar-version': { title: 'Sidecars', when: 'warns of sidecars of another version' },
  'ha-service': { title: 'Service', when: 'the Service `<cluster-id>-ha` is missing, or has no port 4041' },
  'ha-data': { title: 'HA data', when: 'a ConfigMap with Flink’s HA data has an owner, with which it would go' },
} as const satisfies { [id: string]: { title: string; when: string } }
export type CheckId = keyof typeof CHECKS

export type Finding = {
  id: CheckId
  title: string
  /** Of checks of one namespace. */
  namespace?: string
  result: Result
  message: string
  /** What to do about it; "" when there is nothing to do. */
  hint: string
}
export type Verdict = Pick<Finding, 'result' | 'message' | 'hint'>

export const ok = (message: string): Verdict => ({ result: 'ok', message, hint: '' })
export const warn = (message: string, hint: string): Verdict => ({ result: 'warn', message, hint })
export const fail = (message: string, hint: string): Verdict => ({ result: 'fail', message, hint })
export const skip = (message: string, hint = ''): Verdict => ({ result: 'skip', message, hint })

/** Whoever allows a check to fail knows of it: a failure is a warning then. */
export const allowed = (finding: Finding): Finding =>
  finding.result === 'fail' ? { ...finding, result: 'warn' } : finding

export type Summary = { [result in Result]: number }

export const summaryOf = (findings: readonly Finding[]): Summary => {
  const count = (result: Result): number => findings.filter(finding => finding.result === result).length
  return { ok: count('ok'), warn: count('warn'), fail: count('fail'), skip: count('skip') }
}

export const exitCodeOf = (findings: readonly Finding[]): number =>
  findings.some(({ result }) => result === 'fail') ? EXIT.failed : 0

export const asJson = (version: string, findings: readonly Finding[]): string =>
  `${JSON.stringify({ version, summary: summaryOf(findings), findings }, undefined, 2)}\n`

export const asText = (findings: readonly Finding[]): string => {
  const width = Math.max(0, ...findings.map(finding => finding.title.length))
  const sections = [undefined, ...new Set(findings.flatMap(({ namespace }) => namespace ?? []))].flatMap(namespace => {
    const own = findings.filter(finding => finding.namespace === namespace)
    const heading = namespace === undefined ? [] : ['', `namespace ${namespace}`]
    return own.length === 0 ? [] : [...heading, ...own.flatMap(finding => linesOf(finding, width))]
  })
  const counts = Object.entries(summaryOf(findings)).map(([result, count]) => `${count} ${result}`)
  return `${[...sections, '', counts.join(', ')].join('\n')}\n`
}

const linesOf = ({ result, title, message, hint }: Finding, width: number): string[] => {
  const line = `${result.padEnd(4)}  ${title.padEnd(width)}  ${message}`
  return hint === '' ? [line] : [line, `${' '.repeat(6)}${' '.repeat(width)}  -> ${hint}`]
}
