// What will make pods of a cluster, as far as its spec tells, though there may be none right now; and what keeps it from that.
import type { WorkloadKind } from '../webhook/workload.ts'
import { at, type Json, listOf, mapOf, textOf } from './check-api.ts'

/** undefined: it makes none. */
export const remedyOf = (kind: WorkloadKind | 'FlinkDeployment', object: Json): string | undefined => {
  const spec = at(object, 'spec')
  switch (kind) {
    case 'Deployment':
    case 'StatefulSet':
      // Kubernetes' default is one.
      return spec['replicas'] === 0 ? undefined : 'scale it to 0'
    case 'Job':
      return spec['suspend'] === true || isOver(object) ? undefined : 'suspend or delete it'
    case 'FlinkDeployment':
      return operatorsRemedy(spec)
  }
}

const isOver = (job: Json): boolean =>
  listOf(at(job, 'status')['conditions'])
    .map(mapOf)
    .some(({ type, status }) => ['Complete', 'Failed'].includes(textOf(type)) && status === 'True')

/** A session has no job, and no state that one could suspend. */
const operatorsRemedy = ({ job }: Json): string | undefined => {
  if (job === undefined || job === null) return 'delete it'
  return mapOf(job)['state'] === 'suspended' ? undefined : 'set its spec.job.state to suspended, or delete it'
}
