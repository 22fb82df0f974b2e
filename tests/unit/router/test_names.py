from __future__ import annotations

import asyncio
import time

import pytest

from services.router.names import AT_ONCE_MAX, HOSTS_MAX, resolve_names


async def test_a_literal_address_is_its_own_answer() -> None:
    assert await resolve_names({"127.0.0.1", "::1"}) == {"127.0.0.1": ("127.0.0.1",), "::1": ("::1",)}


async def test_without_names_nothing_is_asked() -> None:
    assert await resolve_names(set()) == {}


async def test_a_resolver_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def hang(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
    began_s = time.monotonic()

    found = await resolve_names({f"{number}.example.com" for number in range(2 * HOSTS_MAX)})

    assert found == {}
    assert time.monotonic() - began_s < 1
    assert len(asked) == AT_ONCE_MAX


async def test_a_name_that_does_not_resolve_has_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> list[object]:
        raise OSError("no such name")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)

    assert await resolve_names({"nowhere.example.com"}) == {"nowhere.example.com": ()}
