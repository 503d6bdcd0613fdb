// A Kubernetes API of one function, in place of the client: what it answers, or how it fails, is up to the test.
import { KubeClient, type KubeResponse, type RequestInput, Unreachable } from '../../shared/kube-client.ts'

export type Answer = { status: number; body?: unknown } | 'unreachable' | Promise<{ status: number; body?: unknown }>

export class ScriptedClient extends KubeClient {
  readonly asked: string[] = []
  answer: (method: string, path: string, body: unknown) => Answer

  constructor(answer: (method: string, path: string, body: unknown) => Answer) {
    super({ url: 'http://127.0.0.1:1', userAgent: 'test', monoMs: () => 0 })
    this.answer = answer
  }

  override async request(method: string, path: string, input: RequestInput): Promise<KubeResponse> {
    this.asked.push(`${method} ${path}`)
    const answer = await this.answer(method, path, input.body)
    if (answer === 'unreachable') throw new Unreachable(`${method} ${path}: refused`)
    return { headers: {}, body: undefined, ...answer }
  }
}

/** Lets everything that is ready run. */
export const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
