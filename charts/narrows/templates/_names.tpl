{{/* Names and labels. A component is its folder, its label and its --target. */}}
{{- define "narrows.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "narrows.selector" -}}
app.kubernetes.io/name: narrows
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "narrows.labels" -}}
{{ include "narrows.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "narrows.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "narrows.secret.tls" -}}{{ .Values.tls.existingSecret | default (printf "%s-tls" (include "narrows.fullname" .)) }}{{- end }}
{{- define "narrows.secret.admin" -}}{{ .Values.admin.existingSecret | default (printf "%s-admin" (include "narrows.fullname" .)) }}{{- end }}
{{- define "narrows.secret.snapshot" -}}{{ .Values.snapshotKey.existingSecret | default (printf "%s-snapshot" (include "narrows.fullname" .)) }}{{- end }}
{{- define "narrows.secret.keys" -}}{{ .Values.providerKeys.existingSecret | default (printf "%s-provider-keys" (include "narrows.fullname" .)) }}{{- end }}

{{- define "narrows.redisURL" -}}
{{- if .Values.redis.enabled }}redis://{{ include "narrows.fullname" . }}-redis:6379/0{{ else }}{{ .Values.redis.externalURL }}{{ end }}
{{- end }}

{{- define "narrows.otlpEndpoint" -}}
{{- if .Values.telemetry.otlpEndpoint }}{{ .Values.telemetry.otlpEndpoint }}{{ else if .Values.jaeger.enabled }}http://{{ include "narrows.fullname" . }}-jaeger:4317{{ end }}
{{- end }}
