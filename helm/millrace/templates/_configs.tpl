{{/* The config of each service, as YAML: (dict "root" $ "service" name). What the values say goes before it. */}}
{{- define "millrace.config" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $facts := get $values.prepared.services .service -}}
{{- $config := deepCopy (get $values $facts.key).config -}}
{{- include "millrace.fill" (list $config (deepCopy $values.config)) -}}
{{- include "millrace.fill" (list $config (include (printf "millrace.config.%s" .service) $root | fromYaml)) -}}
{{- include "millrace.fill" (list $config (include "millrace.baseConfig" . | fromYaml)) -}}
{{- $config | toYaml -}}
{{- end -}}

{{- define "millrace.baseConfig" -}}
http: { host: {{ .root.Values.listenAddress | quote }}, port: 7071 }
nats:
  {{- include "millrace.natsConfig" (dict "root" .root "user" .service) | nindent 2 }}
tls:
  {{- include "millrace.tlsConfig" . | nindent 2 }}
{{- end -}}

{{- define "millrace.tlsConfig" -}}
caFile: /etc/millrace/tls/ca.crt
certFile: /etc/millrace/tls/tls.crt
keyFile: /etc/millrace/tls/tls.key
{{- end -}}

{{- define "millrace.natsConfig" -}}
{{- $nats := .root.Values.nats -}}
{{- $full := include "millrace.fullname" .root -}}
{{- if $nats.enabled -}}
{{- $host := include "millrace.host" (dict "root" .root "name" (printf "%s-nats" $full)) -}}
url: tls://{{ $host }}:4222
monitorUrl: http://{{ $host }}:8222
requireDurable: true
{{- else -}}
url: {{ $nats.external.url | quote }}
{{- with $nats.external.monitorUrl }}
monitorUrl: {{ . | quote }}
{{- end }}
requireDurable: {{ $nats.external.requireDurable }}
{{- if $nats.external.existingSecret }}
seedFile: /etc/millrace/nats/{{ .user }}.nk
{{- if $nats.external.hasCa }}
caFile: /etc/millrace/nats/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "millrace.bufferAddress" -}}
dns:///{{ include "millrace.host" (dict "root" . "name" (printf "%s-buffer" (include "millrace.fullname" .))) }}:7073
{{- end -}}

{{/* Where pods share volumes, their node is the release; else each pod is one. (dict "root" $ "port" 7075) */}}
{{- define "millrace.readerConfig" -}}
{{- if not .root.Values.volumes.shared -}}
{{- $nodes := printf "{node}.%s-nodes" (include "millrace.fullname" .root) -}}
peerAddress: {{ printf "%s:%v" (include "millrace.host" (dict "root" .root "name" $nodes)) .port | quote }}
{{- end -}}
{{- end -}}

{{- define "millrace.cleanRead" -}}
{{- if not .Values.volumes.shared -}}
cleanRead: { host: {{ .Values.listenAddress | quote }}, port: 7075 }
{{- end -}}
{{- end -}}

{{- define "millrace.config.gateway" -}}
grpc:
  host: {{ .Values.listenAddress | quote }}
  port: 7070
  {{- if .Values.gateway.tls.enabled }}
  tls: { certFile: /etc/millrace/public-tls/tls.crt, keyFile: /etc/millrace/public-tls/tls.key }
  {{- end }}
buffer: { address: {{ include "millrace.bufferAddress" . | quote }} }
{{- if .Values.auth.enabled }}
auth: { tokensFile: /etc/millrace/auth/tokens.json }
{{- end }}
{{- if .Values.volumes.shared }}
replay: { storageDir: /data/output }
{{- end }}
{{- end -}}

{{- define "millrace.secretsDir" -}}
{{- if .Values.secrets.existingSecret -}}
secretsDir: /etc/millrace/secrets
{{- end -}}
{{- end -}}

{{- define "millrace.config.ingestion" -}}
bufferAddress: {{ include "millrace.bufferAddress" . | quote }}
{{- if .Values.volumes.shared }}
segments: { rawDir: /data/raw, cleanDir: /data/clean }
{{- end }}
files: { roots: {{ .Values.ingestion.files.roots | toJson }} }
{{ include "millrace.secretsDir" . }}
{{- end -}}

{{- define "millrace.config.buffer" -}}
grpc: { host: {{ .Values.listenAddress | quote }}, port: 7073 }
{{- if not .Values.volumes.shared }}
rawRead: { host: {{ .Values.listenAddress | quote }}, port: 7074 }
{{- end }}
{{ include "millrace.cleanRead" . }}
segments: { rawDir: /data/raw, cleanDir: /data/clean }
{{- end -}}

{{- define "millrace.config.privacy" -}}
pseudonymKeyFile: /etc/millrace/keys/pseudonyms.key
segments: { rawDir: /data/raw, cleanDir: /data/clean }
images:
  manifestPath: {{ .Values.model.manifestPath | quote }}
  directory: {{ .Values.model.directory | quote }}
{{ include "millrace.cleanRead" . }}
{{ include "millrace.readerConfig" (dict "root" . "port" 7074) }}
{{- end -}}

{{- define "millrace.config.inference" -}}
models:
  manifestPath: {{ .Values.model.manifestPath | quote }}
  directory: {{ .Values.model.directory | quote }}
  text: {{ .Values.model.name | quote }}
segments:
  cleanDir: /data/clean
  {{- if .Values.volumes.shared }}
  ownDir: /data/inferred
  {{- end }}
{{ include "millrace.cleanRead" . }}
{{ include "millrace.readerConfig" (dict "root" . "port" 7075) }}
{{- end -}}

{{- define "millrace.config.semantic-search" -}}
model: {{ .Values.model.name | quote }}
dimensions: {{ int .Values.model.dimensions }}
segments: { cleanDir: /data/clean }
{{ include "millrace.readerConfig" (dict "root" . "port" 7075) }}
{{- end -}}

{{- define "millrace.config.output" -}}
{{ include "millrace.secretsDir" . }}
{{- with .Values.output.egress.webhooks }}
egress: { allowPrivate: [{{ range $at, $one := . }}{{ if $at }}, {{ end }}{{ $one.cidr | quote }}{{ end }}] }
{{- end }}
segments: { cleanDir: /data/clean }
storage: { root: /data/output }
{{ include "millrace.readerConfig" (dict "root" . "port" 7075) }}
{{- end -}}

{{- define "millrace.config.metrics-adapter" -}}
{{- $full := include "millrace.fullname" . -}}
namespace: {{ include "millrace.namespace" . }}
serving:
  host: {{ .Values.listenAddress | quote }}
  port: 6443
  certFile: /etc/millrace/tls/tls.crt
  keyFile: /etc/millrace/tls/tls.key
scrape:
  {{- range $name, $service := dict "gateway" "gateway" "search" "semantic-search" "buffer" "buffer" }}
  {{ $name }}: {{ include "millrace.host" (dict "root" $ "name" (printf "%s-%s-http" $full $service)) }}:7071
  {{- end }}
{{- end -}}

{{/* (root): of the Job that makes streams and consumers. */}}
{{- define "millrace.config.provisioner" -}}
nats:
  {{- include "millrace.natsConfig" (dict "root" . "user" "provisioner") | nindent 2 }}
tls:
  {{- include "millrace.tlsConfig" . | nindent 2 }}
{{- if .Values.nats.enabled }}
# A tenth of what the broker may fill is left, so that our limits trip first.
storeBytes: {{ div (mul 9 (include "millrace.share" (dict "of" .Values.nats.storage.size "percent" 80) | int64)) 10 }}
replicas: {{ int .Values.nats.replicas }}
{{- else }}
storeBytes: {{ include "millrace.bytes" .Values.nats.external.storeSize }}
replicas: {{ int .Values.nats.external.replicas }}
{{- end }}
{{- with .Values.config.logLevel }}
logLevel: {{ . }}
{{- end }}
{{- end -}}

{{/* Whether something else than the chart sets a service's replicas: (dict "root" $ "service" name) */}}
{{- define "millrace.isScaled" -}}
{{- $facts := get .root.Values.prepared.services .service -}}
{{- if and (hasKey (get .root.Values $facts.key) "autoscaling") (ne .root.Values.autoscaling.mode "none") -}}
{{- if or (eq .root.Values.autoscaling.mode "hpa") $facts.stages -}}true{{- end -}}
{{- end -}}
{{- end -}}
