{{/*
Components: one of our own services as a Deployment, and what else every pod of the chart has.

"narrows.deployment" is called with a dict: `root`, `component`, `ports` (name to number) and `health` (a port), and what differs:
`replicas`, `strategy`, `env`, `envFrom`, `volumes`, `mounts`, `annotations`, `preStopS`, `graceS`.

Stopping. A pod that is to go leaves the Service at once, but word of it needs time: an ingress controller seconds, an edge
the 3 s until it looks a name up again and 5 s to finish what it began. So a pod stays whole for `preStopS` before it
is told to stop. `graceS` is for everything together.
*/}}
{{- define "narrows.deployment" -}}
{{- $values := index .root.Values .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "narrows.fullname" .root }}-{{ .component }}
  labels: {{- include "narrows.labels" . | nindent 4 }}
spec:
  replicas: {{ .replicas }}
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
      {{- include "narrows.pod" (dict "root" .root "user" 65532) | nindent 6 }}
      terminationGracePeriodSeconds: {{ .graceS }}
      containers:
        - name: {{ .component }}
          image: {{ include "narrows.image" .root | quote }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy | default "IfNotPresent" }}
          args: [run, --target, {{ .component }}]
          securityContext: {{- include "narrows.containerSecurity" . | nindent 12 }}
          ports:
            {{- range $port, $number := .ports }}
            - {name: {{ $port }}, containerPort: {{ $number }}}
            {{- end }}
            - {name: health, containerPort: {{ .health }}}
          {{- with include "narrows.environment" . | trim }}
          env:
            {{- . | nindent 12 }}
          {{- end }}
          {{- with .envFrom }}
          envFrom: {{- toYaml . | nindent 12 }}
          {{- end }}
          startupProbe: {httpGet: {path: /livez, port: health}, periodSeconds: 1, failureThreshold: 60}
          readinessProbe: {httpGet: {path: /readyz, port: health}, periodSeconds: 2, timeoutSeconds: 2}
          livenessProbe: {httpGet: {path: /livez, port: health}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
          {{- with .preStopS }}
          lifecycle: {preStop: {exec: {command: [sleep, {{ . | quote }}]}}}
          {{- end }}
          {{- with $values.resources }}
          resources: {{- toYaml . | nindent 12 }}
          {{- end }}
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

{{/* What a service is told: what all are told, what this one is, and what the operator adds. A name stands once: the last wins. */}}
{{- define "narrows.environment" -}}
{{- $given := concat (include "narrows.environmentOfAll" .root | fromYamlArray) (.env | default list) ((index .root.Values .component).env | default list) -}}
{{- $byName := dict -}}
{{- $names := list -}}
{{- range $given -}}
{{- $_ := set $byName .name . -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range uniq $names }}
- {{ index $byName . | toYaml | nindent 2 | trim }}
{{- end }}
{{- end }}

{{- define "narrows.environmentOfAll" -}}
{{- with .Values.logs.level }}
- {name: NARROWS_LOG_LEVEL, value: {{ . | quote }}}
{{- end }}
{{- with .Values.logs.format }}
- {name: NARROWS_LOG_FORMAT, value: {{ . | quote }}}
{{- end }}
{{- if .Values.tls.enabled }}
- {name: NARROWS_TLS_DIR, value: /etc/narrows/tls}
{{- end }}
{{- with include "narrows.otlpEndpoint" . }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: {{ include "narrows.sampler" $ | quote }}}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ include "narrows.samplerArgument" $ | quote }}}
{{- end }}
{{- end }}

{{/* What every pod has in common, ours and those of others. */}}
{{- define "narrows.pod" -}}
serviceAccountName: {{ include "narrows.fullname" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "narrows.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A Service. Headless for gRPC, so that clients see the address of every replica. */}}
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

{{/* The store that limiter and cache share; nothing when they keep theirs in memory. */}}
{{- define "narrows.redisEnv" -}}
{{- if include "narrows.hasRedis" . }}
- {name: NARROWS_REDIS_URL, valueFrom: {secretKeyRef: {name: {{ include "narrows.secret.redis" . }}, key: url}}}
{{- else }}
[]
{{- end }}
{{- end }}

{{/* A pod starts anew when another URL is written into the values. */}}
{{- define "narrows.redisAnnotations" -}}
{{- with .Values.redis.externalURL }}
checksum/redis: {{ sha256sum . }}
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
