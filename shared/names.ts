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
/** Beside the record: JSON, identity to `host:port` of the pod port, of the candidates that joined. */
export const ANNOTATION_CANDIDATES = 'flink-ha.io/candidates'

/** The sidecar's port on 127.0.0.1: everything. */
export const PORT_LOCAL = 4040
/** The sidecar's port on the pod's address: the same, read-only. */
export const PORT_POD = 4041
/** Variable by which Flink's client (fabric8 `Config.autoConfigure`) is pointed at the sidecar. */
export const ENV_KUBERNETES_MASTER = 'KUBERNETES_MASTER'
/** Name of the injected container. */
export const CONTAINER_SIDECAR = 'flink-ha'

/** Suffix of the lock's name: `<cluster-id>-cluster-config-map` (Flink `KubernetesLeaderElectionHaServices`). */
export const LOCK_SUFFIX = '-cluster-config-map'
/** Suffix of a job's ConfigMap: `<cluster-id>-<job id>-config-map`. */
export const JOB_SUFFIX = '-config-map'
/** Prefix of the leader keys in the lock's data; the value is `<session uuid>,<address>`. */
export const LEADER_KEY_PREFIX = 'org.apache.flink.k8s.leader.'
/** Labels that Flink puts on its HA ConfigMaps, beside `app: <cluster-id>` (Flink `KubernetesUtils.getConfigMapLabels`). */
export const FLINK_TYPE_LABEL = { name: 'type', value: 'flink-native-kubernetes' } as const
