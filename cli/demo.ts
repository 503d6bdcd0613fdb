export const runDemo = async (_args: readonly string[]): Promise<void> => {
  throw new Error('not yet')
}
