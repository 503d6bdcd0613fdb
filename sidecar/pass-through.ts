// What the JVM asks of the API that is not high availability's: in native mode its pods, services and deployments, since its
// one API address is ours (`KUBERNETES_MASTER`). Passed on to the API server byte for byte with the JVM's own credential, so
// that it may do there what it might without us, no more; who brings no credential is not passed on.
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { ApiClient } from '../shared/kube-client.ts'
import { refuse } from './http.ts'

/** Headers of the one connection that they came on (RFC 9110, 7.6.1), and its host's name. */
const OF_THE_CONNECTION = new Set(['connection', 'keep-alive', 'upgrade', 'te', 'trailer', 'proxy-connection', 'host'])

export const hasCredential = (request: IncomingMessage): boolean => request.headers.authorization !== undefined

/** Resolves with the status that was answered, when the answer has begun. A stream goes on until either side ends it. */
export const passOn = (client: ApiClient, request: IncomingMessage, response: ServerResponse): Promise<number> =>
  new Promise(resolve => {
    const upstream = client.forward(request.method ?? 'GET', request.url ?? '/', endToEnd(request.headers))
    response.on('close', () => upstream.destroy())
    upstream.on('response', answered => {
      const status = answered.statusCode ?? 502
      response.writeHead(status, endToEnd(answered.headers))
      // A watch is told to have begun before its first event.
      response.flushHeaders()
      answered.pipe(response)
      answered.on('error', () => response.destroy())
      resolve(status)
    })
    upstream.on('error', error => {
      // After its head was sent an answer can only be cut off, which a client of a watch takes as its end.
      if (response.headersSent) response.destroy()
      else refuse(response, 503, `the API server cannot be reached: ${error.message}`)
      resolve(503)
    })
    request.pipe(upstream)
  })

/** `transfer-encoding` is kept: it tells Node how to send the body on. */
const endToEnd = (headers: IncomingHttpHeaders): OutgoingHttpHeaders =>
  Object.fromEntries(
    Object.entries(headers).filter(([name, value]) => value !== undefined && !OF_THE_CONNECTION.has(name)),
  ) as OutgoingHttpHeaders
