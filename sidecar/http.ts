// What both of the sidecar's ports need of HTTP: bodies within a limit, JSON answers, Kubernetes `Status` errors.
import type { IncomingMessage, ServerResponse } from 'node:http'

/** The API server's own limit of a request body (apiserver `--max-request-body-bytes`, 3 MiB). */
export const MAX_BODY_BYTES = 3 * 1024 * 1024

export type Scope = 'local' | 'pod'

export type Body = { ok: true; value: unknown } | { ok: false; status: 400 | 413; message: string }

export const readJson = (request: IncomingMessage, maxBytes = MAX_BODY_BYTES): Promise<Body> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      // What is too long is read to its end and dropped, so that the client hears the answer.
      if (size <= maxBytes) chunks.push(chunk)
    })
    request.on('error', reject)
    request.on('end', () => {
      if (size > maxBytes) {
        resolve({ ok: false, status: 413, message: `the body has ${size} bytes; at most ${maxBytes} are taken` })
        return
      }
      if (size === 0) {
        resolve({ ok: true, value: undefined })
        return
      }
      try {
        resolve({ ok: true, value: JSON.parse(Buffer.concat(chunks).toString('utf8')) })
      } catch (error) {
        resolve({ ok: false, status: 400, message: `the body is not JSON: ${(error as Error).message}` })
      }
    })
  })

/** Flink's client names itself in each request (`KubernetesConfigOptions.KUBERNETES_CLIENT_USER_AGENT`). */
export const isFlink = (request: IncomingMessage): boolean => (request.headers['user-agent'] ?? '').startsWith('flink')

/**
 * Calls for a body that did not come with its head. Flink's client (okhttp) leaves Nagle's algorithm on: the body waits until
 * its kernel hears that the head arrived, and ours, which hopes to tell that along with an answer, keeps it waiting for 40 ms
 * (Linux `TCP_DELACK_MIN`). An interim answer tells it at once. A client has to take one that it did not ask for (RFC 9110,
 * 15.2); okhttp takes one and no more (`CallServerInterceptor`).
 */
export const callForBody = (request: IncomingMessage, response: ServerResponse): void => {
  // Where a client asks for it, Node calls itself.
  if (request.headers.expect !== undefined) return
  // What was read together with the head is parsed by then.
  setImmediate(() => {
    if (!request.complete && !response.headersSent && !response.destroyed) response.writeContinue()
  })
}

export const answer = (
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: { [name: string]: string } = {},
): void => {
  if (response.headersSent || response.destroyed) return
  const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-cache',
    'content-length': String(Buffer.byteLength(text)),
    ...headers,
  })
  response.end(response.req.method === 'HEAD' ? undefined : text)
}

const REASONS: { [status: number]: string } = {
  400: 'BadRequest',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
}

/** A Kubernetes `Status` of failure (meta/v1), which is how Flink's client reads errors. */
export const failure = (status: number, message: string, name = '') => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message,
  reason: REASONS[status] ?? 'Unknown',
  ...(name !== '' && { details: { name, kind: 'configmaps' } }),
  code: status,
})

export const refuse = (response: ServerResponse, status: number, message: string, name = ''): void =>
  answer(response, status, failure(status, message, name))
