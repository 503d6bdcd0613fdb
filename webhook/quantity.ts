// Kubernetes quantities, such as `100m` and `64Mi` (apimachinery `resource.Quantity`), as far as an annotation may have them.

const QUANTITY = /^\+?(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i))?$/
const MAX_CHARS = 32
const DECIMAL = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E']
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']

/** The size as a number, good enough to compare; undefined: not a quantity, negative, or larger than the API takes. */
export const parseQuantity = (text: string): number | undefined => {
  const match = text.length > MAX_CHARS ? null : QUANTITY.exec(text)
  if (match === null) return undefined
  const [, digits, exponent, suffix = ''] = match
  const size = Number(`${digits}${exponent ?? ''}`) * factorOf(suffix)
  // An int64, which the API server would silently cap.
  return size <= 2 ** 63 ? size : undefined
}

const factorOf = (suffix: string): number =>
  BINARY.includes(suffix) ? 1024 ** BINARY.indexOf(suffix) : 1000 ** (DECIMAL.indexOf(suffix) - DECIMAL.indexOf(''))
