// A bare client for tests and conformance: every status is an answer, a watch is an iterator.
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'

// biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape.
export type Body = any
export type Answer = { status: number; headers: IncomingHttpHeaders; body: Body }
export type Event = { type: string; object: Body }
/** `next` is undefined at the end of the stream. */
export type EventStream = AsyncIterable<Event> & { next: () => Promise<Event | undefined>; close: () => void }
export type Headers = { [name: string]: string }

export class KubeProbe {
  #base: URL
  #options: RequestOptions

  /** `options`: client certificate, CA and headers of a real cluster. */
  constructor(url: string, options: RequestOptions = {}) {
    this.#base = new URL(url)
    this.#options = options
  }

  /** A body that is text is sent as it is. */
  async request(method: string, path: string, body?: unknown, headers: Headers = {}): Promise<Answer> {
    const response = await this.#open(method, path, body, headers)
    return { status: response.statusCode ?? 0, headers: response.headers, body: await readAll(response) }
  }

  /** A refusal comes as one ERROR event. */
  async watch(path: string, headers: Headers = {}): Promise<EventStream> {
    const response = await this.#open('GET', path, undefined, headers)
    const events = response.statusCode === 200 ? linesOf(response) : refusalOf(response)
    const next = async (): Promise<Event | undefined> => {
      const { done, value } = await events.next()
      return done === true ? undefined : value
    }
    return { [Symbol.asyncIterator]: () => events, next, close: () => void response.destroy() }
  }

  #open(method: string, path: string, body: unknown, headers: Headers): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
    const options: RequestOptions = {
      ...this.#options,
      method,
      agent: false,
      headers: {
        ...this.#options.headers,
        ...(payload !== undefined && {
          'content-type': 'application/json',
          'content-length': String(Buffer.byteLength(payload)),
        }),
        ...headers,
      },
    }
    const url = new URL(path, this.#base)
    return new Promise((resolve, reject) => {
      const request = url.protocol === 'https:' ? httpsRequest(url, options) : httpRequest(url, options)
      request.on('error', reject)
      request.on('response', resolve)
      request.end(payload)
    })
  }
}

const readAll = async (response: IncomingMessage): Promise<Body> => {
  let text = ''
  response.setEncoding('utf8')
  for await (const chunk of response) text += chunk
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<Event> {
  let rest = ''
  response.setEncoding('utf8')
  for await (const chunk of response) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') yield JSON.parse(line) as Event
  }
}

async function* refusalOf(response: IncomingMessage): AsyncGenerator<Event> {
  yield { type: 'ERROR', object: await readAll(response) }
}
