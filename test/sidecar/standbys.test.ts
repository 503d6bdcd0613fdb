// What the lock says of the candidates that joined, read with care.
import t from 'tap'
import { ANNOTATION_CANDIDATES } from '../../shared/names.ts'
import { joinedWith, parseAddress, parseJoined, parseKey } from '../../sidecar/standbys.ts'

const KEY = 'k'.repeat(43)

t.test('an address is host and port, and a key when its sidecar signs', async t => {
  t.same(parseAddress('10.0.0.1:4041'), { host: '10.0.0.1', port: 4041 })
  t.same(parseAddress(`fd00::1:4041#${KEY}`), { host: 'fd00::1', port: 4041 })
  t.equal(parseKey(`10.0.0.1:4041#${KEY}`), KEY)
  t.equal(parseKey('10.0.0.1:4041'), undefined)
})

t.test('what is no address is nobody', async t => {
  for (const told of ['10.0.0.1:0', '10.0.0.1:65536', 'example.com:80', '10.0.0.1', '10.0.0.1:1#short', 7, undefined]) {
    t.equal(parseAddress(told), undefined, String(told))
    const annotations = { [ANNOTATION_CANDIDATES]: JSON.stringify({ a: told, b: '10.0.0.2:4041' }) }
    t.same(parseJoined({ metadata: { name: 'lock', annotations } }), { b: '10.0.0.2:4041' })
  }
})

t.test('a process with a new key joins anew', async t => {
  const joined = { a: `10.0.0.1:4041#${KEY}` }
  t.equal(joinedWith(joined, 'a', `10.0.0.1:4041#${KEY}`), undefined)
  t.match(joinedWith(joined, 'a', `10.0.0.1:4041#${'l'.repeat(43)}`), 'lll')
})
