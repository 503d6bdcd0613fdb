// A hand-made JVM: its port, its connections, its requests.
import { Agent, request as httpRequest } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import type { ConfigMap } from '../../shared/lock.ts'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { parseRecord } from '../../shared/record.ts'
import { LOCK, NAMESPACE } from './sidecar.ts'

export const PATH = `/api/v1/namespaces/${NAMESPACE}/configmaps`

export type Answer = {
  status: number
  body: ConfigMap & { [field: string]: unknown }
  headers: { [name: string]: unknown }
}

export class HandMadeJvm {
  readonly identity: string
  #agent = new Agent({ keepAlive: true })
  #port: Server | undefined
  port = 0
  url = ''

  constructor(identity = 'jvm-1') {
    this.identity = identity
  }
  async start(): Promise<void> {
    const server = createServer(socket => socket.destroy())
    await new Promise<void>(resolve => server.listen(this.port, '127.0.0.1', resolve))
    this.#port = server
    this.port = (server.address() as AddressInfo).port
  }
  async die(): Promise<void> {
    this.#agent.destroy()
    this.#agent = new Agent({ keepAlive: true })
    await new Promise(resolve => this.#port?.close(resolve))
  }
  ask(method: string, path: string, body?: unknown, headers: { [name: string]: string } = {}): Promise<Answer> {
    const payload = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
    const length = { 'content-length': String(Buffer.byteLength(payload)) }
    return new Promise((resolve, reject) => {
      const request = httpRequest(`${this.url}${path}`, {
        method,
        agent: this.#agent,
        headers: { 'user-agent': 'flink', ...(payload !== '' && length), ...headers },
      })
      request.on('error', reject)
      request.on('response', response => {
        let text = ''
        response.on('data', chunk => {
          text += chunk
        })
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            body: text === '' ? {} : JSON.parse(text),
            headers: response.headers,
          }),
        )
        response.on('error', reject)
      })
      request.end(payload)
    })
  }
  record(holder = this.identity): string {
    const time = new Date().toISOString().replace('Z', '000Z')
    return `{"holderIdentity":"${holder}","leaseDuration":"PT15S","acquireTime":"${time}","renewTime":"${time}","leaderTransitions":1}`
  }
  /** PATCH of the lock, as the elector does: claim, renewal, or release with "". */
  claim(resourceVersion: string, holder = this.identity): Promise<Answer> {
    const metadata = { name: LOCK, resourceVersion, annotations: { [ANNOTATION_LEADER]: this.record(holder) } }
    return this.ask('PATCH', `${PATH}/${LOCK}`, { metadata }, { 'content-type': 'application/merge-patch+json' })
  }
  /** Lists, waits for leadership and claims it. */
  async lead(): Promise<Answer> {
    await this.ask('GET', `${PATH}?fieldSelector=metadata.name%3D${LOCK}&resourceVersion=0`)
    for (;;) {
      const lock = await this.ask('GET', `${PATH}/${LOCK}`)
      if (lock.status === 200 && holderIn(lock.body) === '')
        return await this.claim(lock.body.metadata.resourceVersion ?? '')
    }
  }
}

export const holderIn = (object: ConfigMap): string | undefined =>
  parseRecord(object.metadata.annotations?.[ANNOTATION_LEADER])?.holder
