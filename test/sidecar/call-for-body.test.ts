// A client whose kernel sends the body of a request only when the head was acknowledged: it waits for no timer of ours.
import { createConnection, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { PATH } from '../world/hand-made-jvm.ts'
import { LOCK } from '../world/sidecar.ts'
import { type Stage, stage } from '../world/stage.ts'

const BODY = JSON.stringify({ metadata: { name: LOCK } })
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

const head = (userAgent: string, more = ''): string =>
  `PUT ${PATH}/${LOCK} HTTP/1.1\r\nhost: x\r\nuser-agent: ${userAgent}\r\n${more}` +
  `content-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n`

class Client {
  received = ''
  #socket: Socket
  #waiting = (): void => {}

  constructor(t: Test, { jvm }: Stage) {
    const { hostname, port } = new URL(jvm.url)
    this.#socket = createConnection({ host: hostname, port: Number(port), noDelay: true })
    this.#socket.setEncoding('utf8')
    this.#socket.on('data', (text: string) => {
      this.received += text
      this.#waiting()
    })
    t.teardown(() => this.#socket.destroy())
  }

  send(text: string): void {
    this.#socket.write(text)
  }

  /** The status of the final answer. */
  async answered(): Promise<number> {
    return Number((await this.#matching(/HTTP\/1\.1 ([2-5]\d\d)/))[1])
  }

  async called(): Promise<void> {
    await this.#matching(/^HTTP\/1\.1 100/)
  }

  #matching(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise(resolve => {
      this.#waiting = () => {
        const found = pattern.exec(this.received)
        if (found !== null) resolve(found)
      }
      this.#waiting()
    })
  }
}

t.test('Flink is called for a body that is late, once', async t => {
  const client = new Client(t, await stage(t))
  client.send(head('flink'))
  await client.called()
  client.send(BODY.slice(0, 5))
  client.send(BODY.slice(5))
  t.equal(await client.answered(), 409, 'it does not lead')
  t.equal(client.received.split(CONTINUE).length, 2, 'okhttp takes one interim answer and no more')
})

t.test('who sends head and body at once is called for nothing', async t => {
  const client = new Client(t, await stage(t))
  client.send(head('flink') + BODY)
  t.equal(await client.answered(), 409)
  t.notMatch(client.received, CONTINUE)
})

t.test('who asks to be called is called once', async t => {
  const client = new Client(t, await stage(t))
  client.send(head('flink', 'expect: 100-continue\r\n'))
  await client.called()
  client.send(BODY)
  t.equal(await client.answered(), 409)
  t.equal(client.received.split(CONTINUE).length, 2)
})

t.test('other clients, which may not know what to do with it, are not called', async t => {
  const stood = await stage(t)
  const [curl, flink] = [new Client(t, stood), new Client(t, stood)]
  curl.send(head('curl'))
  // Both heads have arrived when this one is called.
  flink.send(head('flink'))
  await flink.called()
  curl.send(BODY)
  t.equal(await curl.answered(), 409)
  t.notMatch(curl.received, CONTINUE)
})
