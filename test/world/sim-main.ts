// The simulation as a command. In a worker process: plays the seeds that it is told, and tells its parent what came of each.
//   sim --minutes 30            goes on for so long, in a process for each core
//   sim --seeds 500 --seed 1    these seeds
//   sim --seed 42               one seed, as a failure names it
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { ProfileName } from '../../shared/timings.ts'
import { added, describeTally, emptyTally, optionsOf, playSeed, type Tally } from './sim-seeds.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seeds: { type: 'string' },
    seed: { type: 'string', default: process.env['FLINK_HA_SEED'] ?? '' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    profile: { type: 'string' },
    /** Ends with the first violation, and does not shrink it. */
    first: { type: 'boolean', default: false },
    /** Simulated minutes with faults, of each seed. */
    'faulty-minutes': { type: 'string', default: '10' },
  },
})
const faultyMs = Number(values['faulty-minutes']) * 60_000
const profile = values.profile as ProfileName | undefined
const REPORT_MS = 60_000
/** A seed takes a second; to shrink what it found, minutes. */
const ENDLESS_MS = values.first ? 60_000 : 1_200_000

const worker = async (): Promise<void> => {
  // Errors are part of the game here, and stacks are what they cost most.
  Error.stackTraceLimit = 0
  process.on('message', (seed: number) => {
    const tally = emptyTally()
    playSeed(tally, optionsOf(seed, faultyMs, profile), !values.first).then(
      () => process.send?.(tally),
      error => {
        tally.failures.push(`FLINK_HA_SEED=${seed}: ${error instanceof Error ? error.stack : error}`)
        process.send?.(tally)
      },
    )
  })
  process.on('disconnect', () => process.exit(0))
}

const parent = async (): Promise<number> => {
  const first = Number(values.seed === '' ? 1 : values.seed)
  const minutes = values.minutes === undefined ? undefined : Number(values.minutes)
  const count =
    values.seeds === undefined ? (minutes === undefined ? 1 : Number.POSITIVE_INFINITY) : Number(values.seeds)
  const beganMs = performance.now()
  const untilMs = minutes === undefined ? Number.POSITIVE_INFINITY : beganMs + minutes * 60_000
  let next = first
  let total = emptyTally()
  let toldMs = beganMs
  const more = (): number | undefined =>
    next < first + count && performance.now() < untilMs && !(values.first && total.failures.length > 0)
      ? next++
      : undefined
  const took = (tally: Tally): void => {
    total = added(total, tally)
    for (const failure of tally.failures) console.log(failure)
    if (performance.now() - toldMs < REPORT_MS) return
    toldMs = performance.now()
    console.log(`${describeTally(total, toldMs - beganMs)}; last seed ${next - 1}`)
  }
  const jobs = Math.min(Number(values.jobs), count)
  await Promise.all(Array.from({ length: jobs }, () => drive(more, took)))
  console.log(`seeds ${first} to ${next - 1}: ${describeTally(total, performance.now() - beganMs)}`)
  const [, checker] = / \(profile \w+\) ([^:]+):/.exec(total.failures[0] ?? '') ?? []
  // For whoever takes rules out (`mutation-finders.ts`): who noticed, and after how many seeds.
  if (values.first && checker !== undefined) console.log(JSON.stringify({ checker, seeds: total.seeds }))
  return total.failures.length === 0 ? 0 : 1
}

const describeSeed = (seed: number): string =>
  `FLINK_HA_SEED=${seed} (profile ${optionsOf(seed, faultyMs, profile).profile})`

/** One worker process, a seed at a time. */
const drive = (more: () => number | undefined, took: (tally: Tally) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const env = { ...process.env, FLINK_HA_SIM_WORKER: 'yes' }
    const child: ChildProcess = fork(process.argv[1] ?? '', process.argv.slice(2), {
      env,
      execArgv: ['--max-semi-space-size=64', ...process.execArgv],
    })
    let watch: NodeJS.Timeout | undefined
    let isEndless = false
    // A loop without an end hears nothing, not even that its parent is gone.
    const kill = (seed: number): void => {
      const what = `${describeSeed(seed)} endless: it does not end within ${ENDLESS_MS / 1000} s`
      isEndless = true
      took({ ...emptyTally(), seeds: 1, failures: [what] })
      child.kill('SIGKILL')
    }
    const give = (): void => {
      const seed = more()
      if (seed === undefined) return child.disconnect()
      watch = setTimeout(() => kill(seed), ENDLESS_MS)
      child.send(seed)
    }
    child.on('message', tally => {
      clearTimeout(watch)
      took(tally as Tally)
      give()
    })
    child.on('error', reject)
    child.on('exit', code => (code === 0 || isEndless ? resolve() : reject(new Error(`a worker ended with ${code}`))))
    give()
  })

if (process.env['FLINK_HA_SIM_WORKER'] === 'yes') void worker()
else
  parent().then(
    code => process.exit(code),
    error => {
      console.error(error)
      process.exit(2)
    },
  )
