{{/* Certificates. Whatever is made here is looked up first, so that an upgrade changes nothing. */}}

{{/* Every process that bears a certificate. */}}
{{- define "millrace.tlsUsers" -}}
{{- range $service, $facts := .Values.prepared.services }}
- {{ $service }}
{{- end }}
- provisioner
{{- /* No process of ours: a program of the operator's that hears what triggers send. */}}
- listener
{{- if .Values.nats.enabled }}
- nats
{{- end }}
{{- end -}}

{{/* Name of the Secret with a service's certificate: (dict "root" $ "service" name) */}}
{{- define "millrace.tlsSecret" -}}
{{- $made := printf "%s-%s-tls" (include "millrace.fullname" .root) .service -}}
{{- if eq .root.Values.tls.mode "existing" -}}
{{- default $made (get .root.Values.tls.existing.secrets .service) -}}
{{- else -}}
{{- $made -}}
{{- end -}}
{{- end -}}

{{/*
DNS names of a service's certificate, as a YAML list: (dict "root" $ "service" name). The plain one is first:
it is the identity, on the broker and among the services.
*/}}
{{- define "millrace.dnsNames" -}}
{{- $root := .root -}}
{{- $full := include "millrace.fullname" .root -}}
{{- $facts := default (dict) (get .root.Values.prepared.services .service) -}}
{{- $hosts := list (printf "%s-%s" $full .service) -}}
{{- if eq .service "nats" -}}
{{- $hosts = concat $hosts (list (printf "*.%s-nats-peers" $full)) -}}
{{- end -}}
{{- if $facts.ranges -}}
{{- $hosts = concat $hosts (list (printf "*.%s-nodes" $full)) -}}
{{- end -}}
- {{ .service }}
{{- range $host := $hosts }}
{{- $inside := include "millrace.host" (dict "root" $root "name" $host) }}
- {{ $host | quote }}
- {{ $inside | trimSuffix ".svc" | quote }}
- {{ $inside | quote }}
- {{ printf "%s.%s" $inside $root.Values.clusterDomain | quote }}
{{- end }}
{{- end -}}

{{- define "millrace.publicDnsNames" -}}
{{- $names := include "millrace.dnsNames" (dict "root" . "service" "gateway") | fromYamlArray -}}
{{- concat (list "localhost") (rest $names) .Values.gateway.tls.dnsNames | toYaml -}}
{{- end -}}

{{- define "millrace.publicIpAddresses" -}}
{{- concat (list "127.0.0.1") .Values.gateway.tls.ipAddresses | toYaml -}}
{{- end -}}

{{/* The CA of mode self, in .Values.prepared.ca: the kept one, or a new one. */}}
{{- define "millrace.prepareCa" -}}
{{- if not (hasKey .Values.prepared "ca") -}}
{{- $name := printf "%s-ca" (include "millrace.fullname" .) -}}
{{- $kept := lookup "v1" "Secret" (include "millrace.namespace" .) $name -}}
{{- $ca := dict -}}
{{- if $kept -}}
{{- $ca = buildCustomCert (get $kept.data "tls.crt") (get $kept.data "tls.key") -}}
{{- else -}}
{{- $ca = genCAWithKey $name (int .Values.tls.validityDays) (genPrivateKey "ecdsa") -}}
{{- end -}}
{{- $_ := set .Values.prepared "ca" $ca -}}
{{- end -}}
{{- end -}}

{{/*
Secret of a certificate of mode self: (dict "root" $ "service" name "name" of the Secret "cn" name "dnsNames" list
"ipAddresses" list). One that was made is kept, unless it should have other names now.
*/}}
{{- define "millrace.selfSignedSecret" -}}
{{- include "millrace.prepareCa" .root -}}
{{- $ca := .root.Values.prepared.ca -}}
{{- $names := printf "%s %s" (toJson .dnsNames) (toJson .ipAddresses) | sha256sum -}}
{{- $kept := lookup "v1" "Secret" (include "millrace.namespace" .root) .name -}}
{{- $data := dict -}}
{{- $isSame := false -}}
{{- if $kept -}}
{{- $isSigned := eq (get $kept.data "ca.crt") ($ca.Cert | b64enc) -}}
{{- $isSame = and $isSigned (eq $names (dig "annotations" "millrace/names-checksum" "" $kept.metadata)) -}}
{{- end -}}
{{- if $isSame -}}
{{- $data = $kept.data -}}
{{- else -}}
{{- $days := int .root.Values.tls.validityDays -}}
{{- $pair := genSignedCertWithKey .cn .ipAddresses .dnsNames $days $ca (genPrivateKey "ecdsa") -}}
{{- $data = dict "tls.crt" ($pair.Cert | b64enc) "tls.key" ($pair.Key | b64enc) "ca.crt" ($ca.Cert | b64enc) -}}
{{- end -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "millrace.metadata" . | nindent 2 }}
  annotations:
    millrace/names-checksum: {{ $names }}
type: kubernetes.io/tls
data:
  {{- toYaml $data | nindent 2 }}
{{- end -}}
