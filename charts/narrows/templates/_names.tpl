{{/*
Names, labels, and what one template needs to know of another. A component is its folder, its label and its --target.
Everything here takes the root, but for labels and selectors: those take a dict with `root` and `component`.
*/}}
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
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "narrows.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "narrows.secret.tls" -}}{{ .Values.tls.existingSecret | default (printf "%s-tls" (include "narrows.fullname" .)) }}{{- end }}
{{- define "narrows.secret.admin" -}}{{ .Values.admin.existingSecret | default (printf "%s-admin" (include "narrows.fullname" .)) }}{{- end }}
{{- define "narrows.secret.snapshot" -}}{{ .Values.snapshotKey.existingSecret | default (printf "%s-snapshot" (include "narrows.fullname" .)) }}{{- end }}
{{- define "narrows.secret.keys" -}}{{ .Values.providerKeys.existingSecret | default (printf "%s-provider-keys" (include "narrows.fullname" .)) }}{{- end }}
{{- define "narrows.secret.redis" -}}{{ .Values.redis.existingSecret | default (printf "%s-redis" (include "narrows.fullname" .)) }}{{- end }}

{{/* Not empty when limiter and cache share a store; else each keeps its own in memory. */}}
{{- define "narrows.hasRedis" -}}
{{- if or .Values.redis.enabled .Values.redis.externalURL .Values.redis.existingSecret }}yes{{ end }}
{{- end }}

{{- define "narrows.otlpEndpoint" -}}
{{- if .Values.telemetry.otlpEndpoint }}{{ .Values.telemetry.otlpEndpoint }}{{ else if .Values.jaeger.enabled }}http://{{ include "narrows.fullname" . }}-jaeger:4317{{ end }}
{{- end }}

{{/* The bundled Jaeger is there to see what one has just asked; elsewhere one trace in a hundred is kept. */}}
{{- define "narrows.sampler" -}}
{{- if .Values.telemetry.sampler }}{{ .Values.telemetry.sampler }}{{ else if or .Values.telemetry.otlpEndpoint (not .Values.jaeger.enabled) }}parentbased_traceidratio{{ else }}parentbased_always_on{{ end }}
{{- end }}

{{- define "narrows.samplerArgument" -}}
{{- $given := .Values.telemetry.samplerArgument -}}
{{- if or (kindIs "invalid" $given) (eq (toString $given) "") }}0.01{{ else }}{{ include "narrows.text" $given }}{{ end }}
{{- end }}

{{/* A string or a number as text. Numbers of a values file are floats, which print as 1.048576e+06 otherwise. */}}
{{- define "narrows.text" -}}{{ toJson . | trimAll "\"" }}{{- end }}
