// What a command reads and writes beside its files; a test gives its own.
import { EXIT } from '../shared/errors.ts'

export type Io = { readInput: () => Promise<Buffer>; out: (text: string) => void; err: (text: string) => void }

export const processIo: Io = {
  readInput: async () => {
    const chunks: Buffer[] = []
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk)
    return Buffer.concat(chunks)
  },
  out: text => void process.stdout.write(text),
  err: text => void process.stderr.write(text),
}

/** Problems of the input, one a line. */
export const complain = (io: Io, problems: readonly string[]): number => {
  for (const problem of problems) io.err(`flink-ha: ${problem}\n`)
  return EXIT.failed
}
