/**
 * Which JobManager's sidecar a TaskManager's relay follows, and what it believes of what it is told. What happens comes in
 * as events, what must be done goes out as actions; it knows no clock, no socket and no chance of its own.
 *
 * Promises: one sidecar is followed at a time, and left when it is silent for a few seconds; a name is told while its term can
 * be valid and not longer; an older term or an older view is not believed while a newer one is; tries are spread in time.
 * Does not promise more than it was told: a pause of this process that is shorter than `SILENCE_MS` can make it believe words
 * that waited in its socket for that long; and a sidecar that has not heard of a term's end yet may tell its leader once more after
 * another told that nobody leads. Nobody decides by a name alone: a term's writes are fenced where they are made.
 */
import { unreachable } from '../shared/assert.ts'
import type { ConfigMap } from '../shared/lock.ts'
import { compareVersions } from '../shared/resource-version.ts'
import type { LeaderDocument } from './leader.ts'

/** Why a sidecar is no longer followed: also the metric's label and the log's field. */
export type Leave =
  | 'silent' // it told nothing for too long, or never began to
  | 'unreachable' // no connection, or it broke
  | 'refused' // it answered, but not with what was asked for
  | 'ended' // it ended the stream: it is stopping
  | 'unreadable' // what it told is no document of a leader
  | 'other-cluster' // its address belongs to another cluster's pod by now, or it does not know its own yet
  | 'old-token' // it tells an older term than one that is still valid
  | 'old-view' // its ConfigMap is older than what is known
  | 'no-leader' // it has known nobody to lead for a while, and there are others to ask

type Followed = {
  id: number
  peer: string
  sinceMs: number
  /** When it last told something; undefined before the first word. */
  toldMs: number | undefined
  leaderlessSinceMs: number | undefined
  /** Whether its ConfigMap was seen and is not older than what is known. */
  agrees: boolean
}

export type RelayState = {
  /** "" while not known: then there is nothing to follow. */
  clusterId: string
  /** Addresses `host:port`, in the order in which they are tried. */
  peers: readonly string[]
  failures: ReadonlyMap<string, { count: number; notBeforeMs: number }>
  followed: Followed | undefined
  /** No new connection before this: a crowd that lost the same sidecar does not arrive at once. */
  followAtMs: number
  lookUp: { pending: boolean; atMs: number; tries: number }
  /** The last document that was believed. */
  leader: LeaderDocument | undefined
  validUntilMs: number
  /**
   * The newest term that was believed, and until when no older one is: it can be valid for as long, or a sidecar that is cut off
   * may still believe in the one before.
   */
  newest: { token: number; doubtUntilMs: number }
  /** When a sidecar was last believed anything. */
  heardMs: number | undefined
  /** Version of the ConfigMap that is shown; `shown` false: a reader had it of an earlier process. */
  view: { version: string; shown: boolean; confirmedMs: number } | undefined
  nextId: number
}

export type RelayEvent =
  | { type: 'tick' }
  /** The cluster is known from now on. */
  | { type: 'start'; clusterId: string }
  | { type: 'looked-up'; peers: readonly string[] }
  | { type: 'told'; id: number; leader: LeaderDocument }
  | { type: 'beat'; id: number; validForMs: number }
  | { type: 'sight'; id: number; object: ConfigMap | undefined; version: string }
  | { type: 'lost'; id: number; why: 'unreachable' | 'refused' | 'ended' | 'unreadable' }
  /** A local reader goes on from this version: an earlier process of this relay showed it. */
  | { type: 'asked-from'; version: string }

export type RelayAction =
  | { type: 'look-up' }
  /** Open the stream of this sidecar. */
  | { type: 'follow'; id: number; peer: string }
  /** It is believed: open its watch of the ConfigMap. */
  | { type: 'watch'; id: number }
  | { type: 'leave'; id: number; peer: string; why: Leave }
  | { type: 'show'; object: ConfigMap | undefined; version: string }

/** `chance`: from 0 to 1, drawn for each step, to spread what many relays do. */
export type RelayNow = { monoMs: number; chance: number }
export type RelayStep = { state: RelayState; actions: RelayAction[] }

/** The period of the followed sidecar's word. */
export const BEAT_MS = 2_000
/** Two words missed and a second of delay. */
export const SILENCE_MS = 5_000
/** For the first word: one lost packet of the connection's making is sent again after 1 s. */
const FIRST_WORD_MS = 3_000
const LEADERLESS_MS = 5_000
/** Whoever was followed for this long begins with a clean sheet. */
const STEADY_MS = 10_000
/**
 * Versions and tokens that stay behind for this long after the last word of the newer ones: the cluster's state was set back. Longer
 * than any sidecar may believe in an older term: a lease of profile `tolerant`, from a sight of it that came minutes late.
 */
const RESET_MS = 300_000
const SPREAD_MS = 100
const FIRST_BACKOFF_MS = 200
const MAX_BACKOFF_MS = 3_000
const FIRST_LOOK_UP_MS = 1_000
const MAX_LOOK_UP_MS = 3_000

export const initialRelay: RelayState = {
  clusterId: '',
  peers: [],
  failures: new Map(),
  followed: undefined,
  followAtMs: 0,
  lookUp: { pending: false, atMs: 0, tries: 0 },
  leader: undefined,
  validUntilMs: 0,
  newest: { token: 0, doubtUntilMs: 0 },
  heardMs: undefined,
  view: undefined,
  nextId: 1,
}

export const stepRelay = (before: RelayState, event: RelayEvent, now: RelayNow): RelayStep => {
  const actions: RelayAction[] = []
  // Silence comes before the event: whoever slept does not believe what waited in its socket.
  let s = settle(before, now, actions)
  s = take(s, event, now, actions)
  s = plan(s, now, actions)
  return { state: s, actions }
}

/** Leaves whoever is silent, or has nobody to tell of while others might. */
const settle = (s: RelayState, now: RelayNow, actions: RelayAction[]): RelayState => {
  const { followed } = s
  if (followed === undefined) return s
  if (now.monoMs >= silentAtMs(followed)) return leave(s, 'silent', now, actions)
  if (now.monoMs >= leaderlessAtMs(s, followed)) return leave(s, 'no-leader', now, actions)
  return s
}

const silentAtMs = ({ sinceMs, toldMs }: Followed): number =>
  toldMs === undefined ? sinceMs + FIRST_WORD_MS : toldMs + SILENCE_MS

const leaderlessAtMs = (s: RelayState, { leaderlessSinceMs }: Followed): number =>
  leaderlessSinceMs === undefined || s.peers.length < 2 ? Number.POSITIVE_INFINITY : leaderlessSinceMs + LEADERLESS_MS

const take = (s: RelayState, event: RelayEvent, now: RelayNow, actions: RelayAction[]): RelayState => {
  switch (event.type) {
    case 'tick':
      return s
    case 'start':
      return { ...s, clusterId: event.clusterId }
    case 'looked-up':
      return lookedUp(s, event.peers, now)
    case 'told':
      return s.followed?.id === event.id ? told(s, s.followed, event.leader, now, actions) : s
    case 'beat':
      return s.followed?.id === event.id ? beat(s, s.followed, event.validForMs, now) : s
    case 'sight':
      return s.followed?.id === event.id ? sight(s, s.followed, event, now, actions) : s
    case 'lost':
      return s.followed?.id === event.id ? leave(s, event.why, now, actions) : s
    case 'asked-from': {
      const named = s.view === undefined && (compareVersions(event.version, '0') ?? 0) > 0
      return named ? { ...s, view: { version: event.version, shown: false, confirmedMs: now.monoMs } } : s
    }
    default:
      return unreachable(event)
  }
}

/** None found, or no answer, is no reason to forget who was there. */
const lookedUp = (s: RelayState, peers: readonly string[], now: RelayNow): RelayState => {
  const { tries } = s.lookUp
  const pauseMs = backOff(FIRST_LOOK_UP_MS, MAX_LOOK_UP_MS, tries, now)
  const lookUp = { pending: false, atMs: now.monoMs + pauseMs, tries: tries + 1 }
  if (peers.length === 0) return { ...s, lookUp }
  const failures = new Map([...s.failures].filter(([peer]) => peers.includes(peer)))
  return { ...s, lookUp, peers, failures }
}

const told = (
  s: RelayState,
  followed: Followed,
  leader: LeaderDocument,
  now: RelayNow,
  actions: RelayAction[],
): RelayState => {
  const doubt = doubtOf(s, leader, now)
  if (doubt !== undefined) return leave(s, doubt, now, actions)
  if (followed.toldMs === undefined) actions.push({ type: 'watch', id: followed.id })
  const isLed = leader.name !== null
  const validUntilMs = isLed ? now.monoMs + leader.validForMs : 0
  const next = {
    ...s,
    leader,
    validUntilMs,
    newest: isLed ? { token: leader.token, doubtUntilMs: doubtUntilMs(validUntilMs, now) } : s.newest,
    lookUp: { ...s.lookUp, tries: 0 },
  }
  return heard(
    next,
    { ...followed, leaderlessSinceMs: isLed ? undefined : (followed.leaderlessSinceMs ?? now.monoMs) },
    now,
  )
}

const doubtOf = (s: RelayState, leader: LeaderDocument, now: RelayNow): Leave | undefined => {
  if (leader.clusterId !== s.clusterId) return 'other-cluster'
  // "Nobody leads" is never doubted: it claims nothing.
  const isOlder = leader.name !== null && leader.token < s.newest.token && now.monoMs < s.newest.doubtUntilMs
  return isOlder ? 'old-token' : undefined
}

const doubtUntilMs = (validUntilMs: number, now: RelayNow): number => Math.max(validUntilMs, now.monoMs + RESET_MS)

/** The last document still stands, and how long it can be relied on. */
const beat = (s: RelayState, followed: Followed, validForMs: number, now: RelayNow): RelayState => {
  // Before the first document there is nothing that could stand.
  if (followed.toldMs === undefined) return s
  if (s.leader?.name == null) return heard(s, followed, now)
  const validUntilMs = now.monoMs + validForMs
  return heard(
    { ...s, validUntilMs, newest: { ...s.newest, doubtUntilMs: doubtUntilMs(validUntilMs, now) } },
    followed,
    now,
  )
}

const heard = (s: RelayState, followed: Followed, now: RelayNow): RelayState => ({
  ...s,
  followed: { ...followed, toldMs: now.monoMs },
  heardMs: now.monoMs,
  view: s.view !== undefined && followed.agrees ? { ...s.view, confirmedMs: now.monoMs } : s.view,
})

const sight = (
  s: RelayState,
  followed: Followed,
  { object, version }: RelayEvent & { type: 'sight' },
  now: RelayNow,
  actions: RelayAction[],
): RelayState => {
  const { view } = s
  const order = view === undefined ? 1 : (compareVersions(version, view.version) ?? 1)
  // Versions towards readers grow: whoever is behind is asked again later. Unless everybody is, for long enough.
  if (view !== undefined && order < 0 && now.monoMs < view.confirmedMs + RESET_MS)
    return leave(s, 'old-view', now, actions)
  if (order !== 0 || view?.shown !== true) actions.push({ type: 'show', object, version })
  return { ...s, followed: { ...followed, agrees: true }, view: { version, shown: true, confirmedMs: now.monoMs } }
}

const leave = (s: RelayState, why: Leave, now: RelayNow, actions: RelayAction[]): RelayState => {
  const { followed } = s
  if (followed === undefined) return s
  actions.push({ type: 'leave', id: followed.id, peer: followed.peer, why })
  const wasSteady = followed.toldMs !== undefined && now.monoMs - followed.sinceMs >= STEADY_MS
  const count = (wasSteady ? 0 : (s.failures.get(followed.peer)?.count ?? 0)) + 1
  const pauseMs = why === 'no-leader' ? LEADERLESS_MS : backOff(FIRST_BACKOFF_MS, MAX_BACKOFF_MS, count - 1, now)
  return {
    ...s,
    followed: undefined,
    followAtMs: now.monoMs + SPREAD_MS * now.chance,
    failures: new Map([...s.failures, [followed.peer, { count, notBeforeMs: now.monoMs + pauseMs }]]),
  }
}

const backOff = (firstMs: number, maxMs: number, failures: number, now: RelayNow): number =>
  Math.min(maxMs, firstMs * 2 ** Math.min(failures, 10)) * (0.5 + now.chance)

/** Whoever follows nobody, or somebody who knows no leader, looks up who is there; the one that failed least is tried. */
const plan = (s: RelayState, now: RelayNow, actions: RelayAction[]): RelayState => {
  if (!seeks(s)) return s
  let { lookUp } = s
  if (!lookUp.pending && now.monoMs >= lookUp.atMs) {
    actions.push({ type: 'look-up' })
    lookUp = { ...lookUp, pending: true }
  }
  const peer = s.followed !== undefined || now.monoMs < s.followAtMs ? undefined : nextPeer(s, now)
  if (peer === undefined) return { ...s, lookUp }
  actions.push({ type: 'follow', id: s.nextId, peer })
  const followed = {
    id: s.nextId,
    peer,
    sinceMs: now.monoMs,
    toldMs: undefined,
    leaderlessSinceMs: undefined,
    agrees: false,
  }
  return { ...s, lookUp, followed, nextId: s.nextId + 1 }
}

const seeks = ({ clusterId, followed }: RelayState): boolean =>
  clusterId !== '' && (followed === undefined || followed.leaderlessSinceMs !== undefined)

const nextPeer = (s: RelayState, now: RelayNow): string | undefined => {
  const failed = (peer: string): number => s.failures.get(peer)?.count ?? 0
  return s.peers
    .filter(peer => now.monoMs >= (s.failures.get(peer)?.notBeforeMs ?? 0))
    .sort((a, b) => failed(a) - failed(b))[0]
}

/** When the next `tick` is due; Infinity when nothing but an event can change anything. */
export const relayWakeAtMs = (s: RelayState): number => {
  const { followed } = s
  const lookUpAtMs = seeks(s) && !s.lookUp.pending ? s.lookUp.atMs : Number.POSITIVE_INFINITY
  if (followed !== undefined) return Math.min(lookUpAtMs, silentAtMs(followed), leaderlessAtMs(s, followed))
  if (s.clusterId === '') return lookUpAtMs
  return Math.min(lookUpAtMs, ...s.peers.map(peer => Math.max(s.followAtMs, s.failures.get(peer)?.notBeforeMs ?? 0)))
}
