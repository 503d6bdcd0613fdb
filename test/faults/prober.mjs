// Stands beside a Flink cluster and notes who believes to lead. Runs in a pod on the cluster's node, from a ConfigMap, on Node
// alone. It needs no answer of the API server while a fault lasts: pods' addresses are kept from before, logs are read where
// the kubelet puts them, and the notes go to a file of the node. One JSON object a line, times in milliseconds of the node:
//   {"k":"told",pod,sent,got,leads,name,token,valid}   what GET /leader of a JobManager's sidecar answered, or `error`
//   {"k":"rest",pod,sent,got,status,jobs:[…]}          what Flink's REST told of its jobs, or `error`
//   {"k":"log",pod,box,n,at,line}                      a line of interest of a container's n-th life, by its time of writing
//   {"k":"end",pod,box,n,at}                           the last line of a life that is over
import { appendFileSync, closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { get, Agent as HttpAgent } from 'node:http'
import { get as secureGet } from 'node:https'

const { NAMESPACE, OUT, SIDECARS, KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env
const LOGS = '/var/log/pods'
const TOLD_EVERY_MS = 20
const REST_EVERY_MS = 250
const PATIENCE_MS = 1_000
const INTEREST = {
  jobmanager:
    /DispatcherRunner|Shutting \S+ClusterEntrypoint down|Completed checkpoint|Restoring job|No checkpoint found during restore|switched from|Starting StandaloneSession|ERROR/,
  taskmanager: /ticker (LOST|restored|at)/,
}

const notes = []
const note = (k, fields) => notes.push(JSON.stringify({ k, ...fields }))
setInterval(() => {
  if (notes.length > 0) appendFileSync(OUT, `${notes.splice(0).join('\n')}\n`)
}, 100)

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Status and body, or an error with a code; never later than the patience. */
const ask = (make, options) =>
  new Promise((resolve, reject) => {
    const request = make(options, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', piece => {
        text += piece
      })
      response.on('end', () => resolve({ status: response.statusCode, text }))
      response.on('error', reject)
    })
    const timer = setTimeout(
      () => request.destroy(Object.assign(new Error('silent'), { code: 'SILENT' })),
      options.patience ?? PATIENCE_MS,
    )
    request.on('close', () => clearTimeout(timer))
    request.on('error', reject)
  })

/** Address of each JobManager, as long as the API server last told so. */
let pods = new Map()
const asked = new Set()

const listPods = async () => {
  const account = '/var/run/secrets/kubernetes.io/serviceaccount'
  const { status, text } = await ask(secureGet, {
    host,
    port,
    ca: readFileSync(`${account}/ca.crt`),
    path: `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=component%3Djobmanager`,
    headers: { authorization: `Bearer ${readFileSync(`${account}/token`, 'utf8')}` },
    patience: 3_000,
  })
  if (status !== 200) return
  const running = JSON.parse(text).items.filter(pod => pod.status.podIP !== undefined)
  pods = new Map(running.map(pod => [pod.metadata.name, pod.status.podIP]))
  for (const [pod, ip] of pods) {
    if (asked.has(pod)) continue
    asked.add(pod)
    follow(pod, ip)
  }
}

const follow = (pod, ip) => {
  const agent = new HttpAgent({ keepAlive: true, maxSockets: 1 })
  if (SIDECARS === 'true')
    again(pod, TOLD_EVERY_MS, () => look('told', pod, { host: ip, port: 4041, path: '/leader', agent }, told))
  again(pod, REST_EVERY_MS, () => look('rest', pod, { host: ip, port: 8081, path: '/jobs/overview' }, served))
}

const again = async (pod, everyMs, once) => {
  while (pods.has(pod)) {
    const dueMs = performance.now() + everyMs
    await once()
    await sleep(Math.max(1, dueMs - performance.now()))
  }
  asked.delete(pod)
}

const look = async (k, pod, options, fields) => {
  const sent = Date.now()
  try {
    const answer = await ask(get, options)
    note(k, { pod, sent, got: Date.now(), ...fields(answer) })
  } catch (error) {
    note(k, { pod, sent, got: Date.now(), error: error.code ?? error.message })
  }
}

const told = ({ text }) => {
  const { isLeader: leads, name, token, validForMs: valid } = JSON.parse(text)
  return { leads, name, token, valid }
}
const served = ({ status, text }) => {
  if (status !== 200) return { status }
  return {
    status,
    jobs: JSON.parse(text).jobs.map(({ jid, state, ...job }) => ({ jid, state, start: job['start-time'] })),
  }
}

/** Open log files by path: they can be read to their end when their pod is gone. */
const files = new Map()
const buffer = Buffer.alloc(1 << 20)

const findFiles = () => {
  const here = readdirSync(LOGS).filter(name => name.startsWith(`${NAMESPACE}_`))
  for (const folder of here) {
    const pod = folder.split('_')[1]
    for (const [box, interest] of Object.entries(INTEREST))
      for (const name of list(`${LOGS}/${folder}/${box}`)) {
        const path = `${LOGS}/${folder}/${box}/${name}`
        if (!/^\d+\.log$/.test(name) || files.has(path)) continue
        files.set(path, { pod, box, interest, n: Number.parseInt(name, 10), file: openSync(path), at: 0, rest: '' })
      }
  }
}
const list = folder => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

const readOn = () => {
  for (const [path, log] of files) {
    if (log.over) {
      // The path of a life that is over stays as long as its file, so that it is not read again.
      if (!exists(path)) files.delete(path)
      continue
    }
    // The kubelet puts a file that has become long aside, and a new one in its place.
    const there = statSync(path, { throwIfNoEntry: false })
    readToEnd(log)
    if (there !== undefined && there.ino !== fstatSync(log.file).ino) {
      closeSync(log.file)
      log.file = openSync(path)
      log.rest = ''
      readToEnd(log)
    }
    // A later life of the container, or no pod any more.
    const next = path.replace(/\d+\.log$/, `${log.n + 1}.log`)
    log.goneMs = there === undefined ? (log.goneMs ?? Date.now()) : undefined
    // While it is put aside there is none for a moment.
    const isGone = log.goneMs !== undefined && Date.now() - log.goneMs > 2_000
    if (!files.has(next) && !isGone) continue
    note('end', { pod: log.pod, box: log.box, n: log.n, at: log.at })
    closeSync(log.file)
    log.over = true
  }
}
const readToEnd = log => {
  for (let size = 1; size > 0; ) {
    size = readSync(log.file, buffer)
    const lines = (log.rest + buffer.toString('utf8', 0, size)).split('\n')
    log.rest = lines.pop()
    for (const line of lines) readLine(log, line)
  }
}
const exists = path => statSync(path, { throwIfNoEntry: false }) !== undefined

/** "2026-01-02T03:04:05.123456789Z stdout F text" */
const readLine = (log, text) => {
  const space = text.indexOf(' ')
  const at = Date.parse(text.slice(0, space))
  const line = text.slice(space + ' stdout F '.length)
  if (Number.isNaN(at)) return
  log.at = at
  if (log.interest.test(line)) note('log', { pod: log.pod, box: log.box, n: log.n, at, line: line.slice(0, 400) })
}

const forever = async (everyMs, once) => {
  for (;;) {
    try {
      await once()
    } catch (error) {
      console.error(error.message)
    }
    await sleep(everyMs)
  }
}
forever(500, listPods)
forever(250, findFiles)
forever(50, readOn)
process.on('SIGTERM', () => process.exit(0))
