// Architecture, held by a test: who may import whom, what pure files may not know, what is not for the repository.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const PURE = [
  'cli/backup-file.ts',
  'cli/check-report.ts',
  'cli/cluster-ids.ts',
  'cli/explain-pod.ts',
  'cli/flags.ts',
  'cli/ha-text.ts',
  'cli/pod-templates.ts',
  'cli/reasons.ts',
  'cli/restore-plan.ts',
  'cli/rewrite.ts',
  'cli/table.ts',
  'cli/wanting.ts',
  'cli/yaml-documents.ts',
  'shared/api-access.ts',
  'shared/assert.ts',
  'shared/cluster-id.ts',
  'shared/election.ts',
  'shared/errors.ts',
  'shared/failsafe.ts',
  'shared/lock.ts',
  'shared/names.ts',
  'shared/resource-version.ts',
  'shared/settings.ts',
  'shared/timings.ts',
  'sidecar/config.ts',
  'sidecar/failsafe-question.ts',
  'sidecar/ha-data.ts',
  'sidecar/ha-names.ts',
  'sidecar/history.ts',
  'sidecar/jvm.ts',
  'sidecar/leader.ts',
  'sidecar/lock-write.ts',
  'sidecar/relay-core.ts',
  'sidecar/route.ts',
  'sidecar/view.ts',
  'webhook/admit.ts',
  'webhook/change.ts',
  'webhook/cluster-id.ts',
  'webhook/cluster-objects.ts',
  'webhook/config.ts',
  'webhook/deadline.ts',
  'webhook/decide.ts',
  'webhook/flink-containers.ts',
  'webhook/inject.ts',
  'webhook/ownership.ts',
  'webhook/patch.ts',
  'webhook/pod-settings.ts',
  'webhook/pod-shape.ts',
  'webhook/pod.ts',
  'webhook/quantity.ts',
  'webhook/reconcile.ts',
  'webhook/review.ts',
  'webhook/shape.ts',
  'webhook/sidecar-spec.ts',
  'webhook/tls-bundle.ts',
  'webhook/tls-plan.ts',
  'webhook/tls-secret.ts',
  'webhook/uninject.ts',
  'webhook/workload.ts',
]
const ROOMS = ['shared', 'sidecar', 'webhook', 'cli']
const files = ROOMS.flatMap(room =>
  readdirSync(room)
    .filter(name => name.endsWith('.ts'))
    .map(name => join(room, name)),
)
const imports = (file: string): string[] =>
  [...readFileSync(file, 'utf8').matchAll(/(?:^(?:import|export|\}).*\bfrom |\bimport\()'([^']+)'/gm)].map(
    match => match[1] ?? '',
  )

t.test('shared imports no other room, sidecar and webhook not each other', async t => {
  for (const file of files)
    for (const from of imports(file)) {
      const room = file.split('/')[0]
      if (room === 'shared') t.notMatch(from, /\.\.\/(sidecar|webhook|cli|test)\//, `${file} imports ${from}`)
      if (room === 'sidecar') t.notMatch(from, /\.\.\/(webhook|cli|test)\//, `${file} imports ${from}`)
      if (room === 'webhook') t.notMatch(from, /\.\.\/(sidecar|cli|test)\//, `${file} imports ${from}`)
    }
})

t.test('pure files know no clock, socket, process or chance', async t => {
  for (const file of PURE) {
    const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
    t.notMatch(
      code,
      /\bDate\.now|\bsetTimeout|\bsetInterval|Math\.random|\bprocess\.|\bconsole\.|\bawait\b|performance\./,
      file,
    )
    for (const from of imports(file)) t.notMatch(from, /^node:(?!util$)/, `${file} imports ${from}`)
  }
})

t.test('only main files read the process', async t => {
  for (const file of files.filter(f => !/main\.ts$|^cli\//.test(f)))
    t.notMatch(readFileSync(file, 'utf8'), /\bprocess\.(env|exit|argv|on)\b/, file)
})

t.test('every package that is imported is in package.json, and every one there is imported', async t => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    [field: string]: object
  }
  const known = new Set([...Object.keys(dependencies ?? {}), ...Object.keys(devDependencies ?? {})])
  const used = new Set(files.flatMap(imports).filter(from => !from.startsWith('.') && !from.startsWith('node:')))
  for (const name of used) t.ok(known.has(name), name)
  for (const name of Object.keys(dependencies ?? {}).filter(n => n !== 'jsonpatch'))
    t.ok(used.has(name), `${name} is used`)
})

t.test('the lock file carries no download addresses, and the repository no bundle or binary', async t => {
  t.notMatch(readFileSync('package-lock.json', 'utf8'), /"resolved"/)
  const tracked = execFileSync('git', ['ls-files'], { encoding: 'utf8' }).trim().split('\n')
  t.notOk(tracked.some(file => /^dist\/|^node_modules\/|\.(tar|gz|zip|jar|png|class|node)$/.test(file)))
})
