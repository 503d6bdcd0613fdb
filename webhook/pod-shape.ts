// Whether what came as a Pod has the types of the fields that we read; nothing is said about the others.
import type { Pod, PodTemplate } from './pod.ts'
import { boolean, fields, filledText, listOf, mapOf, number, optional, problemsOf, text } from './shape.ts'

const metadata = fields({
  name: optional(text),
  generateName: optional(text),
  namespace: optional(text),
  labels: optional(mapOf(text)),
  annotations: optional(mapOf(text)),
  ownerReferences: optional(
    listOf(fields({ apiVersion: text, kind: text, name: text, uid: text, controller: optional(boolean) })),
  ),
})
const container = fields({
  name: filledText,
  image: optional(text),
  command: optional(listOf(text)),
  args: optional(listOf(text)),
  env: optional(listOf(fields({ name: text, value: optional(text) }))),
  ports: optional(
    listOf(fields({ containerPort: optional(number), hostPort: optional(number), protocol: optional(text) })),
  ),
  restartPolicy: optional(text),
})
const spec = fields({
  containers: listOf(container),
  initContainers: optional(listOf(container)),
  volumes: optional(listOf(fields({ name: text }))),
  hostNetwork: optional(boolean),
  shareProcessNamespace: optional(boolean),
  os: optional(fields({ name: optional(text) })),
  nodeSelector: optional(mapOf(text)),
  securityContext: optional(fields({ runAsUser: optional(number) })),
})

/** Problems in words, with `path` before each field's name; none: the value can be taken for a Pod. */
export const podProblems = (value: unknown, path: string): string[] =>
  problemsOf(value, path, fields({ metadata, spec }))
/** As `podProblems`, for a workload's pod template, which may have no metadata. */
export const templateProblems = (value: unknown, path: string): string[] =>
  problemsOf(value, path, fields({ metadata: optional(metadata), spec }))

export const isPod = (value: unknown): value is Pod => podProblems(value, '').length === 0
export const isPodTemplate = (value: unknown): value is PodTemplate => templateProblems(value, '').length === 0
