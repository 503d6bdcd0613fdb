// Label a namespace: the installation as a stranger makes it, and the manifests that Flink's documentation prints.
import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import {
  ANNOTATION_INJECTED,
  CONTAINER_SIDECAR,
  ENV_KUBERNETES_MASTER,
  LABEL_MANAGED_BY,
  LOCK_SUFFIX,
  PORT_POD,
} from '../../shared/names.ts'
import { PROFILES } from '../../shared/timings.ts'
import { makeTestPair } from '../world/key-pair.ts'
import { kubectl, Namespace, nowMs, type Pod, sleep, until } from './cluster.ts'
import { CONFIGURATION, type Documented, JOB_MANAGER, REST_SERVICE, TASK_MANAGER } from './documented.ts'
import { CLUSTER_ID } from './flink.ts'
import {
  activeReplica,
  back,
  install,
  label,
  labelled,
  replicas,
  rotate,
  servedSerial,
  takeAway,
  uninstall,
  unlabel,
} from './installation.ts'
import { IMAGE } from './manifests.ts'
import { checkNothingLost, checkRound, checkTokensGrow } from './promises.ts'
import { playRound } from './rounds.ts'
import { noCluster, type Scene, stage } from './scene.ts'

const BOUND_MS = PROFILES.default.leaseMs / 2
/** So many pods at once. Far fewer may not leave the time for what is to happen meanwhile. */
const BURST = Number(process.env['FLINK_HA_LIVE_BURST'] ?? 1000)
const RELAY_KIB = 56 * 1024

t.test('a labelled namespace', { skip: noCluster }, async t => {
  await install()
  t.teardown(uninstall)
  await t.test('the session cluster of Flink’s documentation', t => checkSession(t, '2.3.0'))
  await t.test('the same for Flink 1.20', t => checkSession(t, '1.20.5'))
  await t.test('the application cluster of Flink’s documentation', t => checkApplication(t, '2.3.0'))
  await t.test('the same for Flink 1.20', t => checkApplication(t, '1.20.5'))
  await t.test('a namespace that is restricted, with quota and limits', checkRestricted)
  await t.test('another webhook that puts its own containers first', checkSecondWebhook)
  await t.test('both replicas of the webhook gone', checkWebhookGone)
  await t.test('many pods at once', checkBurst)
})

const raised = (
  t: Test,
  purpose: string,
  options: Documented,
  more: (namespace: Namespace) => Promise<void> = async () => {},
) =>
  stage(t, purpose, { mode: 'flink-ha', flink: options.flink }, async (namespace, node) => {
    await more(namespace)
    return await labelled(options, tidy => t.teardown(tidy))(namespace, node)
  })

const checkSession = async (t: Test, flink: string): Promise<void> => {
  const scene = await raised(t, 'documented', { flink, jobManagers: 2, taskManagers: 2 })
  const { cluster, agent, observer, jobId } = scene
  await checkPods(t, scene)
  await t.test('SIGKILL of the leading JVM', async t => {
    checkRound(t, await playRound(cluster, agent, observer, jobId, 'crash'), BOUND_MS)
  })
  await checkNothingLost(t, scene)
  if (flink.startsWith('2.')) {
    await t.test('the relays', t => checkRelays(t, scene))
    await t.test('no JobManager reachable for 13 s', t => checkCutOff(t, scene))
    await t.test('every sidecar restarted', t => checkSidecarsRestarted(t, scene))
    await t.test('what belongs to the JobManager goes with it, HA data stays', t => checkTree(t, scene))
  } else {
    await t.test('what was made for the namespace goes with its label', t => checkUnlabelled(t, scene))
  }
  checkTokensGrow(t, scene)
}

const checkPods = async (t: Test, { cluster, namespace }: Scene): Promise<void> => {
  for (const pod of [...(await cluster.jobManagers()), ...(await cluster.taskManagers())]) {
    const { containers, initContainers = [] } = pod.raw.spec
    t.same([initContainers.length, initContainers[0]?.name], [1, CONTAINER_SIDECAR], `${pod.name}: one sidecar`)
    t.equal(containers.length, 1, `${pod.name}: no other container`)
    // The documentation's TaskManagers run under the default account, which mounts its token unless it is told not to.
    if (containers[0]?.name !== 'jobmanager') continue
    const mounts = containers[0].volumeMounts?.map(({ mountPath }) => mountPath) ?? []
    t.notOk(
      mounts.some(path => path.includes('serviceaccount')),
      `${pod.name}: no credential beside user code`,
    )
  }
  const found = await namespace.kubectl(['get', 'service', `${CLUSTER_ID}-ha`, '-o', 'jsonpath={.spec.clusterIP}'])
  t.equal(found, 'None', 'a headless Service for the relays')
}

const checkRelays = async (t: Test, { cluster, agent }: Scene): Promise<void> => {
  const leader = await cluster.leader()
  for (const pod of await cluster.taskManagers()) {
    const told = JSON.parse(await agent.shell(`curl -s -m 5 http://${pod.ip}:${PORT_POD}/leader`)) as { name: string }
    t.equal(told.name, leader.name, `${pod.name}: its relay knows who leads`)
    const residentKiB = await agent.residentKiB(pod.name, 'node')
    t.ok(residentKiB > 0 && residentKiB <= RELAY_KIB, `${pod.name}: the relay’s ${residentKiB} KiB are at most 56 MiB`)
  }
}

const checkSidecarsRestarted = async (t: Test, { cluster, agent, jobId }: Scene): Promise<void> => {
  const leader = await cluster.leader()
  const before = await cluster.incarnation(leader, jobId)
  const pods = [...(await cluster.jobManagers()), ...(await cluster.taskManagers())]
  await Promise.all(pods.map(pod => agent.signal(pod.name, ['node'], 'KILL')))
  await until('every sidecar to be back', 60_000, async () => {
    const now = [...(await cluster.jobManagers()), ...(await cluster.taskManagers())]
    return now.every(pod => pod.ready && (pod.restarts[CONTAINER_SIDECAR] ?? 0) > 0) || undefined
  })
  await sleep(15_000)
  const after = [...(await cluster.jobManagers()), ...(await cluster.taskManagers())]
  for (const pod of after)
    t.equal(pod.restarts['taskmanager'] ?? pod.restarts['jobmanager'], 0, `${pod.name}: no process of Flink ended`)
  t.equal((await cluster.leader()).name, leader.name, 'the same leader')
  t.equal(await cluster.incarnation(leader, jobId), before, 'the job did not restart')
}

/** The relays lose sight of every JobManager's sidecar while Flink's own connections stay. */
const checkCutOff = async (t: Test, { cluster, agent, jobId }: Scene): Promise<void> => {
  const leader = await cluster.leader()
  const before = await cluster.incarnation(leader, jobId)
  const pods = await cluster.taskManagers()
  const ask = async (pod: Pod) => {
    const text = await agent.shell(`curl -s -m 5 -w '\\n%{http_code}' http://${pod.ip}:${PORT_POD}/leader`)
    const [body = '', ...rest] = text.split('\n')
    return { status: Number(rest.at(-1)), ...(JSON.parse(body) as { name: string | null; ageSeconds: number }) }
  }
  const packets = (change: '-A' | '-D'): string => `iptables -w ${change} OUTPUT -p tcp --dport ${PORT_POD} -j DROP`
  const cut: Pod[] = []
  try {
    for (const pod of pods) {
      cut.push(pod)
      await agent.inNetwork(pod.name, packets('-A'))
    }
    await sleep(13_000)
    for (const pod of pods) {
      const { status, name, ageSeconds } = await ask(pod)
      t.same([status, name], [503, null], `${pod.name}: nobody is known to lead`)
      t.ok(ageSeconds >= 10, `${pod.name}: it heard nothing for ${ageSeconds} s`)
    }
  } finally {
    for (const pod of cut) await agent.inNetwork(pod.name, packets('-D'))
  }
  for (const pod of pods)
    await until(`${pod.name} to know who leads`, 30_000, async () => (await ask(pod)).name === leader.name || undefined)
  for (const { name, restarts } of await cluster.taskManagers()) {
    const same = pods.find(pod => pod.name === name)?.restarts['taskmanager']
    t.equal(restarts['taskmanager'], same, `${name}: its TaskManager did not exit`)
  }
  t.equal(await cluster.incarnation(leader, jobId), before, 'the job did not restart')
}

/** Owners are taken back at once; a Service and rights that sidecars still use stay until these end. */
const checkUnlabelled = async (t: Test, { cluster, namespace }: Scene): Promise<void> => {
  const owned = [`deployment/${TASK_MANAGER}`, `service/${REST_SERVICE}`, `configmap/${CONFIGURATION}`]
  const owners = async (): Promise<string> =>
    await namespace.kubectl(['get', ...owned, '-o', 'jsonpath={.items[*].metadata.ownerReferences[*].kind}'])
  const made = async (): Promise<string[]> => {
    const ours = ['-l', `${LABEL_MANAGED_BY}=flink-ha`]
    const found = await namespace.kubectl(['get', 'services,rolebindings', ...ours, '-o', 'name'])
    return found.split('\n').filter(name => name !== '')
  }
  t.same((await owners()).split(' '), ['Deployment', 'Deployment', 'Deployment'], 'labelled, each has its owner')
  t.equal((await made()).length, 2, 'and there are a Service and a RoleBinding')
  await unlabel(namespace)
  await until('the owners to be taken back', 30_000, async () => (await owners()) === '' || undefined)
  await sleep(3_000)
  t.equal((await made()).length, 2, 'what running sidecars use stays')
  await namespace.kubectl(['scale', `deployment/${JOB_MANAGER}`, `deployment/${TASK_MANAGER}`, '--replicas=0'])
  await until('the rest to go with the last sidecar', 120_000, async () => (await made()).length === 0 || undefined)
  t.same(await cluster.jobManagers(), [])
  t.ok(await namespace.configMap(`${CLUSTER_ID}${LOCK_SUFFIX}`), 'HA data stays')
}

/** `kubectl delete deploy` with all that runs, and everything once more. */
const checkTree = async (t: Test, { cluster, namespace, jobId }: Scene): Promise<void> => {
  const leader = await cluster.leader()
  await cluster.checkpoints(leader, jobId, 2)
  const names = [`deployment/${TASK_MANAGER}`, `service/${REST_SERVICE}`, `configmap/${CONFIGURATION}`]
  await namespace.kubectl(['delete', 'deployment', JOB_MANAGER])
  await until('what belongs to it to go', 60_000, async () => {
    const found = await namespace.kubectl(['get', ...names, '--ignore-not-found', '-o', 'name'])
    return found === '' || undefined
  })
  t.ok(await namespace.configMap(`${CLUSTER_ID}${LOCK_SUFFIX}`), 'the lock stays')
  t.ok(await namespace.configMap(`${CLUSTER_ID}-${jobId}-config-map`), 'the job’s HA data stays')
  await until('the end of all pods', 60_000, async () => (await namespace.pods('app=flink')).length === 0 || undefined)

  await cluster.deploy()
  const next = await cluster.leader()
  await cluster.running(next, jobId, 180_000)
  const log = await namespace.logs(next.name, 'jobmanager')
  t.ok(
    log.some(({ line }) => /Restoring job \S+ from Checkpoint/.test(line)),
    'applied again, the job goes on from its last checkpoint',
  )
  await checkNothingLost(t, { cluster } as Scene)
}

const checkApplication = async (t: Test, flink: string): Promise<void> => {
  const job = { className: 'Ticker' }
  const scene = await raised(t, 'application', { flink, jobManagers: 2, taskManagers: 1, job })
  await checkPods(t, scene)
  checkRound(t, await playRound(scene.cluster, scene.agent, scene.observer, scene.jobId, 'crash'), BOUND_MS)
  await checkNothingLost(t, scene)
}

const checkRestricted = async (t: Test): Promise<void> => {
  const options = { flink: '2.3.0', jobManagers: 2, taskManagers: 1, restricted: true }
  const scene = await raised(t, 'restricted', options, async namespace => {
    await kubectl(['label', 'namespace', namespace.name, 'pod-security.kubernetes.io/enforce=restricted'])
    await namespace.apply([
      {
        apiVersion: 'v1',
        kind: 'ResourceQuota',
        metadata: { name: 'quota' },
        spec: { hard: { 'requests.cpu': '8', 'requests.memory': '16Gi', 'limits.cpu': '32', 'limits.memory': '32Gi' } },
      },
      {
        apiVersion: 'v1',
        kind: 'LimitRange',
        metadata: { name: 'limits' },
        spec: {
          limits: [
            {
              type: 'Container',
              default: { cpu: '2', memory: '2Gi' },
              defaultRequest: { cpu: '100m', memory: '256Mi' },
            },
          ],
        },
      },
    ])
  })
  await checkPods(t, scene)
  checkRound(t, await playRound(scene.cluster, scene.agent, scene.observer, scene.jobId, 'crash'), BOUND_MS)
  await checkNothingLost(t, scene)
}

/** A pod that no node takes: injected like any other, and nothing runs. */
const idlePod = (name: string, component?: string, container = component ?? 'other') => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: 'flink', ...(component !== undefined && { component }) } },
  spec: {
    nodeSelector: { 'flink-ha.io/nowhere': 'true' },
    containers: [{ name: container, image: 'docker.io/library/flink:2.3.0', args: [component ?? 'jobmanager'] }],
  },
})

const checkWebhookGone = async (t: Test): Promise<void> => {
  const [asking, plain] = [await Namespace.create('gone'), await Namespace.create('plain')]
  t.teardown(() => Promise.all([asking.remove(), plain.remove()]))
  await label(asking)
  await takeAway()
  // A replica that ends goes on to answer for a moment, on the connections that the API server has.
  const refusal = await until('a JobManager to be refused', 60_000, async () => {
    const pod = JSON.stringify(idlePod('jm', 'jobmanager'))
    const tried = asking.kubectl(['create', '--dry-run=server', '-f', '-'], pod)
    return await tried.then(
      () => undefined,
      (error: Error) => error.message,
    )
  })
  t.match(refusal, /failed calling webhook "inject\.flink-ha\.io"/, 'a JobManager is refused, and told by whom')
  const taskManager = JSON.stringify(idlePod('tm', 'taskmanager'))
  await t.rejects(asking.kubectl(['create', '-f', '-'], taskManager), /failed calling webhook/, 'so is a TaskManager')
  const { spec } = idlePod('x', 'jobmanager')
  const labels = { app: 'flink', component: 'jobmanager' }
  await asking.apply([
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'waiting' },
      spec: { replicas: 2, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
    },
  ])
  await until('the ReplicaSet’s complaint', 60_000, async () => {
    const events = await asking.kubectl(['get', 'events', '-o', 'jsonpath={.items[*].message}'])
    return /failed calling webhook "inject\.flink-ha\.io"/.test(events) || undefined
  })
  await asking.apply([idlePod('other')])
  await plain.apply([idlePod('jm', 'jobmanager'), idlePod('tm', 'taskmanager'), idlePod('other')])
  t.equal((await plain.pods('')).length, 3, 'pods elsewhere do not notice')
  t.equal((await asking.pods('')).length, 1, 'nor do others in the labelled namespace')
  await back()
  await asking.apply([idlePod('jm', 'jobmanager')])
  t.pass('a JobManager comes when the webhook is back')
  // Its controller waits longer after each failure.
  const pods = await until('the ReplicaSet’s pods', 300_000, async () => {
    const made = (await asking.pods('component=jobmanager')).filter(({ name }) => name.startsWith('waiting-'))
    return made.length === 2 ? made : undefined
  })
  for (const { name, raw } of pods)
    t.equal(raw.spec.initContainers?.[0]?.name, CONTAINER_SIDECAR, `${name}: by itself, with its sidecar`)
}

const isMaster = ({ name }: { name: string }): boolean => name === ENV_KUBERNETES_MASTER

/** Its name comes before ours: it is called first, then we, then it again because we changed the pod, and so on. */
const checkSecondWebhook = async (t: Test): Promise<void> => {
  const [namespace, tools] = [await Namespace.create('second'), await Namespace.create('other')]
  const name = `a-${tools.name}`
  t.teardown(async () => {
    await kubectl(['delete', 'mutatingwebhookconfiguration', name, '--ignore-not-found'])
    await Promise.all([namespace.remove(), tools.remove()])
  })
  await label(namespace)
  const pair = await makeTestPair([`other.${tools.name}.svc`])
  const script = await readFile(new URL('second-webhook.mjs', import.meta.url), 'utf8')
  const files = { 'tls.crt': pair.certPem, 'tls.key': pair.keyPem, 'second-webhook.mjs': script }
  const ports = [{ name: 'https', port: 443, targetPort: 8443 }]
  await tools.apply([
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'other' }, data: files },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'other' }, spec: { selector: { app: 'other' }, ports } },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'other', labels: { app: 'other' } },
      spec: {
        containers: [
          {
            name: 'other',
            image: IMAGE,
            command: ['node', '/tls/second-webhook.mjs'],
            volumeMounts: [{ name: 'tls', mountPath: '/tls' }],
            readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
          },
        ],
        volumes: [{ name: 'tls', configMap: { name: 'other' } }],
      },
    },
  ])
  await tools.kubectl(['wait', '--for=condition=Ready', 'pod/other', '--timeout=60s'])
  await kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name },
      webhooks: [
        {
          name: 'first.example.com',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          reinvocationPolicy: 'IfNeeded',
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace.name } },
          rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
          clientConfig: {
            service: { namespace: tools.name, name: 'other', port: 443 },
            caBundle: Buffer.from(pair.caPem).toString('base64'),
          },
        },
      ],
    }),
  )
  await sleep(2_000)
  for (const component of ['jobmanager', 'taskmanager']) {
    await namespace.apply([idlePod(component, component, 'main')])
    const [pod] = (await namespace.pods(`component=${component}`)).map(({ raw }) => raw.spec)
    const inits = pod?.initContainers?.map(one => one.name) ?? []
    t.same(inits, [CONTAINER_SIDECAR, 'other-init'], `${component}: one sidecar, first, once`)
    const containers = pod?.containers.map(({ name, env = [] }) => [name, env.some(isMaster)])
    const wanted = [
      ['other', false],
      ['main', true],
    ]
    t.same(containers, wanted, 'and everything of the other’s; Flink has the variable, the other has not')
  }
}

const count = async (namespace: Namespace): Promise<number> =>
  (await namespace.kubectl(['get', 'pods', '-o', 'name'])).split('\n').length - 1

const checkBurst = async (t: Test): Promise<void> => {
  const namespace = await Namespace.create('burst')
  t.teardown(() => namespace.remove())
  await label(namespace)
  const before = new Set(await Promise.all((await replicas()).map(servedSerial)))
  const fromMs = nowMs()
  const at = async <T>(share: number, act: () => Promise<T>): Promise<T> => {
    await until('the moment', 300_000, async () => (await count(namespace)) >= BURST * share || undefined)
    return await act()
  }
  const lists = Array.from({ length: 10 }, (_, list) =>
    Array.from({ length: BURST / 10 }, (_, i) =>
      idlePod(`jm-${list}-${i}`, i % 2 === 0 ? 'jobmanager' : 'taskmanager'),
    ),
  )
  const made = Promise.all(
    lists.map(items =>
      namespace.kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }), 600_000),
    ),
  ).then(nowMs)
  const [endMs, killedMs, rotatedMs] = await Promise.all([
    made,
    at(0.05, async () => {
      const now = ['--force', '--grace-period=0', '--wait=false']
      await kubectl(['-n', 'flink-ha', 'delete', 'pod', await activeReplica(), ...now])
      return nowMs()
    }),
    at(0.1, rotate),
  ])
  const after = (ms: number): number => Math.round((ms - fromMs) / 1000)
  t.comment(`${BURST} pods in ${after(endMs)} s: replica killed after ${after(killedMs)} s`)
  t.comment(`another certificate after ${after(rotatedMs)} s`)
  t.ok(killedMs < endMs, 'the active replica was killed in the midst of it')
  t.ok(rotatedMs < endMs, 'and the certificate rotated')
  await until('every replica to serve another certificate', 60_000, async () => {
    const now = await Promise.all((await replicas()).map(servedSerial))
    return (now.length === 2 && now.every(serial => serial !== '' && !before.has(serial))) || undefined
  })
  const pods = await namespace.pods('')
  t.equal(pods.length, BURST, 'none was refused')
  const plain = pods.filter(pod => pod.raw.metadata.annotations?.[ANNOTATION_INJECTED] === undefined)
  t.same(
    plain.map(({ name }) => name),
    [],
    'and each was injected',
  )
}
