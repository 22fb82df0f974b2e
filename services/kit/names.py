"""
Names: the one table of everything that telemetry calls by name.

Spans, their attributes, metrics, and the fields of `/status`. Names of model calls follow the OpenTelemetry conventions
for generative AI, the others those for HTTP and RPC; what neither has is `narrows.*`. Nothing here may take its value
from what a client sends without a bound: span names are constants, and each metric bounds the values of its labels
(metrics.py).

docs/telemetry.md is made from this file (`make generated`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal


class Name(str):
    """A name together with what it means. Usable wherever a string is."""

    __slots__ = ("meaning",)
    meaning: str

    def __new__(cls, value: str, meaning: str) -> Name:
        name = super().__new__(cls, value)
        name.meaning = meaning
        return name


class SpanName:
    """What spans are called. One process may say all of them; the service is in `service.name`."""

    REQUEST: Final = Name("edge.request", "one client's request, from its head to the end of its answer")
    ADMIT: Final = Name("edge.admit", "a request waits for a lease")
    RECALL: Final = Name("edge.recall", "a request asks the cache service")
    ATTEMPT: Final = Name(
        "edge.attempt", "one attempt at a provider, until its answer's head is accepted or it has failed"
    )
    LEASE: Final = Name("limiter.lease", "the limiter decides an ask for units")
    LOOKUP: Final = Name("cache.lookup", "the cache service looks up one key")
    FILL: Final = Name("cache.fill", "the cache service takes in an answer")
    OUTCOME: Final = Name("router.outcome", "the router takes note of an attempt's outcome")
    EVENT: Final = Name("analytics.event", "the log store has taken a request's row")


class Attribute:
    """What spans say about themselves."""

    HTTP_METHOD: Final = Name("http.request.method", "method of the request")
    HTTP_STATUS: Final = Name("http.response.status_code", "status the client got, or the provider's in an attempt")
    SERVER_ADDRESS: Final = Name("server.address", "host of the provider")
    SERVER_PORT: Final = Name("server.port", "port of the provider")
    ERROR_TYPE: Final = Name("error.type", "Narrows' error code, or the status of a provider that failed")

    GEN_AI_OPERATION: Final = Name("gen_ai.operation.name", "chat, text_completion, embeddings, generate_content")
    GEN_AI_PROVIDER: Final = Name("gen_ai.provider.name", "name of the provider in the URL")
    GEN_AI_REQUEST_MODEL: Final = Name("gen_ai.request.model", "model that was asked for")
    GEN_AI_RESPONSE_MODEL: Final = Name("gen_ai.response.model", "model that answered, as the provider names it")
    GEN_AI_STREAM: Final = Name("gen_ai.request.stream", "the request asked for a stream")
    GEN_AI_TIME_TO_FIRST_CHUNK: Final = Name("gen_ai.response.time_to_first_chunk", "seconds to the body's first byte")
    GEN_AI_TOKENS_IN: Final = Name("gen_ai.usage.input_tokens", "input tokens, cached ones included")
    GEN_AI_TOKENS_OUT: Final = Name("gen_ai.usage.output_tokens", "output tokens")
    GEN_AI_TOKENS_CACHE_READ: Final = Name("gen_ai.usage.cache_read.input_tokens", "read from the provider's cache")
    GEN_AI_TOKENS_CACHE_WRITE: Final = Name(
        "gen_ai.usage.cache_creation.input_tokens", "written to the provider's cache"
    )
    GEN_AI_TOKENS_REASONING: Final = Name("gen_ai.usage.reasoning.output_tokens", "output tokens spent on reasoning")

    RPC_SYSTEM: Final = Name("rpc.system", "`grpc`")
    RPC_SERVICE: Final = Name("rpc.service", "full name of the contract")
    RPC_METHOD: Final = Name("rpc.method", "which of its streams")

    ACCOUNT: Final = Name("narrows.account", "account of the URL")
    GATEWAY: Final = Name("narrows.gateway", "gateway of the URL")
    LOG_ID: Final = Name("narrows.log_id", "id of the request's log row")
    CACHE_STATUS: Final = Name("narrows.cache.status", "HIT, MISS, BYPASS or COALESCED")
    CACHE_REPLY: Final = Name("narrows.cache.reply", "hit, fill, join or miss, as the cache service said")
    ENDED: Final = Name("narrows.ended", "done, cut, stalled, client_gone or refused")
    STEP: Final = Name("narrows.step", "index of the step in the plan")
    ATTEMPT_NUMBER: Final = Name("narrows.attempt", "number of the attempt within the request, from 1")
    LIMIT: Final = Name("narrows.limit", "name of the limit")
    LEASE_UNITS: Final = Name("narrows.lease.units", "units granted; 0: refused")
    IS_SUCCESS: Final = Name("narrows.outcome.is_success", "the attempt counts as a success for the provider's health")
    USAGE_SOURCE: Final = Name("narrows.usage.source", "provider, estimated or none")
    COST: Final = Name("narrows.cost_usd", "USD; absent when the rate is unknown")
    DEGRADED: Final = Name("narrows.degraded", "dependencies that were down, with commas")
    CONFIG_VERSION: Final = Name("narrows.config_version", "version of the snapshot the request ran on")


class StatusField:
    """What `/status` says of a process, on top."""

    SERVICE: Final = Name("service", "the target of the process")
    SERVICES: Final = Name("services", "the services that run in it")
    INSTANCE: Final = Name("instance", "its name, new at every start")
    VERSION: Final = Name("version", "of Narrows")
    READY: Final = Name("ready", "as `/readyz` says")
    DEPENDENCIES: Final = Name("dependencies", "what it leans on by name: `state` (up or down) and `since`")
    CONFIG_VERSION: Final = Name(
        "config_version",
        "edge: version of the snapshot it runs; router: of the one it publishes, empty before the first",
    )
    STORES: Final = Name("stores", "where the services that run here keep what they know")
    REFUSALS: Final = Name("refusals", "edge, router: `resource` and `reason` of each resource that is refused")
    RUNNING: Final = Name(
        "running",
        "router: each edge that reports to it, with the `config_version` it runs and when that was `heard_at`",
    )
    SPOOL: Final = Name(
        "spool",
        "edge: log rows that are not acknowledged, in `bytes`, how old they are in `lag_s`, and those `dropped`",
    )
    EDGES: Final = Name("edges", "admin port: the status of every edge, as each said within the last 10 s")
    REFUSED_RESOURCES: Final = Name("refused_resources", "admin port: the refusals that edges have heard of, each once")
    STORE: Final = Name("store", "admin port: the log store, and batches that wait for it or that it refused")


Kind = Literal["counter", "gauge", "histogram"]

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Whole answers of models take from milliseconds to minutes."""
OVERHEAD_SECONDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""The gateway's own part is tenths of milliseconds."""
TOKENS: Final = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0)
"""As the conventions for generative AI say, up to a million."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A counter's name ends in `_total`; the unit is in the name, last before that."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    series_max: int = 1_000
    """More combinations of label values than this are counted under `other`."""


class MetricName:
    """Every metric there is."""

    REQUESTS: Final = Metric(
        "narrows_requests_total",
        "counter",
        "Requests that ended.",
        ("gateway", "provider", "status", "ended", "cache"),
        series_max=5_000,
    )
    REQUEST_DURATION: Final = Metric(
        "narrows_request_duration_seconds",
        "histogram",
        "From a request's head to the end of its answer.",
        ("gateway", "provider"),
        SECONDS,
    )
    OVERHEAD: Final = Metric(
        "narrows_overhead_seconds",
        "histogram",
        "The gateway's own part of the time to the answer's head.",
        ("gateway",),
        OVERHEAD_SECONDS,
    )
    REQUESTS_IN_FLIGHT: Final = Metric("narrows_requests_in_flight", "gauge", "Requests that have not ended.")
    ERRORS: Final = Metric(
        "narrows_errors_total", "counter", "Errors made by the gateway, by code (docs/errors.md).", ("code",)
    )
    MODEL_DURATION: Final = Metric(
        "gen_ai_client_operation_duration_seconds",
        "histogram",
        "Duration of model calls.",
        ("gen_ai_provider_name", "gen_ai_request_model"),
        SECONDS,
    )
    MODEL_FIRST_CHUNK: Final = Metric(
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "histogram",
        "From a streaming call's head to its first byte.",
        ("gen_ai_provider_name", "gen_ai_request_model"),
        SECONDS,
    )
    MODEL_TOKENS: Final = Metric(
        "gen_ai_client_token_usage",
        "histogram",
        "Tokens of model calls, input and output.",
        ("gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"),
        TOKENS,
    )
    COST: Final = Metric(
        "narrows_cost_usd_total",
        "counter",
        "What requests cost, where the rate is known.",
        ("gateway", "provider", "model"),
    )
    DEGRADED: Final = Metric(
        "narrows_degraded_total", "counter", "Requests let through while a dependency was down.", ("dependency",)
    )
    CONNECTIONS: Final = Metric("narrows_connections", "gauge", "Open connections of clients.")
    UPSTREAM_CONNECTIONS: Final = Metric(
        "narrows_upstream_connections", "gauge", "Open connections to providers: idle or busy.", ("state",)
    )
    BODY_MEMORY: Final = Metric("narrows_body_memory_bytes", "gauge", "Request bodies held in memory.")
    SPOOL_SIZE: Final = Metric("narrows_spool_bytes", "gauge", "Log rows written and not acknowledged yet.")
    SPOOL_LAG: Final = Metric("narrows_spool_lag_seconds", "gauge", "Age of the oldest row not acknowledged yet.")
    SPOOL_DROPPED: Final = Metric(
        "narrows_spool_dropped_total", "counter", "Log rows lost to the spool's bound or a full disk."
    )

    SNAPSHOTS: Final = Metric(
        "narrows_snapshots_total", "counter", "Snapshots taken: accepted or rejected.", ("outcome",)
    )
    GATEWAYS: Final = Metric("narrows_gateways", "gauge", "Gateways in the running snapshot.")
    REFUSED_RESOURCES: Final = Metric("narrows_refused_resources", "gauge", "Resources that are refused right now.")
    EJECTED_TARGETS: Final = Metric("narrows_ejected_targets", "gauge", "Targets that plans put last right now.")
    WATCHERS: Final = Metric("narrows_watchers", "gauge", "Edges that watch this router.")

    LEASE_ANSWERS: Final = Metric(
        "narrows_lease_answers_total",
        "counter",
        "What the limiter answered: granted, refused, closed, acknowledged or store_down.",
        ("answer",),
    )
    LEASE_UNITS: Final = Metric("narrows_lease_units_total", "counter", "Units granted by the limiter.")
    LEASE_STORE_DURATION: Final = Metric(
        "narrows_lease_store_duration_seconds",
        "histogram",
        "How long the limiter's store took to decide one message.",
        (),
        OVERHEAD_SECONDS,
    )
    CACHE_REPLIES: Final = Metric(
        "narrows_cache_replies_total", "counter", "What the cache answered: hit, fill, join or miss.", ("reply",)
    )
    CACHE_SIZE: Final = Metric("narrows_cache_bytes", "gauge", "Answers held in this process's memory.")
    CACHE_FILLS: Final = Metric("narrows_cache_fills", "gauge", "Answers being filled.")
    CACHE_TAKEOVERS: Final = Metric(
        "narrows_cache_takeovers_total",
        "counter",
        "Fillers replaced because they failed, could not be kept or were silent.",
    )
    CACHE_STORES: Final = Metric(
        "narrows_cache_stores_total",
        "counter",
        "Whole answers: kept, or unkept for want of a store or of room.",
        ("outcome",),
    )
    STORED_ROWS: Final = Metric("narrows_stored_rows_total", "counter", "Log rows stored.")
    STORED_BATCHES: Final = Metric(
        "narrows_stored_batches_total", "counter", "Batches of log rows: stored or failed.", ("outcome",)
    )

    STREAMS: Final = Metric("narrows_rpc_streams", "gauge", "Streams to services that stand.", ("dependency",))
    STREAM_ITEMS: Final = Metric(
        "narrows_rpc_items_total", "counter", "Items of streams: sent, received or dropped.", ("dependency", "outcome")
    )
    STREAM_MESSAGES: Final = Metric(
        "narrows_rpc_messages_total",
        "counter",
        "Messages of streams that carried items: sent or received.",
        ("dependency", "outcome"),
    )
    DEPENDENCY_UP: Final = Metric("narrows_dependency_up", "gauge", "1: up, 0: down.", ("dependency",))
    SPANS: Final = Metric("narrows_spans_total", "counter", "Spans: exported or dropped.", ("outcome",))

    BUILD: Final = Metric("narrows_build_info", "gauge", "Always 1.", ("service", "version", "instance"))
    READY: Final = Metric("narrows_ready", "gauge", "1: ready, 0: not.", ("service",))
    LOOP_LAG: Final = Metric("narrows_loop_lag_seconds", "gauge", "How late the event loop was when it last looked.")
    TASKS: Final = Metric("narrows_tasks", "gauge", "Asyncio tasks that have not ended.")
    OVERFLOWS: Final = Metric(
        "narrows_metric_overflows_total", "counter", "Label values counted under `other`.", ("metric",)
    )
    PROCESS_CPU: Final = Metric("process_cpu_seconds_total", "counter", "CPU time of the process.")
    PROCESS_MEMORY: Final = Metric("process_resident_memory_bytes", "gauge", "Resident memory of the process.")
    PROCESS_FILES: Final = Metric("process_open_fds", "gauge", "Open file descriptors.")
    PROCESS_FILES_MAX: Final = Metric("process_max_fds", "gauge", "Most file descriptors the process may open.")
    PROCESS_START: Final = Metric("process_start_time_seconds", "gauge", "Unix time at which the process started.")


def names_of(table: type[SpanName | Attribute | StatusField]) -> Iterator[Name]:
    """The names of one table, in their order."""
    return (value for value in vars(table).values() if isinstance(value, Name))


def every_metric() -> Iterator[Metric]:
    """All metrics, in their order."""
    return (value for value in vars(MetricName).values() if isinstance(value, Metric))
