"""
Live changes: the operator changes a gateway between two requests that are alike, octet for octet.

One edge has a gateway for each kind of change, and a connection to each. All of them are changed at once, and the next
request on each connection, which is the last one again, already runs on what is new.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.protocol.port.conftest import Serve, gateway_document
from tests.protocol.port.dialogue import Said, echo, get, post, write
from tests.protocol.port.edges import running_edge, until
from tests.protocol.port.provider import JSON_OK, Provider
from tests.protocol.port.raw import RawAnswer
from tests.protocol.upstream.scripted import Received, Visit

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMES = 3
HEADERS = ((b"cf-aig-authorization", b"Bearer first"), (b"Cookie", b"a=b"), (b"Content-Type", b"application/json"))
FIRST_TOKEN = "{{tokens: [{{name: one, valueFrom: {{env: FIRST}}}}, {{name: two, valueFrom: {{env: SECOND}}}}]}}"
SECOND_TOKEN = "{{tokens: [{{name: two, valueFrom: {{env: SECOND}}}}]}}"
KEYS = "  providers: {{{{openai: {{{{baseURL: '{{url}}/v1', keys: [{{{{valueFrom: {{{{env: {name}}}}}}}}}]}}}}}}}}"

CHANGES = {
    "token": (f"  authentication: {FIRST_TOKEN}", f"  authentication: {SECOND_TOKEN}"),
    "token-asked-for": ("", f"  authentication: {SECOND_TOKEN}"),
    "moved": ("", "  providers: {{openai: {{baseURL: '{url}/moved'}}}}"),
    "removed": ("", None),
    "disallowed": ("", "  providers: {{anthropic: {{baseURL: '{url}'}}}}\n  allowedProviders: [anthropic]"),
    "key": (KEYS.format(name="FIRST"), KEYS.format(name="SECOND")),
    "no-key": (KEYS.format(name="FIRST"), ""),
    "header": ("", "  providers: {{openai: {{baseURL: '{url}/v1', headers: {{x-team: search}}}}}}"),
    "cookies": ("", "  forwardCookies: true"),
    "cached": ("", "  cache: {{ttlS: 300}}"),
    "limited": ("", "  limits: [{{name: one, unit: requests, limit: 1, windowS: 3600, technique: fixed}}]"),
    "unlogged": ("", "  logs: {{collect: false}}"),
    "unchanged": ("", ""),
}


class Seen(NamedTuple):
    """The answers to the same request, sent again and again on one connection."""

    before: list[RawAnswer]
    after: list[RawAnswer]

    @property
    def statuses(self) -> tuple[set[int], list[int]]:
        return {answer.status for answer in self.before}, [answer.status for answer in self.after]


def documents(provider: Provider, which: int) -> str:
    specs = {name: specs[which] for name, specs in CHANGES.items()}
    return "".join(gateway_document(name, spec, provider) for name, spec in specs.items() if spec is not None)


def said(name: str, *, has_body: bool) -> Said:
    target = f"/v1/local/{name}/openai/chat/completions".encode()
    return post(b'{"model":"m"}', *HEADERS, target=target) if has_body else get(*HEADERS, target=target)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[True, False], ids=["with a body", "without"])
async def seen(
    request: pytest.FixtureRequest, listening_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Seen]]:
    """By gateway, what was answered before and after the change."""
    provider = listening_provider
    provider.forget()
    provider.turn = echo
    folder = tmp_path_factory.mktemp("edge")
    environment = {"FIRST": "first", "SECOND": "second"}
    async with running_edge(folder, documents(provider, 0), environment=environment) as edge:
        said_by = {name: said(name, has_body=request.param) for name in CHANGES}
        clients = {name: await edge.connect() for name in CHANGES}
        before = {name: [await clients[name].ask(said_by[name].octets) for _ in range(TIMES)] for name in CHANGES}
        await edge.quiet()
        await edge.change(documents(provider, 1))
        after = {name: [await clients[name].ask(said_by[name].octets) for _ in range(TIMES)] for name in CHANGES}
        await edge.row(after["unchanged"][-1].get("cf-aig-log-id"))
        logged = {row.id for row in edge.rows}
        yield {name: Seen(before[name], after[name]) for name in CHANGES} | {
            "rows": Seen([], [answer for answer in after["unlogged"] if answer.get("cf-aig-log-id") in logged])
        }


async def test_without_a_change_nothing_changes(seen: dict[str, Seen]) -> None:
    assert seen["unchanged"].statuses == ({200}, [200] * TIMES)
    assert {answer.body for answer in (*seen["unchanged"].before, *seen["unchanged"].after)} == {
        seen["unchanged"].before[0].body
    }


async def test_a_token_that_was_taken_back_lets_nobody_in(seen: dict[str, Seen]) -> None:
    assert seen["token"].statuses == ({200}, [401] * TIMES)


async def test_a_gateway_that_asks_for_a_token_asks_everybody(seen: dict[str, Seen]) -> None:
    assert seen["token-asked-for"].statuses == ({200}, [401] * TIMES)


async def test_a_provider_that_moved_is_called_at_its_new_address(seen: dict[str, Seen]) -> None:
    targets = [answer.body.split(b" ")[1] for answer in (*seen["moved"].before, *seen["moved"].after)]

    assert targets == [b"/v1/chat/completions"] * TIMES + [b"/moved/chat/completions"] * TIMES


async def test_a_gateway_that_was_removed_is_404(seen: dict[str, Seen]) -> None:
    assert seen["removed"].statuses == ({200}, [404] * TIMES)


async def test_a_provider_that_is_not_allowed_any_more_is_400(seen: dict[str, Seen]) -> None:
    assert seen["disallowed"].statuses == ({200}, [400] * TIMES)


async def test_a_stored_key_that_was_changed_is_the_new_one(seen: dict[str, Seen]) -> None:
    keys = [b"Bearer first" in answer.body for answer in (*seen["key"].before, *seen["key"].after)]

    assert keys == [True] * TIMES + [False] * TIMES
    assert all(b"Bearer second\r\n" in answer.body for answer in seen["key"].after)


async def test_a_stored_key_that_was_taken_away_is_not_sent(seen: dict[str, Seen]) -> None:
    assert all(b"Bearer first" in answer.body for answer in seen["no-key"].before)
    assert not any(b"uthorization" in answer.body for answer in seen["no-key"].after)


async def test_a_header_that_the_operator_adds_is_added(seen: dict[str, Seen]) -> None:
    assert not any(b"x-team: search" in answer.body for answer in seen["header"].before)
    assert all(b"x-team: search" in answer.body for answer in seen["header"].after)


async def test_cookies_that_the_operator_lets_through_go_through(seen: dict[str, Seen]) -> None:
    assert not any(b"Cookie" in answer.body for answer in seen["cookies"].before)
    assert all(b"Cookie: a=b" in answer.body for answer in seen["cookies"].after)


async def test_a_cache_that_is_turned_on_keeps_answers(seen: dict[str, Seen]) -> None:
    statuses = [answer.get("cf-aig-cache-status") for answer in (*seen["cached"].before, *seen["cached"].after)]

    assert statuses[:TIMES] == ["BYPASS"] * TIMES
    assert statuses[TIMES:] in (["MISS", "HIT", "HIT"], ["BYPASS"] * TIMES)
    assert (statuses[-1] == "HIT") == seen["cached"].after[0].body.startswith(b"POST")


async def test_a_limit_that_is_set_holds(seen: dict[str, Seen]) -> None:
    assert seen["limited"].statuses == ({200}, [200, 429, 429])


async def test_logs_that_are_turned_off_get_no_rows(seen: dict[str, Seen]) -> None:
    assert seen["unlogged"].statuses == ({200}, [200] * TIMES)
    assert seen["rows"].after == []


async def test_answers_name_the_configuration_they_ran_on(seen: dict[str, Seen]) -> None:
    versions = [answer.get("cf-aig-config-version") for answer in seen["unchanged"].before]
    later = [answer.get("cf-aig-config-version") for answer in seen["unchanged"].after]

    assert len(set(versions)) == len(set(later)) == 1
    assert versions[0] != later[0]


async def test_a_request_under_way_keeps_what_it_began_with(serve: Serve, provider: Provider) -> None:
    edge = await serve("  retries: {{maxAttempts: 2, delayMs: 1}}")
    release = asyncio.Event()

    async def turn(visit: Visit, received: Received) -> None:
        if not release.is_set():
            await release.wait()
            await visit.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        else:
            await visit.send(JSON_OK)

    provider.turn = turn
    client = await edge.connect()
    request = said("main", has_body=True).octets
    await client.send(request)
    await until(lambda: len(provider.received) == 1)
    await edge.change(gateway_document("main", "  providers: {{openai: {{baseURL: '{url}/moved'}}}}", provider))
    await write(client, request)
    release.set()

    assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    assert [each.line.split(b" ")[1] for each in provider.received] == [
        b"/v1/chat/completions",
        b"/v1/chat/completions",
        b"/moved/chat/completions",
    ]


async def test_a_gateway_that_comes_back_is_there_again(serve: Serve, provider: Provider) -> None:
    provider.turn = echo
    edge = await serve()
    client, request = await edge.connect(), said("late", has_body=True).octets
    assert [(await client.ask(request)).status for _ in range(2)] == [404, 404]

    await edge.change(gateway_document("main", "", provider) + gateway_document("late", "", provider))
    there = [(await client.ask(request)).status for _ in range(2)]
    await edge.change(gateway_document("main", "", provider))
    gone = [(await client.ask(request)).status for _ in range(2)]

    assert (there, gone) == ([200, 200], [404, 404])
