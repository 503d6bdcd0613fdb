import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { type Decision, decide, type Facts, type Injection } from '../../webhook/decide.ts'
import { applied, type InjectContext, InjectError, injectedPod, injectOperations } from '../../webhook/inject.ts'
import type { Container, Pod } from '../../webhook/pod.ts'
import { uninjectedPod } from '../../webhook/uninject.ts'
import { anyPod } from '../world/any-pod.ts'

const FIXTURES = 'test/fixtures'
const facts: Facts = { namespaceAsks: true, nativeSidecars: true, imageOfOurs: 'flink-ha/flink-ha:0.1.0' }
const owner = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  name: 'jm',
  uid: '22222222-0000-4000-8000-000000000009',
} as const
const context: InjectContext = { image: 'flink-ha/flink-ha:0.1.0', version: '0.1.0' }
/** `FLINK_HA_FIXTURES=write` writes what comes out now; read the difference before it is committed. */
const writing = process.env['FLINK_HA_FIXTURES'] === 'write'

const injection = (pod: Pod): Injection => {
  const decision: Decision = decide(pod, facts)
  if (decision.inject === false || decision.inject === 'refuse')
    throw new Error(`${decision.reason}: ${decision.message}`)
  return decision
}
const inject = (pod: Pod, given = context): Pod => injectedPod(pod, injection(pod), given)
const fixture = (name: string): Pod => parse(readFileSync(`${FIXTURES}/${name}`, 'utf8'))
const names = readdirSync(FIXTURES).filter(name => /^pod-.*(?<!\.injected)\.yaml$/.test(name))
const jobManager = (): Pod => fixture('pod-session-jobmanager.yaml')

t.test('golden pairs: what a pod becomes', async t => {
  t.ok(names.length >= 9, `${names.length} pairs`)
  for (const name of names) {
    const pod = fixture(name)
    const hasReplicaSet = pod.metadata.ownerReferences?.some(({ kind }) => kind === 'ReplicaSet') === true
    const given = pod.metadata.labels?.['component'] === 'jobmanager' && hasReplicaSet ? { ...context, owner } : context
    const result = inject(pod, given)
    const file = `${FIXTURES}/${name.replace('.yaml', '.injected.yaml')}`
    if (writing) writeFileSync(file, stringify(result, { aliasDuplicateObjects: false, lineWidth: 0 }))
    t.same(result, parse(readFileSync(file, 'utf8')), name)
    t.equal(JSON.stringify(pod), JSON.stringify(fixture(name)), `${name}: the given pod stays`)
  }
})

t.test('a deposed JVM is ended by a liveness probe, if that is asked for and there is none', async t => {
  const asking = (probe?: object | null): Pod => {
    const pod = jobManager()
    const [flink] = pod.spec.containers
    delete flink!['livenessProbe']
    if (probe !== undefined) flink!['livenessProbe'] = probe
    pod.metadata.annotations = { ...pod.metadata.annotations, 'flink-ha.io/end-deposed': 'true' }
    return pod
  }
  const pod = asking()
  const result = inject(pod)
  const probe = result.spec.containers[0]?.['livenessProbe']
  t.match(probe, { httpGet: { path: '/jvm', port: 4041 }, terminationGracePeriodSeconds: 1 })
  t.equal(JSON.stringify(uninjectedPod(result)), JSON.stringify(pod), 'and it is taken out again')
  t.match(inject(asking(null)).spec.containers[0]?.['livenessProbe'], probe as object, 'null is none')
  const own = asking({ tcpSocket: { port: 6123 } })
  t.same(inject(own).spec.containers[0]?.['livenessProbe'], { tcpSocket: { port: 6123 } }, 'one of its own stays')
  t.match(injection(own).warnings, [/end-deposed: container "jobmanager" has a livenessProbe of its own/])
})

t.test('injecting twice changes nothing', async t => {
  for (const name of names) {
    const once = inject(fixture(name), { ...context, owner })
    t.match(decide(once, facts), { inject: false, reason: 'already-injected' }, name)
    t.same(injectOperations(once, injection(fixture(name)), { ...context, owner }), [], name)
  }
})

t.test('what was injected can be taken out again', async t => {
  for (const name of names.filter(n => !/restricted|many|native-jobmanager/.test(n))) {
    const pod = fixture(name)
    t.equal(JSON.stringify(uninjectedPod(inject(pod))), JSON.stringify(pod), name)
  }
  const untouched = jobManager()
  t.equal(uninjectedPod(untouched), untouched, 'a pod that was not injected comes back as it is')
})

t.test('pushed back by another webhook, the sidecar goes to the front again, as it is by then', async t => {
  const pod = inject(jobManager(), { ...context, owner })
  const sidecar: Container = { ...pod.spec.initContainers![0]!, addedByOthers: true }
  const pushed: Pod = {
    ...pod,
    spec: {
      ...pod.spec,
      initContainers: [{ name: 'mesh-init' }, sidecar, { name: 'last' }],
      containers: [{ name: 'mesh' }, ...pod.spec.containers],
    },
  }
  const operations = injectOperations(pushed, injection(pushed), { ...context, version: '9.9.9', owner })
  t.same(
    operations.map(({ op, path }) => `${op} ${path}`),
    ['remove /spec/initContainers/1', 'add /spec/initContainers/0'],
    'and nothing else is done',
  )
  const again = applied(pushed, operations, injection(pushed), context)
  t.same(again.spec.initContainers, [sidecar, { name: 'mesh-init' }, { name: 'last' }])
  t.same(again.spec.containers, pushed.spec.containers)
})

t.test('another webhook’s container gets nothing of ours, whenever and wherever it was added', async t => {
  const has = ({ env }: Container): boolean => (env ?? []).some(({ name }) => name === 'KUBERNETES_MASTER')
  const foreign = fc.constantFrom<Container>({ name: 'mesh' }, { name: 'jobmanager-logs', args: ['jobmanager'] })
  let pushed = 0
  fc.assert(
    fc.property(anyPod, foreign, fc.boolean(), (pod, other, isFirst) => {
      const decision = decide(pod, facts)
      if (decision.inject === false || decision.inject === 'refuse') return
      const once = inject(pod)
      const containers = isFirst ? [other, ...once.spec.containers] : [...once.spec.containers, other]
      const initContainers = [{ name: 'mesh-init' }, ...(once.spec.initContainers ?? [])]
      const changed: Pod = { ...once, spec: { ...once.spec, containers, initContainers } }
      const again = decide(changed, facts)
      const result =
        again.inject === false || again.inject === 'refuse' ? changed : injectedPod(changed, again, context)
      if (JSON.stringify(result.spec.containers) !== JSON.stringify(containers)) throw new Error('containers changed')
      if (!once.spec.containers.some(has)) throw new Error('nobody has the variable')
      pushed++
    }),
    { numRuns: 500 },
  )
  t.ok(pushed > 100, `${pushed} of 500 were injected`)
  const early = jobManager()
  early.spec.containers = [{ name: 'mesh' }, { ...early.spec.containers[0]!, name: 'main' }]
  t.same(inject(early).spec.containers.map(has), [false, true], 'nor when it was there before us')
})

t.test('one that another webhook doubled is one again', async t => {
  const pod = inject(jobManager())
  const sidecar = pod.spec.initContainers![0]!
  const doubled: Pod = { ...pod, spec: { ...pod.spec, initContainers: [sidecar, { name: 'x' }, sidecar] } }
  t.same(inject(doubled).spec.initContainers, [sidecar, { name: 'x' }])
})

t.test('what a pod had of us without the sidecar does not stand in the way', async t => {
  const stripped = jobManager()
  stripped.metadata.annotations = { 'flink-ha.io/injected': '0.0.1' }
  const result = inject(stripped)
  t.equal(result.metadata.annotations?.['flink-ha.io/injected'], '0.1.0')
  t.equal(result.spec.initContainers?.[0]?.name, 'flink-ha')
})

t.test('the variable is in every container of Flink’s and in no other', async t => {
  const { containers } = inject(fixture('pod-many-containers.yaml')).spec
  const has = (container: Container | undefined) =>
    container?.env?.some(({ name }) => name === 'KUBERNETES_MASTER') === true
  t.same(
    containers.map(container => [container.name, has(container)]),
    [
      ['proxy', false],
      ['jobmanager', true],
      ['jobmanager-debug', true],
    ],
  )
})

t.test('no container but the sidecar gets a token from us', async t => {
  for (const name of names)
    for (const container of inject(fixture(name)).spec.containers)
      t.notMatch(JSON.stringify(container.volumeMounts ?? []), 'flink-ha-token', `${name} ${container.name}`)
})

t.test('the owner reference is added once, neither as controller nor blocking', async t => {
  const result = inject(jobManager(), { ...context, owner })
  t.same(result.metadata.ownerReferences?.at(-1), owner)
  t.equal(result.metadata.ownerReferences?.filter(({ controller }) => controller === true).length, 1)
  t.equal(injectedPod(result, injection(jobManager()), { ...context, owner }).metadata.ownerReferences?.length, 2)
})

t.test('mode service points at the Service of its cluster', async t => {
  const { containers, initContainers } = inject(fixture('pod-service-taskmanager.yaml')).spec
  t.equal(initContainers, undefined)
  t.same(containers[0]?.env, [{ name: 'KUBERNETES_MASTER', value: 'http://orders-ha.flink.svc:4041' }])
  const offline = fixture('pod-service-taskmanager.yaml')
  delete offline.metadata.namespace
  t.equal(inject(offline).spec.containers[0]?.env?.[0]?.value, 'http://orders-ha:4041')
})

t.test('a patch that would give a bad pod is an InjectError, not an answer', async t => {
  const pod = jobManager()
  const decision = injection(pod)
  const bad = (spec: object, message: RegExp) =>
    t.throws(() => injectedPod({ ...pod, spec: { ...pod.spec, ...spec } } as Pod, decision, context), {
      name: 'InjectError',
      message,
    })
  bad({ volumes: [{ name: 'a' }, { name: 'a' }] }, /two volumes would have the name a/)
  bad({ containers: [{ name: 'flink-ha' }] }, /two containers would have the name flink-ha/)
  t.throws(() => applied(pod, [{ op: 'add', path: '/no/such/parent', value: 1 }], decision, context), InjectError)
  t.throws(() => applied(pod, [{ op: 'remove', path: '/spec/containers/7' }], decision, context), InjectError)
  t.throws(() => applied(pod, injectOperations(pod, decision, context).slice(0, 1), decision, context), InjectError)
  const meddling = [
    ...injectOperations(pod, decision, context),
    { op: 'add' as const, path: '/spec/nodeName', value: 'x' },
  ]
  t.throws(() => applied(pod, meddling, decision, context), { message: /pod’s own would change/ })
})

t.test('random pods: the patch applies, twice is once, the rest stays, and it can be taken back', async t => {
  let injected = 0
  fc.assert(
    fc.property(anyPod, pod => {
      const decision = decide(pod, facts)
      if (decision.inject === false || decision.inject === 'refuse') return
      injected++
      const before = JSON.stringify(pod)
      const once = injectedPod(pod, decision, { ...context, owner })
      const again = decide(once, facts)
      if (again.inject !== false || again.reason !== 'already-injected')
        throw new Error(`again: ${JSON.stringify(again)}`)
      if (JSON.stringify(injectedPod(once, decision, { ...context, owner })) !== JSON.stringify(once))
        throw new Error('twice')
      if (JSON.stringify(pod) !== before) throw new Error('the given pod was changed')
      const back = uninjectedPod(injectedPod(pod, decision, context))
      if (JSON.stringify(withoutEmpty(back)) !== JSON.stringify(withoutEmpty(pod))) throw new Error('not taken back')
    }),
    { numRuns: 500 },
  )
  t.ok(injected > 100, `${injected} of 500 were injected`)
})

/** Injection cannot tell an empty list from none when it is taken back. */
const withoutEmpty = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutEmpty)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, member]) => [name, withoutEmpty(member)] as const)
      .filter(([, member]) => member !== null && !(typeof member === 'object' && Object.keys(member).length === 0)),
  )
}
