// Runs in a pod: a mutating webhook as others have them. At each call it puts a container of its own first in both lists,
// if it is not there yet.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const container = (name, more) => ({ name, image: 'other', command: ['sleep', '86400'], ...more })
const patchOf = pod => {
  const { containers, initContainers = [] } = pod.spec
  const patch = []
  const add = (path, value) => patch.push({ op: 'add', path, value })
  if (!initContainers.some(({ name }) => name === 'other-init')) {
    if (pod.spec.initContainers === undefined) add('/spec/initContainers', [])
    add('/spec/initContainers/0', container('other-init', { restartPolicy: 'Always' }))
  }
  if (!containers.some(({ name }) => name === 'other')) add('/spec/containers/0', container('other'))
  return patch
}

const [cert, key] = ['tls.crt', 'tls.key'].map(name => readFileSync(`/tls/${name}`))
createServer({ cert, key }, (request, response) => {
  let text = ''
  request.on('data', chunk => {
    text += chunk
  })
  request.on('end', () => {
    const { request: asked } = JSON.parse(text)
    const patch = Buffer.from(JSON.stringify(patchOf(asked.object))).toString('base64')
    const answer = { uid: asked.uid, allowed: true, patchType: 'JSONPatch', patch }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }))
  })
}).listen(8443)
