// The first watch of Flink 1.17, whose main thread may be the one that reads it.
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import t, { type Test } from 'tap'
import { PATH } from '../world/hand-made-jvm.ts'
import { LOCK } from '../world/sidecar.ts'
import { stage } from '../world/stage.ts'

const LABELS = 'labelSelector=app%3Dc%2Cconfigmap-type%3Dhigh-availability%2Ctype%3Dflink-native-kubernetes'
const BY_NAME = `fieldSelector=metadata.name%3D${LOCK}`

/** One connection, as long as whoever answers keeps it. */
const connection = (t: Test): Agent => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  return agent
}

/** Begins a watch. */
const watch = (agent: Agent, url: string, query: string, headers: { [name: string]: string } = {}) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const path = `${url}${PATH}?watch=true&${query}`
    httpRequest(path, { agent, headers: { 'user-agent': 'flink', ...headers } }, resolve)
      .on('error', reject)
      .end()
  })

/** What a watch says to its end. */
const whole = async (watched: IncomingMessage): Promise<string> => {
  let text = ''
  for await (const chunk of watched) text += chunk
  return text
}

/** What it says first; it is not over then. */
const first = async (watched: IncomingMessage): Promise<string> =>
  await new Promise(resolve => watched.once('data', chunk => resolve(String(chunk))))

t.test('on each connection the first ends when it has told what there is, the next goes on', async t => {
  const { jvm } = await stage(t)
  for (let i = 0; i < 2; i++) {
    const agent = connection(t)
    t.match(await whole(await watch(agent, jvm.url, LABELS)), /^\{"type":"ADDED".*\}\n$/)
    const again = await watch(agent, jvm.url, LABELS)
    t.match(await first(again), /^\{"type":"ADDED"/)
    t.notOk(again.complete, 'this one is not ended')
    again.destroy()
  }
})

t.test('a watch that would rather be a web socket is none of those', async t => {
  const { jvm } = await stage(t)
  const agent = connection(t)
  const asked = await watch(agent, jvm.url, LABELS, { connection: 'Upgrade', upgrade: 'websocket' })
  await first(asked)
  t.notOk(asked.complete)
  asked.destroy()
})

t.test('other versions and other clients go on from the first', async t => {
  const { jvm } = await stage(t)
  for (const [query, headers] of [
    [BY_NAME, {}],
    [LABELS, { 'user-agent': 'kubectl' }],
  ] as const) {
    const watched = await watch(connection(t), jvm.url, query, headers)
    await first(watched)
    t.notOk(watched.complete)
    watched.destroy()
  }
})
