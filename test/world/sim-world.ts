// The whole of a simulation: pods, relays and an API server under one seed, what goes wrong, and those who watch over them.
import { FAILSAFE_LIMIT_MS } from '../../shared/failsafe.ts'
import { PROFILES, type ProfileName, type Timings } from '../../shared/timings.ts'
import type { Dialect } from './flink-dialect.ts'
import { resourceOf } from './kube-resources.ts'
import { type ApiCall, SimApi } from './sim-api.ts'
import { LeaderCheck } from './sim-check-leaders.ts'
import { Revival } from './sim-check-revival.ts'
import { StoreCheck } from './sim-check-store.ts'
import { ToldCheck } from './sim-check-told.ts'
import { JOB } from './sim-jvm.ts'
import { Ledger, rawIn, rawOf } from './sim-ledger.ts'
import { LockCalls } from './sim-lock-calls.ts'
import { SimNative } from './sim-native.ts'
import { Network } from './sim-network.ts'
import { describe, type Fault, makePlan } from './sim-plan.ts'
import { SimPod, type Watchdog } from './sim-pod.ts'
import { Machine, SimProcess } from './sim-process.ts'
import { SimRelay } from './sim-relay.ts'
import { Rounds } from './sim-rounds.ts'
import { LOCK, NAMESPACE } from './sim-sidecar.ts'
import { strike } from './sim-strike.ts'
import { type Chance, SimTime, seededFor } from './sim-time.ts'
import { Trace } from './sim-trace.ts'

export type SimOptions = {
  seed: number
  profile: ProfileName
  /** With faults; the time in which everything has to come back is on top. */
  faultyMs: number
  /** Instead of the seed's own. */
  plan?: readonly Fault[]
  trace?: boolean
}
export type SimOutcome = {
  seed: number
  profile: ProfileName
  violation: { rule: string; what: string; atMs: number } | undefined
  simulatedMs: number
  events: number
  terms: number
  checkpoints: number
  calls: number
}

const CONFIG_MAPS = resourceOf('configmaps')
const DIALECTS: readonly Dialect[] = ['2.3', '1.20', '2.3', '1.17']

export class SimWorld {
  readonly time = new SimTime()
  readonly plan: readonly Fault[]
  readonly trace: Trace
  readonly #options: SimOptions
  readonly #timings: Timings
  readonly #chance: Chance
  readonly #api: SimApi
  readonly #network: Network
  readonly #pods: SimPod[] = []
  readonly #relays: SimRelay[] = []
  readonly #ledger = new Ledger()
  readonly #leaders: LeaderCheck
  readonly #store: StoreCheck
  readonly #told: ToldCheck
  readonly #calls: LockCalls
  readonly #revival: Revival
  readonly #rounds = new Rounds()
  readonly #ran = new Set<SimPod>()
  #native: SimNative | undefined
  #natives = 0
  #violation: SimOutcome['violation']
  #problem: unknown

  constructor(options: SimOptions) {
    const { seed, profile, faultyMs } = options
    this.#options = options
    this.#timings = PROFILES[profile]
    this.trace = new Trace(this.time, options.trace === true)
    this.#chance = seededFor(seed, 'world')
    const chance = this.#chance
    const candidates = 3 + Math.floor(chance() * 3)
    const relays = Math.floor(chance() * 2.5)
    // A native elector takes whatever its own lease of 15 s has passed over: longer terms are not promised beside it.
    const native = profile !== 'tolerant' && chance() < 0.3
    const failsafe = !native && chance() < 0.3
    const dialect = DIALECTS[Math.floor(chance() * DIALECTS.length)] ?? '2.3'
    const { leaseMs } = this.#timings
    this.plan =
      options.plan ?? makePlan({ chance: seededFor(seed, 'plan'), untilMs: faultyMs, leaseMs, native, failsafe })
    this.#api = new SimApi(this.time, seededFor(seed, 'api'))
    this.#network = new Network(this.time, seededFor(seed, 'network'))
    const violate = (rule: string, what: string): void => {
      this.#violation ??= { rule, what, atMs: this.time.nowMs }
    }
    const { time } = this
    const [pods, ledger, timings] = [this.#pods, this.#ledger, this.#timings]
    const natives = (): SimNative[] => (this.#native === undefined ? [] : [this.#native])
    this.#leaders = new LeaderCheck({
      time,
      pods,
      natives,
      ledger,
      timings,
      rounds: failsafe ? this.#rounds : undefined,
      violate,
    })
    this.#store = new StoreCheck(ledger, violate)
    this.#told = new ToldCheck(time, ledger, violate)
    this.#calls = new LockCalls(time)
    this.#revival = new Revival({
      time,
      pods,
      relays: this.#relays,
      lock: () => this.#api.store.find(CONFIG_MAPS, NAMESPACE, LOCK),
      timings,
      store: this.#store,
      strangersWaitMs: failsafe ? 1.15 * FAILSAFE_LIMIT_MS : 0,
      violate,
    })
    const watchdog = this.#watchdog()
    for (let index = 0; index < candidates; index++)
      pods.push(
        new SimPod({
          index,
          seed,
          time,
          api: this.#api,
          network: this.#network,
          timings,
          failsafe,
          dialect: chance() < 0.8 ? dialect : (DIALECTS[Math.floor(chance() * DIALECTS.length)] ?? '2.3'),
          wallOffsetMs: (chance() - 0.5) * 1_000,
          podAt: host => pods.find(pod => pod.host === host),
          watchdog,
        }),
      )
    for (let index = 0; index < relays; index++)
      this.#relays.push(
        new SimRelay({
          index,
          seed,
          time,
          network: this.#network,
          dialect,
          pods,
          onRan: relay => this.#told.relay(relay),
          onTaskManager: (relay, event) => this.trace.add(() => `${relay.end} taskmanager ${JSON.stringify(event)}`),
          onProblem: watchdog.onProblem,
        }),
      )
    this.#api.store.onChange(change => {
      const { object, resource, type } = change
      if (resource.kind !== 'ConfigMap') return
      const { current } = this.#api
      if (object.metadata.name !== LOCK) {
        if (object.metadata.name.includes(JOB)) this.#store.jobChanged(change, current)
        return
      }
      this.trace.add(() => `lock ${type} by ${current?.by}: ${object.metadata.resourceVersion} ${rawOf(object)}`)
      this.#calls.changed(object)
      this.#leaders.changed(change, current)
    })
  }

  #watchdog(): Watchdog {
    return {
      onRan: pod => void this.#ran.add(pod),
      onLog: (pod, message, fields) => {
        this.trace.add(() => `${pod.name} ${message} ${JSON.stringify(fields)}`)
        if (message === 'leading') {
          const { token, resumed } = fields as { token: number; resumed: boolean }
          this.#leaders.began(pod, token, resumed)
        } else if (message === 'no longer leading') this.#leaders.ended(pod)
      },
      onCall: (pod, call) => {
        const onDone = this.#calls.sent(call)
        if (call.path.includes(LOCK)) this.#leaders.sent(pod, call)
        this.trace.add(() => `${call.by} → ${call.method} ${call.path.slice(30)} ${rawIn(call)?.slice(0, 60) ?? ''}`)
        return result => {
          this.trace.add(() => `${call.by} ← ${call.method} ${call.path.slice(30)} ${result?.status ?? 'no answer'}`)
          onDone(result)
        }
      },
      onJvm: (pod, jvm, event) => {
        this.trace.add(() => `${jvm.process.name} ${JSON.stringify(event)}`)
        if (event.type === 'granted') this.#ledger.sessions.set(event.session, pod.sidecar?.candidate.token ?? 0)
        if (event.type !== 'fatal') return
        // Flink's process ends, and its container starts again.
        this.time.after(1, () => {
          if (pod.jvm !== jvm) return
          pod.crashJvm()
          pod.after(2_000, () => pod.startJvm())
        })
      },
      onQuestion: (process, body) => this.#rounds.asked(process.name, body, process.monoMs()),
      onAsked: process => this.#told.asked(process),
      onCheckpoint: (id, session) => this.#store.completed(id, session),
      onRestored: (id, session) => this.#store.restored(id, session),
      onProblem: problem => {
        this.#problem ??= problem
      },
    }
  }

  async play(): Promise<SimOutcome> {
    const { faultyMs, seed, profile } = this.#options
    for (const pod of this.#pods) this.time.after(this.#chance() * 3_000, () => pod.begin())
    for (const relay of this.#relays) {
      this.time.after(this.#chance() * 5_000, () => relay.start())
      this.time.after(5_000 + this.#chance() * 5_000, () => relay.startReader())
    }
    this.#sample()
    const scene = this.#scene()
    for (const fault of this.plan)
      this.time.at(fault.atMs, () => {
        this.trace.add(() => `--- ${describe(fault)}`)
        strike(scene, fault)
      })
    this.time.at(faultyMs, () => this.#heal())
    await this.time.run(faultyMs + this.#revival.lastsMs, () => this.#goOn())
    const unexplained = this.#violation === undefined ? this.#calls.verdict() : undefined
    if (unexplained !== undefined) this.#violation = { rule: 'linearizable', what: unexplained, atMs: this.time.nowMs }
    return {
      seed,
      profile,
      violation: this.#violation,
      simulatedMs: this.time.nowMs,
      events: this.time.events,
      terms: this.#ledger.terms.size,
      checkpoints: this.#store.stored,
      calls: this.#api.calls,
    }
  }

  /** An event, and all that it caused, is over. */
  #goOn(): boolean {
    for (const pod of this.#ran) {
      this.#leaders.ran(pod)
      this.#told.ran(pod)
    }
    this.#ran.clear()
    if (this.#problem !== undefined) throw this.#problem
    return this.#violation === undefined
  }

  /** Somebody asks everybody now and then who leads. */
  #sample(): void {
    for (const pod of this.#pods) {
      this.#told.pod(pod)
      this.#leaders.frozen(pod)
    }
    for (const relay of this.#relays) this.#told.relay(relay)
    this.time.after(200 + this.#chance() * 1_800, () => this.#sample())
  }

  #heal(): void {
    this.trace.add(() => '--- the faults are over')
    this.#network.heal()
    this.#api.calm()
    void this.#native?.stop()
    for (const pod of this.#pods) pod.heal()
    for (const relay of this.#relays) relay.heal()
    this.time.after(1_000, () => this.#native?.kill())
    // What was planned before may still end something.
    for (let s = 1; s <= 25; s++) this.time.after(s * 1_000, () => this.#healAgain())
    this.#revival.begin()
  }
  #healAgain(): void {
    for (const pod of this.#pods) if (!this.#revival.spares(pod)) pod.heal()
    for (const relay of this.#relays) relay.heal()
  }

  #scene() {
    const { time } = this
    return {
      time,
      api: this.#api,
      network: this.#network,
      pods: this.#pods,
      relays: this.#relays,
      native: {
        start: () => this.#startNative(),
        stop: () => void this.#native?.stop(),
        crash: () => this.#native?.kill(),
        pause: (durationMs: number) => {
          const native = this.#native
          native?.process.pause()
          time.after(durationMs, () => native?.process.resume())
        },
      },
      thirdParty: (call: ApiCall) => {
        const onDone = this.#calls.sent(call)
        onDone(this.#api.handle(call))
      },
      switchOver: (pod: SimPod) => pod.switchOver(),
    }
  }

  #startNative(): void {
    if (this.#native?.process.alive === true) return
    const chance = seededFor(this.#options.seed, `native ${this.#natives++}`)
    const machine = new Machine(this.time, { rate: 1, monoMs: 0, wallOffsetMs: (chance() - 0.5) * 1_000 })
    const process = new SimProcess(`native-${this.#natives}`, machine, chance, () => {})
    const native: SimNative = new SimNative({
      process,
      api: this.#api,
      link: this.#network.link('native', 'api'),
      chance,
      dialect: DIALECTS[Math.floor(chance() * DIALECTS.length)] ?? '2.3',
      onCall: call => this.#calls.sent(call),
      onGranted: () => {
        this.trace.add(() => `${process.name} granted`)
        this.#leaders.nativeGranted(native)
      },
    })
    this.#native = native
  }
}
