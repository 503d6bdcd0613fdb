// Calls a mutating webhook over HTTP or HTTPS, as kube-apiserver does.
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import type { CallWebhook, WebhookTarget } from './kube-admission.ts'

export type Service = NonNullable<WebhookTarget['service']>
/** Where a Service is listening, such as `https://127.0.0.1:8443`: there is no cluster network here. */
export type ResolveService = (service: Service) => string

const MAX_ANSWER_BYTES = 16 * 1024 * 1024

export const httpWebhookCall =
  (resolve: ResolveService): CallWebhook =>
  async (target, review, signal) => {
    const { service, caBundle } = target
    const url = service === undefined ? new URL(target.url ?? '') : new URL(service.path ?? '/', resolve(service))
    const payload = Buffer.from(JSON.stringify(review))
    const options: RequestOptions = {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', 'content-length': payload.length },
      agent: false,
      signal,
      ...(caBundle !== undefined && { ca: Buffer.from(caBundle, 'base64') }),
      // The certificate has to be the Service's, wherever it listens.
      ...(service !== undefined && { servername: `${service.name}.${service.namespace}.svc` }),
    }
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = url.protocol === 'https:' ? httpsRequest(url, options) : httpRequest(url, options)
      request.on('error', reject)
      request.on('response', resolve)
      request.end(payload)
    })
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      size += chunk.length
      if (size > MAX_ANSWER_BYTES) throw new Error(`the answer is over ${MAX_ANSWER_BYTES} bytes`)
    }
    const text = Buffer.concat(chunks).toString('utf8')
    if (response.statusCode !== 200)
      throw new Error(`the server responded with the status code ${response.statusCode}: ${text.slice(0, 200)}`)
    return JSON.parse(text)
  }
