// Bundles the simulation and runs it: what is bundled runs half as fast again as what is translated file by file.
//   npm run sim -- --minutes 30
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'

const directory = mkdtempSync(join(tmpdir(), 'flink-ha-sim-'))
const outfile = join(directory, 'sim.mjs')
try {
  await build({
    entryPoints: ['test/world/sim-main.ts'],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
    outfile,
  })
  const { status } = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], { stdio: 'inherit' })
  process.exitCode = status ?? 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}
