// Makes a planned fault happen in a simulated world.
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import type { ApiCall, SimApi } from './sim-api.ts'
import type { Network } from './sim-network.ts'
import type { Fault } from './sim-plan.ts'
import type { SimPod } from './sim-pod.ts'
import type { SimRelay } from './sim-relay.ts'
import { LOCK, NAMESPACE } from './sim-sidecar.ts'
import type { SimTime } from './sim-time.ts'

export type Scene = {
  time: SimTime
  api: SimApi
  network: Network
  pods: readonly SimPod[]
  relays: readonly SimRelay[]
  /** The native candidate comes, stops properly, dies, or is stopped for a while. */
  native: { start: () => void; stop: () => void; crash: () => void; pause: (durationMs: number) => void }
  thirdParty: (call: ApiCall) => void
  switchOver: (pod: SimPod) => void
}

const MINUTES_MS = 60_000

export const strike = (scene: Scene, fault: Fault): void => {
  const { time, api, network, pods, relays, native } = scene
  const { target, durationMs, size } = fault
  const pod = pick(pods, target) as SimPod
  const other = pick(
    pods.filter(candidate => candidate !== pod),
    size,
  )
  const relay = pick(relays, target)
  const toApi = network.link(pod.end, 'api')
  const sidecar = pod.sidecar?.process.name ?? ''
  const later = (run: () => void): void => void time.after(durationMs, run)
  switch (fault.kind) {
    case 'slow-api':
      return toApi.storm({ maxDelayMs: 50 + size * size * 30_000, loss: 0 }, durationMs)
    case 'lossy-api':
      return toApi.storm({ maxDelayMs: 50 + size * 500, loss: 0.1 + 0.5 * size }, durationMs)
    case 'cut-api':
      return toApi.cutFor(durationMs)
    case 'cut-peers':
      if (other !== undefined) network.link(pod.end, other.end).cutFor(durationMs)
      return
    case 'slow-peers':
      if (other !== undefined)
        network.link(pod.end, other.end).storm({ maxDelayMs: 50 + size * 10_000, loss: 0 }, durationMs)
      return
    case 'cut-relay':
      if (relay !== undefined) network.link(pod.end, relay.end).cutFor(durationMs)
      return
    case 'slow-relay':
      if (relay !== undefined)
        network.link(pod.end, relay.end).storm({ maxDelayMs: size * 10_000, loss: 0 }, durationMs)
      return
    case 'watch-lag':
      api.lag(sidecar, size * 10_000)
      return later(() => api.lag(sidecar, 0))
    case 'watch-break':
      return api.breakWatches(size < 0.3 ? undefined : sidecar)
    case 'watch-regress':
      return api.regress(sidecar, 1 + Math.floor(size * 8))
    case 'compact':
      return api.store.compact()
    case 'api-errors':
      return moody(scene, fault)
    case 'api-crash':
      api.crash()
      return later(() => api.recover())
    case 'api-freeze':
      api.freeze()
      return later(() => api.thaw())
    case 'sidecar-crash':
      pod.crashSidecar()
      return pod.after(Math.min(durationMs, 5_000), () => pod.startSidecar())
    case 'sidecar-pause':
      return pause([pod.sidecar?.process], later)
    case 'jvm-crash':
      pod.crashJvm()
      return pod.after(1_000 + Math.min(durationMs, 10_000), () => pod.startJvm())
    case 'jvm-stop':
      pod.stopJvm()
      return pod.after(5_000 + Math.min(durationMs, 10_000), () => pod.startJvm())
    case 'jvm-pause':
      return pause([pod.jvm?.process], later)
    case 'pod-pause':
      return pause([pod.sidecar?.process, pod.jvm?.process], later)
    case 'pod-delete':
      return pod.delete()
    case 'pod-vanish':
      pod.vanish()
      return pod.after(1_000 + Math.min(durationMs, 20_000), () => pod.begin())
    case 'relay-crash':
      relay?.crash()
      return later(() => relay?.start())
    case 'relay-pause':
      return pause([relay?.process], later)
    case 'wall-step':
      pod.machine.wallOffsetMs += (size - 0.5) * 2 * MINUTES_MS * (target < 0.5 ? 60 : 0.1)
      return
    case 'clock-rate':
      return pod.machine.setRate(1 + (size - 0.5) * 0.04)
    case 'lock-delete':
    case 'lock-garble':
    case 'lock-touch':
    case 'lock-keys':
      return meddle(scene, fault)
    case 'switchover':
      return scene.switchOver(pod)
    case 'native-start':
      return native.start()
    case 'native-stop':
      return native.stop()
    case 'native-crash':
      return native.crash()
    case 'native-pause':
      return native.pause(durationMs)
  }
}

const pick = <T>(list: readonly T[], at: number): T | undefined => list[Math.floor(at * list.length)]

const pause = (
  processes: ({ pause: () => void; resume: () => void } | undefined)[],
  later: (run: () => void) => void,
): void => {
  for (const process of processes) process?.pause()
  later(() => {
    for (const process of processes) process?.resume()
  })
}

/** Some of the requests are answered with an error, some of these after they were done. */
const moody = ({ time, api }: Scene, { target, durationMs, size }: Fault): void => {
  const status = [500, 503, 429, 409, 504][Math.floor(target * 5)] ?? 500
  const afterCommit = status !== 429 && size * 10 - Math.floor(size * 10) < 0.5
  const retryAfterSeconds = status === 429 ? 1 + Math.floor(size * 3) : undefined
  api.moody({ share: 0.1 + 0.9 * size, status, retryAfterSeconds, afterCommit })
  time.after(durationMs, () => api.moody(undefined))
}

const GARBLE = ['{"holderIdentity":7', '', 'null', '{"holderIdentity":"x","leaseDurationSeconds":-1}', '{}']

/** Somebody else writes to the lock. */
const meddle = ({ api, thirdParty }: Scene, { kind, size, atMs }: Fault): void => {
  const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/${LOCK}`
  const call = { by: 'third-party', path, contentType: 'application/merge-patch+json', accept: '' }
  const current = api.handle({ ...call, method: 'GET', body: undefined })
  if (current.status !== 200) return
  if (kind === 'lock-delete') return thirdParty({ ...call, method: 'DELETE', body: {} })
  const { metadata, data = {} } = current.body as {
    metadata: { resourceVersion: string }
    data?: { [key: string]: string }
  }
  const { resourceVersion } = metadata
  const patch = (annotations: object, changes?: object): void =>
    thirdParty({
      ...call,
      method: 'PATCH',
      body: { metadata: { resourceVersion, annotations }, ...(changes && { data: changes }) },
    })
  if (kind === 'lock-touch') return patch({ 'example.com/touched': String(atMs) })
  if (kind === 'lock-garble') return patch({ [ANNOTATION_LEADER]: pick(GARBLE, size) })
  // Plans are left alone: without them nobody could say that the job has to run.
  const keys = Object.keys(data).filter(key => !/^(?:jobGraph|executionPlan)-/.test(key))
  const key = pick(keys, size)
  if (key !== undefined) patch({}, { [key]: size * 10 - Math.floor(size * 10) < 0.5 ? null : 'garbled' })
}
