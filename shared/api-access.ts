// Where the Kubernetes API is, and by which credential: settings that every command in a pod takes.
import { type Environment, printable } from './settings.ts'

export type ApiAccess = { apiServer: string; tokenFile: string | undefined; caFile: string | undefined }

export const API_SETTINGS = {
  'api-server': ['', 'URL of the Kubernetes API; the cluster that this pod runs in when empty'],
  'token-file': ['', 'bearer token for the API; the service account’s when empty'],
  'ca-file': ['', 'certificate authority of the API; the service account’s when empty'],
} as const

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Without an address the one that Kubernetes gives to every container; what is wrong is added to `problems`. */
export const readApiAccess = (
  text: (flag: keyof typeof API_SETTINGS) => string,
  env: Environment,
  problems: string[],
): ApiAccess => {
  const given = text('api-server')
  // A given API server is not sent this pod's credential unless a file is named.
  const fileOf = (file: string, inCluster: string): string | undefined =>
    file !== '' ? file : given === '' ? inCluster : undefined
  return {
    apiServer: given === '' ? inClusterUrl(env, problems) : checkedUrl(given, problems),
    tokenFile: fileOf(text('token-file'), `${ACCOUNT}/token`),
    caFile: fileOf(text('ca-file'), `${ACCOUNT}/ca.crt`),
  }
}

const checkedUrl = (given: string, problems: string[]): string => {
  if (!/^https?:\/\/[^\s/]+\/?$/.test(given) || !URL.canParse(given))
    problems.push(`api-server is "${printable(given)}": a URL such as https://10.96.0.1:443 is needed`)
  return given
}

const inClusterUrl = (env: Environment, problems: string[]): string => {
  const [host, port] = [env['KUBERNETES_SERVICE_HOST'], env['KUBERNETES_SERVICE_PORT']]
  if (host && port) return `https://${host.includes(':') ? `[${host}]` : host}:${port}`
  problems.push('api-server is "": outside of a cluster (no KUBERNETES_SERVICE_HOST) a URL is needed')
  return ''
}
