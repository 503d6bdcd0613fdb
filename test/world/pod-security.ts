// The Pod Security Standards' profile "restricted" (which includes "baseline"), rule by rule, as kubernetes.io lists them.
import type { Container, PodSpec } from './manifest-files.ts'

type Context = {
  allowPrivilegeEscalation?: boolean
  capabilities?: { add?: string[]; drop?: string[] }
  privileged?: boolean
  procMount?: string
  runAsNonRoot?: boolean
  runAsUser?: number
  seccompProfile?: { type?: string }
  appArmorProfile?: { type?: string }
  windowsOptions?: { hostProcess?: boolean }
  sysctls?: unknown[]
}
const VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]
const SECCOMP = ['RuntimeDefault', 'Localhost']

/** What "restricted" would say against a pod; nothing: it is let in. */
export const violations = (spec: PodSpec): string[] => {
  const pod = (spec.securityContext ?? {}) as Context
  const containers = [...(spec.initContainers ?? []), ...spec.containers]
  const namespaces = ['hostNetwork', 'hostPID', 'hostIPC'].filter(field => spec[field] === true)
  const volumes = (spec.volumes ?? []).flatMap(({ name, ...source }) =>
    Object.keys(source)
      .filter(kind => !VOLUMES.includes(kind))
      .map(kind => `volume ${name} is a ${kind}`),
  )
  return [
    ...namespaces,
    ...volumes,
    ...((pod.sysctls ?? []).length > 0 ? ['sysctls'] : []),
    ...(pod.windowsOptions?.hostProcess === true ? ['hostProcess'] : []),
    ...containers.flatMap(container => ofContainer(container, pod).map(problem => `${container.name}: ${problem}`)),
  ]
}

const ofContainer = (container: Container, pod: Context): string[] => {
  const own = (container.securityContext ?? {}) as Context
  const { add = [], drop = [] } = own.capabilities ?? {}
  const rules: [broken: boolean, problem: string][] = [
    [own.privileged === true, 'privileged'],
    [own.allowPrivilegeEscalation !== false, 'allowPrivilegeEscalation is not false'],
    [!drop.includes('ALL'), 'capabilities.drop has no ALL'],
    [add.some(name => name !== 'NET_BIND_SERVICE'), 'capabilities.add'],
    [(own.runAsNonRoot ?? pod.runAsNonRoot) !== true, 'runAsNonRoot is not true'],
    [(own.runAsUser ?? pod.runAsUser) === 0, 'runAsUser is 0'],
    [!SECCOMP.includes((own.seccompProfile ?? pod.seccompProfile)?.type ?? ''), 'seccompProfile'],
    [(own.appArmorProfile ?? pod.appArmorProfile)?.type === 'Unconfined', 'appArmorProfile'],
    [own.procMount !== undefined && own.procMount !== 'Default', 'procMount'],
    [(container.ports ?? []).some(({ hostPort = 0 }) => hostPort !== 0), 'hostPort'],
  ]
  return rules.filter(([broken]) => broken).map(([, problem]) => problem)
}
