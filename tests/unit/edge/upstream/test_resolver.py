"""From names to addresses that may be connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from services.edge.upstream.resolver import Address, SystemResolver, check_host, permitted_addresses
from services.kit.errors import UpstreamAddressRefused

PUBLIC = Address(socket.AF_INET, ("8.8.8.8", 443))
PRIVATE = Address(socket.AF_INET, ("10.0.0.1", 443))
LINK_LOCAL = Address(socket.AF_INET6, ("fe80::1%eth0", 443, 0, 2))


class Names:
    """A resolver that knows one answer and counts."""

    def __init__(self, *addresses: Address) -> None:
        self._addresses = addresses
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        return self._addresses


async def test_refused_addresses_are_left_out() -> None:
    names = Names(LINK_LOCAL, PRIVATE, PUBLIC)

    assert await permitted_addresses(names, "a.test", 443, is_private_allowed=False) == [PUBLIC]
    assert await permitted_addresses(names, "a.test", 443, is_private_allowed=True) == [PRIVATE, PUBLIC]


@pytest.mark.parametrize("is_private_allowed", [False, True])
async def test_a_name_with_nothing_but_refused_addresses_is_refused(is_private_allowed: bool) -> None:
    with pytest.raises(UpstreamAddressRefused, match="link-local"):
        await permitted_addresses(Names(LINK_LOCAL), "a.test", 443, is_private_allowed=is_private_allowed)


async def test_a_metadata_name_is_not_even_resolved() -> None:
    names = Names(PUBLIC)
    with pytest.raises(UpstreamAddressRefused):
        await permitted_addresses(names, "metadata.google.internal", 80, is_private_allowed=True)

    assert names.asked == []


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "instance-data", "::ffff:169.254.169.254"])
def test_a_host_that_gives_itself_away_is_refused_whatever_is_allowed(host: str) -> None:
    with pytest.raises(UpstreamAddressRefused):
        check_host(host, is_private_allowed=True)


def test_other_names_are_judged_by_what_they_resolve_to() -> None:
    check_host("api.example.com", is_private_allowed=False)
    check_host("127.0.0.1.nip.example", is_private_allowed=False)


class Lookups:
    """Stands in for the loop's own lookup: slow, counted, answering or failing when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.may_answer = asyncio.Event()
        self.error: OSError | None = None
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self._look_up)

    async def _look_up(self, host: str, port: int, **_: Any) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        self.count += 1
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]


@pytest.fixture
async def lookups(monkeypatch: pytest.MonkeyPatch) -> Lookups:
    return Lookups(monkeypatch)


async def test_literal_addresses_and_local_names_resolve() -> None:
    resolver = SystemResolver()

    assert list(await resolver.resolve("127.0.0.1", 80)) == [Address(socket.AF_INET, ("127.0.0.1", 80))]
    assert [address.sockaddr[0] for address in await resolver.resolve("::1", 80)] == ["::1"]


async def test_a_burst_shares_one_lookup_and_the_next_looks_up_again(lookups: Lookups) -> None:
    resolver = SystemResolver()
    burst = [asyncio.ensure_future(resolver.resolve("a.test", 443)) for _ in range(10)]
    await asyncio.sleep(0)
    lookups.may_answer.set()
    found = await asyncio.gather(*burst)
    await resolver.resolve("a.test", 443)

    assert all(list(addresses) == [Address(socket.AF_INET, ("192.0.2.1", 443))] for addresses in found)
    assert lookups.count == 2


async def test_a_failed_lookup_fails_for_the_whole_burst(lookups: Lookups) -> None:
    resolver = SystemResolver()
    lookups.error = socket.gaierror(-2, "Name or service not known")
    lookups.may_answer.set()
    outcomes = await asyncio.gather(*(resolver.resolve("a.test", 443) for _ in range(5)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [socket.gaierror] * 5


async def test_a_lookup_that_is_given_up_is_taken_over(lookups: Lookups) -> None:
    resolver = SystemResolver()
    first = asyncio.ensure_future(resolver.resolve("a.test", 443))
    second = asyncio.ensure_future(resolver.resolve("a.test", 443))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    lookups.may_answer.set()

    assert len(await second) == 1
    assert lookups.count == 2


async def test_a_joiner_that_leaves_does_not_end_the_lookup(lookups: Lookups) -> None:
    resolver = SystemResolver()
    first = asyncio.ensure_future(resolver.resolve("a.test", 443))
    joiner = asyncio.ensure_future(resolver.resolve("a.test", 443))
    await asyncio.sleep(0)
    joiner.cancel()
    await asyncio.gather(joiner, return_exceptions=True)
    lookups.may_answer.set()

    assert len(await first) == 1
    assert lookups.count == 1
