// The webhook's settings: flags and FLINK_HA_* variables of the same name, every problem named at once.
import { API_SETTINGS, type ApiAccess, readApiAccess } from '../shared/api-access.ts'
import { ConfigError } from '../shared/errors.ts'
import { INSTALL } from '../shared/names.ts'
import { type Environment, LOG_LEVELS, type LogLevel, RULES, readSettings } from '../shared/settings.ts'

export type WebhookConfig = ApiAccess & {
  port: number
  statusPort: number
  namespace: string
  podName: string
  /** undefined: nobody said; this process needs another identity for its elections then. */
  podUid: string | undefined
  /** "": the image of our own pod. */
  image: string
  serviceName: string
  webhookConfiguration: string
  tls: { mode: (typeof TLS_MODES)[number]; dir: string; secretName: string }
  logLevel: LogLevel
}

const TLS_MODES = ['builtin', 'files'] as const

/** Every setting: flag, default as text, what it means. The reference table and `--help` are made from it. */
export const WEBHOOK_SETTINGS = {
  port: ['8443', 'port of admission, HTTPS'],
  'status-port': ['8080', 'port of /healthz, /readyz and /metrics, HTTP'],
  namespace: ['', 'the namespace of this pod (required)'],
  'pod-name': ['', 'this pod’s name (required)'],
  'pod-uid': ['', 'this pod’s uid, for its identity in elections; a random one when empty'],
  image: ['', 'what is injected; this pod’s own image when empty'],
  'service-name': [INSTALL.service, 'the Service by which the API server reaches this pod; it is in the certificate'],
  'webhook-configuration': [INSTALL.webhookConfiguration, 'the MutatingWebhookConfiguration that gets the CA bundle'],
  tls: ['builtin', `where the certificate comes from: ${TLS_MODES.join(', ')}`],
  'tls-dir': ['/etc/flink-ha/tls', 'folder of tls.crt, tls.key and ca.crt, for files'],
  'tls-secret': [INSTALL.tlsSecret, 'Secret that holds CA and certificate, for builtin'],
  ...API_SETTINGS,
  'log-level': ['info', LOG_LEVELS.join(', ')],
} as const satisfies { [flag: string]: readonly [string, string] }

const OBJECT_NAME = /^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/
/** `[registry[:port]/]name[:tag][@digest]`, as far as a mistake is worth telling from it. */
const IMAGE = /^[A-Za-z0-9][-._:/@A-Za-z0-9]{0,1023}$/

/** @throws ConfigError with every problem */
export const readWebhookConfig = (args: readonly string[], env: Environment): WebhookConfig => {
  const problems: string[] = []
  const { text, wrong, choice, named, optional, port } = readSettings(WEBHOOK_SETTINGS, args, env, problems)
  const config: WebhookConfig = {
    port: port('port'),
    statusPort: port('status-port'),
    namespace: named('namespace', ...RULES.namespace),
    podName: named('pod-name', ...RULES.podName),
    podUid: optional('pod-uid', /^[-A-Za-z0-9]{1,64}$/, 'the pod’s uid is needed (metadata.uid)'),
    image: optional('image', IMAGE, 'an image such as flink-ha/flink-ha:0.1.0 is needed') ?? '',
    serviceName: named('service-name', /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/, 'a Service’s name is needed'),
    webhookConfiguration: named('webhook-configuration', OBJECT_NAME, 'an object’s name is needed'),
    tls: {
      mode: choice('tls', TLS_MODES),
      dir: text('tls-dir'),
      secretName: named('tls-secret', OBJECT_NAME, 'a Secret’s name is needed'),
    },
    ...readApiAccess(text, env, problems),
    logLevel: choice('log-level', LOG_LEVELS),
  }
  if (config.tls.mode === 'files' && config.tls.dir === '') wrong('tls-dir', 'a folder is needed')
  if (config.port !== 0 && config.port === config.statusPort)
    problems.push(`status-port is ${config.statusPort}: port is the same`)
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}
