{{/* What every object of the webhook is labelled with, and its pods are found by. */}}
{{- define "flink-ha.labels" -}}
app.kubernetes.io/name: flink-ha
app.kubernetes.io/component: webhook
{{- end }}

{{- define "flink-ha.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The Secret that is mounted when the certificate comes as files. */}}
{{- define "flink-ha.certificateSecret" -}}
{{- if eq .Values.tls.mode "existingSecret" -}}
{{ required "tls.existingSecret is needed when tls.mode is existingSecret" .Values.tls.existingSecret }}
{{- else -}}
flink-ha-certificate
{{- end -}}
{{- end }}

{{/* What both entries of the webhook configuration have in common; takes the root context and the path. */}}
{{- define "flink-ha.webhook" -}}
clientConfig:
  service:
    name: flink-ha-webhook
    namespace: {{ .root.Release.Namespace }}
    path: {{ .path }}
    port: 443
  {{- with .root.Values.tls.caBundle }}
  caBundle: {{ . }}
  {{- end }}
admissionReviewVersions: [v1]
sideEffects: NoneOnDryRun
failurePolicy: {{ .root.Values.webhook.failurePolicy }}
timeoutSeconds: {{ .root.Values.webhook.timeoutSeconds }}
matchPolicy: Equivalent
reinvocationPolicy: IfNeeded
rules:
  - apiGroups: ['']
    apiVersions: [v1]
    resources: [pods]
    operations: [CREATE]
    scope: Namespaced
objectSelector:
  matchExpressions:
    - key: component
      operator: In
      values: [jobmanager, taskmanager]
    - key: flink-ha.io/inject
      operator: NotIn
      values: ['false']
{{- end }}

{{- define "flink-ha.excludedNamespaces" -}}
- key: kubernetes.io/metadata.name
  operator: NotIn
  values:
    - {{ .Release.Namespace }}
    {{- range without .Values.webhook.excludedNamespaces .Release.Namespace }}
    - {{ . }}
    {{- end }}
{{- end }}
