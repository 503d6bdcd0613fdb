// The other candidates, on demand: the pods of this cluster (one list), and what each one's own endpoint says.
import { get } from 'node:http'
import type { KubeClient } from '../shared/kube-client.ts'
import { LABEL_CLUSTER, PORT_POD } from '../shared/names.ts'

export type Member = {
  name: string
  role: 'leader' | 'standby' | 'unknown'
  /** Its sidecar answers, and its Flink is there to lead. */
  healthy: boolean
  address: string | null
}
export type Peer = Member & { identity: string }

type Pod = {
  metadata: { name: string; uid: string; deletionTimestamp?: string; labels?: { [name: string]: string } }
  status?: { podIP?: string; phase?: string }
}

const TIMEOUT_MS = 1_000
/** A list answers all who ask within this time. */
const CACHE_MS = 2_000

export class Peers {
  #client: KubeClient
  #monoMs: () => number
  #cached: { atMs: number; peers: Promise<Peer[]> } | undefined

  constructor(client: KubeClient, monoMs: () => number) {
    this.#client = client
    this.#monoMs = monoMs
  }

  /** @throws Error when the pods cannot be listed */
  async list(namespace: string, clusterId: string): Promise<Peer[]> {
    const now = this.#monoMs()
    if (this.#cached === undefined || now - this.#cached.atMs > CACHE_MS) {
      this.#cached = { atMs: now, peers: this.#ask(namespace, clusterId) }
      this.#cached.peers.catch(() => {
        this.#cached = undefined
      })
    }
    return await this.#cached.peers
  }

  async #ask(namespace: string, clusterId: string): Promise<Peer[]> {
    const selector = encodeURIComponent(`${LABEL_CLUSTER}=${clusterId},component=jobmanager`)
    const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=${selector}`
    const { status, body } = await this.#client.request('GET', path, { timeoutMs: 5_000 })
    if (status !== 200) throw new Error(`the pods of the cluster cannot be listed: ${status}`)
    const pods = (body as { items: Pod[] }).items.filter(
      pod => !['Succeeded', 'Failed'].includes(pod.status?.phase ?? ''),
    )
    const peers = await Promise.all(pods.map(pod => this.#member(pod)))
    return peers.sort((a, b) => a.name.localeCompare(b.name))
  }

  async #member(pod: Pod): Promise<Peer> {
    const address = pod.status?.podIP ?? null
    const identity = `${pod.metadata.name}_${pod.metadata.uid}`
    const told = address === null ? undefined : await askRole(address, PORT_POD, identity)
    return {
      name: pod.metadata.name,
      identity,
      role: told?.role ?? 'unknown',
      healthy: (told?.healthy ?? false) && pod.metadata.deletionTimestamp === undefined,
      address,
    }
  }
}

/** `GET /readyz` of another sidecar says who it is, its role and whether it stands; undefined when it is not him. */
export const askRole = (
  host: string,
  port: number,
  identity: string,
): Promise<{ role: Member['role']; healthy: boolean } | undefined> =>
  new Promise(resolve => {
    const request = get({ host, port, path: '/readyz', timeout: TIMEOUT_MS, agent: false }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        if (text.length < 10_000) text += chunk
      })
      response.on('end', () => {
        try {
          const told = JSON.parse(text) as { identity: string; role: Member['role']; standing: boolean }
          if (told.identity !== identity) resolve(undefined)
          else resolve({ role: told.role, healthy: response.statusCode === 200 && told.standing })
        } catch {
          resolve(undefined)
        }
      })
      response.on('error', () => resolve(undefined))
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(undefined))
  })
