// `flink-ha switchover [POD]`: asks the leader's sidecar to hand leadership over.
import { EXIT } from '../shared/errors.ts'
import { ask, readEndpointArgs } from './endpoint.ts'
import { ENDPOINT_FLAGS } from './flags.ts'

export const runSwitchover = async (args: readonly string[]): Promise<void> => {
  const { url, positionals } = readEndpointArgs(args, ENDPOINT_FLAGS, 1)
  const answered = await ask(`${url}/switchover`, 'POST', { candidate: positionals[0] ?? null })
  process.stdout.write(`${JSON.stringify(answered.body)}\n`)
  if (answered.status >= 300) process.exitCode = EXIT.failed
}
