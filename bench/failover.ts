// How long a failover takes: Flink's built-in high availability and flink-ha, in the same Kubernetes cluster, with the same
// Flink, job and faults, in turns in one run, so that whatever slows the machine slows both. Prints a table and writes every
// sample to bench/results/.
//
//   KUBECONFIG=… npm run bench:failover -- [--rounds 10] [--flink 2.3.0] [--faults crash,graceful] [--modes builtin,flink-ha,webhook]
//                                          [--profile default] [--together]
//                                          [--minutes 90]
//
// One Flink cluster runs at a time: the other one is scaled to nothing meanwhile, its job waits in the HA store. With
// --together both keep running, which is quicker and noisier. No round begins after so many minutes.
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { kubectl } from '../test/live/cluster.ts'
import { install, labelled, uninstall } from '../test/live/installation.ts'
import { describe, type Fault, playRound, type Sample } from '../test/live/rounds.ts'
import { raise, type Scene, strike } from '../test/live/scene.ts'

/** `webhook`: the manifests of Flink's documentation in a labelled namespace, with the memory that they give Flink. */
type Mode = 'builtin' | 'flink-ha' | 'webhook'
type Row = Sample & { mode: Mode; round: number; at: string }
type Failure = { mode: Mode; fault: Fault; round: number; problem: string }
type Measure = 'lockMs' | 'acquiredMs' | 'grantedMs' | 'runningMs'

const MEASURES: { [measure in Measure]: string } = {
  lockMs: 'lock names the standby (as watched)',
  acquiredMs: 'lock acquired (its own record)',
  grantedMs: 'leadership granted (Flink’s log)',
  runningMs: 'all tasks RUNNING (Flink’s log)',
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    minutes: { type: 'string', default: '90' },
    flink: { type: 'string', default: '2.3.0' },
    faults: { type: 'string', default: 'crash,graceful' },
    modes: { type: 'string', default: 'builtin,flink-ha' },
    profile: { type: 'string', default: 'default' },
    together: { type: 'boolean', default: false },
  },
})

const list = <T extends string>(text: string, known: readonly T[]): T[] => {
  const parts = text.split(',') as T[]
  const wrong = parts.filter(part => !known.includes(part))
  if (wrong.length > 0) throw new Error(`${wrong.join(', ')}: one of ${known.join(', ')} is needed`)
  return parts
}

const main = async (): Promise<boolean> => {
  const faults = list<Fault>(options.faults, ['crash', 'graceful', 'crash-pod'])
  const modes = list<Mode>(options.modes, ['builtin', 'flink-ha', 'webhook'])
  const rounds = Number(options.rounds)
  const scenes = new Map<Mode, Scene>()
  const rows: Row[] = []
  const failures: Failure[] = []
  const lost: string[] = []
  try {
    for (let round = 1; round <= rounds && performance.now() < Number(options.minutes) * 60_000; round++) {
      // A B, then B A: neither always comes second.
      for (const mode of round % 2 === 1 ? modes : modes.toReversed()) {
        const scene = await enter(scenes, mode)
        for (const fault of faults) {
          const at = new Date().toISOString()
          try {
            const sample = await playRound(scene.cluster, scene.agent, scene.observer, scene.jobId, fault)
            rows.push({ mode, round, at, ...sample })
            console.log(`round ${round} ${mode} ${describe(sample)}`)
          } catch (error) {
            failures.push({ mode, fault, round, problem: (error as Error).message })
            console.log(`round ${round} ${mode} ${fault} FAILED: ${(error as Error).message}`)
          }
        }
        // The TaskManager's log goes with its pod.
        for (const line of await scene.cluster.lost())
          if (!lost.includes(`${mode} ${line}`)) lost.push(`${mode} ${line}`)
      }
    }
  } finally {
    for (const scene of scenes.values()) await strike(scene, failures.length > 0)
    for (const tidy of tidying.toReversed()) await tidy()
  }
  return await tell(rows, failures, lost, { faults, modes, rounds })
}

/** The scene of a mode, alone on the machine unless told otherwise. */
const enter = async (scenes: Map<Mode, Scene>, mode: Mode): Promise<Scene> => {
  if (!options.together) for (const [other, scene] of scenes) if (other !== mode && !idle.has(scene)) await rest(scene)
  const scene = scenes.get(mode)
  if (scene === undefined) {
    const made = await raised(mode)
    scenes.set(mode, made)
    return made
  }
  if (idle.delete(scene)) {
    await scene.cluster.scale(true)
    await scene.cluster.running(await scene.cluster.leader(), scene.jobId, 180_000)
  }
  return scene
}

const tidying: (() => Promise<unknown>)[] = []
const raised = async (mode: Mode): Promise<Scene> => {
  const { flink, profile } = options
  if (mode !== 'webhook') return await raise(`bench-${mode}`, { mode, flink, profile })
  await install()
  tidying.push(uninstall)
  const prelude = labelled({ flink, jobManagers: 2, taskManagers: 1 }, tidy => tidying.push(tidy))
  return await raise('bench-webhook', { mode: 'flink-ha', flink }, prelude)
}

const idle = new Set<Scene>()
const rest = async (scene: Scene): Promise<void> => {
  await scene.cluster.scale(false)
  idle.add(scene)
}

const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const tell = async (
  rows: readonly Row[],
  failures: readonly Failure[],
  lost: readonly string[],
  plan: { faults: Fault[]; modes: Mode[]; rounds: number },
): Promise<boolean> => {
  const older = rows.filter(row => row.restored < row.completed)
  console.log(
    `\nFlink ${options.flink}, ${cpus().length} CPUs, ${options.together ? 'both clusters running' : 'one cluster at a time'}`,
  )
  const table: { [column: string]: string | number }[] = []
  for (const fault of plan.faults)
    for (const measure of Object.keys(MEASURES) as Measure[]) table.push(...measured(rows, fault, measure, plan.modes))
  console.table(table)
  console.log(`older checkpoint than the last completed one restored: ${older.length} of ${rows.length}`)
  console.log(`lines of the job about lost or repeated numbers: ${lost.length}`)
  console.log(`rounds that did not end: ${failures.length}`)
  const version = JSON.parse(await kubectl(['version', '-o', 'json'])) as { serverVersion?: { gitVersion?: string } }
  const result = {
    at: new Date().toISOString(),
    options,
    kubernetes: version.serverVersion?.gitVersion,
    cpus: cpus().map(cpu => cpu.model),
    samples: rows,
    failures,
    lost,
  }
  const folder = new URL('results/', import.meta.url)
  await mkdir(folder, { recursive: true })
  const file = new URL(`failover-${options.flink}-${result.at.replaceAll(':', '')}.json`, folder)
  await writeFile(file, `${JSON.stringify(result, undefined, 1)}\n`)
  console.log(`every sample: bench/results/${file.pathname.split('/').at(-1)}`)
  return older.length === 0 && lost.length === 0 && failures.length === 0
}

/** A line a mode, then how many times quicker the second is: of the medians, and the spread of round against round. */
const measured = (rows: readonly Row[], fault: Fault, measure: Measure, modes: readonly Mode[]) => {
  const samples = (mode: Mode): Row[] => rows.filter(row => row.mode === mode && row.fault === fault)
  const lines = modes.flatMap(mode => {
    const values = samples(mode).map(row => row[measure])
    if (values.length === 0) return []
    const [middle, min, max] = [median(values), Math.min(...values), Math.max(...values)].map(Math.round)
    return {
      fault,
      measure: MEASURES[measure],
      mode,
      n: values.length,
      median: middle!,
      min: min!,
      max: max!,
      ratio: '',
    }
  })
  const [slow, quick] = modes.map(samples)
  const last = lines.at(-1)
  if (last === undefined || !slow?.length || !quick?.length) return lines
  const pairs = slow.flatMap(a => quick.filter(b => b.round === a.round).map(b => a[measure] / b[measure]))
  const ratio = median(slow.map(row => row[measure])) / median(quick.map(row => row[measure]))
  const spread = pairs.length === 0 ? '' : ` (${Math.min(...pairs).toFixed(1)}–${Math.max(...pairs).toFixed(1)})`
  last.ratio = `${ratio.toFixed(1)}×${spread}`
  return lines
}

process.exitCode = (await main()) ? 0 : 1
// Watches and log followers that are still open have nothing more to say.
setTimeout(() => process.exit(), 2_000).unref()
