"""Several replicas: which one is chosen, and what happens when addresses come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest

from services.kit.clock import SystemClock
from services.kit.health import Dependencies
from services.kit.names import MetricName
from services.kit.rpc.replicas import Caller, Naming, Replicas
from services.kit.rpc.server import RpcServer
from services.kit.rpc.target import parse_target
from services.kit.telemetry.metrics import Metrics
from tests.fakes.owner import Owner
from tests.fakes.parrot import Parrot, Said, conversation

SOON_S = 0.02


class Town:
    """Parrots on 127.0.0.1, 127.0.0.2, ... on one port, behind a name."""

    def __init__(self) -> None:
        self.parrots: dict[str, Parrot] = {}
        self.listed: list[str] = []
        self.port = 0
        self.is_name_service_down = False
        self._asked = 0
        self._servers: dict[str, RpcServer] = {}

    async def settle(self, ip: str) -> None:
        """A replica starts at this address, and is listed."""
        server = RpcServer(f"{ip}:{self.port}")
        parrot = self.parrots[ip] = Parrot()
        server.add(conversation(), parrot)
        await server.__aenter__()
        self.port = server.port
        self._servers[ip] = server
        self.listed.append(ip)

    async def stop(self, ip: str) -> None:
        """A replica stops; it stays listed."""
        await self._servers.pop(ip).__aexit__()

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("parrots", self.port)
        self._asked += 1
        if self.is_name_service_down:
            raise OSError("nobody answers")
        return list(self.listed)

    async def is_asked_twice(self, owner: Owner) -> None:
        """Whatever the name service says now has been heard."""
        enough = self._asked + 2
        await owner.until(lambda: self._asked >= enough)

    async def leave(self) -> None:
        for ip in list(self._servers):
            await self.stop(ip)


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    for ip in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        await town.settle(ip)
    yield town
    await town.leave()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


class Reach:
    """Opens links to a town, and closes them with the test."""

    def __init__(self, town: Town, owner: Owner, dependencies: Dependencies, metrics: Metrics) -> None:
        self._town = town
        self._owner = owner
        self._dependencies = dependencies
        self._metrics = metrics
        self._stack = AsyncExitStack()

    async def links(self, *, random: float = 0.0, up: int = 3, target: str = "") -> Replicas[Said, Said]:
        caller = Caller(
            clock=SystemClock(), random=lambda: random, dependencies=self._dependencies, metrics=self._metrics
        )
        naming = Naming(resolve=self._town.resolve, every_s=SOON_S, drain_s=SOON_S)
        target = target or f"dns:///parrots:{self._town.port}"
        links = Replicas(conversation(), parse_target(target), caller=caller, naming=naming)
        self._stack.push_async_callback(links.close)
        links.listen(self._owner)
        await self._owner.until(lambda: sum(link.is_up for link in links.all()) == up)
        return links

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def reach(town: Town, owner: Owner, dependencies: Dependencies, metrics: Metrics) -> AsyncIterator[Reach]:
    reach = Reach(town, owner, dependencies, metrics)
    yield reach
    await reach.close()


async def test_every_address_of_a_name_is_a_replica(reach: Reach, town: Town) -> None:
    links = await reach.links()

    addresses = sorted(link.address for link in links.all())

    assert addresses == [f"127.0.0.{number}:{town.port}" for number in (1, 2, 3)]


async def test_a_list_of_addresses_needs_no_name_service(reach: Reach, town: Town) -> None:
    town.is_name_service_down = True

    links = await reach.links(up=2, target=f"127.0.0.1:{town.port}, 127.0.0.3:{town.port}")

    assert {link.address for link in links.all()} == {f"127.0.0.1:{town.port}", f"127.0.0.3:{town.port}"}


async def test_any_stays_with_its_replica_while_that_is_up(reach: Reach, town: Town, owner: Owner) -> None:
    links = await reach.links()
    first = links.any()
    assert first is not None

    stays = all(links.any() is first for _ in range(10))
    await town.stop(first.address.rpartition(":")[0])
    await owner.until(lambda: not first.is_up)
    second = links.any()

    assert stays
    assert second is not None
    assert second is not first
    assert links.any() is second


async def test_edges_spread_over_replicas(reach: Reach) -> None:
    edges = [await reach.links(random=draw / 40) for draw in range(40)]

    chosen = {link.address for edge in edges if (link := edge.any())}

    assert len(chosen) == 3


async def test_keys_belong_to_replicas_and_a_replica_that_is_down_costs_its_own_share_only(
    reach: Reach, town: Town, owner: Owner
) -> None:
    links = await reach.links()
    keys = [number.to_bytes(32, "big") for number in range(60)]
    before = [link.address for key in keys if (link := links.for_key(key))]

    await town.stop("127.0.0.2")
    await owner.until(lambda: sum(link.is_up for link in links.all()) == 2)
    after = [link.address if (link := links.for_key(key)) else None for key in keys]

    down = f"127.0.0.2:{town.port}"
    assert set(before) == {link.address for link in links.all()}
    assert after == [None if address == down else address for address in before]


async def test_a_new_address_is_used_at_once(reach: Reach, town: Town, owner: Owner) -> None:
    links = await reach.links()

    await town.settle("127.0.0.4")
    await owner.until(lambda: sum(link.is_up for link in links.all()) == 4)

    assert f"127.0.0.4:{town.port}" in {link.address for link in links.all()}


async def test_a_vanished_address_is_chosen_no_more_and_then_closed(reach: Reach, town: Town, owner: Owner) -> None:
    links = await reach.links()
    chosen = links.any()
    assert chosen is not None
    ip = chosen.address.rpartition(":")[0]

    town.listed.remove(ip)
    await owner.until(lambda: chosen not in links.all())
    other = links.any()
    await owner.until(lambda: town.parrots[ip].sessions[0].closed == 1 and not chosen.is_up)

    assert other is not None
    assert other is not chosen


async def test_a_name_service_that_is_down_changes_nothing(reach: Reach, town: Town, owner: Owner) -> None:
    links = await reach.links()

    town.is_name_service_down = True
    await town.is_asked_twice(owner)
    while_down = len(links.all())
    town.is_name_service_down = False
    town.listed.clear()
    await town.is_asked_twice(owner)

    assert while_down == 3
    assert len(links.all()) == 3


async def test_the_dependency_is_down_while_not_one_replica_is_up(
    reach: Reach, town: Town, owner: Owner, dependencies: Dependencies
) -> None:
    links = await reach.links()

    await town.stop("127.0.0.1")
    await town.stop("127.0.0.2")
    await owner.until(lambda: sum(link.is_up for link in links.all()) == 1)
    with_one = dependencies.is_down("parrot")
    await town.stop("127.0.0.3")
    await owner.until(lambda: links.any() is None)

    assert not with_one
    assert dependencies.is_down("parrot")


async def test_a_name_without_addresses_is_a_dependency_that_is_down(
    reach: Reach, town: Town, owner: Owner, dependencies: Dependencies
) -> None:
    town.listed.clear()

    links = await reach.links(up=0)
    await owner.until(lambda: dependencies.is_down("parrot"))
    town.listed.append("127.0.0.1")
    await owner.until(lambda: links.any() is not None)

    assert not dependencies.is_down("parrot")


async def test_streams_messages_and_items_are_counted(reach: Reach, owner: Owner, metrics: Metrics) -> None:
    links = await reach.links()
    link = links.any()
    assert link is not None

    for number in (1, 2):
        link.send((number, "hello", b""), key=number)
    await owner.until(lambda: len(owner.heard) == 2)
    link.send((3, "hello", b"x" * 10_000_000))
    text = metrics.render().decode()

    assert f'{MetricName.STREAMS.name}{{dependency="parrot"}} 3.0' in text
    for outcome, count in (("sent", 2), ("received", 2), ("dropped", 1)):
        assert f'{MetricName.STREAM_ITEMS.name}{{dependency="parrot",outcome="{outcome}"}} {count}.0' in text
    assert f'{MetricName.STREAM_MESSAGES.name}{{dependency="parrot",outcome="sent"}} 1.0' in text
