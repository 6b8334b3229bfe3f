{{/* Rules of NetworkPolicies, as YAML lists: (dict "root" $ "service" name "flows" all of them) */}}

{{- define "millrace.peer" -}}
podSelector:
  matchLabels: {{- include "millrace.selectorLabels" . | nindent 4 }}
{{- end -}}

{{- define "millrace.ingressRules" -}}
{{- $root := .root -}}
{{- $service := .service -}}
{{- $values := .root.Values -}}
{{- $facts := default (dict) (get $values.prepared.services .service) -}}
{{- range .flows }}
{{- if eq .to $service }}
- from:
    - {{- include "millrace.peer" (dict "root" $root "service" .from) | nindent 6 }}
  ports: [{ port: {{ .port }}, protocol: TCP }]
{{- end }}
{{- end }}
{{- if $facts }}
# Scrapes of metrics.
- from:
    - namespaceSelector:
        matchLabels: {{- toYaml $values.networkPolicy.monitoringNamespace | nindent 10 }}
  ports: [{ port: 7071, protocol: TCP }]
{{- end }}
{{- if eq .service "gateway" }}
- from:
    - podSelector:
        matchLabels:
          {{ include "millrace.fullname" .root }}-client: "true"
    {{- with $values.gateway.allowFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports: [{ port: 7070, protocol: TCP }]
{{- end }}
{{- if eq .service "metrics-adapter" }}
# API servers are no pods: they may come from any address.
- ports: [{ port: 6443, protocol: TCP }]
{{- end }}
{{- if eq .service "nats" }}
- from:
    {{- range $user := append (keys $values.prepared.services | sortAlpha) "provisioner" }}
    - {{- include "millrace.peer" (dict "root" $root "service" $user) | nindent 6 }}
    {{- end }}
  ports: [{ port: 4222, protocol: TCP }]
# Whether it syncs: asked by those who say OK.
- from:
    {{- range $user := list "buffer" "gateway" }}
    - {{- include "millrace.peer" (dict "root" $root "service" $user) | nindent 6 }}
    {{- end }}
    - namespaceSelector:
        matchLabels: {{- toYaml $values.networkPolicy.monitoringNamespace | nindent 10 }}
    {{- if eq $values.autoscaling.mode "keda" }}
    - namespaceSelector:
        matchLabels: { kubernetes.io/metadata.name: {{ $values.autoscaling.keda.namespace }} }
    {{- end }}
  ports: [{ port: 8222, protocol: TCP }]
{{- if gt (int $values.nats.replicas) 1 }}
- from:
    - {{- include "millrace.peer" . | nindent 6 }}
  ports: [{ port: 6222, protocol: TCP }]
{{- end }}
{{- end }}
{{- end -}}

{{- define "millrace.egressRules" -}}
{{- $root := .root -}}
{{- $service := .service -}}
{{- $values := .root.Values -}}
{{- range .flows }}
{{- if eq .from $service }}
- to:
    - {{- include "millrace.peer" (dict "root" $root "service" .to) | nindent 6 }}
  ports: [{ port: {{ .port }}, protocol: TCP }]
{{- end }}
{{- end }}
{{- $broker := include "millrace.peer" (dict "root" .root "service" "nats") }}
{{- if eq .service "nats" }}
{{- if gt (int $values.nats.replicas) 1 }}
- to:
    - {{- $broker | nindent 6 }}
  ports: [{ port: 6222, protocol: TCP }]
{{- end }}
{{- else if $values.nats.enabled }}
- to:
    - {{- $broker | nindent 6 }}
  ports:
    - { port: 4222, protocol: TCP }
    {{- if has .service (list "buffer" "gateway") }}
    - { port: 8222, protocol: TCP }
    {{- end }}
{{- else }}
# A broker outside of the release, at any address.
- ports:
    - { port: {{ include "millrace.portOf" (dict "url" $values.nats.external.url "default" 4222) }}, protocol: TCP }
    {{- with $values.nats.external.monitorUrl }}
    {{- if has $service (list "buffer" "gateway") }}
    - { port: {{ include "millrace.portOf" (dict "url" . "default" (hasPrefix "https:" . | ternary 443 80)) }}, protocol: TCP }
    {{- end }}
    {{- end }}
{{- end }}
{{- if eq .service "output" }}
{{ include "millrace.outputEgress" $values.output.egress }}
{{- end }}
{{- if eq .service "metrics-adapter" }}
# The API server, which is no pod: settings and reviews.
- ports: [{ port: 443, protocol: TCP }, { port: 6443, protocol: TCP }]
{{- end }}
{{- end -}}

{{/* (values): where output goes at a user's wish: webhooks of triggers, brokers of Kafka. */}}
{{- define "millrace.outputEgress" -}}
{{- with .publicPorts }}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except: [10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]
    # The public part of IPv6.
    - ipBlock: { cidr: "2000::/3" }
  ports: {{- include "millrace.tcpPorts" . | nindent 4 }}
{{- end }}
{{- range concat .webhooks .kafka }}
- to:
    - ipBlock: { cidr: {{ .cidr | quote }} }
  ports: {{- include "millrace.tcpPorts" .ports | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "millrace.tcpPorts" -}}
{{- range . }}
- { port: {{ int . }}, protocol: TCP }
{{- end }}
{{- end -}}

{{- define "millrace.portOf" -}}
{{- regexFind "[0-9]+$" (get (urlParse .url) "host") | default .default -}}
{{- end -}}
