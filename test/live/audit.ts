// The API server's audit log, where the test can read it: who asked for what. One JSON line a request (see FLINK_HA_AUDIT_LOG
// in CONTRIBUTING).
import { open } from 'node:fs/promises'
import { run } from './cluster.ts'
import { rig } from './faults.ts'

export type Asked = {
  atMs: number
  verb: string
  resource: string
  name: string
  /** The pod's address, where the cluster does not hide it. */
  from: string
  status: number
}

type Line = {
  auditID: string
  verb: string
  user?: { username?: string }
  sourceIPs?: string[]
  objectRef?: { resource?: string; namespace?: string; name?: string }
  responseStatus?: { code?: number }
  requestReceivedTimestamp: string
}

export const isWrite = ({ verb }: Asked): boolean => ['create', 'update', 'patch', 'delete'].includes(verb)

/** Path of the log; undefined where there is none to read. */
export const auditLog = async (): Promise<string | undefined> => {
  const given = process.env['FLINK_HA_AUDIT_LOG']
  if (given !== undefined && given !== '') return given
  return rig === '' ? undefined : (await run(rig, ['audit'])).trim()
}

export class Audit {
  #path: string
  #from: number

  private constructor(path: string, from: number) {
    this.#path = path
    this.#from = from
  }

  /** Begins now, or so many bytes back: older lines are not read. */
  static async begin(path: string, back = 0): Promise<Audit> {
    const file = await open(path)
    const { size } = await file.stat()
    await file.close()
    return new Audit(path, Math.max(0, size - back))
  }

  /** Requests of a namespace's service accounts between two times, each once. */
  async of(namespace: string, fromMs: number, toMs: number): Promise<Asked[]> {
    const file = await open(this.#path)
    const seen = new Map<string, Asked>()
    try {
      for await (const text of file.readLines({ start: this.#from })) {
        const line = parse(text)
        if (!line?.user?.username?.startsWith(`system:serviceaccount:${namespace}:`)) continue
        const atMs = Date.parse(line.requestReceivedTimestamp)
        if (atMs < fromMs || atMs >= toMs) continue
        // A watch has a line when it begins and one when it ends.
        seen.set(line.auditID, {
          atMs,
          verb: line.verb,
          resource: line.objectRef?.resource ?? '',
          name: line.objectRef?.name ?? '',
          from: line.sourceIPs?.[0] ?? '',
          status: line.responseStatus?.code ?? 0,
        })
      }
    } finally {
      await file.close()
    }
    return [...seen.values()].sort((a, b) => a.atMs - b.atMs)
  }
}

/** The last line may be half written. */
const parse = (text: string): Line | undefined => {
  try {
    return JSON.parse(text) as Line
  } catch {
    return undefined
  }
}

/** What was asked, counted: for a test's report. */
export const tally = (asked: readonly Asked[]): { [what: string]: number } => {
  const counts: { [what: string]: number } = {}
  for (const { verb, resource, name, status } of asked) {
    const what = `${verb} ${resource}/${name.replace(/[0-9a-f]{32}/, '<job>')} ${status}`
    counts[what] = (counts[what] ?? 0) + 1
  }
  return counts
}
