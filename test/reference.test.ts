// docs/reference.md is what the code says, and every name of ours is explained there.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { EXPLAINED, REFERENCE_FILE, referencePage } from '../cli/reference.ts'
import * as names from '../shared/names.ts'

/** Beside the leader record in the lock: for those who read the code. */
const IN_THE_LOCK = [
  names.ANNOTATION_TOKEN,
  names.ANNOTATION_JVM,
  names.ANNOTATION_REASON,
  names.ANNOTATION_SUCCESSOR,
  names.ANNOTATION_CANDIDATES,
]

t.test('the committed page is up to date', async t => {
  t.equal(readFileSync(REFERENCE_FILE, 'utf8'), referencePage(), 'npm run reference')
})

t.test('every label and annotation of ours is explained', async t => {
  const texts = (value: unknown): string[] =>
    typeof value === 'string' ? [value] : Object.values(value as object).flatMap(texts)
  const ours = Object.entries(names)
    .filter(([name]) => /^(LABEL|ANNOTATION)_/.test(name))
    .flatMap(([, value]) => texts(value))
    .filter(text => text.startsWith(`${names.DOMAIN}/`) && !IN_THE_LOCK.includes(text as never))
  for (const name of ours) t.ok(EXPLAINED.includes(name), name)
})
