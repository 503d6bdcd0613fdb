// Bundles the one executable. Each command is a file of its own, so that the sidecar, which sits in every pod, loads nothing
// but itself; CommonJS, because Node's loader of ES modules costs memory (WebAssembly among it) in each of them.
import { rmSync } from 'node:fs'
import { basename } from 'node:path'
import { build } from 'esbuild'

const COMMANDS = {
  'flink-ha': 'cli/main.ts',
  webhook: 'webhook/main.ts',
  sidecar: 'sidecar/main.ts',
  relay: 'sidecar/relay-main.ts',
  inject: 'cli/inject.ts',
  uninject: 'cli/uninject.ts',
  check: 'cli/check.ts',
  explain: 'cli/explain.ts',
  cluster: 'cli/cluster.ts',
  usage: 'cli/usage.ts',
  demo: 'cli/demo.ts',
  status: 'cli/status.ts',
  switchover: 'cli/switchover.ts',
  orphans: 'cli/orphans.ts',
  cleanup: 'cli/cleanup.ts',
  backup: 'cli/backup.ts',
  restore: 'cli/restore.ts',
  'flink-jobmanager': 'test/world/flink-jobmanager.ts',
}
/** What cli/main.ts imports when it is asked for stays a file beside it. */
const commandsApart = {
  name: 'commands-apart',
  setup(bundle) {
    const files = Object.entries(COMMANDS).filter(([name]) => name !== 'flink-ha')
    bundle.onResolve({ filter: /^\./ }, args => {
      if (args.kind !== 'dynamic-import') return undefined
      const found = files.find(([, file]) => `/${file}`.endsWith(`/${args.path.replace(/^(\.\.?\/)+/, '')}`))
      return found && { path: `./${found[0]}.cjs`, external: true }
    })
  },
}
/**
 * What two libraries load at their start and nobody here calls: prom-client's push gateway and cluster support, pino's worker
 * threads. With them come Node's tls, crypto, zlib, cluster and worker_threads: several MiB in every pod.
 */
const unused = {
  name: 'unused',
  setup(bundle) {
    const used = ['Counter', 'Gauge', 'Histogram', 'Registry']
    bundle.onLoad({ filter: /[/\\]prom-client[/\\]index\.js$/ }, () => ({
      contents: used.map(name => `exports.${name} = require('./lib/${name.toLowerCase()}')`).join('\n'),
    }))
    bundle.onLoad({ filter: /[/\\]thread-stream[/\\]index\.js$/ }, () => ({
      contents: `module.exports = class { constructor() { throw new Error('logging in a thread is not bundled') } }`,
    }))
  },
}

rmSync('dist', { recursive: true, force: true })
const { metafile } = await build({
  entryPoints: COMMANDS,
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  legalComments: 'none',
  metafile: true,
  plugins: [commandsApart, unused],
  banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
  define: { 'import.meta.url': 'moduleUrl' },
})
for (const [file, { bytes }] of Object.entries(metafile.outputs))
  console.log(`${basename(file)} ${Math.ceil(bytes / 1024)} KiB`)
