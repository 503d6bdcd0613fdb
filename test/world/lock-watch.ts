// A watch of the lock as Flink begins one, and what it is sent.
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Test } from 'tap'
import type { ConfigMap } from '../../shared/lock.ts'
import { PATH } from './hand-made-jvm.ts'
import { LOCK } from './sidecar.ts'

/** As Flink from 1.18 on selects it. */
export const BY_NAME = `fieldSelector=metadata.name%3D${LOCK}`

export class LockWatch {
  /** undefined as long as it is not answered. */
  head: IncomingMessage | undefined
  readonly events: { type: string; object: ConfigMap }[] = []
  readonly leave: () => void

  constructor(t: Test, url: string, query: string, headers: { [name: string]: string } = {}) {
    const request = httpRequest(`${url}${PATH}?watch=true&${query}`, { headers: { 'user-agent': 'flink', ...headers } })
    request.on('response', response => this.#follow(response))
    request.on('error', () => {})
    request.end()
    this.leave = () => request.destroy()
    t.teardown(this.leave)
  }

  #follow(response: IncomingMessage): void {
    this.head = response
    let rest = ''
    response.on('error', () => {})
    response.on('data', (piece: Buffer) => {
      const lines = (rest + piece).split('\n')
      rest = lines.pop() ?? ''
      this.events.push(...lines.map(line => JSON.parse(line)))
    })
  }
}
