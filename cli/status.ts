// `flink-ha status`: who leads, who could, and since when. Exit code 0 when somebody leads, 1 when nobody does.

import { EXIT } from '../shared/errors.ts'
import type { LeaderDocument } from '../sidecar/leader.ts'
import type { Member } from '../sidecar/peers.ts'
import { ask, readEndpointArgs } from './endpoint.ts'
import { STATUS_FLAGS } from './flags.ts'

export const runStatus = async (args: readonly string[]): Promise<void> => {
  const { url, json } = readEndpointArgs(args, STATUS_FLAGS, 0)
  const leader = (await ask(`${url}/leader`)).body as LeaderDocument
  const members = await ask(`${url}/members`)
  if (json) process.stdout.write(`${JSON.stringify({ leader, members: members.body }, undefined, 2)}\n`)
  else process.stdout.write(describe(leader, members.status === 200 ? (members.body as Member[]) : []))
  if (leader.name === null) process.exitCode = EXIT.failed
}

export const describe = (leader: LeaderDocument, members: readonly Member[]): string => {
  const lines = [
    `cluster     ${leader.clusterId || '(none known yet)'}`,
    `leader      ${leader.name ?? 'nobody is known to lead'}`,
    ...(leader.name === null
      ? []
      : [`token       ${leader.token}`, `since       ${leader.lastUpdate ?? 'before this sidecar started'}`]),
    ...(leader.components.restserver === undefined ? [] : [`rest        ${leader.components.restserver.address}`]),
    ...members.map(m => `candidate   ${m.name} ${m.role} ${m.healthy ? 'healthy' : 'not healthy'}`),
  ]
  return `${lines.join('\n')}\n`
}
