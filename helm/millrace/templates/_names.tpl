{{/* Names, labels and images. All take the root context; those with a service take (dict "root" $ "service" name). */}}

{{- define "millrace.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- include "millrace.short" .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- include "millrace.short" .Release.Name -}}
{{- else -}}
{{- include "millrace.short" (printf "%s-%s" .Release.Name $name) -}}
{{- end -}}
{{- end -}}

{{/* At most 40 characters, so that every object's name fits; two long names that begin alike stay two. */}}
{{- define "millrace.short" -}}
{{- if gt (len .) 40 -}}
{{- printf "%s-%s" (trunc 31 . | trimSuffix "-") (sha256sum . | trunc 8) -}}
{{- else -}}
{{- trimSuffix "-" . -}}
{{- end -}}
{{- end -}}

{{- define "millrace.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* What never changes in the life of a release: selectors and claims bear these and no more. */}}
{{- define "millrace.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .service }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "millrace.labels" -}}
{{- include "millrace.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: millrace
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: (dict "root" $ "name" full "service" name) */}}
{{- define "millrace.metadata" -}}
name: {{ .name }}
namespace: {{ include "millrace.namespace" .root }}
labels:
  {{- include "millrace.labels" . | nindent 2 }}
{{- end -}}

{{/* (dict "root" $ "image" .Values.image "tag" default) */}}
{{- define "millrace.image" -}}
{{- $registry := default .image.registry .root.Values.global.image.registry -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .tag .image.tag }}{{ end -}}
{{- end -}}

{{/* A DNS name inside the cluster: (dict "root" $ "name" service) */}}
{{- define "millrace.host" -}}
{{ .name }}.{{ include "millrace.namespace" .root }}.svc
{{- end -}}

{{- define "millrace.serviceAccountName" -}}
{{- $full := include "millrace.fullname" .root -}}
{{- if eq .service "metrics-adapter" }}{{ $full }}-metrics-adapter{{ else }}{{ $full }}{{ end -}}
{{- end -}}

{{/* Bytes of a quantity such as 10Gi. */}}
{{- define "millrace.bytes" -}}
{{- $text := toString . -}}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$" $text) -}}
{{- fail (printf "%s is no size: write a number and Ki, Mi, Gi or Ti, such as 10Gi" $text) -}}
{{- end -}}
{{- $unit := regexFind "[A-Za-z]+$" $text -}}
{{- $factors := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- $factors = merge $factors (dict "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "P" 1000000000000000) -}}
{{- mulf (regexFind "^[0-9.]+" $text | float64) (get $factors $unit) | int64 -}}
{{- end -}}

{{/* A part of a quantity, in bytes: (dict "of" "10Gi" "percent" 80) */}}
{{- define "millrace.share" -}}
{{- div (mul (include "millrace.bytes" .of | int64) (int64 .percent)) 100 -}}
{{- end -}}
