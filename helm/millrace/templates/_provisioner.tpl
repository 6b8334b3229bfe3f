{{/* spec of the Job: as workloads' pieces take it. Its labels hold no version, which would make it run again. */}}
{{- define "millrace.provisionerSpec" -}}
backoffLimit: {{ int .values.backoffLimit }}
template:
  metadata:
    labels: {{- include "millrace.selectorLabels" . | nindent 6 }}
  spec:
    restartPolicy: OnFailure
    serviceAccountName: {{ include "millrace.serviceAccountName" . }}
    automountServiceAccountToken: false
    enableServiceLinks: false
    {{- with .root.Values.imagePullSecrets }}
    imagePullSecrets: {{- toYaml . | nindent 6 }}
    {{- end }}
    terminationGracePeriodSeconds: 10
    securityContext:
      {{- include "millrace.podSecurity" .root | nindent 6 }}
    {{- include "millrace.placement" (set . "values" (set (deepCopy .values) "topologySpreadConstraints" list)) | nindent 4 }}
    containers:
      - name: provisioner
        image: {{ include "millrace.image" (dict "root" .root "image" .root.Values.image "tag" .root.Chart.AppVersion) }}
        imagePullPolicy: {{ .root.Values.image.pullPolicy }}
        securityContext:
          {{- include "millrace.containerSecurity" .root | nindent 10 }}
        args:
          {{- include "millrace.nodeFlags" . | nindent 10 }}
          - /app/cli/dist/provision-main.js
          - --config
          - /etc/millrace/config/config.json
        env:
          {{- include "millrace.env" . | nindent 10 }}
        resources: {{- toYaml .values.resources | nindent 10 }}
        volumeMounts:
          {{- include "millrace.mounts" . | nindent 10 }}
    volumes:
      {{- include "millrace.volumes" . | nindent 6 }}
{{- end -}}
