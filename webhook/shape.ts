// Checks the shape of JSON from elsewhere, field by field. A check adds a sentence for each problem: where, what was found,
// what would be right. Fields that no check is given for are not looked at.

export type Check = (value: unknown, path: string, problems: Problems) => void
export type Json = { [field: string]: unknown }

/** More problems than anybody reads are not collected, whatever was sent. */
const MAX_PROBLEMS = 20

export class Problems {
  readonly list: string[] = []

  add(path: string, found: unknown, right: string): void {
    if (this.list.length < MAX_PROBLEMS) this.list.push(`${path} is ${shown(found)}: ${right} is needed`)
  }
  get full(): boolean {
    return this.list.length >= MAX_PROBLEMS
  }
}

/** A value in words: short, on one line, without control characters. */
export const shown = (value: unknown): string => {
  if (value === undefined) return 'missing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = JSON.stringify(typeof value === 'string' ? value.slice(0, 60) : value)
  return typeof value === 'string' && value.length > 60 ? `${text} (cut)` : text
}

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const text: Check = (value, path, problems) => {
  if (typeof value !== 'string') problems.add(path, value, 'a text')
}
export const filledText: Check = (value, path, problems) => {
  if (typeof value !== 'string' || value === '') problems.add(path, value, 'a text that is not empty')
}
export const number: Check = (value, path, problems) => {
  if (typeof value !== 'number') problems.add(path, value, 'a number')
}
export const boolean: Check = (value, path, problems) => {
  if (typeof value !== 'boolean') problems.add(path, value, 'true or false')
}
export const exactly =
  (...right: readonly string[]): Check =>
  (value, path, problems) => {
    if (typeof value !== 'string' || !right.includes(value))
      problems.add(path, value, right.map(one => JSON.stringify(one)).join(' or '))
  }
/** Kubernetes writes `null` for an empty list here and there. */
export const optional =
  (check: Check): Check =>
  (value, path, problems) => {
    if (value !== undefined && value !== null) check(value, path, problems)
  }
export const listOf =
  (check: Check): Check =>
  (value, path, problems) => {
    if (!Array.isArray(value)) return problems.add(path, value, 'a list')
    for (const [index, item] of value.entries()) {
      if (problems.full) return
      check(item, `${path}[${index}]`, problems)
    }
  }
export const mapOf =
  (check: Check): Check =>
  (value, path, problems) => {
    if (!isObject(value)) return problems.add(path, value, 'an object')
    for (const [name, member] of Object.entries(value)) {
      if (problems.full) return
      check(member, `${path}[${shown(name)}]`, problems)
    }
  }
export const fields =
  (checks: { [field: string]: Check }): Check =>
  (value, path, problems) => {
    if (!isObject(value)) return problems.add(path, value, 'an object')
    for (const [field, check] of Object.entries(checks))
      check(Object.hasOwn(value, field) ? value[field] : undefined, path === '' ? field : `${path}.${field}`, problems)
  }

/** The problems of a value, none if it has the shape. */
export const problemsOf = (value: unknown, path: string, check: Check): string[] => {
  const problems = new Problems()
  check(value, path, problems)
  return problems.list
}
