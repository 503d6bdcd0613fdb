// Label a namespace: the installation as a stranger makes it, and the manifests that Flink's documentation prints.
import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import {
  ANNOTATION_INJECTED,
  CONTAINER_SIDECAR,
  ENV_KUBERNETES_MASTER,
  LOCK_SUFFIX,
  PORT_POD,
} from '../../shared/names.ts'
import { PROFILES } from '../../shared/timings.ts'
import { makeTestPair } from '../world/key-pair.ts'
import { kubectl, Namespace, nowMs, sleep, until } from './cluster.ts'
import { CONFIGURATION, type Documented, JOB_MANAGER, REST_SERVICE, TASK_MANAGER } from './documented.ts'
import { CLUSTER_ID } from './flink.ts'
import { back, install, label, labelled, takeAway, uninstall } from './installation.ts'
import { IMAGE } from './manifests.ts'
import { checkNothingLost, checkRound, checkTokensGrow } from './promises.ts'
import { playRound } from './rounds.ts'
import { noCluster, type Scene, stage } from './scene.ts'

const BOUND_MS = PROFILES.default.leaseMs / 2
/** So many pods at once; the project's figure is 1,000 (FLINK_HA_LIVE_BURST=1000). */
const BURST = Number(process.env['FLINK_HA_LIVE_BURST'] ?? 200)
const RELAY_KIB = 56 * 1024

t.test('a labelled namespace', { skip: noCluster }, async t => {
  await install()
  t.teardown(uninstall)
  await t.test('the session cluster of Flink’s documentation', t => checkSession(t, '2.3.0'))
  await t.test('the same for Flink 1.20', t => checkSession(t, '1.20.5'))
  await t.test('the application cluster of Flink’s documentation', checkApplication)
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
    await t.test('every sidecar restarted', t => checkSidecarsRestarted(t, scene))
    await t.test('what belongs to the JobManager goes with it, HA data stays', t => checkTree(t, scene))
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

/** `kubectl delete deploy`, twelve seconds without any JobManager, and everything once more. */
const checkTree = async (t: Test, { cluster, namespace, jobId }: Scene): Promise<void> => {
  const leader = await cluster.leader()
  await cluster.checkpoints(leader, jobId, 2)
  const relays = await cluster.taskManagers()
  await namespace.kubectl(['scale', `deployment/${JOB_MANAGER}`, '--replicas=0'])
  await until('the end of the JobManagers', 60_000, async () => (await cluster.jobManagers()).length === 0 || undefined)
  await sleep(13_000)
  const left = await cluster.taskManagers()
  t.same(left.map(({ name }) => name).sort(), relays.map(({ name }) => name).sort(), 'the TaskManagers are the same')
  for (const pod of left) t.equal(pod.restarts['taskmanager'], 0, `${pod.name} did not exit`)

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

const checkApplication = async (t: Test): Promise<void> => {
  const job = { className: 'Ticker' }
  const scene = await raised(t, 'application', { flink: '2.3.0', jobManagers: 2, taskManagers: 1, job })
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
  await asking.apply([idlePod('other')])
  await plain.apply([idlePod('jm', 'jobmanager'), idlePod('tm', 'taskmanager'), idlePod('other')])
  t.equal((await plain.pods('')).length, 3, 'pods elsewhere do not notice')
  t.equal((await asking.pods('')).length, 1, 'nor do others in the labelled namespace')
  await back()
  await asking.apply([idlePod('jm', 'jobmanager')])
  t.pass('a JobManager comes when the webhook is back')
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

const checkBurst = async (t: Test): Promise<void> => {
  const namespace = await Namespace.create('burst')
  t.teardown(() => namespace.remove())
  await label(namespace)
  const fromMs = nowMs()
  const at = (share: number, act: () => Promise<unknown>) =>
    until('the moment', 300_000, async () =>
      (await namespace.pods('')).length >= BURST * share ? true : undefined,
    ).then(act)
  const lists = Array.from({ length: 10 }, (_, list) =>
    Array.from({ length: BURST / 10 }, (_, i) =>
      idlePod(`jm-${list}-${i}`, i % 2 === 0 ? 'jobmanager' : 'taskmanager'),
    ),
  )
  const inFlink = ['-n', 'flink-ha']
  await Promise.all([
    ...lists.map(objects =>
      namespace.kubectl(
        ['create', '-f', '-'],
        JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
        600_000,
      ),
    ),
    at(0.3, async () => {
      const pod = await kubectl([...inFlink, 'get', 'pods', '-o', 'jsonpath={.items[0].metadata.name}'])
      await kubectl([...inFlink, 'delete', 'pod', pod, '--wait=false'])
    }),
    at(0.6, async () => {
      // Without its certificate the Secret is renewed by whoever leads.
      await kubectl([
        ...inFlink,
        'patch',
        'secret',
        'flink-ha-tls',
        '--type=json',
        '-p',
        '[{"op":"remove","path":"/data/tls.crt"}]',
      ])
    }),
  ])
  const pods = await namespace.pods('')
  t.comment(`${BURST} pods in ${Math.round((nowMs() - fromMs) / 1000)} s`)
  t.equal(pods.length, BURST, 'none was refused')
  const plain = pods.filter(pod => pod.raw.metadata.annotations?.[ANNOTATION_INJECTED] === undefined)
  t.same(
    plain.map(({ name }) => name),
    [],
    'and each was injected',
  )
}
