// Pods as they come in the wild, injected: what is theirs stays, and what is added passes where they pass.
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { serviceName } from '../../webhook/cluster-objects.ts'
import { decide, type Facts } from '../../webhook/decide.ts'
import { injectedPod } from '../../webhook/inject.ts'
import type { Container, Pod } from '../../webhook/pod.ts'
import type { PodSpec } from '../world/manifest-files.ts'
import { violations } from '../world/pod-security.ts'

const FIXTURES = 'test/fixtures'
const facts: Facts = { namespaceAsks: true, nativeSidecars: true, imageOfOurs: 'flink-ha/flink-ha:0.1.0' }
const names = readdirSync(FIXTURES).filter(name => /^pod-.*(?<!\.injected)\.yaml$/.test(name))
const fixture = (name: string): Pod => parse(readFileSync(`${FIXTURES}/${name}`, 'utf8'))

const inject = (pod: Pod): Pod => {
  const decision = decide(pod, facts)
  if (decision.inject === false || decision.inject === 'refuse') throw new Error(decision.message)
  return injectedPod(pod, decision, { image: facts.imageOfOurs, version: '0.1.0' })
}
const podOf = (component: string, container: Partial<Container> = {}, spec: object = {}): Pod => ({
  metadata: { generateName: 'x-', namespace: 'flink', labels: { component } },
  spec: { containers: [{ name: component, image: 'flink', ...container }], ...spec },
})
/** Without the one variable that is added to it. */
const flinkOf = ({ spec }: Pod): object => {
  const { env, ...rest } = spec.containers.at(-1)!
  const own = (env ?? []).filter(({ name }) => name !== 'KUBERNETES_MASTER')
  return own.length === 0 ? rest : { ...rest, env: own }
}
const sidecarOf = ({ spec }: Pod): Container => spec.initContainers![0]!

t.test('Pod Security "restricted" finds nothing against what is injected', async t => {
  for (const name of names) {
    const pod = fixture(name)
    const before = violations(pod.spec as PodSpec)
    t.same(violations(inject(pod).spec as PodSpec), before, name)
  }
  t.same(violations(inject(fixture('pod-restricted-jobmanager.yaml')).spec as PodSpec), [], 'nothing at all there')
})

t.test('probes of every kind stay as they are', async t => {
  const probes = [
    { httpGet: { path: '/overview', port: 8081, scheme: 'HTTPS' } },
    { httpGet: { path: '/overview', port: 'webui' } },
    { tcpSocket: { port: 6123 } },
    { tcpSocket: { port: 'rpc' } },
    { grpc: { port: 6123, service: 'flink' } },
    { exec: { command: ['true'] } },
  ]
  for (const probe of probes) {
    const more = { startupProbe: probe, livenessProbe: probe, readinessProbe: probe }
    for (const component of ['jobmanager', 'taskmanager']) {
      const pod = podOf(component, { ...more, ports: [{ name: 'rpc', containerPort: 6123 }] })
      t.same(flinkOf(inject(pod)), flinkOf(pod), `${component} ${JSON.stringify(probe)}`)
    }
  }
})

t.test('pull secrets stay, and the sidecar’s image is pulled with them', async t => {
  const secrets = { imagePullSecrets: [{ name: 'registry' }, { name: 'mirror' }] }
  t.same(inject(podOf('jobmanager', {}, secrets)).spec['imagePullSecrets'], secrets.imagePullSecrets)
})

t.test('a pod of a DeploymentConfig’s ReplicationController is injected like any other', async t => {
  const controller = { apiVersion: 'v1', kind: 'ReplicationController', name: 'jm-1', uid: 'rc-1', controller: true }
  const pod = podOf('jobmanager')
  pod.metadata.ownerReferences = [controller]
  const { metadata, spec } = inject(pod)
  t.equal(spec.initContainers?.[0]?.name, 'flink-ha')
  t.same(metadata.ownerReferences, [controller])
})

t.test('a ResourceQuota finds what it counts, but for a CPU limit, which is to be asked for', async t => {
  for (const component of ['jobmanager', 'taskmanager']) {
    const { requests, limits } = sidecarOf(inject(podOf(component)))['resources'] as { [kind: string]: object }
    t.same(Object.keys(requests ?? {}).sort(), ['cpu', 'memory'])
    t.same(Object.keys(limits ?? {}), ['memory'])
    const asking = podOf(component)
    asking.metadata.annotations = { 'flink-ha.io/sidecar-cpu-limit': '500m' }
    t.match(sidecarOf(inject(asking))['resources'], { limits: { cpu: '500m' } })
  }
})

t.test('what a LimitRange fills in, before us or after, is no reason to inject again', async t => {
  const DEFAULTS = { requests: { cpu: '100m', memory: '256Mi' }, limits: { cpu: '2', memory: '2Gi' } }
  type Resources = { requests?: object; limits?: object }
  const filled = (container: Container): Container => {
    const { requests, limits } = (container['resources'] ?? {}) as Resources
    const resources = {
      requests: { ...DEFAULTS.requests, ...requests },
      limits: { ...DEFAULTS.limits, ...limits },
    }
    return { ...container, resources }
  }
  const limited = (pod: Pod): Pod => ({
    ...pod,
    spec: {
      ...pod.spec,
      containers: pod.spec.containers.map(filled),
      ...(pod.spec.initContainers && { initContainers: pod.spec.initContainers.map(filled) }),
    },
  })
  const after = limited(inject(limited(podOf('jobmanager'))))
  t.match(decide(after, facts), { reason: 'already-injected' })
  t.match(sidecarOf(after)['resources'], { requests: { memory: '64Mi' }, limits: { memory: '128Mi', cpu: '2' } })
})

t.test('names that fill their 63 characters are no matter', async t => {
  const long = 'a'.repeat(63)
  const pod = podOf('jobmanager', { args: ['jobmanager', `-Dkubernetes.cluster-id=${'c'.repeat(45)}`] })
  pod.metadata.generateName = `${'a'.repeat(57)}-`
  pod.metadata.namespace = long
  pod.metadata.labels = { ...pod.metadata.labels, app: long }
  const { metadata } = inject(pod)
  t.equal(metadata.labels?.['flink-ha.io/cluster'], 'c'.repeat(45))
  t.ok(serviceName('c'.repeat(45)).length <= 63, 'the longest cluster id leaves room for its Service’s suffix')
  const tooLong = podOf('jobmanager', { args: [`-Dkubernetes.cluster-id=${'c'.repeat(46)}`] })
  t.equal(inject(tooLong).metadata.labels?.['flink-ha.io/cluster'], undefined, 'one that Flink refuses is none')
})
