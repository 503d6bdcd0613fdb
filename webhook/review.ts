// AdmissionReview v1 (admission.k8s.io/v1), in and out. In: unknown JSON, checked field by field, each problem naming field,
// value and what would be right. Out: what kube-apiserver accepts (`webhook/request/admissionreview.go`): the same uid,
// apiVersion and kind, and a patch type exactly when there is a patch.
import type { Operation } from './patch.ts'
import type { Pod } from './pod.ts'
import { podProblems } from './pod-shape.ts'
import { boolean, type Check, exactly, fields, filledText, isObject, optional, Problems, text } from './shape.ts'

export type ReviewRequest = {
  uid: string
  namespace: string
  dryRun: boolean
  /** With the request's namespace: the object's own may not be filled in yet. */
  pod: Pod
}
export type ReviewResponse = {
  apiVersion: 'admission.k8s.io/v1'
  kind: 'AdmissionReview'
  response: {
    uid: string
    allowed: boolean
    patchType?: 'JSONPatch'
    /** Base64. */
    patch?: string
    warnings?: string[]
    status?: { code: number; message: string; reason: string }
  }
}

/** What came is not a review of a Pod's creation. */
export class ReviewError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('; '))
    this.name = 'ReviewError'
    this.problems = problems
  }
}

const API_VERSION = 'admission.k8s.io/v1'
/** kube-apiserver cuts longer ones off at 256 characters, and all of them together at 4096; it recommends 120. */
const MAX_WARNING_CHARS = 120
const MAX_WARNINGS = 16

const nothing: Check = (value, path, problems) => {
  if (value !== undefined && value !== null && value !== '') problems.add(path, value, 'nothing')
}
const request = fields({
  uid: filledText,
  kind: fields({ group: exactly(''), version: exactly('v1'), kind: exactly('Pod') }),
  resource: fields({ group: exactly(''), version: exactly('v1'), resource: exactly('pods') }),
  subResource: nothing,
  operation: exactly('CREATE'),
  namespace: filledText,
  name: optional(text),
  dryRun: optional(boolean),
  object: (value, path, problems) => {
    for (const problem of podProblems(value, path)) if (!problems.full) problems.list.push(problem)
  },
})
const review = fields({ apiVersion: exactly(API_VERSION), kind: exactly('AdmissionReview'), request })

/** @throws ReviewError and nothing else, whatever the body is */
export const readReview = (body: unknown): ReviewRequest => {
  const problems = new Problems()
  // Of another version the fields may mean something else, so nothing more is said of them.
  const version = isObject(body) && Object.hasOwn(body, 'apiVersion') ? body['apiVersion'] : undefined
  if (isObject(body) && version !== API_VERSION) exactly(API_VERSION)(version, 'apiVersion', problems)
  else review(body, isObject(body) ? '' : 'the body', problems)
  if (problems.list.length > 0) throw new ReviewError(problems.list)
  const { uid, namespace, dryRun, object } = (body as { request: RawRequest }).request
  const pod = { ...object, metadata: { ...object.metadata, namespace } }
  return { uid, namespace, dryRun: dryRun === true, pod }
}
type RawRequest = { uid: string; namespace: string; dryRun?: boolean | null; object: Pod }

/** Let in, changed by the operations if there are any. */
export const allow = (
  uid: string,
  warnings: readonly string[] = [],
  operations: readonly Operation[] = [],
): ReviewResponse =>
  responseOf({
    uid,
    allowed: true,
    ...(operations.length > 0 && {
      patchType: 'JSONPatch',
      patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
    }),
    ...(warnings.length > 0 && { warnings: warnings.slice(0, MAX_WARNINGS).map(warningText) }),
  })

/** Refused: whoever creates the pod gets the message, such as an Event of the ReplicaSet. */
export const deny = (uid: string, code: 400 | 500 | 503, message: string): ReviewResponse =>
  responseOf({ uid, allowed: false, status: { code, message: `flink-ha: ${message}`, reason: REASONS[code] } })

/** Reasons of the API's `Status` (apimachinery `metav1.StatusReason`). */
const REASONS = { 400: 'BadRequest', 500: 'InternalError', 503: 'ServiceUnavailable' } as const

const responseOf = (response: ReviewResponse['response']): ReviewResponse => ({
  apiVersion: API_VERSION,
  kind: 'AdmissionReview',
  response,
})

/** One line of a header (RFC 7234 `Warning`): control characters and line ends have no place there. */
const warningText = (warning: string): string => {
  const text = `flink-ha: ${warning}`.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
  return text.length <= MAX_WARNING_CHARS ? text : `${text.slice(0, MAX_WARNING_CHARS - 1)}…`
}
