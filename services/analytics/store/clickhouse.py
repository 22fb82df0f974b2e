"""
ClickHouse: a server, spoken to over its HTTP interface.

The same SQL as for embedded ClickHouse, and the same rows as lines of JSON. An INSERT is answered when it is done
(`wait_end_of_query`), so an answer means that the rows are there; one that was cut off in between is sent
again under the same id.

What answers without one of ClickHouse's codes is something in front of it, so the server counts as down; a redirect is
not followed, because it would take the password along.

Hazard: the port is the HTTP one (8123, or 8443 with `clickhouses://`), not the native one (9000) that ClickHouse's
own client uses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import msgspec

from services.analytics.store.engine import Row, StatementRefused, escaped
from services.kit.errors import DependencyUnavailable, SettingsInvalid
from services.kit.secret import Secret

CALL_S_MAX = 30.0
CONNECT_S_MAX = 2.0
CONNECTIONS_MAX = 8

_NATIVE_PORT_ANSWER = b"clickhouse-client"
_decode_row = msgspec.json.Decoder(list[Any]).decode


@dataclass(frozen=True, slots=True)
class ClickHouseAddress:
    """Where a server is, and as whom."""

    url: str
    user: str
    password: Secret
    database: str


class ClickHouseEngine:
    """An `Engine` on a server. Made by `open_clickhouse`."""

    def __init__(self, address: ClickHouseAddress, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._session = session

    async def execute(self, statement: str, payload: bytes = b"") -> None:
        """Run a statement. Raises StatementRefused, DependencyUnavailable."""
        if payload:
            await self._call({"query": statement}, payload)
        else:
            await self._call({}, statement.encode())

    async def fetch(self, query: str, parameters: Mapping[str, str]) -> Sequence[Row]:
        """Rows of a SELECT. Raises StatementRefused, DependencyUnavailable."""
        values = {f"param_{name}": escaped(value) for name, value in parameters.items()}
        lines = await self._call({"default_format": "JSONCompactEachRow", **values}, query.encode())
        return [_decode_row(line) for line in lines.splitlines()]

    async def create_database(self) -> None:
        """Make the address' database if it is missing. Raises SettingsInvalid, DependencyUnavailable."""
        name = self._address.database.replace("\\", "\\\\").replace("`", "\\`")
        try:
            await self._call({"database": "default"}, f"CREATE DATABASE IF NOT EXISTS `{name}`".encode())
        except StatementRefused as error:
            # Whoever has rights on one database alone was given one that is there.
            if error.name != "ACCESS_DENIED":
                raise SettingsInvalid(f"NARROWS_CLICKHOUSE_URL: ClickHouse refuses: {error}") from None

    async def _call(self, parameters: Mapping[str, str], body: bytes) -> bytes:
        settings = {"database": self._address.database, "wait_end_of_query": "1", **parameters}
        try:
            asked = self._session.post(self._address.url, params=settings, data=body, allow_redirects=False)
            async with asked as answer:
                content = await answer.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise DependencyUnavailable(f"ClickHouse cannot be reached: {type(error).__name__}") from None
        if answer.status != 200:
            raise _refusal(answer.status, content)
        return content


@asynccontextmanager
async def open_clickhouse(url: str) -> AsyncIterator[ClickHouseEngine]:
    """The engine of a `clickhouse://` URL. Nothing is asked of the server yet. Raises SettingsInvalid."""
    address = parse_clickhouse_url(url)
    login = {"X-ClickHouse-User": address.user, "X-ClickHouse-Key": address.password.reveal()}
    timeout = aiohttp.ClientTimeout(total=CALL_S_MAX, sock_connect=CONNECT_S_MAX)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
    async with aiohttp.ClientSession(headers=login, timeout=timeout, connector=connector) as session:
        yield ClickHouseEngine(address, session)


def parse_clickhouse_url(url: str) -> ClickHouseAddress:
    """`clickhouse://user:password@host:port/database`, or `clickhouses://` for TLS. Raises SettingsInvalid."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "clickhouses"
    if not parts.hostname or parts.scheme not in ("clickhouse", "clickhouses"):
        raise SettingsInvalid("NARROWS_CLICKHOUSE_URL: must be clickhouse://user:password@host:port/database")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port or (8443 if is_secure else 8123)
    return ClickHouseAddress(
        url=f"{'https' if is_secure else 'http'}://{host}:{port}/",
        user=unquote(parts.username or "default"),
        password=Secret(unquote(parts.password or "")),
        database=unquote(parts.path.strip("/")) or "narrows",
    )


def _refusal(status: int, content: bytes) -> Exception:
    if _NATIVE_PORT_ANSWER in content:
        return SettingsInvalid("NARROWS_CLICKHOUSE_URL: the port must be ClickHouse's HTTP port, as a rule 8123")
    refused = StatementRefused(content.decode(errors="replace"))
    if refused.code == 0:
        return DependencyUnavailable(f"what answers in place of ClickHouse says HTTP {status}")
    return refused
