// Files, folders and standard input as texts, and back. What cannot be read is a problem by name, never a crash.
import { randomUUID } from 'node:crypto'
import { link, open, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export type Source = { name: string; text: string }
export type Sources = { sources: Source[]; problems: string[] }

export const STANDARD_INPUT = '-'
const MANIFEST = /\.(ya?ml|json)$/

/** A folder gives its manifests, those of folders below too, in the order of their names; hidden ones are left out. */
export const readSources = async (names: readonly string[], readInput: () => Promise<Buffer>): Promise<Sources> => {
  const sources: Source[] = []
  const problems: string[] = []
  for (const name of names) {
    const { files, problem } = await filesOf(name)
    if (problem !== undefined) problems.push(problem)
    for (const file of files) {
      try {
        const bytes = file === STANDARD_INPUT ? await readInput() : await readFile(file)
        // What is not UTF-8 could not be written back as it was.
        const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
        sources.push({ name: shownName(file), text })
      } catch (error) {
        problems.push(`${shownName(file)}: ${error instanceof TypeError ? 'is not UTF-8 text' : reasonOf(error)}`)
      }
    }
  }
  return { sources, problems }
}

export const shownName = (file: string): string => (file === STANDARD_INPUT ? 'standard input' : file)

const filesOf = async (name: string): Promise<{ files: string[]; problem?: string }> => {
  if (name === STANDARD_INPUT) return { files: [name] }
  try {
    if (!(await stat(name)).isDirectory()) return { files: [name] }
    const files = await manifestsIn(name)
    return files.length > 0 ? { files } : { files, problem: `${name}: no file there ends in .yaml, .yml or .json` }
  } catch (error) {
    return { files: [], problem: `${name}: ${reasonOf(error)}` }
  }
}

const manifestsIn = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { withFileTypes: true })
  const shown = entries.filter(({ name }) => !name.startsWith('.')).sort((a, b) => (a.name < b.name ? -1 : 1))
  const found: string[] = []
  for (const entry of shown) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) found.push(...(await manifestsIn(path)))
    // A link to a folder could lead round in a circle; a link to a file is one.
    else if (MANIFEST.test(entry.name) && (await stat(path)).isFile()) found.push(path)
  }
  return found
}

/** The old content stays if the new one cannot be written to its end. @throws Error of the file system */
export const replaceFile = async (name: string, text: string): Promise<void> => {
  const path = await realpath(name)
  const { mode } = await stat(path)
  const draft = `${path}.${randomUUID()}`
  try {
    await writeFile(draft, text, { mode })
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

/** All of it or nothing, also on disk; a file that is there stays, unless `force`. @throws Error that says why not */
export const saveFile = async (name: string, text: string, force: boolean): Promise<void> => {
  const draft = `${name}.${randomUUID()}`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    // A link, unlike a renaming, never replaces.
    await (force ? rename(draft, name) : link(draft, name))
  } catch (error) {
    throw new Error(`${name}: ${reasonOf(error)}`)
  } finally {
    await rm(draft, { force: true })
  }
}

const REASONS: { [code: string]: string } = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'may not be read',
  EISDIR: 'is a folder',
  EEXIST: 'is there already: --force replaces it',
}
const reasonOf = (error: unknown): string => {
  const { code = '', message } = error as NodeJS.ErrnoException
  return REASONS[code] ?? message
}
