import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { inject, readWishes } from '../../cli/inject.ts'
import { uninject } from '../../cli/uninject.ts'
import { parsePart, splitDocuments } from '../../cli/yaml-documents.ts'
import { ConfigError } from '../../shared/errors.ts'
import { CapturedIo } from '../world/captured-io.ts'
import { problemsOf } from '../world/problems.ts'

const VERSION = '0.1.0'
const FIXTURES = 'test/fixtures/cli'
const read = (file: string): string => readFileSync(file, 'utf8')

const injected = async (input: string, ...flags: string[]) => {
  const io = new CapturedIo(input)
  const code = await inject(['-', ...flags], VERSION, io)
  return { code, out: io.outText, err: io.errText }
}
const uninjected = async (input: string, ...flags: string[]) => {
  const io = new CapturedIo(input)
  const code = await uninject(['-', ...flags], io)
  return { code, out: io.outText, err: io.errText }
}
const values = (text: string): unknown[] => splitDocuments(text).map(part => parsePart(part).value)

const pod = (extra: object = {}, labels: object = { component: 'jobmanager' }): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'jm', labels, ...extra },
    spec: { containers: [{ name: 'jobmanager', image: 'flink' }] },
  })

t.test('a session cluster’s manifests come out as the golden file, and back', async t => {
  const before = read(`${FIXTURES}/session.yaml`)
  const golden = read(`${FIXTURES}/session.injected.yaml`)
  const { code, out, err } = await injected(before)
  t.equal(code, 0)
  t.equal(out, golden)
  t.match(err, 'standard input: document 2: Deployment jobmanager: injected, as jobmanager')
  t.match(err, 'standard input: document 4: Deployment taskmanager: injected, as taskmanager')
  t.match(err, 'standard input: document 5: Deployment opted-out: left alone: opted-out (')
  t.match(err, /\n2 changed, 1 left alone\n$/)
  const again = await injected(out)
  t.equal(again.out, golden, 'injected twice is injected once, to the last byte')
  t.match(again.err, 'already-injected')
  const back = await uninjected(out)
  t.same(values(back.out), values(before.replace('      annotations:\n', '')), 'and taken out again')
  t.match(back.out, '# odd spacing stays')
  t.match(back.out, '# Flink itself')
})

t.test('documents that are not changed keep every byte', async t => {
  const odd = [
    '# only a comment\n',
    'kind:   Unknown\nspec:  {a:   1}   # x\n\n\n',
    '---\r\na: "b"\r\n',
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: patch}\nspec: {replicas: 3}\n',
    // OpenShift's: its pods are injected by the webhook.
    `apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nspec: {template: {metadata: {labels: {component: jobmanager}}}}\n`,
    '{"kind": "Service",  "spec": {}}',
    'just text\n',
    '',
  ]
  for (const text of odd) t.equal((await injected(text)).out, text)
  const around = `${odd[1]}---\n${pod()}\n---\r\na:    1\r\n`
  const { out } = await injected(around)
  t.ok(out.startsWith(odd[1] ?? ''))
  t.ok(out.endsWith('---\r\na:    1\r\n'))
})

t.test('every kind that makes pods is injected, in a List too', async t => {
  const template = `{metadata: {labels: {component: jobmanager}}, spec: {containers: [{name: jobmanager, image: flink}]}}`
  const kinds: [string, string, string][] = [
    ['apps/v1', 'Deployment', `{template: ${template}}`],
    ['apps/v1', 'StatefulSet', `{template: ${template}}`],
    ['apps/v1', 'ReplicaSet', `{template: ${template}}`],
    ['apps/v1', 'DaemonSet', `{template: ${template}}`],
    ['batch/v1', 'Job', `{template: ${template}}`],
    ['batch/v1', 'CronJob', `{jobTemplate: {spec: {template: ${template}}}}`],
  ]
  const documents = kinds.map(
    ([apiVersion, kind, spec]) => `{apiVersion: ${apiVersion}, kind: ${kind}, metadata: {name: x}, spec: ${spec}}`,
  )
  const { err, out } = await injected(documents.join('\n---\n'))
  for (const [, kind] of kinds) t.match(err, `${kind} x: injected, as jobmanager`)
  t.equal(
    out.match(/\bname: flink-ha(?=[ ,\n])/g)?.length,
    2 * kinds.length,
    'a container and a port of that name each',
  )
  const list = `{apiVersion: v1, kind: List, items: [${documents.join(', ')}]}\n`
  t.match((await injected(list)).err, /\n6 changed, 0 left alone/)
  t.same(values((await uninjected((await injected(list)).out)).out), values(list))
})

t.test('JSON stays JSON', async t => {
  const { out } = await injected(`${pod()}\n`)
  const value = JSON.parse(out) as { spec: { initContainers: { name: string }[] } }
  t.equal(value.spec.initContainers[0]?.name, 'flink-ha')
  t.equal((await uninjected(out)).out, `${pod()}\n`)
})

t.test('an alias is resolved where the pod is changed', async t => {
  const text = `kind: List
apiVersion: v1
items:
- &jm
  apiVersion: v1
  kind: Pod
  metadata: {name: a, labels: {component: jobmanager}}
  spec: &spec
    containers: [{name: jobmanager, image: flink}]
- apiVersion: v1
  kind: Pod
  metadata: {name: b, labels: {component: other}}
  spec:
    <<: *spec
`
  const [list] = values((await injected(text)).out) as [{ items: { spec: { initContainers?: object[] } }[] }]
  t.equal(list.items[0]?.spec.initContainers?.length, 1)
  t.equal(list.items[1]?.spec.initContainers, undefined)
})

t.test('what the pod says wins over the command, and a bad value is a problem with its place', async t => {
  const asks = { annotations: { 'flink-ha.io/inject': 'true' } }
  t.match((await injected(pod(), '--no-as-if-labelled')).err, 'left alone: namespace-not-labelled')
  t.match((await injected(pod(asks), '--no-as-if-labelled')).err, 'injected, as jobmanager')
  t.match((await injected(pod({ annotations: { 'flink-ha.io/inject': 'false' } }))).err, 'left alone: opted-out')
  t.match((await injected(pod({ namespace: 'kube-system' }))).err, 'left alone: own-namespace')
  t.match((await injected(pod(), '-n', 'flink-ha')).err, 'left alone: own-namespace')
  const bad = await injected(`a: 1\n---\n${pod({ annotations: { 'flink-ha.io/profile': 'quick' } })}`)
  t.equal(bad.code, 1)
  t.equal(bad.out, '', 'nothing is written')
  t.match(bad.err, /document 2: Pod jm: annotation flink-ha.io\/profile is "quick": .*"fast"/)
  t.match(bad.err, 'nothing is written')
})

t.test('every problem is named at once', async t => {
  const text = [
    'a: [\n',
    pod({ annotations: { 'flink-ha.io/inject': true } }),
    '{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {template: {metadata: {labels: {component: jobmanager}}, spec: {containers: 7}}}}',
  ].join('\n---\n')
  const { code, err } = await injected(text)
  t.equal(code, 1)
  t.equal(err.match(/document 1: line \d+, column \d+: /g)?.length, 1)
  t.match(err, /document 2: Pod jm: metadata\.annotations.*flink-ha\.io\/inject.*true/)
  t.match(err, /document 3: Deployment x: spec\.template\.spec\.containers.*7/)
})

t.test('what is wrong with a pod that is not Flink’s does not stop the others', async t => {
  const others = '{kind: Pod, apiVersion: v1, metadata: {name: x}, spec: {containers: [{image: 7}]}}\n'
  const { code, out, err } = await injected(`${others}---\n${pod()}`)
  t.equal(code, 0)
  t.match(err, 'document 1: Pod x: left alone: not-flink')
  t.ok(out.startsWith(others))
  const back = await uninjected(out)
  t.match(back.err, 'document 1: Pod x: left alone: not-injected')
  t.equal(back.out, `${others}---\n${pod()}`)
})

t.test('an injected pod that is broken since is not taken apart', async t => {
  const annotations = { 'flink-ha.io/injected': VERSION }
  const broken = JSON.stringify({ ...JSON.parse(pod({ annotations })), spec: { containers: [7] } })
  const { code, err } = await uninjected(broken)
  t.equal(code, 1)
  t.match(err, /Pod jm: spec\.containers\[0\]/)
})

t.test('the namespace of the manifest reaches the address of its Service, and stays out of the template', async t => {
  const labels = { component: 'taskmanager' }
  const annotations = { 'flink-ha.io/taskmanager': 'service', 'flink-ha.io/cluster-id': 'c1' }
  const text = JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'tm', namespace: 'n1' },
    spec: { template: { metadata: { labels, annotations }, spec: { containers: [{ name: 'taskmanager' }] } } },
  })
  const { out } = await injected(text)
  t.match(out, 'http://c1-ha.n1.svc:4041')
  const { spec } = JSON.parse(out) as { spec: { template: { metadata: object } } }
  t.notOk('namespace' in spec.template.metadata)
  t.equal((await injected(out)).out, out)
  t.same(JSON.parse((await uninjected(out)).out), JSON.parse(text))
})

t.test(
  'a label of the cluster that the user wrote stays: one that is selected by, or that alone tells the id',
  async t => {
    const workload = (args: string[], selector: object): string => {
      const labels = { component: 'jobmanager', 'flink-ha.io/cluster': 'c1' }
      const containers = [{ name: 'jobmanager', image: 'flink', args }]
      return `${JSON.stringify({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'jm' },
        spec: { selector, template: { metadata: { labels }, spec: { containers } } },
      })}\n`
    }
    const told = ['-Dkubernetes.cluster-id=c1']
    const component = { matchLabels: { component: 'jobmanager' } }
    const selected = [
      { matchLabels: { component: 'jobmanager', 'flink-ha.io/cluster': 'c1' } },
      { ...component, matchExpressions: [{ key: 'flink-ha.io/cluster', operator: 'In', values: ['c1'] }] },
    ]
    for (const text of [workload([], component), ...selected.map(selector => workload(told, selector))]) {
      const { out } = await injected(text)
      t.match(out, '"flink-ha.io/injected"')
      t.equal((await uninjected(out)).out, text)
    }
    const { out } = await injected(workload(told, component))
    t.notMatch((await uninjected(out)).out, 'flink-ha.io/', 'what injection would have added goes')
  },
)

t.test('the image is this version’s unless another is given', async t => {
  t.match((await injected(pod())).out, `"flink-ha/flink-ha:${VERSION}"`)
  t.match((await injected(pod(), '--image', 'mirror.example/ha@sha256:1')).out, '"mirror.example/ha@sha256:1"')
  t.match(
    problemsOf(() =>
      readWishes({ image: 'a b', namespace: 'N', 'as-if-labelled': true, 'no-as-if-labelled': true }, ''),
    ),
    [/^image is "a b"/, /^namespace is "N"/, /both given/],
  )
})

const folder = (t: Test): string =>
  t.testdir({
    'b.yaml': `${pod()}\n`,
    'a.yml': 'a: 1',
    'notes.txt': 'x: [',
    '.hidden.yaml': 'x: [',
    sub: { 'c.json': pod() },
  })

t.test('a folder’s manifests are read in order, those below too, others not', async t => {
  const io = new CapturedIo()
  t.equal(await inject([folder(t)], VERSION, io), 0)
  t.match(io.outText, /^a: 1\n---\n\{.*"initContainers".*\}\n---\n\{.*"initContainers".*\}$/)
  t.match(io.errText, /2 changed/)
})

t.test('files are changed in place, only those that change, and links stay links', async t => {
  const dir = folder(t)
  const link = join(dir, 'link.yaml')
  mkdirSync(join(dir, '.store'))
  writeFileSync(join(dir, '.store/real'), `${pod()}\n`, { mode: 0o640 })
  symlinkSync('.store/real', link)
  const before = statSync(join(dir, 'a.yml')).mtimeMs
  const io = new CapturedIo()
  t.equal(await inject(['--in-place', '--quiet', dir], VERSION, io), 0)
  t.equal(io.outText + io.errText, '')
  t.match(read(join(dir, 'sub/c.json')), 'initContainers')
  t.match(read(join(dir, '.store/real')), 'initContainers')
  t.equal(statSync(join(dir, '.store/real')).mode & 0o777, 0o640)
  t.equal(statSync(join(dir, 'a.yml')).mtimeMs, before)
  t.equal(await uninject(['--in-place', '--quiet', dir], io), 0)
  t.equal(read(join(dir, 'b.yaml')), `${pod()}\n`)
})

t.test('nothing is changed in place when one file is broken', async t => {
  const dir = t.testdir({ 'a.yaml': `${pod()}\n`, 'b.yaml': 'x: [' })
  const io = new CapturedIo()
  t.equal(await inject(['--in-place', dir], VERSION, io), 1)
  t.equal(read(join(dir, 'a.yaml')), `${pod()}\n`)
  t.match(io.errText, 'b.yaml: document 1: line 1')
})

t.test('the output goes to a file when one is named', async t => {
  const dir = t.testdir({})
  const io = new CapturedIo(pod())
  t.equal(await inject(['-', '-o', join(dir, 'out.yaml')], VERSION, io), 0)
  t.equal(io.outText, '')
  t.match(read(join(dir, 'out.yaml')), 'initContainers')
  t.equal(await inject(['-', '-o', join(dir, 'no/such/out.yaml')], VERSION, io), 1)
})

t.test('what cannot be read is named, all of it', async t => {
  const dir = t.testdir({ 'latin.yaml': Buffer.from([0x61, 0x3a, 0x20, 0xe9]), empty: {} })
  const io = new CapturedIo()
  t.equal(await inject([join(dir, 'none.yaml'), join(dir, 'latin.yaml'), join(dir, 'empty')], VERSION, io), 1)
  t.match(io.errText, 'none.yaml: there is no such file or folder')
  t.match(io.errText, 'latin.yaml: is not UTF-8 text')
  t.match(io.errText, 'empty: no file there ends in .yaml, .yml or .json')
})

t.test('a wrong command line is refused with every problem', async t => {
  const problemsOf = async (...args: string[]): Promise<readonly string[]> => {
    try {
      await inject(args, VERSION, new CapturedIo())
    } catch (error) {
      if (error instanceof ConfigError) return error.problems
      throw error
    }
    return []
  }
  t.match(await problemsOf(), [/a FILE, a FOLDER or - .* is needed/])
  t.match(await problemsOf('-', '-', '--in-place', '-o', 'x'), [
    /given twice/,
    /cannot be written back/,
    /output is "x"/,
  ])
  t.match(await problemsOf('--imgae', 'x', '-'), [/--imgae/])
})

t.test('injecting any pod twice is injecting it once, and taking it out gives it back', async t => {
  const name = fc.constantFrom('jobmanager', 'flink-main-container', 'other', 'log-shipper')
  const env = fc.array(fc.record({ name: fc.constantFrom('A', 'B', 'FLINK_PROPERTIES'), value: fc.string() }), {
    minLength: 1,
    maxLength: 2,
  })
  const container = fc.record({ name, image: fc.string(), env }, { requiredKeys: ['name'] })
  const metadata = fc.record({
    labels: fc.record({ component: fc.constantFrom('jobmanager', 'taskmanager', 'x'), app: fc.string() }),
    annotations: fc.record({ note: fc.string() }),
  })
  const spec = fc.record(
    {
      containers: fc.uniqueArray(container, { selector: one => one.name, minLength: 1, maxLength: 3 }),
      initContainers: fc.tuple(fc.record({ name: fc.constant('setup'), image: fc.string() })),
      volumes: fc.tuple(fc.record({ name: fc.constant('data') })),
    },
    { requiredKeys: ['containers'] },
  )
  const { stringify } = await import('yaml')
  await fc.assert(
    fc.asyncProperty(metadata, spec, fc.boolean(), async (metadata, spec, asJson) => {
      const object = { apiVersion: 'v1', kind: 'Pod', metadata, spec }
      const text = asJson ? JSON.stringify(object) : stringify(object, { version: '1.1' })
      const once = await injected(text)
      t.equal(once.code, 0, once.err)
      t.equal((await injected(once.out)).out, once.out)
      t.same(values((await uninjected(once.out)).out), values(text))
    }),
    { numRuns: 100 },
  )
})
