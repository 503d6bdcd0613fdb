// How long the API server waits: it says so in the query of its call, as a Go duration (`?timeout=5s`).

/** What it waits when it does not say (`timeoutSeconds` of a webhook). */
const DEFAULT_MS = 10_000
const MAX_MS = 30_000
/** Time for the answer's way back; of a very short time-out, a fifth of it. */
const MARGIN_MS = 500

const UNITS: { [unit: string]: number } = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** From the arrival of the request to when it has to be answered. What cannot be read counts as not said. */
export const answerWithinMs = (timeout: unknown): number => {
  const timeoutMs = Math.min(parseDuration(timeout) ?? DEFAULT_MS, MAX_MS)
  return timeoutMs - Math.min(MARGIN_MS, timeoutMs / 5)
}

/** Milliseconds of a Go duration such as `1m0.5s`; undefined: none, or not positive. */
export const parseDuration = (text: unknown): number | undefined => {
  if (typeof text !== 'string' || !/^(\d{1,9}(\.\d{1,9})?(ns|us|µs|ms|s|m|h)){1,6}$/.test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(/([\d.]+)([a-zµ]+)/g)) ms += Number(amount) * (UNITS[unit ?? ''] ?? 0)
  return ms > 0 ? ms : undefined
}
