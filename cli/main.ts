#!/usr/bin/env node
import packageJson from '../package.json' with { type: 'json' }
// One executable: each command is a file of its own that is loaded only when it is asked for.
import { ConfigError, EXIT } from '../shared/errors.ts'
import { usage } from './usage.ts'

const { version } = packageJson

const run = async (command: string | undefined, args: string[]): Promise<void> => {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(usage(command))
    return
  }
  switch (command) {
    case 'sidecar':
      return await (await import('../sidecar/main.ts')).runSidecar(args, version)
    case 'demo':
      return await (await import('./demo.ts')).runDemo(args)
    case 'status':
      return await (await import('./status.ts')).runStatus(args)
    case 'switchover':
      return await (await import('./switchover.ts')).runSwitchover(args)
    case 'version':
    case '--version':
      process.stdout.write(`${version}\n`)
      return
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(usage(undefined))
      return
    default:
      throw new ConfigError([command === undefined ? 'a command is needed' : `"${command}" is not a command`])
  }
}

run(process.argv[2], process.argv.slice(3)).catch((error: unknown) => {
  if (error instanceof ConfigError) {
    for (const problem of error.problems) process.stderr.write(`flink-ha: ${problem}\n`)
    process.stderr.write('flink-ha: see flink-ha --help\n')
    process.exit(EXIT.usage)
  }
  process.stderr.write(`flink-ha: ${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(EXIT.failed)
})
