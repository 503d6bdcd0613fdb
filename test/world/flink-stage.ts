// A fake API and clients on it for one test. Waiting is for events and conditions, with no limit of its own: the test
// runner's is enough, and no test depends on how fast the machine is.
import { FlinkClient, type FlinkClientOptions, type FlinkEvent } from './flink-client.ts'
import { FakeConfigMapApi } from './flink-fake-api.ts'
import type { FlinkProcess } from './flink-process.ts'
import { FlinkTaskManagerClient } from './flink-taskmanager.ts'

export const LOCK = 'demo-cluster-config-map'
export const ANNOTATION = 'control-plane.alpha.kubernetes.io/leader'
export const JOB = '0123456789abcdef0123456789abcdef'

/** As much of tap's test as is needed here. */
export type Cleaner = { after: (run: () => void) => unknown }
type EventOf<T extends FlinkEvent['type']> = Extract<FlinkEvent, { type: T }>

/** Events of one client, and promises for those still to come. */
export class Events {
  readonly all: FlinkEvent[] = []
  readonly #waiting = new Set<() => void>()

  readonly take = (event: FlinkEvent): void => {
    this.all.push(event)
    for (const look of [...this.#waiting]) look()
  }

  of<T extends FlinkEvent['type']>(type: T): EventOf<T>[] {
    return this.all.filter((event): event is EventOf<T> => event.type === type)
  }

  /** The event of this type with this number, counted from 1; past ones count. */
  nth<T extends FlinkEvent['type']>(type: T, number = 1): Promise<EventOf<T>> {
    return this.when(type, (_event, index) => index === number - 1)
  }

  when<T extends FlinkEvent['type']>(
    type: T,
    fits: (event: EventOf<T>, index: number) => boolean,
  ): Promise<EventOf<T>> {
    return new Promise(resolve => {
      const look = (): void => {
        const found = this.of(type).find(fits)
        if (found === undefined) return
        this.#waiting.delete(look)
        resolve(found)
      }
      this.#waiting.add(look)
      look()
    })
  }
}

export type Stage = {
  api: FakeConfigMapApi
  jobManager: (options?: Partial<FlinkClientOptions>) => { client: FlinkClient; events: Events }
  taskManager: (options?: Partial<FlinkClientOptions>) => { client: FlinkTaskManagerClient; events: Events }
}

/** Periods in which no second run of the elector comes: for tests about the order of requests. */
export const SLOW = { retryPeriodMs: 3_600_000 }

/** Small periods; the lease is long, so that only clocks that are moved on purpose make it expire. */
const QUICK = {
  retryPeriodMs: 15,
  leaseMs: 600_000,
  renewDeadlineMs: 600_000,
  backoffMs: 1,
  rewatchMs: 2,
  relistMs: 2,
  fallbackMs: 2,
  grantMs: 600_000,
  reacquireMs: 1,
}

export const stage = async (t: Cleaner): Promise<Stage> => {
  const api = new FakeConfigMapApi()
  await api.listen()
  const clients: FlinkProcess[] = []
  t.after(() => {
    for (const client of clients) client.kill()
    api.close()
  })
  const shared = { master: api.url, clusterId: 'demo', namespace: 'flink', dialect: '2.3' as const, ...QUICK }
  return {
    api,
    jobManager: options => {
      const events = new Events()
      const client = new FlinkClient({ ...shared, rpcAddress: '10.0.0.1:6123', onEvent: events.take, ...options })
      clients.push(client)
      return { client, events }
    },
    taskManager: options => {
      const events = new Events()
      const client = new FlinkTaskManagerClient({ ...shared, onEvent: events.take, ...options })
      clients.push(client)
      return { client, events }
    },
  }
}

/** Looks again after every turn of the event loop's timers until the condition holds. */
export const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise(resolve => setTimeout(resolve, 2))
}

/** A lock held by somebody else, whose record was renewed at this time. */
export const foreignRecord = (holder: string, renewTime = '2099-01-01T00:00:00.000000Z'): string =>
  `{"holderIdentity":"${holder}","leaseDuration":"PT15S","acquireTime":"${renewTime}","renewTime":"${renewTime}","leaderTransitions":4}`
