// The candidates, on demand: who joined the lock, and what each one's own endpoint says. No request to the API server.
import { get } from 'node:http'
import { holderOf } from '../shared/election.ts'
import type { Candidate } from './candidate.ts'
import { podOf } from './leader.ts'
import { parseAddress } from './standbys.ts'

export type Member = {
  name: string
  role: 'leader' | 'standby' | 'unknown'
  /** Its sidecar answers, and its Flink is there to lead. */
  healthy: boolean
  address: string | null
}
export type Peer = Member & { identity: string }

export type AskRole = (
  host: string,
  port: number,
  identity: string,
) => Promise<{ role: Member['role']; healthy: boolean } | undefined>

const TIMEOUT_MS = 1_000

export class Peers {
  #candidate: Candidate
  #askRole: AskRole

  constructor(candidate: Candidate, ask: AskRole = askRole) {
    this.#candidate = candidate
    this.#askRole = ask
  }

  /** Ourselves, the leader, and who else answers; those that joined once and are gone are left out. */
  async list(): Promise<Peer[]> {
    const candidate = this.#candidate
    const joined = Object.entries(candidate.joined).filter(([id]) => id !== candidate.identity)
    const asked = await Promise.all(joined.map(([identity, text]) => this.#ask(identity, text)))
    const leader = holderOf(candidate.lock)
    const others = asked.filter(peer => peer.role !== 'unknown' || peer.identity === leader)
    const unseen = leader !== '' && leader !== candidate.identity && !others.some(peer => peer.identity === leader)
    const peers = [this.#self(), ...others, ...(unseen ? [knownFromTheLock(leader)] : [])]
    return peers.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #self(): Peer {
    const { identity, standing } = this.#candidate
    const leads = this.#candidate.leading()
    return { name: podOf(identity), identity, role: leads ? 'leader' : 'standby', healthy: standing, address: null }
  }

  async #ask(identity: string, text: string): Promise<Peer> {
    const address = parseAddress(text)
    const told = address && (await this.#askRole(address.host, address.port, identity))
    return {
      name: podOf(identity),
      identity,
      role: told?.role ?? 'unknown',
      healthy: told?.healthy ?? false,
      address: address?.host ?? null,
    }
  }
}

const knownFromTheLock = (identity: string): Peer => ({
  name: podOf(identity),
  identity,
  role: 'leader',
  healthy: false,
  address: null,
})

/** `GET /readyz` of another sidecar says who it is, its role and whether it stands; undefined when it is not him. */
export const askRole: AskRole = (host, port, identity) =>
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
