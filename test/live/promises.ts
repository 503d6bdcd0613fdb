// What every failover has to keep, whatever its cause; asserted on what was seen from outside.
import type { Test } from 'tap'
import { ANNOTATION_TOKEN, LEADER_KEY_PREFIX } from '../../shared/names.ts'
import { Audit, auditLog, isWrite, tally } from './audit.ts'
import { type Pod, sleep } from './cluster.ts'
import { describe, type Sample } from './rounds.ts'
import type { Scene } from './scene.ts'

export const identityOf = (pod: Pod): string => `${pod.name}_${pod.uid}`

/** A standby that was told takes over at once; one that waited for the lease to run out was not told. */
export const checkRound = (t: Test, sample: Sample, boundMs: number): void => {
  t.comment(describe(sample))
  t.ok(sample.lockMs < boundMs, `the lock names the standby within ${boundMs} ms`, { sample })
  t.ok(sample.grantedMs < boundMs, `its Flink is granted leadership within ${boundMs} ms`, { sample })
  t.ok(sample.completed > 0, 'the old leader completed checkpoints', { sample })
  t.ok(sample.restored >= sample.completed, 'no older checkpoint than the last completed one is restored', { sample })
}

export const checkNothingLost = async (t: Test, { cluster }: Scene): Promise<void> => {
  t.same(await cluster.lost(), [], 'the job neither lost nor repeated a number')
}

/** Tokens of each ConfigMap never go back. */
export const checkTokensGrow = (t: Test, { observer }: Scene): void => {
  const last = new Map<string, number>()
  const back: string[] = []
  for (const { name, object } of observer.versions) {
    const token = Number(object.metadata.annotations?.[ANNOTATION_TOKEN] ?? 0)
    if (token < (last.get(name) ?? 0)) back.push(`${name}: ${last.get(name)} then ${token}`)
    last.set(name, token)
  }
  t.same(back, [], 'no fencing token is followed by a lower one')
}

/**
 * Watches for a while what is written after a deposed leader came back to life: everything in the ConfigMaps has to be of
 * the new leader and its term. Where there is an audit log, no write of the deposed pod was accepted.
 */
export const checkSilent = async (t: Test, scene: Scene, deposed: Pod, leader: Pod, fromMs: number): Promise<void> => {
  const { namespace, observer, agent } = scene
  const path = await auditLog()
  const audit = path === undefined ? undefined : await Audit.begin(path, 10_000_000)
  await sleep(15_000)
  const since = observer.versions.filter(({ atMs }) => atMs >= fromMs)
  t.ok(since.length > 0, 'the new leader writes')
  const token = observer.sights.at(-1)?.token
  const counters = new Map<string, number>()
  const foreign = since.flatMap(({ name, object }) => {
    const { annotations = {} } = object.metadata
    const addresses = Object.entries(object.data ?? {}).filter(([key]) => key.startsWith(LEADER_KEY_PREFIX))
    const wrong = addresses.filter(([, value]) => value.includes(`${deposed.ip}:`)).map(([key]) => `${name}: ${key}`)
    const stamp = annotations[ANNOTATION_TOKEN]
    if (stamp !== undefined && Number(stamp) !== token) wrong.push(`${name}: token ${stamp}`)
    // Number of the next checkpoint: a deposed leader would go on from where it was stopped.
    const counter = Number(object.data?.['counter'] ?? 0)
    if (counter < (counters.get(name) ?? 0)) wrong.push(`${name}: counter ${counters.get(name)} then ${counter}`)
    counters.set(name, counter)
    return wrong
  })
  t.same(foreign, [], 'no leader address and no checkpoint of the deposed leader is written')
  const holders = new Set(observer.sights.filter(({ atMs }) => atMs >= fromMs).map(({ holder }) => holder))
  t.same([...holders], [identityOf(leader)], 'the lock stays with the new leader')
  if (audit === undefined) return
  const asked = await audit.of(namespace.name, agent.there(fromMs), Number.POSITIVE_INFINITY)
  const ofDeposed = asked.filter(one => one.from === deposed.ip && one.resource === 'configmaps' && isWrite(one))
  t.ok(
    asked.some(one => one.from === leader.ip),
    'the audit log tells pods apart',
  )
  t.comment('writes that the deposed leader tried', tally(ofDeposed))
  t.same(
    tally(ofDeposed.filter(({ status }) => status < 400)),
    {},
    'the API server accepts no write of the deposed leader',
  )
}
