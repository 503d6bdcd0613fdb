// A cluster's HA data on the embedded API, as Flink and a sidecar leave it, for the commands that look at it and change it. Time
// goes on only while a command waits, and then whatever a test wants to happen does.
import type { Cluster } from '../../cli/cluster.ts'
import type { HaWorld } from '../../cli/ha-args.ts'
import { type ConfigMap, haLabels } from '../../shared/lock.ts'
import { ANNOTATION_LEADER, ANNOTATION_TOKEN } from '../../shared/names.ts'
import { formatRecord, formatTime } from '../../shared/record.ts'
import { CapturedIo } from './captured-io.ts'
import { CheckedCluster } from './checked-cluster.ts'
import { checkpointKey, jobConfigMapName, leaderKey, lockName, statePointer } from './flink-records.ts'
import { resourceOf } from './kube-resources.ts'

export const NAMESPACE = 'flink'
export const ID = 'c'
export const [JOB_A, JOB_B] = ['a'.repeat(32), 'b'.repeat(32)] as [string, string]
export const POINTER = statePointer('s3://ha/x', false)
const CONFIG_MAPS = resourceOf('configmaps')
const START_MS = Date.parse('2026-06-01T00:00:00Z')

export class HaCluster implements HaWorld {
  readonly cluster = new CheckedCluster(START_MS)
  nowMs = 0
  /** Called before each wait is over. */
  onPause: () => void = () => {}
  /** Called before each request. */
  onRequest: (method: string, path: string) => void = () => {}

  constructor() {
    for (const name of [NAMESPACE, 'other']) this.cluster.create('namespaces', '', { metadata: { name } })
  }

  connecting = async (): Promise<Cluster> => ({
    server: '',
    request: async (method, path, body) => {
      this.onRequest(method, path)
      return await this.cluster.request(method, path, body)
    },
  })
  pause = async (ms: number): Promise<void> => {
    this.nowMs += ms
    this.onPause()
  }
  monoMs = (): number => this.nowMs
  wallMs = (): number => START_MS + this.nowMs

  /** What a crash leaves: a lock that is held, with a plan and addresses, and a job with a checkpoint. */
  addHaData({ id = ID, namespace = NAMESPACE, holder = 'jm-1_gone', token = 7, leaseMs = 15_000 } = {}): void {
    const time = formatTime(START_MS * 1_000)
    const record = formatRecord({ holder, leaseMs, acquireTime: time, renewTime: time, transitions: 4 })
    this.cluster.create('configmaps', namespace, {
      metadata: {
        name: lockName(id),
        labels: haLabels(id),
        annotations: { [ANNOTATION_LEADER]: record, [ANNOTATION_TOKEN]: String(token), 'flink-ha.io/jvm': 'x' },
      },
      data: { [`executionPlan-${JOB_A}`]: POINTER, [leaderKey('restserver')]: 's,http://10.0.0.1:8081' },
    })
    this.addJob(JOB_A, { counter: '8', [checkpointKey(7)]: POINTER }, { id, namespace, token })
  }
  addJob(job: string, data: object, { id = ID, namespace = NAMESPACE, token = 7 } = {}): void {
    const metadata = {
      name: jobConfigMapName(id, job),
      labels: haLabels(id),
      annotations: { [ANNOTATION_TOKEN]: String(token) },
    }
    this.cluster.create('configmaps', namespace, { metadata, data })
  }
  addPod(name: string, labels: object, more: { phase?: string; spec?: object; namespace?: string } = {}): string {
    const { phase = 'Running', spec = {}, namespace = NAMESPACE } = more
    const containers = [{ name: 'main', image: 'flink' }]
    this.cluster.create('pods', namespace, {
      metadata: { name, labels },
      spec: { containers, ...spec },
      status: { phase },
    })
    const pods = resourceOf('pods')
    this.cluster.api.store.patch(pods, namespace, name, 'merge', { status: { phase } }, { subresource: 'status' })
    return this.cluster.api.store.get(pods, namespace, name).metadata.uid ?? ''
  }
  touch(name: string, patch: object = { metadata: { annotations: { touched: `${++this.#touched}` } } }): void {
    this.cluster.patch('configmaps', NAMESPACE, name, patch)
  }
  #touched = 0

  get(name: string, namespace = NAMESPACE): ConfigMap | undefined {
    return this.cluster.api.store.find(CONFIG_MAPS, namespace, name) as ConfigMap | undefined
  }
  names(namespace = NAMESPACE): string[] {
    const all = this.cluster.api.store.list(CONFIG_MAPS, namespace, { labelSelector: '', fieldSelector: '' })
    return all.map(({ metadata }) => metadata.name).sort()
  }
  /** Requests that change something. */
  writes(): string[] {
    return this.cluster.requests.filter(request => !request.startsWith('GET') && !request.includes('dryRun'))
  }
  async run(
    command: (world: HaWorld, io: CapturedIo) => Promise<number>,
    input = '',
  ): Promise<{ code: number; out: string; err: string }> {
    const io = new CapturedIo(input)
    const code = await command(this, io)
    return { code, out: io.outText, err: io.errText }
  }
}
