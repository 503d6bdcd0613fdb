// The cluster that kubectl would talk to: kubeconfig, in-cluster account, exec plugins, proxies. The only file that knows
// @kubernetes/client-node, and only its reading of a kubeconfig: a dozen paths need no generated client.
import { request as httpRequest } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { KubeConfig } from '@kubernetes/client-node'

/** `warnings`: what admission webhooks told the caller. */
export type Answer = { status: number; body: unknown; warnings: readonly string[] }
export type Cluster = {
  server: string
  /** Rejects when there is no answer. */
  request: (method: string, path: string, body?: object) => Promise<Answer>
}
export type ClusterFlags = { kubeconfig: string | undefined; context: string | undefined }

const TIMEOUT_MS = 15_000

/** @throws Error that says what is wrong with the kubeconfig */
export const connect = ({ kubeconfig, context }: ClusterFlags, userAgent: string): Cluster => {
  const config = new KubeConfig()
  if (kubeconfig === undefined) config.loadFromDefault()
  else config.loadFromFile(kubeconfig)
  if (context !== undefined) {
    const known = config.getContexts().map(({ name }) => name)
    if (!known.includes(context)) throw new Error(`context "${context}" is none of ${known.join(', ')}`)
    config.setCurrentContext(context)
  }
  const cluster = config.getCurrentCluster()
  if (cluster === null)
    throw new Error(`the kubeconfig’s current context is "${config.getCurrentContext()}": it names no cluster`)
  // What the library falls back to when it finds nothing.
  if (cluster.server === 'http://localhost:8080' && cluster.name === 'cluster')
    throw new Error('no kubeconfig: neither KUBECONFIG nor ~/.kube/config nor a service account is there')
  const base = new URL(cluster.server)
  const request: Cluster['request'] = async (method, path, body) => {
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const options: RequestOptions = {
      method,
      headers: {
        accept: 'application/json',
        'user-agent': userAgent,
        ...(payload !== undefined && {
          'content-type': 'application/json',
          'content-length': String(Buffer.byteLength(payload)),
        }),
      },
    }
    await config.applyToHTTPSOptions(options)
    return await send(new URL(`${base.pathname.replace(/\/$/, '')}${path}`, base), options, payload)
  }
  return { server: cluster.server, request }
}

const send = (url: URL, options: RequestOptions, payload: string | undefined): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        resolve({
          status: response.statusCode ?? 0,
          body: parsed(text),
          warnings: warningsOf(response.headers['warning']),
        })
      })
    })
    request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)))
    request.on('error', reject)
    request.end(payload)
  })

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    // Proxies answer in plain text; the status still counts.
    return text
  }
}

/** `299 - "text", 299 - "more"` (RFC 7234, 5.5). */
export const warningsOf = (header: string | string[] | undefined): string[] =>
  [header ?? []]
    .flat()
    .flatMap(line => [...line.matchAll(/\b299 \S+ "((?:[^"\\]|\\.)*)"/g)])
    .map(match => (match[1] ?? '').replace(/\\(.)/g, '$1'))
