"""
Redis: opens a client from a URL, whatever stands behind it.

    redis://[user:password@]host:6379/0                              one server
    rediss://...                                                     the same over TLS
    unix:///path/to/redis.sock?db=0                                  a Unix socket
    redis+sentinel://[user:password@]host:26379,host2:26379/mymaster/0   the master that the sentinels name
    redis+cluster://[user:password@]host:6379,host2:6379             a cluster, found from any of its nodes

`rediss+sentinel` and `rediss+cluster` use TLS to the data servers. Options after `?`: `ssl_ca_certs`, `ssl_certfile`,
`ssl_keyfile`, `ssl_check_hostname`, `db` (for `unix`), `sentinel_username` and `sentinel_password`. Every client has
short timeouts, no retries of its own and a bounded pool; the breaker (`breaker.py`) is what survives outages. Hazard:
the library's own defaults hold a call for a minute against a frozen server, so nothing else opens a client.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    Redis,
    RedisCluster,
    Sentinel,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from services.kit.errors import SettingsInvalid

RedisClient = Redis | RedisCluster

OUTAGES: tuple[type[Exception], ...] = (RedisError, RedisClusterException, OSError)
"""What a client raises when the server is down, frozen, loading, demoted or full: for `Breaker`."""

TIMEOUT_S = 0.2
CONNECTIONS_MAX = 32

_TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"})
_SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})
_ESCAPING = "; percent-encode what a password has beyond letters and digits"
"""A password that is not begins to look like a port or a path, so neither is repeated."""
_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A parsed URL. `hosts` is empty for a Unix socket; `master` is a Sentinel's name for it."""

    kind: str
    is_tls: bool
    hosts: tuple[tuple[str, int], ...]
    path: str
    master: str
    database: int
    username: str | None
    password: str | None
    options: Mapping[str, str]

    def __repr__(self) -> str:
        return f"RedisAddress({self.kind}, {self.hosts or self.path})"


def parse_redis_url(url: str) -> RedisAddress:
    """The address in a URL. Raises SettingsInvalid; the message never shows a password."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise SettingsInvalid(f"a Redis URL starts with one of {', '.join(_SCHEMES)}, not with {parts.scheme!r}")
    options = dict(parse_qsl(parts.query))
    transport, _, kind = parts.scheme.partition("+")
    kind = kind or ("unix" if transport == "unix" else "server")
    _refuse_unknown_options(kind, options)
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, has_password, password = credentials.partition(":")
    master, database = _master_and_database(kind, parts.path, options)
    return RedisAddress(
        kind=kind,
        is_tls=transport == "rediss",
        hosts=_hosts(kind, hosts),
        path=unquote(parts.path) if kind == "unix" else "",
        master=master,
        database=database,
        username=unquote(username) or None,
        password=unquote(password) if has_password else None,
        options=options,
    )


@asynccontextmanager
async def open_redis(
    url: str, *, connections_max: int = CONNECTIONS_MAX, timeout_s: float = TIMEOUT_S
) -> AsyncIterator[RedisClient]:
    """A client for that URL, closed at the end. It connects when first used: a server that is down is no error here."""
    address = parse_redis_url(url)
    settings = _settings(address, timeout_s)
    pool = {"max_connections": connections_max}
    async with AsyncExitStack() as stack:
        if address.kind == "sentinel":
            yield await _open_sentinel(address, settings | pool | {"timeout": timeout_s}, stack)
        elif address.kind == "cluster":
            yield _open_cluster(address, settings | pool, stack)
        else:
            yield _open_server(address, settings | pool | {"timeout": timeout_s}, stack)


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """The sentinels' pool, waiting for a free connection as the plain one does."""


def _open_server(address: RedisAddress, settings: dict[str, Any], stack: AsyncExitStack) -> Redis:
    if address.kind == "unix":
        settings |= {"path": address.path, "connection_class": UnixDomainSocketConnection}
    else:
        host, port = address.hosts[0]
        settings |= {"host": host, "port": port, "connection_class": SSLConnection if address.is_tls else Connection}
    client = Redis.from_pool(BlockingConnectionPool(**settings))
    stack.push_async_callback(client.aclose)
    return client


async def _open_sentinel(address: RedisAddress, settings: dict[str, Any], stack: AsyncExitStack) -> Redis:
    own = _timing(settings["timeout"])
    own |= {name.removeprefix("sentinel_"): text for name, text in address.options.items() if name in _SENTINEL_OPTIONS}
    sentinel = Sentinel(address.hosts, sentinel_kwargs=own)  # type: ignore[no-untyped-call]  # the library's own gap
    await stack.enter_async_context(sentinel)
    master: Redis = sentinel.master_for(
        address.master, connection_pool_class=_SentinelPool, ssl=address.is_tls, **settings
    )
    stack.push_async_callback(master.aclose)
    return master


def _open_cluster(address: RedisAddress, settings: dict[str, Any], stack: AsyncExitStack) -> RedisCluster:
    settings.pop("db")
    nodes = [ClusterNode(host, port) for host, port in address.hosts]
    client = RedisCluster(startup_nodes=nodes, ssl=address.is_tls, **settings)
    stack.push_async_callback(client.aclose)
    return client


def _settings(address: RedisAddress, timeout_s: float) -> dict[str, Any]:
    settings = _timing(timeout_s) | {
        "db": address.database,
        "username": address.username,
        "password": address.password,
    }
    for name in _TLS_OPTIONS & address.options.keys():
        text = address.options[name]
        settings[name] = text != "false" if name == "ssl_check_hostname" else text
    return settings


def _timing(timeout_s: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }


def _hosts(kind: str, text: str) -> tuple[tuple[str, int], ...]:
    if kind == "unix":
        return ()
    default = 26379 if kind == "sentinel" else 6379
    hosts = tuple([_host(one, default) for one in text.split(",")])
    if kind == "server" and len(hosts) > 1:
        raise SettingsInvalid("several hosts need redis+sentinel:// or redis+cluster://")
    return hosts


def _host(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    try:
        return parts.hostname or "localhost", parts.port or default_port
    except ValueError as error:
        raise SettingsInvalid(f"a Redis URL's port must be a number up to 65535{_ESCAPING}") from error


def _master_and_database(kind: str, path: str, options: Mapping[str, str]) -> tuple[str, int]:
    if kind == "unix":
        return "", _database(options.get("db", "0"))
    segments = path.strip("/").split("/")
    if kind != "sentinel":
        if kind == "cluster" and segments != [""]:
            raise SettingsInvalid("a Redis cluster has no numbered databases: redis+cluster://host:6379")
        return "", _database("/".join(segments) or "0")
    if not segments[0]:
        raise SettingsInvalid("a Sentinel URL names the master: redis+sentinel://host:26379/mymaster")
    return unquote(segments[0]), _database("/".join(segments[1:]) or "0")


def _database(text: str) -> int:
    if not text.isdecimal():
        raise SettingsInvalid(f"a Redis database is a number{_ESCAPING}")
    return int(text)


def _refuse_unknown_options(kind: str, options: Mapping[str, str]) -> None:
    known = {"unix": frozenset({"db"}), "sentinel": _TLS_OPTIONS | _SENTINEL_OPTIONS}.get(kind, _TLS_OPTIONS)
    for name in sorted(options.keys() - known):
        raise SettingsInvalid(f"unknown option {name!r} in a Redis URL; known are {', '.join(sorted(known))}")
