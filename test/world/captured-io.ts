// Standard input, output and error of a command that runs in a test.
import type { Io } from '../../cli/io.ts'

export class CapturedIo implements Io {
  outText = ''
  errText = ''
  #input: string

  constructor(input = '') {
    this.#input = input
  }

  readInput = async (): Promise<Buffer> => Buffer.from(this.#input)
  out = (text: string): void => {
    this.outText += text
  }
  err = (text: string): void => {
    this.errText += text
  }
}
