// What comes over the network from a JobManager's sidecar, or from whoever has its address by now.
import fc from 'fast-check'
import t from 'tap'
import { eventReader, parseBeat, parseLeader, type StreamEvent } from '../../sidecar/relay-told.ts'

const document = {
  clusterId: 'c',
  name: 'jm-0',
  isLeader: true,
  token: 7,
  validForMs: 5_000,
  transitions: 2,
  lastUpdate: '2026-01-01T00:00:00.000000Z',
  components: { dispatcher: { sessionId: 's', address: 'a' }, jobs: { '0a': { sessionId: 's', address: 'b' } } },
}
const read = (chunks: string[]): StreamEvent[] => {
  const events: StreamEvent[] = []
  const reader = eventReader(event => events.push(event))
  for (const chunk of chunks) reader(chunk)
  return events
}

t.test('events are read wherever the chunks are cut', async t => {
  const text = ': hello\n\nid: 3\ndata: {"a":1}\n\nevent: beat\ndata: 2\n\ndata: x\r\ndata: y\r\n\r\n'
  const wanted = [
    { name: 'message', data: '{"a":1}' },
    { name: 'beat', data: '2' },
    { name: 'message', data: 'x\ny' },
  ]
  t.same(read([text]), wanted)
  t.same(read([...text]), wanted)
  t.same(read(['data: half']), [], 'an event without its end is none')
})

t.test('a line without an end is not kept for ever', async t => {
  const reader = eventReader(() => {})
  const chunk = 'x'.repeat(1024 * 1024)
  t.throws(() => {
    for (let i = 0; i < 6; i++) reader(chunk)
  }, /too long/)
})

t.test('the leader’s document is read, and is never about the reader itself', async t => {
  t.same(parseLeader(JSON.stringify(document)), { ...document, isLeader: false })
  t.equal(parseLeader(JSON.stringify({ ...document, name: null }))?.name, null)
  t.equal(parseLeader(JSON.stringify({ ...document, name: '' }))?.name, null, 'a name of nobody')
  t.equal(parseLeader(JSON.stringify({ ...document, validForMs: 1e12 }))?.validForMs, 600_000)
  t.same(parseLeader(JSON.stringify({ ...document, components: [] }))?.components, { jobs: {} })
  const odd = { restserver: { address: 'a' }, resourcemanager: null, jobs: { x: 1, __proto__: null } }
  t.same(parseLeader(JSON.stringify({ ...document, components: odd }))?.components, { jobs: {} })
})

t.test('what is no document of a leader is none', async t => {
  for (const wrong of [
    {},
    { ...document, clusterId: 7 },
    { ...document, name: 7 },
    { ...document, token: -1 },
    { ...document, token: 1.5 },
    { ...document, token: '7' },
    { ...document, validForMs: -1 },
    { ...document, validForMs: null },
    [],
    'text',
    null,
  ])
    t.equal(parseLeader(JSON.stringify(wrong)), undefined, JSON.stringify(wrong))
  t.equal(parseLeader('{'), undefined)
  t.equal(parseBeat('{"validForMs":12}'), 12)
  for (const wrong of ['', '{}', '12', '{"validForMs":"12"}', '{"validForMs":-1}', 'null'])
    t.equal(parseBeat(wrong), undefined, wrong)
})

t.test('whatever comes, it is read or refused, and nothing else', async () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.json())), chunks => {
      for (const { data } of read(chunks.flatMap(chunk => [`data: ${chunk}`, '\n\n']))) {
        parseLeader(data)
        parseBeat(data)
      }
    }),
  )
})
