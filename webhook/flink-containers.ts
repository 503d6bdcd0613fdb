// Which of a pod's containers run Flink, and so get the variable: other webhooks add containers of their own, before us or after,
// in whatever place. One that is chosen wrongly would be the one that is pointed at the sidecar, and Flink would not be.
import {
  ANNOTATION_DEFAULT_CONTAINER,
  ANNOTATION_INJECTED,
  ENV_KUBERNETES_MASTER,
  HA_SERVICE_SUFFIX,
  PORT_LOCAL,
  PORT_POD,
} from '../shared/names.ts'
import { annotationOf, type Container, type PodTemplate, type Role } from './pod.ts'

/** The native mode and the operator call Flink's container so (Flink `Constants.MAIN_CONTAINER_NAME`). */
const MAIN_CONTAINER = 'flink-main-container'

/** What Flink's image is told to be (`docker-entrypoint.sh`), or the script that it runs (`bin/`), also within a shell's line. */
const RUNS: { readonly [role in Role]: RegExp } = {
  jobmanager:
    /(?:^|docker-entrypoint\.sh\s+)(?:jobmanager|standalone-job)(?=\s|$)|(?:^|[\s/"'])(?:(?:kubernetes-)?jobmanager|standalone-job)\.sh\b/,
  taskmanager: /(?:^|docker-entrypoint\.sh\s+)taskmanager(?=\s|$)|(?:^|[\s/"'])(?:kubernetes-)?taskmanager\.sh\b/,
}

const OUR_MASTER = new RegExp(
  `^http://(127\\.0\\.0\\.1:${PORT_LOCAL}|[-a-z0-9]+${HA_SERVICE_SUFFIX}(\\.[-a-z0-9]+\\.svc)?:${PORT_POD})$`,
)
/** Whether a value of the variable is one that injection gives. */
export const isOurMaster = (value: string | undefined): boolean => value !== undefined && OUR_MASTER.test(value)

type Sign = (container: Container, pod: PodTemplate, role: Role) => boolean

/** Where injection put the variable it stays, whatever was added since. */
const wasChosen: Sign = ({ env }, pod) =>
  annotationOf(pod, ANNOTATION_INJECTED) !== undefined &&
  (env ?? []).some(({ name, value }) => name === ENV_KUBERNETES_MASTER && isOurMaster(value))

const isNamedSo: Sign = ({ name }, _, role) => name === role || name === MAIN_CONTAINER || name.startsWith(`${role}-`)

const runsFlink: Sign = ({ command, args }, _, role) => RUNS[role].test([...(command ?? []), ...(args ?? [])].join(' '))

const isDefault: Sign = ({ name }, pod) => name === annotationOf(pod, ANNOTATION_DEFAULT_CONTAINER)

const isAlone: Sign = (_, pod) => pod.spec.containers.length === 1

/** The first that any container has decides. */
const SIGNS: readonly Sign[] = [wasChosen, isNamedSo, runsFlink, isDefault, isAlone]

/** Their indexes; none: it cannot be told. */
export const flinkContainers = (pod: PodTemplate, role: Role): number[] => {
  for (const has of SIGNS) {
    const found = pod.spec.containers.flatMap((container, index) => (has(container, pod, role) ? [index] : []))
    if (found.length > 0) return found
  }
  return []
}
