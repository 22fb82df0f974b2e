"""
Config: every setting there is, in one table, and the only place below which nobody reads the environment.

How a process runs (addresses, stores, bounds) is a setting and comes from flags and variables; what the gateway does
(gateways, limits, keys) is a resource and comes from the file that `NARROWS_RESOURCES` names. A default that
depends on which service runs is in `defaults_for`. docs/settings.md is made from this file (`make generated`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from services.kit import kinds
from services.kit.kinds import Address
from services.kit.secret import Secret
from services.kit.settings import load, setting
from services.kit.telemetry.sampling import SAMPLERS

Target = Literal["all", "edge", "router", "limiter", "cache", "analytics", "simulator"]
TARGETS: tuple[Target, ...] = get_args(Target)
LOOPBACK = "127.0.0.1"

_HEALTH_PORTS: Mapping[Target, int] = {
    "all": 8789,
    "edge": 8789,
    "router": 8791,
    "limiter": 8792,
    "cache": 8793,
    "analytics": 8794,
    "simulator": 8795,
}
_RPC_PORTS: Mapping[Target, int] = {"router": 9001, "limiter": 9002, "cache": 9003, "analytics": 9004}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where this process listens."""

    data: Address = setting(
        "NARROWS_DATA_ADDRESS",
        kinds.address(),
        Address(LOOPBACK, 8787),
        meaning="edge: HTTP for applications",
    )
    admin: Address = setting(
        "NARROWS_ADMIN_ADDRESS",
        kinds.address(),
        Address(LOOPBACK, 8788),
        meaning="analytics: management API, and `/status` with all edges and refused resources",
    )
    health: Address = setting(
        "NARROWS_HEALTH_ADDRESS",
        kinds.address(),
        Address(LOOPBACK, 8789),
        meaning="every process: `/livez`, `/readyz`, `/metrics`, `/status`",
        shown="127.0.0.1:8789; router 8791, limiter 8792, cache 8793, analytics 8794, simulator 8795",
    )
    rpc: str = setting(
        "NARROWS_RPC_ADDRESS",
        kinds.rpc_address(),
        f"{LOOPBACK}:0",
        meaning="router, limiter, cache, analytics: gRPC for the other services",
        shown="127.0.0.1; router 9001, limiter 9002, cache 9003, analytics 9004",
    )
    simulator: Address = setting(
        "NARROWS_SIMULATOR_ADDRESS",
        kinds.address(),
        Address(LOOPBACK, 8790),
        meaning="simulator: the provider that needs no key",
        shown="127.0.0.1:8790; in one process 127.0.0.1:0",
    )


@dataclass(frozen=True, slots=True)
class Services:
    """Where the services behind the edge are. Unset: in this process."""

    router: str | None = setting(
        "NARROWS_ROUTER",
        kinds.replicas(),
        None,
        meaning="edge: `host:port`, several with commas, or `dns:///name:port` for every address of a name",
        shown="unset: in process",
    )
    limiter: str | None = setting(
        "NARROWS_LIMITER", kinds.replicas(), None, meaning="edge: where limiter is, likewise", shown="unset: in process"
    )
    cache: str | None = setting(
        "NARROWS_CACHE", kinds.replicas(), None, meaning="edge: where cache is, likewise", shown="unset: in process"
    )
    analytics: str | None = setting(
        "NARROWS_ANALYTICS",
        kinds.replicas(),
        None,
        meaning="edge: where analytics is, likewise",
        shown="unset: in process",
    )
    simulator: str | None = setting(
        "NARROWS_SIMULATOR",
        kinds.url("http", "https"),
        None,
        meaning="router: where the simulator is",
        shown="unset: provider unknown; in one process set by itself",
    )


@dataclass(frozen=True, slots=True)
class Stores:
    """Where state lives. Without any of these, in this process and its folder."""

    redis_url: str | None = setting(
        "NARROWS_REDIS_URL",
        kinds.url("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
        None,
        meaning="limiter, cache: shared state. `redis://` or `rediss://` and `[user:password@]host:port/0`, "
        "`unix:///path?db=0`, `redis+sentinel://host,host/master/0`, `redis+cluster://host,host`; `rediss+...` for TLS "
        "with `?ssl_ca_certs=PATH`",
        shown="unset: in memory",
        is_secret=True,
    )
    clickhouse_url: str | None = setting(
        "NARROWS_CLICKHOUSE_URL",
        kinds.url("clickhouse", "clickhouses"),
        None,
        meaning="analytics: `clickhouse://user:password@host:port/database`",
        shown="unset: embedded, in the folder of NARROWS_DATA_DIR",
        is_secret=True,
    )
    data_dir: Path = setting(
        "NARROWS_DATA_DIR",
        kinds.path(),
        Path(".narrows"),
        meaning="copies of what is live, spool, embedded logs; `edge`, `router` and `analytics` have folders of their "
        "own below it, each for one process",
        shown="./.narrows",
    )


@dataclass(frozen=True, slots=True)
class Security:
    """What protects the process and what it says to others."""

    admin_token: Secret | None = setting(
        "NARROWS_ADMIN_TOKEN",
        kinds.secret(),
        None,
        meaning="token of the admin port",
        shown="unset: the admin port answers loopback only",
        is_secret=True,
    )
    tls_dir: Path | None = setting(
        "NARROWS_TLS_DIR",
        kinds.path(),
        None,
        meaning="`tls.crt`, `tls.key`, `ca.crt`: mutual TLS between services; read again when they change",
        shown="unset: plaintext gRPC",
    )
    snapshot_key: Secret | None = setting(
        "NARROWS_SNAPSHOT_KEY",
        kinds.secret(),
        None,
        meaning="edge: seals stored provider keys in the copy of the snapshot on disk",
        shown="unset: the copy holds none",
        is_secret=True,
    )


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much an edge holds at most. Beyond these it answers 413 or 503, or drops and counts."""

    body_memory_bytes: int = setting(
        "NARROWS_BODY_MEMORY_BYTES",
        kinds.size(),
        256 * 1024**2,
        meaning="request bodies held in memory, all together; 1/16 of it is for those that need no waiting",
    )
    max_body_bytes: int = setting("NARROWS_MAX_BODY_BYTES", kinds.size(), 25 * 1024**2, meaning="one request body")
    max_connections: int = setting(
        "NARROWS_MAX_CONNECTIONS", kinds.integer(lowest=1), 10_000, meaning="open connections of clients"
    )
    near_cache_bytes: int = setting(
        "NARROWS_NEAR_CACHE_BYTES",
        kinds.size(),
        16 * 1024**2,
        meaning="answers that an edge keeps in its own memory, beside those of the cache service",
    )
    spool_bytes: int = setting(
        "NARROWS_SPOOL_BYTES", kinds.size(), 1024**3, meaning="log rows on disk that analytics has not acknowledged"
    )
    drain_s: float = setting(
        "NARROWS_DRAIN_S", kinds.number(), 30.0, meaning="seconds that stopping waits for what is in flight, at most"
    )


@dataclass(frozen=True, slots=True)
class Upstream:
    """How the edge reaches providers."""

    ca: Path | None = setting(
        "NARROWS_UPSTREAM_CA",
        kinds.path(),
        None,
        meaning="certificate authorities (PEM) to trust beside the system's",
    )
    ssl_cert_file: Path | None = setting(
        "SSL_CERT_FILE", kinds.path(), None, meaning="certificate authorities (PEM) in place of the system's"
    )
    https_proxy: str | None = setting(
        "HTTPS_PROXY",
        kinds.proxy(),
        None,
        meaning="proxy (CONNECT) for providers with https",
        also=("https_proxy",),
        is_secret=True,
    )
    http_proxy: str | None = setting(
        "HTTP_PROXY",
        kinds.proxy(),
        None,
        meaning="proxy for providers with plain http; the lower-case name is safe from CGI's headers",
        also=("http_proxy",),
        is_secret=True,
    )
    no_proxy: str | None = setting(
        "NO_PROXY", kinds.text(), None, meaning="hosts reached without a proxy, with commas", also=("no_proxy",)
    )
    are_private_allowed: bool | None = setting(
        "NARROWS_PRIVATE_UPSTREAMS",
        kinds.boolean(),
        None,
        meaning="router: base URLs may be plain http or point at private addresses",
        shown="on for a file, off for custom resources",
    )


@dataclass(frozen=True, slots=True)
class Connections:
    """An edge's connections to providers. A request that finds none within these bounds is answered 503."""

    connections_max: int = setting(
        "NARROWS_UPSTREAM_CONNECTIONS_MAX",
        kinds.integer(lowest=1),
        10_000,
        meaning="open connections, all together; a stream holds one as long as it lasts",
    )
    per_origin_max: int = setting(
        "NARROWS_UPSTREAM_CONNECTIONS_PER_ORIGIN_MAX",
        kinds.integer(lowest=1),
        10_000,
        meaning="the same to one origin (scheme, host and port)",
    )
    waiting_max: int = setting(
        "NARROWS_UPSTREAM_WAITING_MAX",
        kinds.integer(),
        1_024,
        meaning="requests that wait for a connection; more are answered 503 at once",
    )
    wait_s: float = setting(
        "NARROWS_UPSTREAM_WAIT_S", kinds.number(), 5.0, meaning="seconds that a request waits for a connection, at most"
    )
    idle_s: float = setting(
        "NARROWS_UPSTREAM_IDLE_S",
        kinds.number(),
        30.0,
        meaning="seconds that a connection is kept unused; below what providers and load balancers keep, often 60",
    )
    age_s: float = setting(
        "NARROWS_UPSTREAM_AGE_S",
        kinds.number(),
        300.0,
        meaning="seconds that a connection is used, so that a provider that moves to other addresses is followed",
    )


@dataclass(frozen=True, slots=True)
class Logs:
    """What the process says of itself, on standard error."""

    level: str = setting(
        "NARROWS_LOG_LEVEL", kinds.choice("debug", "info", "warning", "error"), "info", meaning="the least that is said"
    )
    format: str | None = setting(
        "NARROWS_LOG_FORMAT",
        kinds.choice("text", "json"),
        None,
        meaning="lines for people, or one JSON object a line",
        shown="text on a terminal, else json",
    )


@dataclass(frozen=True, slots=True)
class Traces:
    """OpenTelemetry, under its own names. Only gRPC is spoken."""

    endpoint: str | None = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        kinds.url("http", "https"),
        None,
        meaning="where spans go, such as `http://127.0.0.1:4317`",
        shown="unset: no traces",
        also=("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",),
    )
    headers: str = setting(
        "OTEL_EXPORTER_OTLP_HEADERS",
        kinds.text(),
        "",
        meaning="headers for the collector: `name=value`, with commas",
        shown="unset",
        also=("OTEL_EXPORTER_OTLP_TRACES_HEADERS",),
        is_secret=True,
    )
    protocol: str = setting(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        kinds.choice("grpc"),
        "grpc",
        meaning="how the collector is spoken to",
        also=("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",),
    )
    sampler: str = setting(
        "OTEL_TRACES_SAMPLER", kinds.choice(*SAMPLERS), "parentbased_always_on", meaning="which traces are kept"
    )
    sampler_ratio: float = setting(
        "OTEL_TRACES_SAMPLER_ARG",
        kinds.number(highest=1.0),
        1.0,
        meaning="part of the traces a ratio sampler keeps, from 0 to 1",
    )
    service_name: str = setting(
        "OTEL_SERVICE_NAME",
        kinds.text(),
        "",
        meaning="name of this process in traces; in one process each service's name is put behind it",
        shown="`narrows-` and the service",
    )
    is_disabled: bool = setting("OTEL_SDK_DISABLED", kinds.boolean(), False, meaning="no traces, whatever else is set")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one process runs."""

    target: Target = setting(
        "NARROWS_TARGET",
        kinds.choice(*TARGETS),
        "all",
        meaning="the service this process is; `all`: every one of them, and the simulator",
    )
    resources: str | None = setting(
        "NARROWS_RESOURCES",
        kinds.text(),
        None,
        meaning="router: the resource file, read again when it changes; custom resources (`kubernetes`) are not "
        "built yet",
        shown="built in: gateways `local/main` and `local/limited`",
    )
    addresses: Addresses = Addresses()
    services: Services = Services()
    stores: Stores = Stores()
    security: Security = Security()
    bounds: Bounds = Bounds()
    upstream: Upstream = Upstream()
    connections: Connections = Connections()
    logs: Logs = Logs()
    traces: Traces = Traces()


def read_settings(environ: Mapping[str, str], arguments: Sequence[str]) -> Settings:
    """The settings of a process. Raises SettingsInvalid with one line for each thing that is wrong."""
    target = load(Settings(), environ, arguments).target
    return load(defaults_for(target), environ, arguments)


def defaults_for(target: Target) -> Settings:
    """What holds for that service when nothing is said: each has ports of its own, so all fit on one machine."""
    addresses = Addresses(
        health=Address(LOOPBACK, _HEALTH_PORTS[target]),
        rpc=f"{LOOPBACK}:{_RPC_PORTS.get(target, 0)}",
        simulator=Address(LOOPBACK, 8790 if target == "simulator" else 0),
    )
    return replace(Settings(target=target), addresses=addresses)
