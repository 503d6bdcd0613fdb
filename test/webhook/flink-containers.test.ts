import t from 'tap'
import { flinkContainers } from '../../webhook/flink-containers.ts'
import type { Container, PodTemplate, Role } from '../../webhook/pod.ts'

const OURS = { name: 'KUBERNETES_MASTER', value: 'http://127.0.0.1:4040' }
const podOf = (containers: Container[], annotations: { [name: string]: string } = {}): PodTemplate => ({
  metadata: { annotations },
  spec: { containers },
})
/** Their names. */
const found = (containers: Container[], role: Role = 'jobmanager', annotations = {}): string[] =>
  flinkContainers(podOf(containers, annotations), role).map(index => containers[index]!.name)

const mesh: Container = { name: 'mesh', image: 'mesh', args: ['proxy'] }

t.test('by the names of Flink’s documentation, its native mode and its operator, all that have one', async t => {
  for (const name of ['jobmanager', 'flink-main-container', 'jobmanager-debug']) t.same(found([mesh, { name }]), [name])
  t.same(found([{ name: 'jobmanager' }, mesh, { name: 'jobmanager-2' }]), ['jobmanager', 'jobmanager-2'])
  t.same(found([{ name: 'jobmanagers' }, { name: 'taskmanager' }]), [], 'another name, another role')
})

t.test('without such a name, by what it runs', async t => {
  const lines: [Role, Partial<Container>][] = [
    ['jobmanager', { args: ['jobmanager', '$(POD_IP)'] }],
    ['jobmanager', { args: ['standalone-job', '--job-classname', 'Job'] }],
    ['jobmanager', { command: ['/docker-entrypoint.sh'], args: ['jobmanager'] }],
    ['jobmanager', { command: ['tini', '--', '/docker-entrypoint.sh', 'standalone-job'] }],
    ['jobmanager', { command: ['bash', '-c', 'kubernetes-jobmanager.sh kubernetes-application'] }],
    ['jobmanager', { command: ['/opt/flink/bin/jobmanager.sh', 'start-foreground'] }],
    ['taskmanager', { args: ['taskmanager'] }],
    ['taskmanager', { args: ['bash', '-c', 'sleep 1; /opt/flink/bin/kubernetes-taskmanager.sh -Dx=y'] }],
    ['taskmanager', { command: null, args: ['bash', '-c', '"$FLINK_HOME"/bin/taskmanager.sh start-foreground'] }],
  ]
  for (const [role, line] of lines)
    t.same(found([mesh, { name: 'main', ...line }], role), ['main'], JSON.stringify(line))
})

t.test('a word in somebody else’s arguments makes nobody Flink', async t => {
  for (const args of [['ship-logs', '--of', 'jobmanager'], ['jobmanager-logs'], ['--host=jobmanager.sh.example']])
    t.same(found([mesh, { name: 'logs', args }]), [], JSON.stringify(args))
  t.same(found([{ name: 'x', args: ['taskmanager'] }, mesh]), [], 'nor does the other role’s')
})

t.test('else by the annotation of the default container, and one that is alone needs no sign', async t => {
  const annotation = { 'kubectl.kubernetes.io/default-container': 'main' }
  t.same(found([mesh, { name: 'main' }], 'jobmanager', annotation), ['main'])
  t.same(found([mesh, { name: 'other' }], 'jobmanager', annotation), [], 'which may name nothing')
  t.same(found([{ name: 'main' }]), ['main'])
  t.same(found([mesh, { name: 'main' }]), [], 'of two without any sign, neither is taken')
  t.same(found([]), [])
})

t.test('where injection put the variable it stays, whatever was added since', async t => {
  const injected = { 'flink-ha.io/injected': '0.1.0' }
  const flink: Container = { name: 'main', env: [OURS] }
  t.same(found([mesh, flink], 'jobmanager', injected), ['main'])
  t.same(found([{ name: 'jobmanager-logs' }, flink], 'jobmanager', injected), ['main'])
  t.same(found([{ name: 'jobmanager' }, flink]), ['jobmanager'], 'in a pod that was not injected it is the user’s')
  const elsewhere = { name: 'KUBERNETES_MASTER', value: 'http://elsewhere' }
  t.same(found([{ name: 'jobmanager' }, { name: 'main', env: [elsewhere] }], 'jobmanager', injected), ['jobmanager'])
})
