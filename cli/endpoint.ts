// Asks a sidecar's endpoint; for the commands that people run.
import { parseArgs } from 'node:util'
import { ConfigError } from '../shared/errors.ts'
import { PORT_LOCAL } from '../shared/names.ts'

export type EndpointArgs = { url: string; json: boolean; positionals: string[] }

/** @throws ConfigError */
export const readEndpointArgs = (args: readonly string[], most: number): EndpointArgs => {
  const options = { url: { type: 'string' as const }, json: { type: 'boolean' as const } }
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    const url = values.url ?? process.env['FLINK_HA_URL'] ?? `http://127.0.0.1:${PORT_LOCAL}`
    const problems: string[] = []
    if (!URL.canParse(url) || !/^https?:/.test(url))
      problems.push(`url is "${url}": a URL such as http://127.0.0.1:4040 is needed`)
    for (const extra of positionals.slice(most)) problems.push(`"${extra}" is not an argument of this command`)
    if (problems.length > 0) throw new ConfigError(problems)
    return { url: url.replace(/\/$/, ''), json: values.json ?? false, positionals }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError([(error as Error).message])
  }
}

/** @throws Error that names the address when nobody answers */
export const ask = async (url: string, init?: RequestInit): Promise<{ status: number; body: unknown }> => {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000), ...init })
    return { status: response.status, body: await response.json() }
  } catch (error) {
    throw new Error(
      `${url} does not answer: ${((error as Error).cause as Error | undefined)?.message ?? (error as Error).message}`,
    )
  }
}
