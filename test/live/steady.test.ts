// A cluster in peace: what it costs the API server and the machine, and what its pods are made of.
import t, { type Test } from 'tap'
import { CONTAINER_SIDECAR, ENV_KUBERNETES_MASTER, LOCK_SUFFIX, PORT_LOCAL } from '../../shared/names.ts'
import { PROFILES } from '../../shared/timings.ts'
import { Audit, auditLog, isWrite, tally } from './audit.ts'
import { nowMs, type Pod, sleep } from './cluster.ts'
import { CLUSTER_ID, jobManagers, type Setup } from './manifests.ts'
import { noCluster, type Scene, stage } from './scene.ts'

const SETUP: Setup = { mode: 'flink-ha', flink: '2.3.0', checkpointSeconds: null }
const PEACE_MS = 150_000
const MAX_RESIDENT_KIB = 64 * 1024
const MAX_LAYERS_KIB = 10 * 1024

t.test('a cluster in peace', { skip: noCluster }, async t => {
  const scene = await stage(t, 'steady', SETUP)
  await t.test('the pod differs by one variable and one container', t => checkPod(t, scene))
  await t.test('the main container has no Kubernetes credential', t => checkCredential(t, scene))
  await t.test('requests of two JobManagers and a TaskManager', t => checkRequests(t, scene))
  await t.test('memory of the sidecars', t => checkMemory(t, scene))
  await t.test('what the image adds to its base', t => checkLayers(t, scene))
})

type Container = { name: string; env?: { name: string; value?: string }[]; volumeMounts?: { mountPath: string }[] }

const checkPod = async (t: Test, { cluster, namespace }: Scene): Promise<void> => {
  const builtin = jobManagers(namespace.name, cluster.node, { ...SETUP, mode: 'builtin' }).spec.template.spec
  const plain = builtin.containers[0] as Container
  for (const pod of await cluster.jobManagers()) {
    const { containers, initContainers = [] } = pod.raw.spec
    t.equal(containers.length, 1, 'no container beside Flink’s')
    t.same(
      initContainers.map(({ name }) => name),
      [CONTAINER_SIDECAR],
      'but one before it',
    )
    const env = containers[0]?.env ?? []
    const names = (plain.env ?? []).map(({ name }) => name)
    t.same(
      env.filter(({ name }) => !names.includes(name)),
      [{ name: ENV_KUBERNETES_MASTER, value: `http://127.0.0.1:${PORT_LOCAL}` }],
    )
    t.match(
      env.find(({ name }) => name === 'FLINK_PROPERTIES'),
      plain.env?.find(({ name }) => name === 'FLINK_PROPERTIES'),
      'Flink’s configuration is the same',
    )
  }
}

const checkCredential = async (t: Test, { cluster, namespace }: Scene): Promise<void> => {
  const look = 'ls /var/run/secrets /run/secrets 2>/dev/null; mount | grep -i secret; env | grep -i token'
  const check = async (pod: Pod, container: string): Promise<void> => {
    const mounts = pod.raw.spec.containers.find(({ name }) => name === container)?.volumeMounts ?? []
    t.same(
      mounts.map(({ mountPath }) => mountPath),
      ['/flink-data'],
      `${container}: nothing but Flink’s data is mounted`,
    )
    const found = await namespace.kubectl(['exec', pod.name, '-c', container, '--', 'sh', '-c', `${look}; true`])
    t.equal(found.trim(), '', `${container}: no secret and no token is found in it`)
  }
  for (const pod of await cluster.jobManagers()) await check(pod, 'jobmanager')
  for (const pod of await cluster.taskManagers()) await check(pod, 'taskmanager')
}

const checkRequests = async (t: Test, { namespace, agent }: Scene): Promise<void> => {
  const path = await auditLog()
  if (path === undefined) return t.comment('no audit log to read: see FLINK_HA_AUDIT_LOG')
  // The job's start is over.
  await sleep(10_000)
  const audit = await Audit.begin(path)
  const fromMs = agent.there(nowMs())
  await sleep(PEACE_MS)
  const asked = await audit.of(namespace.name, fromMs, fromMs + PEACE_MS)
  t.comment(`in ${PEACE_MS / 1000} s`, tally(asked))
  const renewals = asked.filter(one => isWrite(one) && one.name === `${CLUSTER_ID}${LOCK_SUFFIX}`)
  const others = asked.filter(one => !renewals.includes(one))
  const periods = Math.ceil(PEACE_MS / PROFILES.default.retryMs) + 1
  t.ok(renewals.length > 0, 'the lock is renewed')
  t.ok(renewals.length <= periods, 'at most one write in a retry period', { writes: renewals.length, periods })
  t.ok(others.length <= (2 * PEACE_MS) / 60_000, 'at most two other requests a minute', { others: tally(others) })
}

const checkMemory = async (t: Test, { cluster, agent }: Scene): Promise<void> => {
  for (const pod of await cluster.jobManagers()) {
    const residentKiB = await agent.residentKiB(pod.name, 'node')
    t.ok(residentKiB > 0 && residentKiB <= MAX_RESIDENT_KIB, `the sidecar’s ${residentKiB} KiB are at most 64 MiB`)
  }
}

/** Its layers fill /app and nothing else (Dockerfile). */
const checkLayers = async (t: Test, { cluster, agent }: Scene): Promise<void> => {
  const [pod] = await cluster.jobManagers()
  const addedKiB = await agent.filesKiB(pod?.name ?? '', 'node', '/app')
  t.ok(addedKiB > 0 && addedKiB <= MAX_LAYERS_KIB, `${addedKiB} KiB are at most 10 MiB`)
}
