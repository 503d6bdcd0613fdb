// The two ports. What comes in on the local one is this pod's own containers; everybody else is read-only.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Log } from '../shared/log.ts'
import { answer, callForBody, isFlink, type Scope } from './http.ts'

/** What is behind a port: the endpoint, or the ConfigMap part of the API. */
export type Served = {
  handle: (request: IncomingMessage, response: ServerResponse, url: URL, scope: Scope) => Promise<void>
}
export type ServerOptions = { scope: Scope; host: string; port: number; endpoint: Served; gateway: Served; log: Log }

/** @throws Error with code EADDRINUSE and the like */
export const serve = async (options: ServerOptions): Promise<{ server: Server; port: number }> => {
  const { scope, host, port, log } = options
  const server = createServer((request, response) => {
    if (scope === 'local' && isFlink(request)) callForBody(request, response)
    dispatch(options, request, response).catch((error: Error) => {
      log.error({ method: request.method, path: request.url?.split('?')[0], problem: error.stack }, 'request failed')
      answer(response, 500, { error: 'internal error' })
    })
  })
  // Flink polls each 5 to 11 s on one connection and holds watches open for minutes; Node would close an idle one after
  // 5 s, and a closed connection is what we take for a sign of death.
  server.keepAliveTimeout = scope === 'local' ? 0 : 75_000
  server.headersTimeout = 10_000
  server.requestTimeout = 30_000
  // A relay holds two: 500 of them cost 10 MiB and a twentieth of a core.
  server.maxConnections = scope === 'local' ? 256 : 5_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return { server, port: (server.address() as AddressInfo).port }
}

/** What a port does with a request. */
export const dispatch = async (
  options: Pick<ServerOptions, 'scope' | 'endpoint' | 'gateway'>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const { scope, endpoint, gateway } = options
  request.socket.setNoDelay(true)
  const path = request.url ?? '/'
  if (!URL.canParse(path, 'http://flink-ha')) return answer(response, 400, { error: 'the path cannot be read' })
  const url = new URL(path, 'http://flink-ha')
  if (url.pathname.startsWith('/api/') || url.pathname.startsWith('/apis/'))
    return await gateway.handle(request, response, url, scope)
  await endpoint.handle(request, response, url, scope)
}
