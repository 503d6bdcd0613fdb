// One JSON line an event, on standard error's sibling standard output, written at once: a line that explains a death must
// not die in a buffer. Credentials never get here: requests are logged by method, path and outcome alone.
import pino from 'pino'

export type Log = {
  debug: (fields: object, message: string) => void
  info: (fields: object, message: string) => void
  warn: (fields: object, message: string) => void
  error: (fields: object, message: string) => void
}

export const makeLog = (level: string, fields: { [name: string]: string }): Log =>
  pino(
    {
      level,
      base: fields,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
    },
    pino.destination({ dest: 1, sync: true }),
  )
