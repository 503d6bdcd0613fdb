// The problems by which a command line or a configuration is refused.
import { ConfigError } from '../../shared/errors.ts'

/** [] when it is not refused. @throws whatever else is thrown */
export const problemsOf = (run: () => unknown): readonly string[] => {
  try {
    run()
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}
