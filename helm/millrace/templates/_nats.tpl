{{/*
Configuration of the bundled broker, as YAML: users and what each may do are files/permissions.json, which
`npm run gen` writes from the table that local mode uses. A user is who its certificate names.
*/}}
{{- define "millrace.natsServerConfig" -}}
{{- $full := include "millrace.fullname" . -}}
{{- $table := .Files.Get "files/permissions.json" | fromJson -}}
{{- $replicas := int .Values.nats.replicas -}}
port: 4222
http: {{ printf "%s:8222" (.Values.listenAddress | contains ":" | ternary (printf "[%s]" .Values.listenAddress) .Values.listenAddress) | quote }}
pid_file: /run/nats/nats.pid
max_payload: 12582912
# Acks of a window of large batches may pile up for a slow reader before it is cut.
max_pending: 268435456
write_deadline: 10s
lame_duck_grace_period: 5s
lame_duck_duration: 30s
jetstream:
  store_dir: /data/nats
  # A write that finds the disk full would stop a stream until a restart: the limit comes first.
  max_file_store: {{ include "millrace.share" (dict "of" .Values.nats.storage.size "percent" 80) }}
  max_memory_store: 67108864
  sync_interval: always
tls:
  cert_file: /etc/millrace/tls/tls.crt
  key_file: /etc/millrace/tls/tls.key
  ca_file: /etc/millrace/tls/ca.crt
  verify_and_map: true
  timeout: 5
{{- if gt $replicas 1 }}
cluster:
  name: {{ $full }}
  port: 6222
  routes:
    {{- range $at := until $replicas }}
    - nats-route://{{ include "millrace.natsPeer" (dict "root" $ "at" $at) }}:6222
    {{- end }}
  tls:
    cert_file: /etc/millrace/tls/tls.crt
    key_file: /etc/millrace/tls/tls.key
    ca_file: /etc/millrace/tls/ca.crt
    verify: true
    # A service's certificate is of the same CA, and makes no server.
    verify_cert_and_check_known_urls: true
    timeout: 5
{{- end }}
authorization:
  users:
    {{- range $user, $permissions := $table.users }}
    - user: {{ $user }}
      permissions: {{ toJson $permissions }}
    {{- end }}
{{- end -}}

{{/* Name of a server among its peers: (dict "root" $ "at" ordinal) */}}
{{- define "millrace.natsPeer" -}}
{{- $full := include "millrace.fullname" .root -}}
{{- include "millrace.host" (dict "root" .root "name" (printf "%s-nats-%d.%s-nats-peers" $full (int .at) $full)) -}}
{{- end -}}

{{- define "millrace.natsConfigText" -}}
{{- $config := deepCopy .Values.nats.config -}}
{{- include "millrace.fill" (list $config (include "millrace.natsServerConfig" . | fromYaml)) -}}
{{- /* The broker knows no \u escapes; subjects hold the `>` that this function escapes. */ -}}
{{- $config | toPrettyJson | replace "\\u003e" ">" | replace "\\u003c" "<" | replace "\\u0026" "&" -}}
{{- end -}}
