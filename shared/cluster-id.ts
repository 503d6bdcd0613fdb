// What a cluster id can be. Flink allows 45 characters (`KubernetesClusterClientFactory`, MAXIMUM_CHARACTERS_OF_CLUSTER_ID)
// and makes Service names of it; as a label's value and a part of a host name it must be a DNS label anyway.

export const CLUSTER_ID = /^[a-z0-9]([-a-z0-9]{0,43}[a-z0-9])?$/

export const CLUSTER_ID_RULE = 'at most 45 of a-z, 0-9 and - are allowed'

export const isClusterId = (text: string): boolean => CLUSTER_ID.test(text)
