// What a client asks to be shown: whole objects, or their metadata alone.
import { KubeError } from './kube-errors.ts'
import type { KubeObject } from './kube-resources.ts'

export type Shape = 'whole' | 'partial' | 'partial-list'

const SHAPES: { [as: string]: Shape } = {
  PartialObjectMetadata: 'partial',
  PartialObjectMetadataList: 'partial-list',
}

/** The first range of an `Accept` header that can be met; tables, protobuf and YAML cannot. @throws KubeError 406 */
export const shapeOf = (accept: string): Shape => {
  if (accept.trim() === '') return 'whole'
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map(part => part.trim())
    if (!['application/json', 'application/*', '*/*'].includes(type.toLowerCase())) continue
    const as = parameters.find(parameter => parameter.startsWith('as='))?.slice('as='.length)
    if (as === undefined) return 'whole'
    const shape = SHAPES[as]
    if (shape !== undefined && parameters.includes('g=meta.k8s.io') && parameters.includes('v=v1')) return shape
  }
  throw new KubeError(406, '406: Not Acceptable\n\nAvailable representations: application/json', { details: {} })
}

export const asPartial = ({ metadata }: KubeObject): KubeObject => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata,
})
