// An AdmissionReview as kube-apiserver sends it when a pod is created.
import type { Pod } from '../../webhook/pod.ts'

export const NAMESPACE = 'flink'

export const jobManagerPod = (): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    generateName: 'jm-5d-',
    labels: { component: 'jobmanager' },
    ownerReferences: [
      {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        name: 'jm-5d',
        uid: 'rs-1',
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  },
  spec: { containers: [{ name: 'jobmanager', image: 'flink:2.3.0', args: ['jobmanager'] }] },
})

export const reviewOf = (object: unknown, fields: object = {}) => ({
  kind: 'AdmissionReview',
  apiVersion: 'admission.k8s.io/v1',
  request: {
    uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    resource: { group: '', version: 'v1', resource: 'pods' },
    requestKind: { group: '', version: 'v1', kind: 'Pod' },
    requestResource: { group: '', version: 'v1', resource: 'pods' },
    namespace: NAMESPACE,
    operation: 'CREATE',
    userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller' },
    object,
    oldObject: null,
    dryRun: false,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
    ...fields,
  },
})
