// The objects of manifests/, as plain values.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'

type Named = { name: string; namespace?: string }
type Labels = { [name: string]: string }
export type Rule = { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }
export type Selector = {
  matchLabels?: Labels
  matchExpressions?: { key: string; operator: string; values?: string[] }[]
}
export type Container = {
  name: string
  image: string
  command?: string[]
  args?: string[]
  env?: { name: string; value?: string; valueFrom?: { fieldRef?: { fieldPath: string } } }[]
  ports?: { name?: string; containerPort: number; hostPort?: number }[]
  readinessProbe?: { httpGet: { path: string; port: string } }
  livenessProbe?: { httpGet: { path: string; port: string } }
  resources?: { requests?: Labels; limits?: Labels }
  securityContext?: { [field: string]: unknown }
  volumeMounts?: { name: string; mountPath: string; subPath?: string }[]
}
export type PodSpec = {
  serviceAccountName?: string
  automountServiceAccountToken?: boolean
  terminationGracePeriodSeconds?: number
  securityContext?: { [field: string]: unknown }
  initContainers?: Container[]
  containers: Container[]
  volumes?: { name: string; [kind: string]: unknown }[]
  [field: string]: unknown
}
export type PodTemplate = { metadata: { labels?: Labels; annotations?: Labels }; spec: PodSpec }
export type Webhook = {
  name: string
  clientConfig: { service: Named & { path: string; port: number }; caBundle?: string }
  admissionReviewVersions: string[]
  failurePolicy: string
  sideEffects: string
  timeoutSeconds: number
  matchPolicy: string
  reinvocationPolicy: string
  rules: { operations: string[]; resources: string[]; scope: string }[]
  namespaceSelector: Selector
  objectSelector: Selector
  matchConditions: { name: string; expression: string }[]
}
export type Manifest = {
  apiVersion: string
  kind: string
  metadata: Named & { labels?: Labels; annotations?: Labels }
  rules?: Rule[]
  roleRef?: { kind: string; name: string }
  subjects?: (Named & { kind: string })[]
  webhooks?: Webhook[]
  resources?: string[]
  patches?: { path: string }[]
  data?: Labels
  spec?: {
    replicas?: number
    parallelism?: number
    selector?: Selector & Labels
    podSelector?: Selector
    ports?: { name: string; port: number; targetPort?: string | number }[]
    template?: PodTemplate
    [field: string]: unknown
  }
}

/** Every document of a file. @throws Error for one that cannot be read */
export const objectsOf = (file: string): Manifest[] =>
  parseAllDocuments(readFileSync(file, 'utf8')).map(document => {
    if (document.errors[0] !== undefined) throw document.errors[0]
    return document.toJS() as Manifest
  })

export const yamlFilesOf = (folder: string): string[] =>
  readdirSync(folder)
    .filter(name => name.endsWith('.yaml'))
    .sort()

/** What a kustomization applies, without its patches; bases first. */
export const kustomized = (folder: string): Manifest[] => {
  const { resources = [] } = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')) as Manifest
  return resources.flatMap(resource =>
    resource.endsWith('.yaml') ? objectsOf(join(folder, resource)) : kustomized(join(folder, resource)),
  )
}

/** @throws Error when there is not one such object */
export const only = (objects: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = objects.filter(object => object.kind === kind && object.metadata.name === name)
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} of ${kind} ${name}`)
  return found[0]
}
