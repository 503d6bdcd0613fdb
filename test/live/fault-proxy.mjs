// A plain-HTTP reverse proxy in front of the real API server, with faults to order. Runs in a pod, from a ConfigMap, on
// Node alone. The callers' credentials are passed on as they come. Faults are ordered by POST on the control port:
//   {"fault":"freeze","seconds":5}          nothing is answered, then everything is (as an API server that is stopped)
//   {"fault":"black-hole","seconds":20}     nothing is passed on, then the connections break (as a network that is cut)
//   {"fault":"break-watches"}               each watch ends in the middle
//   {"fault":"expire-watches","count":2}    each watch ends with 410, and so do the next ones, `count` in all
//   {"fault":"conflict","seconds":5}        PUT and PATCH are answered 409; with "count" instead: the next so many
//   {"fault":"throttle","seconds":5}        requests are answered 429 with Retry-After: 1
//   {"fault":"slow","seconds":10,"ms":500}  each answer, and each event of a watch, comes so much later
//   {"fault":"none"}                        all faults end now
// GET on the control port: how many requests each fault has met.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'

const { KUBERNETES_SERVICE_HOST: host = 'kubernetes.default.svc', KUBERNETES_SERVICE_PORT: port = '443' } = process.env
const ca = readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/ca.crt')
const agent = new Agent({ ca, keepAlive: true, maxSockets: 64 })

const met = {}
const meet = fault => {
  met[fault] = (met[fault] ?? 0) + 1
}
/** Faults in force: until when, how often still, how much. */
const faults = new Map()
const watches = new Set()
/** What to do when the present freeze ends; what to break when the present black hole ends. */
let thaw = []
let swallowed = new Set()

const inForce = name => {
  const fault = faults.get(name)
  return fault !== undefined && performance.now() < fault.untilMs && fault.left > 0 ? fault : undefined
}
const once = name => {
  const fault = inForce(name)
  if (fault === undefined) return undefined
  fault.left--
  meet(name)
  return fault
}

const statusBody = (code, reason, message) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  reason,
  message,
  code,
})
const refuse = (response, code, reason, message, headers = {}) => {
  response.writeHead(code, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(statusBody(code, reason, message)))
}
const expired = () =>
  `${JSON.stringify({ type: 'ERROR', object: statusBody(410, 'Expired', 'too old resource version') })}\n`

/** Resolves now, or when the API server is back; never when the network is cut. */
const there = response => {
  if (inForce('black-hole') !== undefined) {
    meet('black-hole')
    swallowed.add(response)
    return new Promise(() => {})
  }
  if (inForce('freeze') === undefined) return undefined
  meet('freeze')
  return new Promise(resolve => thaw.push(resolve))
}

const isWatch = url => /[?&]watch=(true|1)/.test(url)

const handle = (request, response) => {
  const watch = isWatch(request.url)
  if (watch && once('expire-watches') !== undefined) {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(expired())
    return
  }
  if (!watch && once('throttle') !== undefined) {
    request.resume()
    refuse(response, 429, 'TooManyRequests', 'throttled by the fault proxy', { 'retry-after': '1' })
    return
  }
  if (['PUT', 'PATCH'].includes(request.method) && once('conflict') !== undefined) {
    request.resume()
    refuse(response, 409, 'Conflict', 'the object has been modified, says the fault proxy')
    return
  }
  passOn(request, response, watch)
}

const passOn = (request, response, watch) => {
  const { host: _, connection: __, ...headers } = request.headers
  const upstream = httpsRequest({ host, port, ca, agent, method: request.method, path: request.url, headers })
  if (watch) watches.add(response)
  response.on('close', () => {
    watches.delete(response)
    upstream.destroy()
  })
  upstream.on('error', () => response.destroy())
  upstream.on('response', answer => relay(answer, response))
  request.pipe(upstream)
}

/** Each piece of an answer passes the faults by itself, in order: a watch that was opened before them meets them too. */
const relay = (answer, response) => {
  let last = Promise.resolve()
  const send = piece => {
    const dueMs = performance.now() + (once('slow')?.ms ?? 0)
    last = last.then(async () => {
      const leftMs = dueMs - performance.now()
      if (leftMs > 0) await new Promise(resolve => setTimeout(resolve, leftMs))
      await there(response)
      if (!response.destroyed) piece()
    })
  }
  send(() => {
    response.writeHead(answer.statusCode, answer.headers)
    response.flushHeaders()
  })
  answer.on('data', piece => send(() => response.write(piece)))
  answer.on('end', () => send(() => response.end()))
  answer.on('error', () => response.destroy())
}

const order = ({ fault, seconds = 0, count = Number.POSITIVE_INFINITY, ms = 0 }) => {
  const untilMs = performance.now() + (seconds > 0 ? seconds * 1000 : Number.POSITIVE_INFINITY)
  if (fault === 'none') return endAll()
  if (fault === 'break-watches') return breakWatches()
  faults.set(fault, { untilMs, left: count, ms })
  if (fault === 'expire-watches') expireWatches()
  if (fault === 'freeze') setTimeout(endFreeze, seconds * 1000)
  if (fault === 'black-hole') setTimeout(endBlackHole, seconds * 1000)
}

const breakWatches = () => {
  for (const response of watches) {
    meet('break-watches')
    response.destroy()
  }
}
const expireWatches = () => {
  for (const response of [...watches]) if (once('expire-watches') !== undefined) response.end(expired())
}
const endFreeze = () => {
  faults.delete('freeze')
  const waiting = thaw
  thaw = []
  for (const resolve of waiting) resolve()
}
const endBlackHole = () => {
  faults.delete('black-hole')
  // What was lost in it is not made up for: the connections break, as they do when a peer forgot them.
  const lost = swallowed
  swallowed = new Set()
  for (const response of lost) response.destroy()
}
const endAll = () => {
  endFreeze()
  endBlackHole()
  faults.clear()
}

const data = createServer({ keepAliveTimeout: 75_000 }, async (request, response) => {
  await there(response)
  if (!response.destroyed) handle(request, response)
})
data.requestTimeout = 0
data.listen(8080)

createServer(async (request, response) => {
  let text = ''
  for await (const chunk of request) text += chunk
  if (request.method === 'POST') order(JSON.parse(text))
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ met, watches: watches.size }))
}).listen(8081)

process.on('SIGTERM', () => process.exit(0))
