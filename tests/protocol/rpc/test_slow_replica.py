"""A replica whose every word arrives 300 ms late, and whose every word that it is told does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.kit.health import Dependencies
from tests.fakes.owner import Owner
from tests.harness.wires import Wires
from tests.protocol.rpc.conftest import Dial, ParrotProcess, the_link

LATE_S = 0.3


@pytest.fixture
def wires() -> Iterator[Wires]:
    with Wires() as wires:
        yield wires


@pytest.fixture
def through_wire(parrot_process: ParrotProcess, wires: Wires) -> str:
    """The address that the parrot is reached at."""
    return f"127.0.0.1:{wires.lay('parrot', int(parrot_process.address.rpartition(':')[2]))}"


async def test_a_replica_that_gets_slow_is_down_until_it_is_fast_again(
    through_wire: str, wires: Wires, dial: Dial, owner: Owner, dependencies: Dependencies
) -> None:
    link = the_link(await dial(through_wire))
    wires.delay("parrot", LATE_S)

    link.send((1, "hello", b""), key=1)
    await owner.until(lambda: dependencies.is_down("parrot"), within_s=1)
    await owner.until(lambda: (1, "hello", b"") in owner.heard)
    assert dependencies.is_down("parrot")

    wires.delay("parrot", 0)
    await owner.until(lambda: not dependencies.is_down("parrot"), within_s=1.5)
    assert owner.count("opened") == 1


async def test_a_replica_that_is_slow_from_the_start_is_connected_to(
    through_wire: str, wires: Wires, dial: Dial, owner: Owner
) -> None:
    wires.delay("parrot", LATE_S)

    link = the_link(await dial(through_wire))

    assert link.is_up
