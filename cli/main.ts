#!/usr/bin/env node
import packageJson from '../package.json' with { type: 'json' }
// One executable: each command is a file of its own that is loaded only when it is asked for.
import { ConfigError, EXIT } from '../shared/errors.ts'

const { version } = packageJson

const run = async (command: string | undefined, args: string[]): Promise<void> => {
  if (args.includes('--help') || args.includes('-h')) return await help(command)
  switch (command) {
    case 'webhook':
      return await (await import('../webhook/main.ts')).runWebhook(args, version)
    case 'sidecar':
      return args.includes('--relay')
        ? await (await import('../sidecar/relay-main.ts')).runRelay(args, version)
        : await (await import('../sidecar/main.ts')).runSidecar(args, version)
    case 'inject':
      return await (await import('./inject.ts')).runInject(args, version)
    case 'uninject':
      return await (await import('./uninject.ts')).runUninject(args)
    case 'check':
      return await (await import('./check.ts')).runCheck(args, version)
    case 'explain':
      return await (await import('./explain.ts')).runExplain(args, version)
    case 'demo':
      return await (await import('./demo.ts')).runDemo(args)
    case 'status':
      return await (await import('./status.ts')).runStatus(args, version)
    case 'cleanup':
      return await (await import('./cleanup.ts')).runCleanup(args, version)
    case 'backup':
      return await (await import('./backup.ts')).runBackup(args, version)
    case 'restore':
      return await (await import('./restore.ts')).runRestore(args, version)
    case 'switchover':
      return await (await import('./switchover.ts')).runSwitchover(args)
    case 'version':
    case '--version':
      process.stdout.write(`${version}\n`)
      return
    case 'help':
    case '--help':
    case '-h':
      return await help(undefined)
    default:
      throw new ConfigError([command === undefined ? 'a command is needed' : `"${command}" is not a command`])
  }
}

const help = async (command: string | undefined): Promise<void> => {
  process.stdout.write((await import('./usage.ts')).usage(command))
}

// `flink-ha inject … | head`: whoever reads has read enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0)
  throw error
})

/** By name: every command is a bundle with a class ConfigError of its own, which `instanceof` here does not know. */
const isConfigError = (error: unknown): error is ConfigError => error instanceof Error && error.name === 'ConfigError'

run(process.argv[2], process.argv.slice(3)).catch((error: unknown) => {
  if (isConfigError(error)) {
    for (const problem of error.problems) process.stderr.write(`flink-ha: ${problem}\n`)
    process.stderr.write('flink-ha: see flink-ha --help\n')
    process.exit(EXIT.usage)
  }
  process.stderr.write(`flink-ha: ${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(EXIT.failed)
})
