// Label and field selectors, as query parameters and as the `LabelSelector` objects of the API.
import { badRequest } from './kube-errors.ts'
import type { KubeObject, Resource } from './kube-resources.ts'

export type Matcher = (object: KubeObject) => boolean
/** The selectors as a query has them. */
export type Selection = { labelSelector?: string; fieldSelector?: string }
export type Labels = { [name: string]: string }
export type LabelSelector = {
  matchLabels?: Labels
  matchExpressions?: { key: string; operator: string; values?: string[] }[]
}

const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/
const LABEL_KEY = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/

export const isLabelValue = (value: string): boolean => LABEL_VALUE.test(value)
export const isLabelKey = (key: string): boolean => LABEL_KEY.test(key)

/** Both selectors of a list or a watch. @throws KubeError 400 */
export const matcherOf = (of: Resource, labelSelector: string, fieldSelector: string): Matcher => {
  const labels = labelTests(labelSelector)
  const fields = fieldTests(of, fieldSelector)
  return object => labels.every(test => test(object.metadata.labels ?? {})) && fields.every(test => test(object))
}

const fieldTests = (of: Resource, selector: string): Matcher[] =>
  selector
    .split(',')
    .filter(term => term.trim() !== '')
    .map(term => {
      const found = /^\s*([^!=]+?)\s*(!=|==|=)(.*)$/.exec(term)
      if (found === null) throw badRequest(`invalid selector: '${selector}'; can't understand '${term}'`)
      const [, field = '', operator, wanted = ''] = found
      if (field !== 'metadata.name' && field !== 'metadata.namespace' && !of.fields.includes(field))
        throw badRequest(
          of.fields.length > 0
            ? `field label not supported: ${field}`
            : `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`,
        )
      const [steps, value] = [field.split('.'), wanted.trim()]
      return object => (fieldOf(object, steps) === value) === (operator !== '!=')
    })

const fieldOf = (object: KubeObject, steps: readonly string[]): string => {
  let value: unknown = object
  for (const step of steps) value = (value as { [field: string]: unknown } | undefined)?.[step]
  return value === undefined || value === null ? '' : String(value)
}

type LabelTest = (labels: Labels) => boolean

const labelTests = (selector: string): LabelTest[] =>
  selector
    // The commas between brackets belong to a set.
    .split(/,(?![^(]*\))/)
    .map(term => term.trim())
    .filter(term => term !== '')
    .map(labelTest)

const labelTest = (term: string): LabelTest => {
  const absent = /^!\s*([^\s=!]+)$/.exec(term)
  if (absent !== null) {
    const key = checkedKey(absent[1] ?? '')
    return labels => labels[key] === undefined
  }
  const [, found = '', rest = ''] = /^([^\s=!]+)\s*(.*)$/.exec(term) ?? []
  if (found === '') throw badRequest(`found '${term}', expected: !, identifier, or 'end of string'`)
  const key = checkedKey(found)
  if (rest === '') return labels => labels[key] !== undefined
  const set = /^(in|notin)\s*\(([^()]*)\)$/.exec(rest)
  if (set !== null) {
    const values = (set[2] ?? '').split(',').map(value => checkedValue(key, value.trim()))
    return set[1] === 'in' ? oneOf(key, values) : noneOf(key, values)
  }
  const equality = /^(!=|==|=)\s*(\S*)$/.exec(rest)
  if (equality === null)
    throw badRequest(
      `unable to parse requirement: found '${rest.split(/\s/)[0]}', expected: in, notin, =, ==, !=, gt, lt`,
    )
  const values = [checkedValue(key, equality[2] ?? '')]
  return equality[1] === '!=' ? noneOf(key, values) : oneOf(key, values)
}

const oneOf =
  (key: string, values: string[]): LabelTest =>
  labels =>
    labels[key] !== undefined && values.includes(labels[key])

/** An object without the label passes, too. */
const noneOf =
  (key: string, values: string[]): LabelTest =>
  labels =>
    labels[key] === undefined || !values.includes(labels[key])

const checkedKey = (key: string): string => {
  if (!isLabelKey(key)) throw badRequest(`unable to parse requirement: <nil>: Invalid value: "${key}"`)
  return key
}
const checkedValue = (key: string, value: string): string => {
  if (!isLabelValue(value))
    throw badRequest(
      `unable to parse requirement: values[0][${key}]: Invalid value: "${value}": a valid label must be an empty string ` +
        "or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    )
  return value
}

/** A missing or empty selector selects everything. */
export const selectsLabels = (selector: LabelSelector | undefined, labels: Labels): boolean =>
  Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
  (selector?.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    switch (operator) {
      case 'In':
        return oneOf(key, values)(labels)
      case 'NotIn':
        return noneOf(key, values)(labels)
      case 'Exists':
        return labels[key] !== undefined
      case 'DoesNotExist':
        return labels[key] === undefined
      default:
        throw badRequest(`"${operator}" is not a valid label selector operator`)
    }
  })
