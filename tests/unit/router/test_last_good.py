"""The last good version of a resource outlives the router that accepted it."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.kit.clock import SystemClock
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from services.router.module import COPY_NAME, router_module
from services.router.service import Router
from services.router.settings import RouterSettings
from tests.unit.router.judging import KNOWN, gateway, provider

BROKEN = "{cache: []}"


class Place:
    """A resource file, and the folder of the routers that read it one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "router"
        self.folder.mkdir()
        self.file = folder / "resources.yaml"

    def write(self, *documents: str) -> None:
        self.file.write_text("".join(documents))

    @asynccontextmanager
    async def router(self, **environment: str) -> AsyncIterator[Router]:
        settings = RouterSettings(resources=str(self.file), folder=self.folder, environment=environment)
        async with router_module(
            settings=settings, clock=SystemClock(), tracer=NoTracer(), metrics=Metrics(), catalogue=KNOWN
        ) as router:
            yield router


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def live(router: Router) -> dict[str, int]:
    """Gateways that are live, with their attempts, which tell versions apart."""
    return {name: compiled.gateway.retries.attempts_max for (_, _, name), compiled in router.accepted.gateways.items()}


async def test_a_document_that_is_wrong_at_the_start_falls_back_to_what_ran_before(place: Place) -> None:
    place.write(gateway("main", "{retries: {maxAttempts: 3}}"), gateway("other"))
    async with place.router():
        pass
    place.write(gateway("main", BROKEN), gateway("other", "{retries: {maxAttempts: 2}}"))

    async with place.router() as router:
        assert live(router) == {"main": 3, "other": 2}
        assert [refusal.resource for refusal in router.refusals] == ["Gateway local/main"]


async def test_a_file_that_is_no_yaml_at_the_start_leaves_everything_live(place: Place) -> None:
    place.write(gateway("main"), provider("vllm"))
    async with place.router() as router:
        version = router.version
    place.write("kind: [")

    async with place.router() as router:
        assert router.version == version


async def test_what_the_file_does_not_declare_any_more_is_not_brought_back(place: Place) -> None:
    place.write(gateway("main"), gateway("gone"))
    async with place.router():
        pass
    place.write(gateway("main"))

    async with place.router() as router:
        assert set(live(router)) == {"main"}


async def test_the_good_version_is_not_replaced_by_a_bad_one(place: Place) -> None:
    place.write(gateway("main", "{retries: {maxAttempts: 3}}"))
    async with place.router():
        pass
    place.write(gateway("main", BROKEN))
    for _ in range(2):
        async with place.router() as router:
            assert live(router) == {"main": 3}


async def test_secrets_are_referred_to_and_not_copied(place: Place) -> None:
    place.write(gateway("main", "{providers: {openai: {keys: [{valueFrom: {env: KEY}}]}}}"))
    async with place.router(KEY="sk-canary"):
        pass
    place.write(gateway("main", BROKEN))
    copy = place.folder / COPY_NAME

    async with place.router(KEY="sk-rotated") as router:
        assert [key.key for key in router.watch.keys] == ["sk-rotated"]
        assert b"canary" not in copy.read_bytes()
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600


async def test_the_copy_of_another_file_is_not_used(place: Place) -> None:
    place.write(gateway("main"))
    async with place.router():
        pass
    place.file = place.file.with_name("other.yaml")
    place.write(gateway("main", BROKEN))

    async with place.router() as router:
        assert live(router) == {}


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"format": 9, "source": "", "documents": []}'])
async def test_a_damaged_copy_stops_nothing(place: Place, content: bytes) -> None:
    (place.folder / COPY_NAME).write_bytes(content)
    place.write(gateway("main"))

    async with place.router() as router:
        assert set(live(router)) == {"main"}
