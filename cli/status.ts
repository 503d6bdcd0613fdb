// `flink-ha status`: who leads, who could, since when, and the jobs. Exit code 0 when somebody leads, 1 when nobody does.

import { ConfigError, EXIT } from '../shared/errors.ts'
import type { JobDocument, Problem } from '../sidecar/ha-data.ts'
import type { LeaderDocument } from '../sidecar/leader.ts'
import type { Member } from '../sidecar/peers.ts'
import { ask, readEndpointArgs } from './endpoint.ts'
import { STATUS_FLAGS } from './flags.ts'
import { processWorld, readHaArgs, type Values } from './ha-args.ts'
import { addressText, jobsText, problemLines } from './ha-text.ts'
import { type Io, processIo } from './io.ts'

export const runStatus = async (args: readonly string[], version: string): Promise<void> => {
  const values = readHaArgs(args, STATUS_FLAGS, [])
  if (values['orphans'] === true) return await runOrphans(values, version)
  const others = ['namespace', 'kubeconfig', 'context'].filter(flag => values[flag] !== undefined)
  if (others.length > 0)
    throw new ConfigError(others.map(flag => `--${flag} is of --orphans: a sidecar is of one cluster`))
  const { url, json } = readEndpointArgs(args, STATUS_FLAGS, 0)
  process.exitCode = await status(url, json, processIo)
}

const runOrphans = async (values: Values, version: string): Promise<void> => {
  if (values['url'] !== undefined) throw new ConfigError(['--url is of a sidecar: --orphans looks into the cluster'])
  const given = { namespace: values['namespace'] as string | undefined, json: values['json'] === true }
  const world = processWorld(values, `flink-ha/${version} status`)
  process.exitCode = await (await import('./orphans.ts')).orphans(given, world, processIo)
}

/** Resolves with the exit code. */
export const status = async (url: string, json: boolean, io: Io): Promise<number> => {
  const leader = (await ask(`${url}/leader`)).body as LeaderDocument
  const [members, jobs, problems] = await Promise.all(['members', 'jobs', 'problems'].map(what => listOr(url, what)))
  if (json) io.out(`${JSON.stringify({ leader, members, jobs, problems }, undefined, 2)}\n`)
  else {
    io.out(describe(leader, listIn<Member>(members)))
    const table = jobsText(listIn<JobDocument>(jobs))
    if (table !== '') io.out(`\n${table}`)
    const lines = problemLines(listIn<Problem>(problems))
    if (lines !== '') io.out(`\nforeign or damaged:\n${lines}`)
  }
  return leader.name === null ? EXIT.failed : 0
}

/** What a sidecar does not tell, or one of an older version does not know, is what it says instead. */
const listOr = async (url: string, what: string): Promise<unknown> => (await ask(`${url}/${what}`)).body
const listIn = <T>(body: unknown): T[] => (Array.isArray(body) ? body : [])

export const describe = (leader: LeaderDocument, members: readonly Member[]): string => {
  const lines = [
    `cluster     ${leader.clusterId || '(none known yet)'}`,
    `leader      ${leader.name ?? 'nobody is known to lead'}`,
    ...(leader.name === null
      ? []
      : [`token       ${leader.token}`, `since       ${leader.lastUpdate ?? 'before this sidecar started'}`]),
    ...(leader.components.restserver === undefined
      ? []
      : [`rest        ${addressText(leader.components.restserver.address)}`]),
    ...members.map(m => `candidate   ${m.name} ${m.role} ${m.healthy ? 'healthy' : 'not healthy'}`),
  ]
  return `${lines.join('\n')}\n`
}
