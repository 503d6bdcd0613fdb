// Bad input at start: every problem at once, then the exit code of this table.

export const EXIT = { failed: 1, usage: 2 } as const

/** Configuration that cannot be used. `problems` has one sentence each: the field, the value, what would be right. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}
