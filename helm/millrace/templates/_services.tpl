{{/*
What the chart knows of each service; every template ranges over this table.
  key     its section of the values
  kind    Deployment or StatefulSet
  ports   by name
  serves  ports that a Service of its own is for
  ranges  others fetch bodies from its pods, by their names
  mounts  volumes of shared storage; claims: those that each pod has of its own
  near    it uses shared volumes, so it runs on buffer's node
  stages  whose lag scales it
*/}}
{{- define "millrace.services" -}}
{{- $shared := .Values.volumes.shared -}}
gateway:
  key: gateway
  kind: Deployment
  ports: { grpc: 7070, http: 7071 }
  {{- if $shared }}
  mounts:
    # Replays read the files of output, and link them while they do.
    - { volume: output, mountPath: /data/output }
  near: true
  {{- end }}
ingestion:
  key: ingestion
  kind: StatefulSet
  ports: { http: 7071 }
  {{- if $shared }}
  mounts:
    - { volume: raw, mountPath: /data/raw }
    - { volume: clean, mountPath: /data/clean }
  near: true
  {{- end }}
buffer:
  key: buffer
  kind: StatefulSet
  ranges: true
  {{- if $shared }}
  ports: { http: 7071, append: 7073 }
  mounts:
    - { volume: raw, mountPath: /data/raw }
    - { volume: clean, mountPath: /data/clean }
  {{- else }}
  ports: { http: 7071, append: 7073, raw-read: 7074, clean-read: 7075 }
  claims:
    - { volume: raw, mountPath: /data/raw }
    - { volume: clean, mountPath: /data/clean }
  {{- end }}
privacy:
  key: privacy
  kind: StatefulSet
  ranges: true
  stages: [privacy]
  {{- if $shared }}
  ports: { http: 7071 }
  mounts:
    - { volume: raw, mountPath: /data/raw, readOnly: true }
    - { volume: clean, mountPath: /data/clean }
  near: true
  {{- else }}
  ports: { http: 7071, clean-read: 7075 }
  claims:
    - { volume: clean, mountPath: /data/clean }
  {{- end }}
inference:
  key: inference
  kind: StatefulSet
  ranges: true
  stages: [inference]
  {{- if $shared }}
  ports: { http: 7071 }
  mounts:
    - { volume: clean, mountPath: /data/clean, readOnly: true }
    - { volume: clean, mountPath: /data/inferred, subPath: inference }
  near: true
  {{- else }}
  ports: { http: 7071, clean-read: 7075 }
  claims:
    - { volume: clean, mountPath: /data/clean }
  {{- end }}
semantic-search:
  key: semanticSearch
  kind: Deployment
  ports: { http: 7071 }
  stages: [search]
  {{- if $shared }}
  mounts:
    - { volume: clean, mountPath: /data/clean, readOnly: true }
  near: true
  {{- end }}
output:
  key: output
  kind: StatefulSet
  ports: { http: 7071 }
  stages: [results, store, kafka]
  {{- if $shared }}
  mounts:
    - { volume: clean, mountPath: /data/clean, readOnly: true }
    - { volume: output, mountPath: /data/output }
  near: true
  {{- else }}
  claims:
    - { volume: output, mountPath: /data/output }
  {{- end }}
{{- if eq .Values.autoscaling.mode "hpa" }}
metrics-adapter:
  key: metricsAdapter
  kind: Deployment
  ports: { http: 7071, https: 6443 }
{{- end }}
{{- end -}}

{{/*
Who may reach whom, at which port, beside DNS, the broker and scrapes. The NetworkPolicies of both ends are
made of it.
*/}}
{{- define "millrace.flows" -}}
- { from: gateway, to: buffer, port: 7073 }
- { from: ingestion, to: buffer, port: 7073 }
{{- if not .Values.volumes.shared }}
- { from: privacy, to: buffer, port: 7074 }
{{- range $reader := list "inference" "semantic-search" "output" }}
{{- range $owner := list "buffer" "privacy" "inference" }}
- { from: {{ $reader }}, to: {{ $owner }}, port: 7075 }
{{- end }}
{{- end }}
{{- end }}
{{- if eq .Values.autoscaling.mode "hpa" }}
{{- range $asked := list "gateway" "semantic-search" "buffer" }}
- { from: metrics-adapter, to: {{ $asked }}, port: 7071 }
{{- end }}
{{- end }}
{{- end -}}

{{/* Puts what the profile says under the values, once: those that are null or missing. */}}
{{- define "millrace.prepare" -}}
{{- if not (hasKey .Values "prepared") -}}
{{- $file := printf "files/profiles/%s.yaml" .Values.profile -}}
{{- $text := .Files.Get $file -}}
{{- if not $text -}}
{{- fail (printf "profile is %q: set it to small or production" .Values.profile) -}}
{{- end -}}
{{- include "millrace.fill" (list .Values (fromYaml $text)) -}}
{{- $_ := set .Values "prepared" (dict "services" (include "millrace.services" . | fromYaml)) -}}
{{- include "millrace.refuse" . -}}
{{- end -}}
{{- end -}}

{{- define "millrace.fill" -}}
{{- $into := index . 0 -}}
{{- range $key, $default := index . 1 -}}
{{- $given := get $into $key -}}
{{- if or (not (hasKey $into $key)) (kindIs "invalid" $given) -}}
{{- $_ := set $into $key $default -}}
{{- else if and (kindIs "map" $default) (kindIs "map" $given) -}}
{{- include "millrace.fill" (list $given $default) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the schema can't say. */}}
{{- define "millrace.refuse" -}}
{{- if not (has .Values.autoscaling.mode (list "hpa" "keda" "none")) -}}
{{- fail (printf "autoscaling.mode is %q: set it to hpa, keda or none" .Values.autoscaling.mode) -}}
{{- end -}}
{{- if not (has .Values.tls.mode (list "self" "certManager" "existing")) -}}
{{- fail (printf "tls.mode is %q: set it to self, certManager or existing" .Values.tls.mode) -}}
{{- end -}}
{{- if and .Values.nats.enabled (not (has (int .Values.nats.replicas) (list 1 3))) -}}
{{- fail (printf "nats.replicas is %v: set it to 1 or 3" .Values.nats.replicas) -}}
{{- end -}}
{{- if and (not .Values.nats.enabled) (not .Values.nats.external.url) -}}
{{- fail "nats.enabled is false: set nats.external.url to the broker's address" -}}
{{- end -}}
{{- if and .Values.volumes.shared (gt (int .Values.buffer.replicas) 1) -}}
{{- fail "buffer.replicas must be 1 where volumes.shared is true: a node has one buffer. For several take profile=production and leave volumes.shared to it" -}}
{{- end -}}
{{- range $service, $facts := .Values.prepared.services -}}
{{- with (get $.Values $facts.key).autoscaling -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "%s.autoscaling.minReplicas is above maxReplicas: %v, %v" $facts.key .minReplicas .maxReplicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
