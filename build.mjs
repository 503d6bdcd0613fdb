// Bundles the one executable. Each command becomes a chunk of its own, so that the sidecar, which sits in every pod, loads
// nothing but itself.
import { rmSync } from 'node:fs'
import { build } from 'esbuild'

rmSync('dist', { recursive: true, force: true })
const result = await build({
  entryPoints: { 'flink-ha': 'cli/main.ts', 'flink-jobmanager': 'test/world/flink-jobmanager.ts' },
  outdir: 'dist',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  legalComments: 'none',
  metafile: true,
  // Dependencies in CommonJS ask for Node's own modules by `require`.
  banner: { js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);" },
})
for (const [file, { bytes }] of Object.entries(result.metafile.outputs))
  console.log(`${file} ${Math.ceil(bytes / 1024)} KiB`)
