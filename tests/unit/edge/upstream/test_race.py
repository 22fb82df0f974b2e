"""Connecting to the first of several addresses that answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from services.edge.upstream.race import in_turns, race
from services.edge.upstream.resolver import Address

HEAD_START_S = 0.02


def newer(number: int) -> Address:
    return Address(socket.AF_INET6, (f"2001:db8::{number}", 443, 0, 0))


def older(number: int) -> Address:
    return Address(socket.AF_INET, (f"192.0.2.{number}", 443))


class Network:
    """Addresses that answer, refuse or stay silent, and the sockets that came of it."""

    def __init__(self, behaviour: dict[Address, Callable[[], Awaitable[None]]]) -> None:
        self._behaviour = behaviour
        self.tried: list[Address] = []
        self.given_up: list[Address] = []
        self.sockets: dict[Address, socket.socket] = {}

    async def connect(self, address: Address) -> socket.socket:
        self.tried.append(address)
        try:
            await self._behaviour[address]()
        except asyncio.CancelledError:
            self.given_up.append(address)
            raise
        self.sockets[address] = socket.socket()
        return self.sockets[address]

    def open_sockets(self) -> list[Address]:
        return [address for address, sock in self.sockets.items() if sock.fileno() >= 0]


async def answers() -> None:
    await asyncio.sleep(0)


async def refuses() -> None:
    raise ConnectionRefusedError(111, "refused")


async def is_silent() -> None:
    await asyncio.sleep(3600)


def test_the_families_take_turns_and_the_resolvers_first_begins() -> None:
    assert in_turns([newer(1), newer(2), older(1), older(2), older(3)]) == [
        newer(1),
        older(1),
        newer(2),
        older(2),
        older(3),
    ]
    assert in_turns([older(1), newer(1)]) == [older(1), newer(1)]
    assert in_turns([]) == []


async def test_an_answering_first_address_is_the_only_one_tried() -> None:
    network = Network({newer(1): answers, older(1): answers})
    sock = await race([newer(1), older(1)], network.connect, head_start_s=HEAD_START_S)

    assert network.tried == [newer(1)]
    assert sock is network.sockets[newer(1)]
    sock.close()


async def test_a_silent_first_address_costs_only_the_head_start() -> None:
    loop = asyncio.get_running_loop()
    network = Network({newer(1): is_silent, older(1): answers})
    started = loop.time()
    sock = await race([newer(1), older(1)], network.connect, head_start_s=HEAD_START_S)

    assert sock is network.sockets[older(1)]
    assert HEAD_START_S * 0.9 <= loop.time() - started < 1
    assert network.given_up == [newer(1)]
    sock.close()


async def test_a_refusal_starts_the_next_at_once() -> None:
    network = Network({newer(1): refuses, older(1): refuses, newer(2): answers})
    async with asyncio.timeout(1):
        sock = await race([newer(1), newer(2), older(1)], network.connect, head_start_s=3600)

    assert network.tried == [newer(1), older(1), newer(2)]
    sock.close()


async def test_when_all_fail_the_first_failure_is_told() -> None:
    async def has_no_route() -> None:
        raise OSError(113, "no route")

    network = Network({newer(1): refuses, older(1): has_no_route})
    with pytest.raises(ConnectionRefusedError):
        await race([newer(1), older(1)], network.connect, head_start_s=HEAD_START_S)


async def test_no_addresses_are_a_failure() -> None:
    with pytest.raises(OSError, match="no addresses"):
        await race([], Network({}).connect)


async def test_of_two_that_connect_together_one_is_closed() -> None:
    is_time = asyncio.Event()

    async def wait() -> None:
        await is_time.wait()

    network = Network({newer(1): wait, older(1): wait})
    racing = asyncio.ensure_future(race([newer(1), older(1)], network.connect, head_start_s=0.001))
    while len(network.tried) < 2:
        await asyncio.sleep(0.001)
    is_time.set()
    sock = await racing

    assert len(network.sockets) == 2
    assert network.open_sockets() == [address for address, made in network.sockets.items() if made is sock]
    sock.close()


async def test_a_cancelled_race_leaves_nothing_open() -> None:
    network = Network({newer(1): is_silent, older(1): is_silent})
    racing = asyncio.ensure_future(race([newer(1), older(1)], network.connect, head_start_s=0.001))
    while len(network.tried) < 2:
        await asyncio.sleep(0.001)
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing

    assert sorted(network.given_up, key=str) == sorted([newer(1), older(1)], key=str)
    assert network.open_sockets() == []
