import t from 'tap'
import { contentOf, newSecret, secretWith } from '../../webhook/tls-secret.ts'

const content = { caPem: 'ca\n', caKeyPem: 'ca key', certPem: 'ü', keyPem: '' }

t.test('what is written is read again', async t => {
  t.same(contentOf(newSecret('tls', content)), content)
})

t.test('what is missing is empty', async t => {
  t.same(contentOf({ metadata: { name: 'tls' } }), { caPem: '', caKeyPem: '', certPem: '', keyPem: '' })
})

t.test('a written Secret keeps its version, type, labels and other keys', async t => {
  const before = {
    type: 'kubernetes.io/tls',
    metadata: { name: 'tls', resourceVersion: '7', labels: { a: 'b' } },
    data: { mine: 'eA==', 'tls.crt': 'b2xk' },
  }
  const after = secretWith(before, content)
  t.match(after, { type: 'kubernetes.io/tls', metadata: before.metadata, data: { mine: 'eA==' } })
  t.same(contentOf(after), content)
})
