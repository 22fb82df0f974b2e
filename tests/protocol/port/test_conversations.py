"""
Conversations: hundreds of requests on one connection, alike or nearly alike, and each is nothing but itself.

Whatever the port remembers of a head, to read the next one faster, must not show.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.protocol.port.author import TOKEN, Author
from tests.protocol.port.conftest import gateway_document
from tests.protocol.port.dialogue import CHAT, CONTINUE, Said, chunked, converse, echo, get, judge, post
from tests.protocol.port.edges import RunningEdge, running_edge
from tests.protocol.port.provider import Provider
from tests.protocol.port.raw import RawAnswer

pytestmark = pytest.mark.asyncio(loop_scope="module")

GUARDED = "  authentication: {{tokens: [{{name: ci, valueFrom: {{env: CI_TOKEN}}}}]}}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(listening_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningEdge]:
    """An edge with an open gateway and a guarded one."""
    resources = gateway_document("main", "", listening_provider) + gateway_document(
        "guarded", GUARDED, listening_provider
    )
    folder = tmp_path_factory.mktemp("edge")
    async with running_edge(folder, resources, environment={"CI_TOKEN": TOKEN.decode()}) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def echoing(provider: Provider) -> None:
    provider.turn = echo


@pytest.mark.parametrize("said", [get(), post(b"{}"), chunked((b"{", b"}")), post(b"{}", CONTINUE)])
async def test_the_same_request_hundreds_of_times_is_as_many_requests(
    edge: RunningEdge, provider: Provider, said: Said
) -> None:
    client = await edge.connect()

    answers = [answer for _ in range(200) for answer in await converse(client, [said])]

    assert len(provider.received) == 200
    assert len({answer.get("cf-aig-log-id") for answer in answers}) == 200


async def test_the_same_head_with_other_bodies_brings_these_bodies(edge: RunningEdge) -> None:
    client = await edge.connect()

    for number in range(200):
        await converse(client, [post(b'{"n":%04d}' % number, (b"Content-Type", b"application/json"))])


async def test_heads_that_differ_only_in_the_length_have_bodies_of_that_length(edge: RunningEdge) -> None:
    client = await edge.connect()

    for size in [*range(130), 9, 10, 99, 100, 999, 1000, 9_999, 70_000, 7, 0]:
        await converse(client, [post(b"x" * size)])


SIMILAR = {
    "value": get((b"X-A", b"1"), (b"X-B", b"3")),
    "case of a value": get((b"X-A", b"1"), (b"X-B", b"a")),
    "case of a name": get((b"x-A", b"1"), (b"X-B", b"2")),
    "order": get((b"X-B", b"2"), (b"X-A", b"1")),
    "one twice": get((b"X-A", b"1"), (b"X-B", b"2"), (b"X-B", b"2")),
    "one less": get((b"X-A", b"1")),
    "one more": get((b"X-A", b"1"), (b"X-B", b"2"), (b"X-C", b"")),
    "white space": get((b"X-A", b"\t1 "), (b"X-B", b"2")),
    "method": get((b"X-A", b"1"), (b"X-B", b"2"), method=b"PUT"),
    "method without an answer's body": get((b"X-A", b"1"), (b"X-B", b"2"), method=b"HEAD"),
    "query": get((b"X-A", b"1"), (b"X-B", b"2"), target=CHAT + b"?"),
    "host": replace(get(), headers=((b"Host", b"gateway.tesu"), (b"X-A", b"1"), (b"X-B", b"2"))),
    "body": post(b"{}", (b"X-A", b"1"), (b"X-B", b"2")),
    "chunks": chunked((b"{}",), (b"X-A", b"1"), (b"X-B", b"2")),
    "expectation": post(b"{}", (b"X-A", b"1"), (b"X-B", b"2"), CONTINUE),
    "version": get((b"X-A", b"1"), (b"X-B", b"2"), (b"Connection", b"keep-alive"), version=b"1.0"),
    "named by connection": get((b"X-A", b"1"), (b"X-B", b"2"), (b"Connection", b"x-b")),
    "absolute form": get((b"X-A", b"1"), (b"X-B", b"2"), target=b"http://gateway.test" + CHAT),
}


@pytest.mark.parametrize("other", SIMILAR.values(), ids=SIMILAR.keys())
async def test_a_head_that_differs_in_one_thing_is_another_request(edge: RunningEdge, other: Said) -> None:
    client = await edge.connect()
    usual = get((b"X-A", b"1"), (b"X-B", b"2"))

    for _ in range(10):
        await converse(client, [usual])
        await converse(client, [other])
        await converse(client, [usual, other, other, usual])


ONCE = (b"User-Agent", b"Content-Type", b"Content-Location", b"Content-Range", b"ETag", b"Max-Forwards", b"Server")


@pytest.mark.parametrize("name", ONCE)
async def test_a_header_that_may_come_once_and_comes_twice_is_refused(edge: RunningEdge, name: bytes) -> None:
    client = await edge.connect()

    answer = await client.ask(get((name, b"1"), (name, b"2")).octets)

    assert answer.status == 400


@pytest.mark.parametrize("seed", range(12))
async def test_a_conversation_by_chance_arrives_as_it_was_said(edge: RunningEdge, seed: int) -> None:
    await conversation(edge, Author(seed), requests=120)


async def test_conversations_at_the_same_time_do_not_mix(edge: RunningEdge) -> None:
    await asyncio.gather(*(conversation(edge, Author(1000 + number), requests=60) for number in range(8)))


async def test_each_request_of_a_conversation_has_a_row_of_its_own(edge: RunningEdge) -> None:
    said, answers = await conversation(edge, Author(77), requests=120)
    expected = {
        answer.get("cf-aig-log-id"): (
            each.status,
            each.method.decode(),
            each.target.partition(b"/openai/")[2].partition(b"?")[0].decode(),
            (each.value(b"cf-aig-event-id") or b"").decode(),
            len(each.body),
        )
        for each, answer in zip(said, answers, strict=True)
        if each.status != 404
    }
    await edge.row(list(expected)[-1])

    rows = {row.id: row for row in edge.rows if row.id in expected}
    assert {
        log_id: (row.status_code, row.method, row.path, row.event_id, row.bytes_in) for log_id, row in rows.items()
    } == expected


async def test_a_head_that_was_refused_is_refused_again(edge: RunningEdge) -> None:
    client = await edge.connect()
    target = b"/v1/local/guarded/openai/models"
    right = get((b"cf-aig-authorization", b"Bearer let-me-in"), target=target)
    wrong = get((b"cf-aig-authorization", b"Bearer let-me-im"), target=target, status=401)
    none = get(target=target, status=401)

    for said in (wrong, wrong, right, right, wrong, none, right, none, none, wrong) * 10:
        await converse(client, [said])


async def test_the_same_head_waits_for_leave_each_time(edge: RunningEdge, provider: Provider) -> None:
    client = await edge.connect()
    for number in range(50):
        said = post(b"body-%02d" % number, CONTINUE)
        await client.send(said.head)
        leave = await client.head()
        await client.send(said.content)
        answer = await client.answer()

        assert leave.line == b"HTTP/1.1 100 Continue"
        judge(answer, said)


async def test_http_1_0_between_requests_of_1_1_keeps_its_own_rules(edge: RunningEdge) -> None:
    client = await edge.connect()
    modern = get((b"Connection", b"keep-alive"))
    for _ in range(10):
        await converse(client, [modern])
        await converse(client, [replace(modern, version=b"1.0")])

    last = await client.ask(replace(modern, version=b"1.0", headers=modern.headers[:1]).octets)

    assert last.get("connection") == "close"
    assert await client.ended() == b""


async def conversation(edge: RunningEdge, author: Author, *, requests: int) -> tuple[list[Said], list[RawAnswer]]:
    """One connection, and at least so many requests on it."""
    client = await edge.connect()
    said: list[Said] = []
    answers: list[RawAnswer] = []
    while len(said) < requests:
        some = author.some()
        answers += await converse(client, some, *author.cuts(sum(len(each.octets) for each in some)))
        said += some
    await client.close()
    return said, answers
