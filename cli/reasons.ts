// What each reason means that the webhook, the sidecar and the relay give: the types are those of the code, so that none can be missing.
import type { Reason } from '../shared/election.ts'
import type { Leave } from '../sidecar/relay-core.ts'
import type { Outcome } from '../webhook/admit.ts'

/** Why a term ended. */
export const TERM_REASONS: { readonly [reason in Reason]: string } = {
  'jvm-gone': 'the JVM’s sockets closed and its port refuses',
  'jvm-silent': 'the JVM asked nothing for longer than its own lease',
  'jvm-stopped': 'Flink gave leadership up itself',
  'jvm-replaced': 'another JVM, where a restarted sidecar expected the old one',
  'pod-deleted': 'the preStop hook: the pod was deleted',
  shutdown: 'SIGTERM',
  switchover: 'somebody asked for it',
  deadline: 'no write was acknowledged in time',
  superseded: 'the lock names somebody else',
  'lock-deleted': 'somebody deleted the lock',
}

/** Why a relay no longer follows a JobManager's sidecar. */
export const LEAVE_REASONS: { readonly [reason in Leave]: string } = {
  silent: 'it told nothing for too long, or never began to',
  unreachable: 'no connection, or it broke',
  refused: 'it answered, but not with what was asked for',
  ended: 'it ended the stream: it is stopping',
  unreadable: 'what it told is no document of a leader',
  'other-cluster': 'its address belongs to another cluster’s pod by now, or it does not know its own yet',
  'old-token': 'it tells an older term than one that is still valid',
  'old-view': 'its ConfigMap is older than what is known',
  'no-leader': 'it has known nobody to lead for a while, and there are others to ask',
}

/** What becomes of a pod, by the label `decision` of the metric; `reason` then is… */
export const DECISIONS: { readonly [decision in Outcome['decision']]: string } = {
  inject: 'the pod gets the sidecar; `reason` is its role',
  skip: 'it is left alone; `reason` is one of the next table',
  refuse:
    'it asked wrongly and is not made; `reason` is `bad-annotation`: a label or annotation of flink-ha’s has a value that cannot be used, or two disagree. The message names it, its value and what would be right',
  deadline:
    'there was no time left to answer; `reason` is its role. A JobManager is not made, a TaskManager runs without',
  error: 'the patch would not do; `reason` is its role. A JobManager is not made, a TaskManager runs without',
}
