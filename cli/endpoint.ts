// Asks a sidecar's endpoint; for the commands that people run.
import { request as http } from 'node:http'
import { request as https } from 'node:https'
import { parseArgs } from 'node:util'
import { ConfigError } from '../shared/errors.ts'
import { PORT_LOCAL } from '../shared/names.ts'
import type { Flags } from './flags.ts'

export type EndpointArgs = { url: string; json: boolean; positionals: string[] }

/** @throws ConfigError */
export const readEndpointArgs = (args: readonly string[], flags: Flags, most: number): EndpointArgs => {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: flags, allowPositionals: true })
    const url = (values['url'] as string | undefined) ?? process.env['FLINK_HA_URL'] ?? `http://127.0.0.1:${PORT_LOCAL}`
    const problems: string[] = []
    if (!URL.canParse(url) || !/^https?:/.test(url))
      problems.push(`url is "${url}": a URL such as http://127.0.0.1:4040 is needed`)
    for (const extra of positionals.slice(most)) problems.push(`"${extra}" is not an argument of this command`)
    if (problems.length > 0) throw new ConfigError(problems)
    return { url: url.replace(/\/$/, ''), json: values['json'] === true, positionals }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError([(error as Error).message])
  }
}

/** By node:http, because the image's node runs without a compiler, and so without fetch. @throws Error that names the address */
export const ask = (url: string, method = 'GET', body?: object): Promise<{ status: number; body: unknown }> =>
  new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(new Error(`${url} does not answer: ${error.message}`))
    const request = (url.startsWith('https:') ? https : http)(url, { method, timeout: 10_000 }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('error', fail)
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) })
        } catch (error) {
          fail(error as Error)
        }
      })
    })
    request.on('timeout', () => request.destroy(new Error('no answer within 10 s')))
    request.on('error', fail)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
