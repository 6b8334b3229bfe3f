{{/* Pieces of pods. */}}

{{/* Pod Security `restricted`, for any user id. */}}
{{- define "millrace.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ int .Values.userId }}
runAsGroup: {{ int .Values.userId }}
fsGroup: {{ int .Values.userId }}
# A volume of millions of files is not walked at each start.
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "millrace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{/* Where a pod may and should run: (dict "root" $ "service" name "values" section "near" bool) */}}
{{- define "millrace.placement" -}}
{{- $root := .root -}}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- $affinity := deepCopy (default (dict) .values.affinity) }}
{{- if .near }}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "millrace.selectorLabels" (dict "root" $root "service" "buffer") | fromYaml)) }}
{{- $pods := default (dict) $affinity.podAffinity }}
{{- $required := append (default list $pods.requiredDuringSchedulingIgnoredDuringExecution) $term }}
{{- $_ := set $pods "requiredDuringSchedulingIgnoredDuringExecution" $required }}
{{- $_ := set $affinity "podAffinity" $pods }}
{{- end }}
{{- with $affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if kindIs "slice" .values.topologySpreadConstraints }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 2 }}
{{- end }}
{{- else }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "millrace.selectorLabels" (dict "root" $root "service" $.service) | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Flags of Node: those of local mode, and the heap's share of the memory limit. (dict "values" section) */}}
{{- define "millrace.nodeFlags" -}}
{{- $limit := dig "resources" "limits" "memory" "" .values -}}
- --max-semi-space-size=32
- --heap-growing-percent=300
{{- if $limit }}
- --max-old-space-size={{ div (include "millrace.share" (dict "of" $limit "percent" .values.heapPercent) | int64) 1048576 }}
{{- end }}
{{- end -}}

{{/* Who a pod is, to itself and in traces: (dict "root" $ "service" name "values" section) */}}
{{- define "millrace.env" -}}
- name: MILLRACE_INSTANCE
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: MILLRACE_NODE
  {{- if .root.Values.volumes.shared }}
  value: {{ include "millrace.fullname" .root }}
  {{- else }}
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
  {{- end }}
- name: MILLRACE_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: KUBERNETES_NODE
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
- name: OTEL_RESOURCE_ATTRIBUTES
  value: >-
    k8s.namespace.name=$(MILLRACE_NAMESPACE),k8s.pod.name=$(MILLRACE_INSTANCE),k8s.node.name=$(KUBERNETES_NODE),k8s.container.name={{ .service }}
{{- with .root.Values.env }}
{{ toYaml . }}
{{- end }}
{{- with .values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What a pod mounts beside its data: (dict "root" $ "service" name) */}}
{{- define "millrace.mounts" -}}
- { name: config, mountPath: /etc/millrace/config, readOnly: true }
- { name: tls, mountPath: /etc/millrace/tls, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- if and (not .root.Values.nats.enabled) .root.Values.nats.external.existingSecret }}
- { name: nats, mountPath: /etc/millrace/nats, readOnly: true }
{{- end }}
{{- if and .root.Values.secrets.existingSecret (has .service (list "ingestion" "output")) }}
- { name: secrets, mountPath: /etc/millrace/secrets, readOnly: true }
{{- end }}
{{- if eq .service "privacy" }}
- { name: keys, mountPath: /etc/millrace/keys, readOnly: true }
{{- end }}
{{- if eq .service "gateway" }}
{{- if .root.Values.auth.enabled }}
- { name: auth, mountPath: /etc/millrace/auth, readOnly: true }
{{- end }}
{{- if .root.Values.gateway.tls.enabled }}
- { name: public-tls, mountPath: /etc/millrace/public-tls, readOnly: true }
{{- end }}
{{- end }}
{{- end -}}

{{/* The volumes of these mounts: (dict "root" $ "service" name "config" name of the ConfigMap) */}}
{{- define "millrace.volumes" -}}
{{- $full := include "millrace.fullname" .root -}}
- name: config
  configMap: { name: {{ .config }} }
- name: tls
  secret: { secretName: {{ include "millrace.tlsSecret" . }}, defaultMode: 0440 }
- name: tmp
  emptyDir: { sizeLimit: 256Mi }
{{- if and (not .root.Values.nats.enabled) .root.Values.nats.external.existingSecret }}
- name: nats
  secret:
    secretName: {{ .root.Values.nats.external.existingSecret }}
    defaultMode: 0440
    items:
      - { key: {{ .service }}.nk, path: {{ .service }}.nk }
      {{- if .root.Values.nats.external.hasCa }}
      - { key: ca.crt, path: ca.crt }
      {{- end }}
{{- end }}
{{- if and .root.Values.secrets.existingSecret (has .service (list "ingestion" "output")) }}
- name: secrets
  secret: { secretName: {{ .root.Values.secrets.existingSecret }}, defaultMode: 0440 }
{{- end }}
{{- if eq .service "privacy" }}
- name: keys
  secret:
    secretName: {{ default (printf "%s-pseudonyms" $full) .root.Values.pseudonymKey.existingSecret }}
    defaultMode: 0440
    items: [{ key: pseudonyms.key, path: pseudonyms.key }]
{{- end }}
{{- if eq .service "gateway" }}
{{- if .root.Values.auth.enabled }}
- name: auth
  secret:
    secretName: {{ default (printf "%s-auth" $full) .root.Values.auth.existingSecret }}
    defaultMode: 0440
    items: [{ key: tokens.json, path: tokens.json }]
{{- end }}
{{- if .root.Values.gateway.tls.enabled }}
- name: public-tls
  secret:
    secretName: {{ default (printf "%s-gateway-public-tls" $full) .root.Values.gateway.tls.existingSecret }}
    defaultMode: 0440
    items: [{ key: tls.crt, path: tls.crt }, { key: tls.key, path: tls.key }]
{{- end }}
{{- end }}
{{- end -}}

{{/* Seconds until a pod is killed: what its Service needs to forget it, its drain, and some more. */}}
{{- define "millrace.graceSeconds" -}}
{{- $config := include "millrace.config" . | fromYaml -}}
{{- $drainMs := int (default 20000 $config.drainTimeoutMs) -}}
{{- add (int .root.Values.preStopSeconds) (ceil (divf $drainMs 1000)) (int .root.Values.graceExtraSeconds) -}}
{{- end -}}
