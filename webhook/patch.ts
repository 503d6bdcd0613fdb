// RFC 6902 operations, built by hand. A diff of two documents rewrites neighbours when something is put before them, and a
// `test` or `replace` that does not fit fails the whole request whatever the webhook's failure policy (kube-apiserver
// `mutating/dispatcher.go`), so there are only `add`, and `remove` of what is ours. Knows nothing of pods.

export type Operation = { op: 'add'; path: string; value: unknown } | { op: 'remove'; path: string }
export type Step = string | number

/** RFC 6901: `~` first, else the `~` of `~1` would be escaped again. */
export const pointer = (steps: readonly Step[]): string =>
  steps.map(step => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

export const add = (steps: readonly Step[], value: unknown): Operation => ({ op: 'add', path: pointer(steps), value })
export const remove = (steps: readonly Step[]): Operation => ({ op: 'remove', path: pointer(steps) })

// The following say what the document has there now; `add` fails where the parent is missing, so it brings it along. Each
// is for one addition: a second one to the same missing parent would replace the first.

export const addMember = (steps: readonly Step[], map: object | null | undefined, name: string, value: unknown) =>
  map === null || map === undefined ? add(steps, { [name]: value }) : add([...steps, name], value)

export const addLast = (steps: readonly Step[], list: readonly unknown[] | null | undefined, value: unknown) =>
  list === null || list === undefined ? add(steps, [value]) : add([...steps, '-'], value)

export const addFirst = (steps: readonly Step[], list: readonly unknown[] | null | undefined, value: unknown) =>
  list === null || list === undefined ? add(steps, [value]) : add([...steps, 0], value)
