// Keeps the labels of our own pod: `flink-ha.io/role`, so that a Service can select the leader, and with it
// `flink-ha.io/cluster`, which at admission may not be known yet. Best effort and never in the way: the label follows
// leadership, it does not make it.
import type { Clock } from '../shared/clock.ts'
import { ACCEPT_METADATA, type ApiClient } from '../shared/kube-client.ts'
import { messageOf } from '../shared/list-watch.ts'
import type { Log } from '../shared/log.ts'
import { LABEL_CLUSTER, LABEL_ROLE } from '../shared/names.ts'
import type { Candidate } from './candidate.ts'

export type PodRoleOptions = { candidate: Candidate; client: ApiClient; clock: Clock; log: Log; podName: string }

const MAX_BACKOFF_MS = 30_000

export class PodRole {
  #options: PodRoleOptions
  #written: string | undefined
  #busy = false
  #failures = 0

  constructor(options: PodRoleOptions) {
    this.#options = options
    options.candidate.onChange(() => void this.#follow())
  }

  async #follow(): Promise<void> {
    const { candidate, client, clock, log, podName } = this.#options
    const { target } = candidate
    const role = candidate.leading() ? 'leader' : 'standby'
    if (target === undefined || this.#busy || role === this.#written) return
    this.#busy = true
    const path = `/api/v1/namespaces/${target.namespace}/pods/${podName}`
    const problem = await client
      .request('PATCH', path, {
        body: { metadata: { labels: { [LABEL_ROLE]: role, [LABEL_CLUSTER]: target.clusterId } } },
        contentType: 'application/merge-patch+json',
        accept: ACCEPT_METADATA,
        timeoutMs: 5_000,
      })
      .then(({ status, body }) => (status < 300 ? undefined : `${status} ${messageOf(body)}`))
      .catch((error: Error) => error.message)
    if (problem === undefined) {
      this.#written = role
      this.#failures = 0
    } else {
      const delayMs = Math.min(MAX_BACKOFF_MS, 500 * 2 ** this.#failures)
      this.#failures++
      log.warn({ problem, role }, 'the pod’s role label cannot be set')
      await new Promise<void>(resolve => clock.after(delayMs, resolve))
    }
    this.#busy = false
    await this.#follow()
  }
}
