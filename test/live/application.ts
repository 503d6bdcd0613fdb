// An application cluster, whose JobManager runs Ticker itself, and a TaskManager: as a Job of one JobManager, which ends with Ticker,
// or as a Deployment of two.
import { access, accessToLeases, jobManagers, type Setup, services, taskManager } from './manifests.ts'

export type Application = {
  /** Ticker's: its last number, and the number at which it fails; endless without. */
  programArgs?: readonly number[]
  /** A failure is the end of the job. */
  fragile?: boolean
  kind?: 'Job' | 'Deployment'
}

export const JOB = 'jobmanager'

/** The job's jar where the entry point looks for it, then the image's own command. */
const command = [
  'bash',
  '-ec',
  'cp /opt/flink/examples/streaming/Ticker.jar /opt/flink/usrlib/; exec /docker-entrypoint.sh "$@"',
  'bash',
]

export const application = (
  namespace: string,
  node: string,
  setup: Setup,
  { programArgs = [], fragile = false, kind = 'Job' }: Application = {},
): object[] => {
  const deployment = jobManagers(namespace, node, setup)
  const { template } = deployment.spec
  const [jobManager] = template.spec.containers
  // Entry points add options at the end: after one number they would be read as the next.
  const numbers = programArgs.length === 1 ? [...programArgs, -1] : programArgs
  const restarts = fragile ? ['-D', 'restart-strategy.type=none'] : []
  const args = [
    ...['standalone-job', '--job-classname', 'Ticker', '-D', 'jobmanager.rpc.address=$(POD_IP)'],
    ...restarts,
    ...numbers.map(String),
  ]
  const tasks = taskManager(namespace, node, setup)
  const taskContainers = tasks.spec.template.spec.containers.map(one => ({ ...one, command }))
  const containers = [{ ...jobManager, command, args }]
  const running = { metadata: template.metadata, spec: { ...template.spec, containers } }
  const job = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: JOB },
    spec: { backoffLimit: 0, template: { ...running, spec: { ...running.spec, restartPolicy: 'Never' } } },
  }
  return [
    ...access,
    ...(setup.lock === 'lease' ? accessToLeases : []),
    ...services,
    kind === 'Deployment' ? { ...deployment, spec: { ...deployment.spec, template: running } } : job,
    {
      ...tasks,
      spec: {
        ...tasks.spec,
        template: { ...tasks.spec.template, spec: { ...tasks.spec.template.spec, containers: taskContainers } },
      },
    },
  ]
}
