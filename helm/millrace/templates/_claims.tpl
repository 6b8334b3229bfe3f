{{/* (dict "root" $ "volume" its section of the values) */}}
{{- define "millrace.claimSpec" -}}
accessModes: [ReadWriteOnce]
{{- with default .root.Values.volumes.storageClass .volume.storageClass }}
storageClassName: {{ . }}
{{- end }}
resources: { requests: { storage: {{ .volume.size }} } }
{{- end -}}
