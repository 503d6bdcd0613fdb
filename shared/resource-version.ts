// Resource versions are decimal numbers of any length that grow within one resource type (KEP-5504, stable in
// Kubernetes 1.35; etcd revisions before). They are compared as text, so that none is too large.

const DECIMAL = /^\d+$/

/** Negative, zero or positive as `a` is older than, equal to or newer than `b`; undefined when they cannot be compared. */
export const compareVersions = (a: string, b: string): number | undefined => {
  if (a === b) return 0
  if (!DECIMAL.test(a) || !DECIMAL.test(b)) return undefined
  const [x, y] = [a.replace(/^0+(?=\d)/, ''), b.replace(/^0+(?=\d)/, '')]
  if (x.length !== y.length) return x.length - y.length
  return x < y ? -1 : x > y ? 1 : 0
}

/** Whether `b` is certainly not newer than `a`. Versions that cannot be compared count as news. */
export const isStale = (a: string, b: string): boolean => {
  const order = compareVersions(b, a)
  return order !== undefined && order <= 0
}

/** The version as a number for a fencing token; 0 when it is none that a double can hold exactly. */
export const versionNumber = (version: string): number => {
  const number = DECIMAL.test(version) ? Number(version) : 0
  return Number.isSafeInteger(number) ? number : 0
}
