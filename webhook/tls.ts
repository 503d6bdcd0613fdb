// Where the webhook's certificate comes from: "the pair to serve now, and a call when there is another". Renewed
// certificates need no restart.
import type { Clock } from '../shared/clock.ts'
import type { KubeClient } from '../shared/kube-client.ts'
import type { Log } from '../shared/log.ts'
import { BuiltinTls } from './tls-builtin.ts'
import { FilesTls } from './tls-files.ts'
import type { KeyPair } from './tls-served.ts'

export type { KeyPair } from './tls-served.ts'

export type TlsConfig = {
  /** `builtin`: made and rotated by us, in a Secret. `files`: kept by others, in a mounted folder. */
  mode: 'builtin' | 'files'
  dir: string
  secretName: string
  namespace: string
  serviceName: string
  webhookConfiguration: string
}
export type TlsDeps = { client: KubeClient; clock: Clock; log: Log; wallMs: () => number; leading: () => boolean }

export type TlsSource = {
  /** What to serve; undefined until there was something for the first time. It may be expired: see `ServedPair.offer`. */
  current: () => KeyPair | undefined
  /** Called with each pair that takes the place of another, the first one too. */
  onChange: (listener: (pair: KeyPair) => void) => void
  /** Resolves when there is a pair to serve, or at `stop`. */
  start: () => Promise<void>
  stop: () => void
}

/** What a certificate has to name: the API server calls a Service by the first one, people by the others. */
export const serverNames = (serviceName: string, namespace: string): [string, string, string] => [
  `${serviceName}.${namespace}.svc`,
  `${serviceName}.${namespace}`,
  `${serviceName}.${namespace}.svc.cluster.local`,
]

export const makeTlsSource = (config: TlsConfig, deps: TlsDeps): TlsSource => {
  const { mode, dir, secretName, namespace, serviceName, webhookConfiguration } = config
  const names = serverNames(serviceName, namespace)
  const source =
    mode === 'files'
      ? new FilesTls({ ...deps, dir, webhookConfiguration, name: names[0] })
      : new BuiltinTls({ ...deps, namespace, secretName, webhookConfiguration, names })
  return {
    current: () => source.current(),
    onChange: listener => source.onChange(listener),
    start: () => source.start(),
    stop: () => source.stop(),
  }
}
