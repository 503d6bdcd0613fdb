// How large a ConfigMap may become. The API server refuses data of more than 1 MiB (Kubernetes `ValidateConfigMap`), and etcd
// requests of more than 1.5 MiB; a write is refused before that, in words, while there is still room for leader keys.
import type { ConfigMap } from '../shared/lock.ts'

export const MAX_DATA_BYTES = 1_000_000

export const dataBytes = (object: unknown): number =>
  Object.entries((object as ConfigMap | undefined)?.data ?? {}).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(String(value)),
    0,
  )

/** Why a write makes an object too large; undefined when it does not, or makes it smaller. */
export const oversize = (before: unknown, after: unknown): string | undefined => {
  const bytes = dataBytes(after)
  if (bytes <= MAX_DATA_BYTES || bytes <= dataBytes(before)) return undefined
  return `its data would have ${bytes} bytes, at most ${MAX_DATA_BYTES} are taken (Kubernetes refuses more than 1 MiB); nothing was changed`
}
