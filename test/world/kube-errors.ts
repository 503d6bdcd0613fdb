// The refusals of the embedded Kubernetes API, worded and shaped as kube-apiserver's `Status`.
import { qualifiedKind, qualifiedName, type Resource } from './kube-resources.ts'

export type Cause = { reason: string; message: string; field: string }
export type Details = {
  name?: string
  group?: string
  kind?: string
  uid?: string
  causes?: Cause[]
  retryAfterSeconds?: number
}
export type Status = {
  kind: 'Status'
  apiVersion: 'v1'
  metadata: object
  status: 'Success' | 'Failure'
  message?: string
  reason?: string
  details?: Details
  code?: number
}

const REASONS: { [code: number]: string } = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}

/** A refusal, with everything that its `Status` says. `reason` null: none is given, as for errors that Go code just returned. */
export class KubeError extends Error {
  readonly code: number
  readonly reason: string | undefined
  readonly details: Details | undefined

  constructor(code: number, message: string, options: { reason?: string | null; details?: Details } = {}) {
    super(message)
    this.name = 'KubeError'
    this.code = code
    this.reason = options.reason === null ? undefined : (options.reason ?? REASONS[code])
    this.details = options.details
  }

  get status(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      ...(this.reason !== undefined && { reason: this.reason }),
      ...(this.details !== undefined && { details: this.details }),
      code: this.code,
    }
  }
}

/** A `Status` names what it is about by the plural, and by the group if there is one. */
export const about = (of: Resource, name: string, uid?: string): Details => ({
  name,
  ...(of.group !== '' && { group: of.group }),
  kind: of.plural,
  ...(uid !== undefined && { uid }),
})

export const notFound = (of: Resource, name: string): KubeError =>
  new KubeError(404, `${qualifiedName(of)} "${name}" not found`, { details: about(of, name) })

export const noSuchPath = (): KubeError =>
  new KubeError(404, 'the server could not find the requested resource', { details: {} })

export const notAllowed = (): KubeError =>
  new KubeError(405, 'the server does not allow this method on the requested resource', { details: {} })

export const alreadyExists = (of: Resource, name: string): KubeError =>
  new KubeError(409, `${qualifiedName(of)} "${name}" already exists`, {
    reason: 'AlreadyExists',
    details: about(of, name),
  })

export const conflict = (of: Resource, name: string, why: string): KubeError =>
  new KubeError(409, `Operation cannot be fulfilled on ${qualifiedName(of)} "${name}": ${why}`, {
    details: about(of, name),
  })

export const modified = (of: Resource, name: string): KubeError =>
  conflict(of, name, 'the object has been modified; please apply your changes to the latest version and try again')

/** A precondition names the kind, not the plural. */
export const preconditionFailed = (of: Resource, name: string, why: string): KubeError =>
  new KubeError(409, `Operation cannot be fulfilled on ${qualifiedKind(of)} "${name}": ${why}`, {
    details: { ...about(of, name), kind: of.kind },
  })

const CAUSE_WORDS: { [reason: string]: string } = {
  FieldValueInvalid: 'Invalid value',
  FieldValueRequired: 'Required value',
  FieldValueForbidden: 'Forbidden',
  FieldValueTooLong: 'Too long',
}

/** One finding of the validation; `value` is shown quoted, as Go does. */
export const cause = (reason: string, field: string, why: string, value?: unknown): Cause => {
  const shown = value === undefined ? '' : ` ${JSON.stringify(value)}:`
  const words = why === '' ? CAUSE_WORDS[reason] : `${CAUSE_WORDS[reason]}:${shown} ${why}`
  return { reason, message: words ?? why, field }
}

export const invalid = (of: Resource, name: string, causes: Cause[]): KubeError => {
  const found = causes.map(({ field, message }) => `${field}: ${message}`)
  const list = found.length === 1 ? found[0] : `[${found.join(', ')}]`
  return new KubeError(422, `${qualifiedKind(of)} "${name}" is invalid: ${list}`, {
    details: { ...(name !== '' && { name }), ...(of.group !== '' && { group: of.group }), kind: of.kind, causes },
  })
}

export const badRequest = (message: string): KubeError => new KubeError(400, message)

/** An error that kube-apiserver passes on as it came: 500 and no reason. */
export const untyped = (message: string): KubeError => new KubeError(500, message, { reason: null })

export const expired = (asked: number, oldest: number): KubeError =>
  new KubeError(410, `too old resource version: ${asked} (${oldest})`)

export const tooLargeVersion = (asked: number, current: number): KubeError =>
  new KubeError(504, `Timeout: Too large resource version: ${asked}, current: ${current}`, {
    details: {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' } as Cause],
      retryAfterSeconds: 1,
    },
  })
