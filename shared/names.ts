// The contract: every label, annotation, port and name that somebody outside of this code relies on.
// manifests/, the tests and the documentation use these literals and no others.

/** Prefix of our labels and annotations. */
export const DOMAIN = 'flink-ha.io'

/** Namespace label that asks for injection, with the value `enabled`. */
export const LABEL_INJECTION = 'flink-ha.io/injection'
/** Pod label or annotation that overrides the namespace: `"true"` or `"false"`. */
export const LABEL_INJECT = 'flink-ha.io/inject'
/** Pod label: the cluster id. */
export const LABEL_CLUSTER = 'flink-ha.io/cluster'
/** Pod label that the sidecar keeps on its own pod: `leader` or `standby`. */
export const LABEL_ROLE = 'flink-ha.io/role'
/** Pod annotation set by the webhook: the version that injected. */
export const ANNOTATION_INJECTED = 'flink-ha.io/injected'

/** Pod annotation of Kubernetes' own: the container that kubectl takes when none is named. */
export const ANNOTATION_DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container'

/** Pod annotations by which a user says how: see `docs/reference.md`. */
export const ANNOTATION_CLUSTER_ID = 'flink-ha.io/cluster-id'
export const ANNOTATION_PROFILE = 'flink-ha.io/profile'
export const ANNOTATION_LOCK = 'flink-ha.io/lock'
/** `"true"`: a JVM that is frozen while its term goes on elsewhere is ended, by its container's liveness probe. */
export const ANNOTATION_END_DEPOSED = 'flink-ha.io/end-deposed'
/** `"true"`: the leader goes on without the API server. On the lock, beside the record: JSON, the identities whom it asks then. */
export const ANNOTATION_FAILSAFE = 'flink-ha.io/failsafe'
/** What a TaskManager pod gets: `sidecar` (a relay), `service` (the variable alone) or `off`. */
export const ANNOTATION_TASKMANAGER = 'flink-ha.io/taskmanager'
/** Resources of the injected container, each by itself; the value is a Kubernetes quantity. */
export const ANNOTATION_RESOURCES = {
  'cpu-request': 'flink-ha.io/sidecar-cpu-request',
  'cpu-limit': 'flink-ha.io/sidecar-cpu-limit',
  'memory-request': 'flink-ha.io/sidecar-memory-request',
  'memory-limit': 'flink-ha.io/sidecar-memory-limit',
} as const
/** Label of Flink's pods, set by its documentation, its native mode and its operator alike. */
export const LABEL_COMPONENT = 'component'
/** Label of everything that the reconciler made, with the value `flink-ha`. */
export const LABEL_MANAGED_BY = 'app.kubernetes.io/managed-by'
/** Annotation on an object that the reconciler gave an owner: the owner's uid, so that it can be taken back. `none`: hands off. */
export const ANNOTATION_OWNER_SET = 'flink-ha.io/owner'

/** Why a pod is left alone: one literal for log field, metric label, Event and admission warning. */
export const SKIP_REASONS = {
  'not-flink': 'neither a JobManager nor a TaskManager (label component)',
  'namespace-not-labelled': 'neither its namespace nor the pod asks for it',
  'opted-out': 'label or annotation flink-ha.io/inject is "false"',
  'own-namespace': 'flink-ha and Kubernetes’ own namespaces are left alone',
  'already-injected': 'the sidecar is in it already',
  'host-network': 'on the node’s network two pods would share the sidecar’s port',
  'mirror-pod': 'a static pod’s mirror cannot be changed',
  windows: 'the sidecar’s image is for Linux',
  'name-taken': 'a container or volume of its own has the sidecar’s name',
  'master-set': 'a container sets KUBERNETES_MASTER itself',
  'port-taken': 'a container uses port 4040 or 4041',
  'no-native-sidecars': 'the API server is older than Kubernetes 1.29',
  'taskmanager-off': 'annotation flink-ha.io/taskmanager is "off"',
  'container-unknown': 'which of its containers runs Flink cannot be told',
  'cluster-id-unknown': 'mode "service" needs a cluster id that is known at admission',
} as const
export type SkipReason = keyof typeof SKIP_REASONS

/** Reasons of the Events that the webhook writes, and what they are about. */
export const EVENT_REASONS = {
  NotInjected: 'a pod that asked for it is left without sidecar; on what creates the pod',
  ServiceMade: 'the Service by which TaskManagers find the sidecars was made',
  ServiceCorrected: 'that Service was not as it should be, or has another owner by now',
  ServiceRemoved: 'that Service was removed',
  RightsGranted: 'a service account of JobManagers was given what a sidecar may do',
  RightsRemoved: 'that was taken back',
  OwnerSet: 'an object of Flink’s goes from now on when its JobManagers do',
  OwnerTakenBack: 'that was taken back',
  ReconcileFailed: 'one of these could not be done; it is tried again',
  NameTaken: 'somebody else’s Service has the name of ours: rename it',
  HaConfigMapOwned: 'somebody gave an HA ConfigMap an owner, and with it an end: remove it',
} as const
export type EventReason = keyof typeof EVENT_REASONS

/** Names of the installation; manifests/ has the same. */
export const INSTALL = {
  namespace: 'flink-ha',
  service: 'flink-ha-webhook',
  lease: 'flink-ha-webhook',
  webhookConfiguration: 'flink-ha',
  /** Of labelled namespaces. */
  webhook: 'inject.flink-ha.io',
  /** Of pods that ask for it in other namespaces. */
  webhookAsk: 'ask.inject.flink-ha.io',
  tlsSecret: 'flink-ha-tls',
  candidateRole: 'flink-ha-candidate',
  path: '/mutate',
  /** Where the pods come that ask by themselves. */
  pathAsk: '/mutate/ask',
} as const
/** Volume of the sidecar's own token. */
export const VOLUME_TOKEN = 'flink-ha-token'

/** The leader record: a JSON object in this annotation of the lock (fabric8 `ConfigMapLock`, client-go `LeaderElectionRecordAnnotationKey`). */
export const ANNOTATION_LEADER = 'control-plane.alpha.kubernetes.io/leader'
/** Beside the record: the fencing token of the current or last term, a decimal number. */
export const ANNOTATION_TOKEN = 'flink-ha.io/token'
/** Beside the record: the lock identity of the JVM that the term was granted to, so that a restarted sidecar can go on. */
export const ANNOTATION_JVM = 'flink-ha.io/jvm'
/** Beside the record: why the last term was given up. */
export const ANNOTATION_REASON = 'flink-ha.io/reason'
/** Beside the record: the candidate that a lock was handed to, which has not begun its term yet. */
export const ANNOTATION_SUCCESSOR = 'flink-ha.io/successor'
/**
 * Beside the record: JSON, identity to `host:port` of the pod port, of the candidates that joined; with failsafe
 * `host:port#key`, the key by which the process signs (Ed25519, base64url).
 */
export const ANNOTATION_CANDIDATES = 'flink-ha.io/candidates'

/** The sidecar's port on 127.0.0.1: everything. */
export const PORT_LOCAL = 4040
/** The sidecar's port on the pod's address: the same, read-only. */
export const PORT_POD = 4041
/** Variable by which Flink's client (fabric8 `Config.autoConfigure`) is pointed at the sidecar. */
export const ENV_KUBERNETES_MASTER = 'KUBERNETES_MASTER'
/** Name of the injected container. */
export const CONTAINER_SIDECAR = 'flink-ha'

/** Suffix of the headless Service by which relays find the JobManagers' sidecars: `<cluster-id>-ha`. */
export const HA_SERVICE_SUFFIX = '-ha'

/** Suffix of the lock's name: `<cluster-id>-cluster-config-map` (Flink `KubernetesLeaderElectionHaServices`). */
export const LOCK_SUFFIX = '-cluster-config-map'
/** Suffix of a job's ConfigMap: `<cluster-id>-<job id>-config-map`. */
export const JOB_SUFFIX = '-config-map'
/** Prefix of the leader keys in the lock's data; the value is `<session uuid>,<address>`. */
export const LEADER_KEY_PREFIX = 'org.apache.flink.k8s.leader.'
/** Labels that Flink puts on its HA ConfigMaps, beside `app: <cluster-id>` (Flink `KubernetesUtils.getConfigMapLabels`). */
export const FLINK_TYPE_LABEL = { name: 'type', value: 'flink-native-kubernetes' } as const
