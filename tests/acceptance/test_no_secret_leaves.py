"""
Canaries enter wherever a secret can, and are sought wherever anything leaves or rests, together and apart.

Payloads are off in one gateway and on in the other, logs are at debug level, every request is traced, the copy of the
snapshot is sealed, and the services talk over mutual TLS, so that stored keys travel. `tests/secrets` has the parts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.analytics.store.chdb import open_chdb
from tests.acceptance.measured import Measured
from tests.fakes.authority import Authority
from tests.fakes.origin import Call, Origin, answer
from tests.harness.deployment import Apart, Deployment, Together
from tests.otlp_collector import Collector
from tests.secrets.canaries import Canary, all_canaries
from tests.secrets.search import Search, Watch
from tests.secrets.tour import ANSWERED, ASKED, METADATA, MODEL, REFUSED, RESOURCES, Tour, provide

REDIS = "Redis"
"""Only apart."""
PLACES = {
    "answers and errors": ANSWERED,
    "admin answers": METADATA,
    "logs": REFUSED,
    "spans": MODEL,
    "metrics": MODEL,
    "status": "config_version",
    "process arguments": "run",
    "spool and copies while it runs": METADATA,
    "folders": "narrows-snapshot 1 sealed",
    "tables of chDB": ASKED,
    REDIS: ANSWERED,
}
"""What each place holds for certain, so that it is known to have been searched."""
ARRIVE = ["authorization", "authorization of 9 KB", "body", "key of a step", "query key", "stored key", "x-api-key"]
"""Canaries that go to the provider; all others stay here."""


def refuse_tunnels(call: Call) -> None:
    """The operator's proxy, which wants another password."""
    call.send(answer(b"", status=407))


@pytest.fixture(scope="module", params=["together", "apart"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Search, Tour]:
    """The whole tour, once for each kind of deployment; what is left of it is searched when it has stopped."""
    kind, folder = request.param, tmp_path_factory.mktemp(request.param)
    canaries = all_canaries()
    search = Search(canaries.values(), PLACES)
    with ExitStack() as stack:
        origin, proxy = stack.enter_context(Origin(provide)), stack.enter_context(Origin(refuse_tunnels))
        collector = stack.enter_context(Collector())
        environment = _environment(canaries, collector, proxy, folder, is_apart=kind == "apart")
        narrows = _deployment(kind, folder, environment, origin.url, canaries)
        with narrows:
            if isinstance(narrows, Apart):
                narrows.redis.command("CONFIG", "SET", "appendonly", "yes")
            with Watch(search, "spool and copies while it runs", folder / "state" / "edge"):
                tour = Tour(narrows, origin, canaries, search)
                tour.go()
            tour.look_at_processes()
            if isinstance(narrows, Apart):
                narrows.redis.command("CONFIG", "SET", "rdbcompression", "no")
                narrows.redis.command("SAVE")
        for span in collector.spans:
            search.look("spans", repr(span), at=span.name)
    _look_at_what_is_left(search, folder)
    return kind, search, tour


def _environment(
    canaries: Mapping[str, Canary], collector: Collector, proxy: Origin, folder: Path, *, is_apart: bool
) -> dict[str, str]:
    """Secrets that an operator gives to processes, and what shows the most of what they do."""
    secret = {name: canary.value for name, canary in canaries.items()}
    return {
        "GATEWAY_TOKEN": secret["gateway token"],
        "STORED_KEY": secret["stored key"],
        "NARROWS_ADMIN_TOKEN": secret["admin token"],
        "NARROWS_SNAPSHOT_KEY": secret["snapshot key"],
        "NARROWS_LOG_LEVEL": "debug",
        "HTTPS_PROXY": f"http://narrows:{secret['password of the proxy']}@127.0.0.1:{proxy.port}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={secret['header of the collector']}",
        **({"NARROWS_TLS_DIR": str(Authority().write(folder / "tls"))} if is_apart else {}),
    }


def _deployment(
    kind: str, folder: Path, environment: Mapping[str, str], url: str, canaries: Mapping[str, Canary]
) -> Deployment:
    resources = RESOURCES.format(url=url)
    if kind == "together":
        return Together(folder, resources=resources, environment=environment)
    narrows = Apart(folder, resources=resources, environment=environment)
    narrows.redis.credentials = f"default:{canaries['password of Redis'].value}@"
    return narrows


def _look_at_what_is_left(search: Search, folder: Path) -> None:
    """On disk, when every process has ended: files as they are, and the log store as it is read."""
    for log in folder.glob("*.log"):
        search.look("logs", log.read_bytes(), at=log.name)
    search.look_into_files("folders", folder / "state")
    if (folder / "redis").exists():
        search.look_into_files(REDIS, folder / "redis")
    (store,) = (folder / "state").rglob("analytics/logs")
    asyncio.run(_look_at_tables(search, store))


async def _look_at_tables(search: Search, folder: Path) -> None:
    """Every table that there is, because parts are compressed and no search of their bytes sees through that."""
    async with open_chdb(folder) as engine:
        query = "SELECT database, name FROM system.tables WHERE total_rows > 0 OR database = 'narrows'"
        tables = await engine.fetch(query, {})
        assert tables
        for database, name in tables:
            rows = await engine.fetch(f"SELECT * FROM `{database}`.`{name}`", {})
            search.look("tables of chDB", json.dumps(rows, default=str), at=f"{database}.{name}")


def test_every_way_in_was_gone(found: tuple[str, Search, Tour]) -> None:
    _, _, tour = found

    assert tour.arrived == ARRIVE


@pytest.mark.parametrize("place", [place for place in PLACES if place != REDIS])
def test_no_canary_is_there(found: tuple[str, Search, Tour], place: str, measured: Measured) -> None:
    expect_none(found, place, measured)


@pytest.mark.parametrize("found", ["apart"], indirect=True)
def test_no_canary_is_in_redis(found: tuple[str, Search, Tour], measured: Measured) -> None:
    expect_none(found, REDIS, measured)


def expect_none(found: tuple[str, Search, Tour], place: str, measured: Measured) -> None:
    """The place was searched, and nothing was there."""
    kind, search, _ = found
    assert search.has_seen(place), f"{place}: its marker {PLACES[place]!r} was not seen, so it was not searched"
    leaks = search.found(place)
    measured(f"{kind}, {place}: canaries", len(leaks), "== 0")
    assert not leaks, leaks
