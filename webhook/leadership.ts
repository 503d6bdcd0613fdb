/**
 * Which replica of the webhook is the active one: the election of `shared/election.ts` on a Lease in our own namespace.
 *
 * Promises: `leading()` is true in at most one process at a time, as far as processes run; it asks the clock each time.
 * Does not promise that a write which was sent while leading arrives while leading: what the leader does has to be harmless
 * when done twice.
 */
import type { Clock } from '../shared/clock.ts'
import { type Action, type Election, type Event, makeElection, type State, type Write } from '../shared/election.ts'
import { Inbox } from '../shared/inbox.ts'
import type { KubeClient } from '../shared/kube-client.ts'
import { ListWatch } from '../shared/list-watch.ts'
import { type Lease, lockOfLease } from '../shared/lock.ts'
import { leasesPath, writeLease } from '../shared/lock-writes.ts'
import type { Log } from '../shared/log.ts'
import { LABEL_MANAGED_BY } from '../shared/names.ts'
import type { Timings } from '../shared/timings.ts'

export type LeadershipOptions = {
  client: KubeClient
  clock: Clock
  log: Log
  namespace: string
  /** The Lease's name. */
  name: string
  /** Of this process and no other, ever: `<pod>_<uid>`. */
  identity: string
  timings: Timings
}

/** How long `stop` waits for the Lease to be given back. */
const RELEASE_TIMEOUT_MS = 3_000

export class Leadership {
  #options: LeadershipOptions
  #election: Election
  #state: State
  #watch: ListWatch<Lease>
  #inbox: Inbox<Event>
  #started = false
  #stopped = false

  constructor(options: LeadershipOptions) {
    const { client, clock, log, namespace, name, identity, timings } = options
    this.#options = options
    this.#election = makeElection(identity, timings)
    this.#state = this.#election.initial
    this.#inbox = new Inbox({
      clock,
      take: event => this.#step(event),
      wakeAtMs: () => this.#election.wakeAtMs(this.#state),
      wake: () => this.#dispatch({ type: 'tick' }),
    })
    this.#watch = new ListWatch<Lease>({
      client,
      clock,
      collection: leasesPath(namespace),
      name,
      onSight: ({ object, version, listed }) =>
        this.#dispatch({ type: 'lock-seen', lock: lockOfLease(object, version), read: listed }),
      onProblem: problem => log.warn({ problem }, 'lost sight of the Lease, trying again'),
    })
  }

  /** Stands for election until `stop`. */
  start(): void {
    if (this.#started) return
    this.#started = true
    this.#dispatch({ type: 'stand' })
    void this.#watch.run()
  }

  /** Whether this process leads at this very moment: also right after the process was stopped for a while. */
  leading(): boolean {
    return !this.#stopped && this.#options.clock.monoMs() < this.#election.validUntilMs(this.#state)
  }

  /** Calls back when leading may have begun or ended; the returned function ends that. */
  onChange(listener: () => void): () => void {
    return this.#inbox.onTaken(listener)
  }

  /** Gives the Lease back, waits for that as long as it may be of use, and stops. */
  async stop(): Promise<void> {
    const { clock, identity } = this.#options
    if (this.#started && !this.#stopped) {
      this.#dispatch({ type: 'withdraw', reason: 'shutdown' })
      await new Promise<void>(resolve => {
        const done = (): void => {
          if (this.#state.lock?.record?.holder === identity) return
          cancel()
          off()
          resolve()
        }
        const off = this.onChange(done)
        const cancel = clock.after(RELEASE_TIMEOUT_MS, () => {
          off()
          resolve()
        })
        done()
      })
    }
    this.abandon()
  }

  /** Stops without a word: the Lease then has to run out. */
  abandon(): void {
    this.#stopped = true
    this.#inbox.stop()
    this.#watch.stop()
  }

  #dispatch(event: Event): void {
    if (!this.#stopped) this.#inbox.push(event)
  }

  #step(event: Event): void {
    const { clock } = this.#options
    const now = { monoMs: clock.monoMs(), wallUs: clock.wallUs() }
    const { state, actions } = this.#election.step(this.#state, event, now)
    this.#state = state
    for (const action of actions) this.#perform(action)
  }

  #perform(action: Action): void {
    const { log } = this.#options
    switch (action.type) {
      case 'lead':
        log.info({ token: action.token }, 'leading')
        return
      case 'yield':
        log.info({ reason: action.reason }, 'no longer leading')
        return
      case 'read-lock':
        void this.#read()
        return
      case 'write-lock':
        void this.#write(action.write)
        return
      case 'data-refused':
      case 'ask-promises':
      case 'promise':
        // A Lease holds no data; and this election has no failsafe, whose absence costs nothing but a reconciliation.
        return
    }
  }

  async #read(): Promise<void> {
    try {
      await this.#watch.list()
    } catch (error) {
      this.#options.log.warn({ problem: String(error) }, 'the Lease cannot be read')
      this.#dispatch({ type: 'read-failed' })
    }
  }

  async #write(write: Write): Promise<void> {
    const { client, log, namespace, name, timings } = this.#options
    const lease = { namespace, name, labels: { [LABEL_MANAGED_BY]: 'flink-ha' } }
    const timeoutMs = Math.min(timings.retryMs, timings.renewDeadlineMs / 3)
    const outcome = await writeLease(client, lease, write, { jvm: '', timeoutMs })
    if (outcome.result === 'done') {
      this.#dispatch({ type: 'write-done', id: write.id, lock: lockOfLease(outcome.body as Lease, '') })
      return
    }
    const { result, message, retryAfterMs } = outcome
    if (result !== 'conflict') log.warn({ kind: write.kind, result, message }, 'the Lease cannot be written')
    const failed = { type: 'write-failed' as const, id: write.id, why: result }
    this.#dispatch(retryAfterMs === undefined ? failed : { ...failed, retryAfterMs })
  }
}
