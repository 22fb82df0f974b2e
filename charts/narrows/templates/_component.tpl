{{/*
A component: one of our own services as a Deployment. Called with a dict:
  root, component, and what differs: replicas, ports (name to number), health (port), env, volumes, mounts, grace, preStop, strategy.
*/}}
{{- define "narrows.deployment" -}}
{{- $name := printf "%s-%s" (include "narrows.fullname" .root) .component -}}
{{- $values := index .root.Values .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- include "narrows.labels" . | nindent 4 }}
spec:
  replicas: {{ .replicas | default $values.replicas | default 1 }}
  selector:
    matchLabels: {{- include "narrows.selector" . | nindent 6 }}
  strategy: {{- .strategy | default (dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" 1 "maxUnavailable" 0)) | toYaml | nindent 4 }}
  template:
    metadata:
      labels: {{- include "narrows.labels" . | nindent 8 }}
      {{- with .annotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "narrows.fullname" .root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .grace | default 30 }}
      securityContext: {{- include "narrows.podSecurity" (dict "user" 65532) | nindent 8 }}
      {{- with .root.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "narrows.image" .root }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args: [run, --target, {{ .component }}]
          securityContext: {{- include "narrows.containerSecurity" . | nindent 12 }}
          ports:
            {{- range $port, $number := .ports }}
            - {name: {{ $port }}, containerPort: {{ $number }}}
            {{- end }}
            - {name: health, containerPort: {{ .health }}}
          env:
            - {name: NARROWS_LOG_LEVEL, value: {{ .root.Values.logs.level | quote }}}
            - {name: NARROWS_LOG_FORMAT, value: {{ .root.Values.logs.format | quote }}}
            {{- if .root.Values.tls.enabled }}
            - {name: NARROWS_TLS_DIR, value: /etc/narrows/tls}
            {{- end }}
            {{- with include "narrows.otlpEndpoint" .root }}
            - {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
            - {name: OTEL_TRACES_SAMPLER, value: {{ $.root.Values.telemetry.sampler | quote }}}
            - {name: OTEL_TRACES_SAMPLER_ARG, value: {{ $.root.Values.telemetry.samplerArgument | quote }}}
            {{- end }}
            {{- with .env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
            {{- with $values.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with .envFrom }}
          envFrom: {{- toYaml . | nindent 12 }}
          {{- end }}
          startupProbe: {httpGet: {path: /readyz, port: health}, periodSeconds: 1, failureThreshold: 60}
          readinessProbe: {httpGet: {path: /readyz, port: health}, periodSeconds: 2, timeoutSeconds: 2}
          livenessProbe: {httpGet: {path: /livez, port: health}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
          {{- with .preStopS }}
          lifecycle: {preStop: {exec: {command: [sleep, {{ . | quote }}]}}}
          {{- end }}
          resources: {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if .root.Values.tls.enabled }}
            - {name: tls, mountPath: /etc/narrows/tls, readOnly: true}
            {{- end }}
            {{- with .mounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - {name: tmp, emptyDir: {sizeLimit: 64Mi}}
        {{- if .root.Values.tls.enabled }}
        - {name: tls, secret: {secretName: {{ include "narrows.secret.tls" .root }}, defaultMode: 0440}}
        {{- end }}
        {{- with .volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}

{{- define "narrows.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "narrows.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A Service: headless for gRPC, so that clients see every replica's address. */}}
{{- define "narrows.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "narrows.fullname" .root }}-{{ .component }}
  labels: {{- include "narrows.labels" . | nindent 4 }}
spec:
  {{- if .headless }}
  clusterIP: None
  {{- end }}
  selector: {{- include "narrows.selector" . | nindent 4 }}
  ports:
    {{- range $port, $number := .ports }}
    - {name: {{ $port }}, port: {{ $number }}, targetPort: {{ $port }}}
    {{- end }}
{{- end }}

{{/* The store that limiter and cache share; nothing when they keep it in memory. */}}
{{- define "narrows.redisEnv" -}}
{{- with include "narrows.redisURL" . }}
- {name: NARROWS_REDIS_URL, value: {{ . | quote }}}
{{- else }}
[]
{{- end }}
{{- end }}

{{/* A volume that outlives pods and goes with the release. */}}
{{- define "narrows.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "narrows.fullname" .root }}-{{ .component }}
  labels: {{- include "narrows.labels" . | nindent 4 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .persistence.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources: {requests: {storage: {{ .persistence.size }}}}
{{- end }}
