// One pod on an embedded API: a real sidecar, a hand-made JVM, a vacant lock.
import type { Test } from 'tap'
import { ANNOTATION_LEADER } from '../../shared/names.ts'
import { HandMadeJvm } from './hand-made-jvm.ts'
import { type KubeObject, resourceOf } from './kube-resources.ts'
import { KubeServer } from './kube-server.ts'
import { LOCK, NAMESPACE, TestSidecar, type TestSidecarOptions } from './sidecar.ts'

const CONFIG_MAPS = resourceOf('configmaps')

export type Stage = {
  api: KubeServer
  sidecar: TestSidecar
  jvm: HandMadeJvm
  real: () => KubeObject
  /** The sidecar's process ends without a word, and another one begins in its place. */
  restart: () => Promise<TestSidecar>
}

/** An API with a lock that nobody holds: a missing one would be waited for. */
export const anApi = async (): Promise<KubeServer> => {
  const api = new KubeServer()
  await api.listen()
  api.store.create(resourceOf('namespaces'), '', { metadata: { name: NAMESPACE } })
  return api
}

const VACANT = '{"holderIdentity":"","leaseDuration":1,"acquireTime":"","renewTime":"","leaderTransitions":0}'
export const VACANT_LOCK = { metadata: { name: LOCK, annotations: { [ANNOTATION_LEADER]: VACANT } } }

export const stage = async (
  t: Test,
  options: Partial<TestSidecarOptions> = {},
  lock: object = VACANT_LOCK,
): Promise<Stage> => {
  const api = await anApi()
  api.store.create(CONFIG_MAPS, NAMESPACE, lock)
  const jvm = new HandMadeJvm()
  await jvm.start()
  const made = (): TestSidecar => new TestSidecar({ apiUrl: api.url, name: 'jm-0', jvmPort: jvm.port, ...options })
  const sidecar = made()
  await sidecar.start()
  jvm.url = sidecar.url
  t.teardown(async () => {
    await sidecar.crash()
    await jvm.die()
    await api.close()
  })
  const restart = async (): Promise<TestSidecar> => {
    await sidecar.crash()
    const next = made()
    await next.start()
    t.teardown(() => next.crash())
    return next
  }
  return { api, sidecar, jvm, real: () => api.store.get(CONFIG_MAPS, NAMESPACE, LOCK), restart }
}

export const until = async (fits: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> => {
  const end = Date.now() + timeoutMs
  while (!(await fits())) {
    if (Date.now() > end) throw new Error(`never came: ${fits}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
