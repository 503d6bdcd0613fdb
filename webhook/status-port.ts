// The plain HTTP port: alive, ready, metrics. Ready says whether the API server may send pods here; alive only that the
// process still turns: a webhook without a certificate or an API server gets neither by being restarted.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import type { Registry } from 'prom-client'

export type StatusPortOptions = {
  registry: Registry
  /** Why no pod may come, each in words; none: ready. */
  notReady: () => string[]
}

export class StatusPort {
  readonly #server: Server

  constructor({ registry, notReady }: StatusPortOptions) {
    const app = express()
    app.disable('x-powered-by')
    app.get('/healthz', (_, response) => void response.type('text/plain').send('ok\n'))
    app.get('/readyz', (_, response) => {
      const problems = notReady()
      response.status(problems.length === 0 ? 200 : 503).type('text/plain')
      response.send(`${problems.length === 0 ? 'ok' : problems.join('\n')}\n`)
    })
    app.get('/metrics', async (_, response) => {
      response.set('content-type', registry.contentType)
      response.send(await registry.metrics())
    })
    app.use((_, response) => void response.status(404).json({ error: 'only /healthz, /readyz and /metrics are here' }))
    this.#server = createServer(app)
    this.#server.headersTimeout = 10_000
    this.#server.requestTimeout = 10_000
  }

  /** Resolves with the port. @throws Error with code EADDRINUSE and the like */
  async listen(port: number, host?: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, resolve)
    })
    return (this.#server.address() as AddressInfo).port
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}
