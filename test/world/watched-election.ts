// One candidate's election under events by hand, with what must hold after each step, whatever the state and the event.
import { type Action, type Event, type Lock, makeElection, type State, type Write } from '../../shared/election.ts'
import { formatRecord, formatTime, parseRecord } from '../../shared/record.ts'
import type { Timings } from '../../shared/timings.ts'

export const TIMINGS: Timings = { leaseMs: 10_000, renewDeadlineMs: 8_000, retryMs: 2_000 }
export const ME = 'me_1'
export const election = makeElection(ME, TIMINGS)

type Fate = 'pending' | 'sent' | 'refused'

export class WatchedElection {
  state: State = election.initial
  nowMs = 0
  readonly broken: string[] = []
  /** What was sent, oldest first. */
  readonly sent: Write[] = []
  #version = 100
  /** As the API server has it. */
  #real: Lock | undefined
  #nextData = 1
  /** What became of each data write: it is handed back exactly once, in a write or as refused. */
  #fates = new Map<number, Fate>()
  #leadTokens: number[] = []

  at(nowMs: number, event: Event): Action[] {
    const before = this.state
    this.nowMs = nowMs
    if (event.type === 'data-write') this.#fates.set(event.data, 'pending')
    const { state, actions } = election.step(before, event, { monoMs: nowMs, wallUs: Math.floor(nowMs * 1000) + 1e15 })
    this.state = state
    this.#check(before, event, actions)
    return actions
  }

  /** The lock as somebody else leaves it. */
  lock(holder: string | undefined, fields: Partial<Lock> = {}): Lock {
    const version = ++this.#version
    const times = { acquireTime: formatTime(0), renewTime: formatTime(version) }
    const raw = holder === undefined ? '' : formatRecord({ holder, leaseMs: 10_000, ...times, transitions: 1 })
    const record = parseRecord(raw)
    return this.#newest({
      version: String(version),
      exists: true,
      raw,
      record,
      token: 7,
      successor: '',
      roster: [],
      ...fields,
    })
  }
  absent(): Lock {
    const version = String(++this.#version)
    return this.#newest({ version, exists: false, raw: '', record: undefined, token: 0, successor: '', roster: [] })
  }
  /** What the API server answers to a write: a compare-and-set, whoever wrote in between. */
  answerTo(write: Write): Event {
    const lock = this.#made(write)
    const { id } = write
    return lock === undefined ? { type: 'write-failed', id, why: 'conflict' } : { type: 'write-done', id, lock }
  }
  /** What a read finds. */
  read(): Event {
    return { type: 'lock-seen', lock: this.#real ?? this.absent(), read: true }
  }
  /** A sight of the lock after a write, which may not have been made. */
  sightAfter(write: Write): Event {
    return { type: 'lock-seen', lock: this.#made(write) ?? this.#real ?? this.absent() }
  }
  #made({ version, raw, token, successor }: Write): Lock | undefined {
    const now = this.#real
    if (now !== undefined && version !== (now.exists ? now.version : '')) return undefined
    const record = parseRecord(raw)
    return this.#newest({ version: String(++this.#version), exists: true, raw, record, token, successor, roster: [] })
  }
  #newest(lock: Lock): Lock {
    if (lock.version === String(this.#version)) this.#real = lock
    return lock
  }
  /** The write under way is answered. */
  answered(nowMs: number): void {
    const { write } = this.state
    if (write === undefined) throw new Error('no write is under way')
    this.at(nowMs, this.answerTo(write))
  }
  newData(): Event {
    return { type: 'data-write', data: this.#nextData++ }
  }
  get leads(): boolean {
    return this.nowMs < election.validUntilMs(this.state)
  }

  #must(holds: boolean, what: string): void {
    if (!holds) this.broken.push(what)
  }

  #check(before: State, event: Event, actions: Action[]): void {
    this.#checkTerm(before, actions)
    this.#checkWrites(before, event, actions)
    this.#checkData(actions)
    this.#checkWake()
  }

  #checkTerm(before: State, actions: Action[]): void {
    const { state, nowMs } = this
    const held = state.heldSinceMs
    if (state.role === 'leader') {
      this.#must(nowMs < election.validUntilMs(state), 'it leads past the deadline')
      this.#must(state.standing && state.withdrawn === undefined, 'it leads without standing')
      this.#must(state.lock?.record?.holder === ME, 'it leads by a lock that does not name it')
    } else this.#must(election.validUntilMs(state) === 0, 'a follower may act as leader')
    const sendings = this.sent.filter(w => w.kind === 'acquire' || w.kind === 'renew').map(w => w.sentAtMs)
    this.#must(held === undefined || sendings.includes(held), 'its term counts from no sending of a write of its own')
    this.#must(!(state.standing && state.withdrawn !== undefined), 'it stands and is withdrawn')
    this.#must(state.token >= before.token, `its token fell from ${before.token} to ${state.token}`)
    let leading = before.role === 'leader'
    for (const action of actions) {
      if (action.type === 'lead') {
        this.#must(!leading, 'it is told twice that it leads')
        this.#must(action.token === state.token, 'it is told another token than its own')
        this.#must(action.resumed || !this.#leadTokens.includes(action.token), 'a new term has an old token')
        this.#leadTokens.push(action.token)
        leading = true
      }
      if (action.type === 'yield') {
        this.#must(leading, 'a term ends that had not begun')
        leading = false
      }
    }
    this.#must(leading === (state.role === 'leader'), 'its role is not what was said of it')
  }

  #checkWrites(before: State, event: Event, actions: Action[]): void {
    const { state } = this
    const writes = actions.flatMap(action => (action.type === 'write-lock' ? [action.write] : []))
    this.#must(writes.length <= 1, 'two writes in one step')
    const answered = 'id' in event && event.id === before.write?.id
    const gaveUp =
      actions.some(action => action.type === 'yield') || (event.type === 'withdraw' && before.withdrawn === undefined)
    if (before.write !== undefined && !answered && !gaveUp)
      this.#must(writes.length === 0 && state.write === before.write, 'a write was sent, or dropped, before its answer')
    for (const write of writes) this.#checkWrite(state, write)
    this.sent.push(...writes)
  }

  #checkWrite(state: State, write: Write): void {
    const { lock } = state
    if (lock === undefined) return this.#must(false, 'it wrote before it had seen the lock')
    this.#must(state.write === write, 'it does not wait for what it sent')
    this.#must(write.version === (lock.exists ? lock.version : ''), 'a write that is no compare-and-set')
    this.#must(!state.reading, 'it wrote while it read')
    const mine = lock.record?.holder === ME
    if (write.kind === 'create') this.#must(!lock.exists, 'it made a lock that is there')
    if (write.kind === 'release') this.#must(mine && state.withdrawn !== undefined, 'it released what is not its own')
    if (write.kind === 'renew') this.#must(mine && state.role === 'leader', 'it renewed what is not its own')
    if (write.kind === 'renew') this.#must(write.token === state.token, 'it renewed under another token')
    if (write.kind !== 'acquire') return
    this.#must(state.standing, 'it took a lock without standing')
    const waitMs = lock.record === undefined ? TIMINGS.leaseMs : lock.record.leaseMs
    const vacant = lock.record?.holder === '' || mine
    this.#must(vacant || this.nowMs >= state.lockSinceMs + waitMs, 'it took a lock before the lease was over')
    this.#must(write.resumes || write.token > lock.token, 'a new term begins with no new token')
  }

  #checkData(actions: Action[]): void {
    const leave = (data: number, fate: Fate): void => {
      this.#must(this.#fates.get(data) === 'pending', `data write ${data} was handed back twice`)
      this.#fates.set(data, fate)
    }
    for (const action of actions) {
      if (action.type === 'data-refused') leave(action.data, 'refused')
      if (action.type === 'write-lock' && action.write.data !== undefined) leave(action.write.data, 'sent')
    }
    const pending = [...this.#fates].filter(([, fate]) => fate === 'pending').map(([data]) => data)
    this.#must(pending.join() === this.state.data.join(), `pending ${pending}, kept ${this.state.data}`)
    this.#must(pending.length === 0 || this.state.role === 'leader', 'a follower keeps data writes')
  }

  /** Whatever can be due is woken for, and a wake does something or sets the next one. */
  #checkWake(): void {
    const { state } = this
    const wakeMs = election.wakeAtMs(state)
    const { lock } = state
    const mayWrite = lock !== undefined && state.write === undefined && !state.reading
    const wants = state.withdrawn !== undefined ? lock?.record?.holder === ME : state.standing || lock?.exists === false
    const due = state.role === 'leader' || (mayWrite && wants)
    this.#must(!due || Number.isFinite(wakeMs), 'something is due and nothing wakes it')
    this.#must(state.role !== 'leader' || wakeMs <= election.validUntilMs(state), 'it sleeps through its deadline')
    if (!Number.isFinite(wakeMs)) return
    const now = { monoMs: Math.max(wakeMs, this.nowMs), wallUs: 1e15 }
    const woken = election.step(state, { type: 'tick' }, now)
    const moved = woken.actions.length > 0 || election.wakeAtMs(woken.state) > now.monoMs
    this.#must(moved, 'it wakes for nothing, again and again')
  }
}
