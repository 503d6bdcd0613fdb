// The faults that an embedded API server can be told to have, but for those of its sockets.
import type { KubeRequest } from './kube-api.ts'
import { type Details, KubeError } from './kube-errors.ts'

export type Failure = {
  /** Which requests; all of them when missing. */
  match?: (request: KubeRequest) => boolean
  /** Answered instead of doing what was asked; 500 when missing. */
  status?: number
  retryAfterSeconds?: number
  /** How many requests it meets. */
  times: number
  /** What was asked is done, but nobody is told: the connection is cut. */
  afterCommit?: boolean
}

const WORDS: { [status: number]: string } = {
  403: 'forbidden: told to fail',
  429: 'Too many requests, please try again later.',
  503: 'the server is currently unable to handle the request',
  504: 'the server was unable to return a response in the time allotted',
}

export class Failures {
  #waiting: { failure: Failure; left: number }[] = []

  add(failure: Failure): void {
    if (failure.times > 0) this.#waiting.push({ failure, left: failure.times })
  }

  clear(): void {
    this.#waiting = []
  }

  /** The failure that this request meets, which is used up by it. */
  take(request: KubeRequest): Failure | undefined {
    const met = this.#waiting.find(({ failure }) => failure.match?.(request) ?? true)
    if (met === undefined) return undefined
    met.left -= 1
    if (met.left === 0) this.#waiting = this.#waiting.filter(other => other !== met)
    return met.failure
  }
}

export const errorOf = ({ status = 500, retryAfterSeconds }: Failure): KubeError => {
  const details: Details = { ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) }
  return new KubeError(status, WORDS[status] ?? 'told to fail', { details })
}
