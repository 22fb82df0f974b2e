"""
Segments: TCP cuts a stream of octets wherever it likes, and what was said does not change with it.

Heads and bodies cut at every octet, several requests in one segment, and bodies that read like heads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.protocol.port.dialogue import (
    CHAT,
    CONTINUE,
    Said,
    chunked,
    converse,
    echo,
    get,
    in_chunks,
    judge,
    post,
    write,
)
from tests.protocol.port.edges import RunningEdge
from tests.protocol.port.provider import Provider
from tests.protocol.port.raw import RawClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADERS = ((b"Authorization", b"Bearer sk-1"), (b"X-A", b"\t1 "))
BODY = b'{"model":"m"}'
USUAL = post(BODY, *HEADERS)
LIKE_A_HEAD = post(get(*HEADERS).octets)
LIKE_ITSELF = post(post(BODY).octets)

SAID = {
    "no body": get(*HEADERS),
    "length": USUAL,
    "chunks": chunked((b"{", BODY[1:]), *HEADERS),
    "no length at all": Said(b"POST"),
    "a body like a head": LIKE_A_HEAD,
    "a body like a request": LIKE_ITSELF,
    "chunks like a request": chunked((post(BODY).octets,)),
    "expecting": post(BODY, CONTINUE),
    "http/1.0": post(BODY, (b"Connection", b"keep-alive"), version=b"1.0"),
    "absolute form": post(BODY, target=b"http://gateway.test" + CHAT),
    "octets above 127": post(b"\xff\x00\r\n\r\n\xc3", (b"X-Name", b"\xe9")),
}


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def echoing(provider: Provider) -> None:
    provider.turn = echo


@pytest_asyncio.fixture(loop_scope="module")
async def client(edge: RunningEdge) -> AsyncIterator[RawClient]:
    client = await edge.connect()
    yield client
    await client.close()


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
async def test_a_request_cut_at_every_octet_behind_itself_is_the_same_request(client: RawClient, said: Said) -> None:
    for cut in range(1, len(said.octets)):
        if cut % 2:
            await converse(client, [said])
        await converse(client, [said], cut)


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
async def test_a_request_octet_by_octet_is_the_same_request(client: RawClient, said: Said) -> None:
    for _ in range(3):
        await converse(client, [said], *range(1, len(said.octets)))
        await converse(client, [said])


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
@pytest.mark.parametrize("count", [2, 3, 4, 5])
async def test_requests_in_one_segment_are_answered_in_order(client: RawClient, said: Said, count: int) -> None:
    for _ in range(5):
        await converse(client, [said])
        await converse(client, [said] * count)


@pytest.mark.parametrize("count", [31, 32, 33, 34, 63, 64, 65, 66, 200])
@pytest.mark.parametrize("said", [USUAL, get(*HEADERS)], ids=["with a body", "without"])
async def test_many_requests_in_one_segment_are_that_many(
    client: RawClient, provider: Provider, said: Said, count: int
) -> None:
    await converse(client, [said] * count)
    await converse(client, [said])
    await converse(client, [said] * count)

    assert len(provider.received) == 2 * count + 1


MIXED = {
    "alike": [USUAL, USUAL],
    "bodies of one length": [post(b"{1}"), post(b"{2}"), post(b"{3}")],
    "bodies of many lengths": [post(b""), post(b"{}"), post(b"{ }")],
    "with and without body": [get(*HEADERS), USUAL, get(*HEADERS)],
    "framed in turn": [USUAL, chunked((BODY,), *HEADERS), USUAL],
    "heads in bodies": [LIKE_A_HEAD, get(*HEADERS), LIKE_ITSELF],
    "asking for leave": [post(BODY, CONTINUE), post(BODY)],
}


@pytest.mark.parametrize("said", MIXED.values(), ids=MIXED.keys())
async def test_some_requests_cut_at_every_octet_are_the_same_requests(client: RawClient, said: list[Said]) -> None:
    for cut in range(1, sum(len(each.octets) for each in said)):
        await converse(client, said, cut)


@pytest.mark.parametrize("said", MIXED.values(), ids=MIXED.keys())
async def test_some_requests_octet_by_octet_are_the_same_requests(client: RawClient, said: list[Said]) -> None:
    await converse(client, said, *range(1, sum(len(each.octets) for each in said)))


@pytest.mark.parametrize("begun", [USUAL, get(*HEADERS)], ids=["length", "no body"])
async def test_a_request_that_ends_one_segment_and_begins_the_next_is_one(client: RawClient, begun: Said) -> None:
    for cut in range(1, len(begun.octets)):
        await write(client, USUAL.octets + begun.octets[:cut])
        judge(await client.answer(), USUAL)
        await write(client, begun.octets[cut:] + USUAL.octets)

        judge(await client.answer(), begun)
        judge(await client.answer(), USUAL)


@pytest.mark.parametrize(
    "usual",
    [
        USUAL,
        get(*HEADERS),
    ],
    ids=["with a body", "without"],
)
async def test_what_reads_like_the_last_request_and_is_the_rest_of_a_head_is_that_rest(
    client: RawClient, provider: Provider, usual: Said
) -> None:
    await converse(client, [usual])
    await converse(client, [usual])
    await write(client, usual.octets + b"POST " + CHAT + b" HTTP/1.1\r\nX-Rest: ")
    judge(await client.answer(), usual)

    await write(client, usual.octets)

    answer = await client.answer()
    line = usual.octets.partition(b"\r\n")[0]
    assert answer.body.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"\r\nX-Rest: " + line + b"\r\n" in answer.body
    assert len(provider.received) == 4


@pytest.mark.parametrize(
    "before",
    [post(b"{ }"), chunked((b"{}",))],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("usual", [USUAL, get(*HEADERS)], ids=["with a body", "without"])
async def test_the_rest_of_a_body_in_front_of_a_request_is_no_part_of_it(
    client: RawClient, provider: Provider, before: Said, usual: Said
) -> None:
    rest = 1 if before.body == before.content else 5
    both = before.octets + usual.octets
    await converse(client, [before, usual], len(before.octets) - rest)

    await write(client, both[len(before.octets) - rest :])

    assert (await client.answer()).status == 400
    assert await client.ended() == b""
    assert len(provider.received) == 2


async def test_a_head_in_the_rest_of_a_body_is_no_head(client: RawClient, provider: Provider) -> None:
    inner = b"GET " + CHAT + b"/inner HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 2\r\n\r\n"
    before = post(b"x" + inner)
    await converse(client, [before, USUAL], len(before.head) + 1)

    await write(client, inner + b"{}")

    answer = await client.answer()
    assert answer.body.startswith(b"GET /v1/chat/completions/inner HTTP/1.1\r\n")
    assert len(provider.received) == 3


async def test_what_reads_like_the_last_request_and_is_a_body_is_that_body(client: RawClient) -> None:
    await converse(client, [USUAL])
    for said in (post(USUAL.octets), post(USUAL.octets * 3), chunked((USUAL.octets, USUAL.octets)), LIKE_ITSELF):
        await converse(client, [said], len(said.head))
        await converse(client, [USUAL])
        await converse(client, [said], len(said.head), len(said.head) + len(USUAL.octets))


async def test_what_reads_like_the_last_request_and_comes_while_leave_is_asked_for_is_the_body(
    client: RawClient,
) -> None:
    await converse(client, [USUAL])
    said = post(USUAL.octets, CONTINUE)
    await client.send(said.head)

    leave = await client.head()
    await client.send(said.content)

    assert leave.status == 100
    judge(await client.answer(), said)


async def test_empty_lines_before_a_request_mean_nothing(client: RawClient) -> None:
    for said in (USUAL, get(*HEADERS), USUAL):
        for empty in (b"\r\n", b"\r\n\r\n"):
            await converse(client, [said])
            await write(client, empty + said.octets)
            judge(await client.answer(), said)
            await write(client, said.octets + empty)
            judge(await client.answer(), said)
            await write(client, empty)
            await write(client, said.octets)
            judge(await client.answer(), said)


async def test_a_target_with_octets_above_127_goes_on_where_the_line_is_in_one_segment(client: RawClient) -> None:
    said = post(BODY, target=CHAT + b"?q=\xc3\xa9\xff")
    for _ in range(3):
        await converse(client, [said])
        await converse(client, [USUAL])
        for cut in range(said.octets.index(b"\r\n") + 2, len(said.octets)):
            await converse(client, [said], cut)


RAW = post(BODY, target=CHAT + b"?q=\xc3\xa9")


async def test_a_target_with_octets_above_127_is_refused_where_its_line_is_cut(edge: RunningEdge) -> None:
    for cut in range(CHAT.index(b"chat"), RAW.octets.index(b"\r\n") + 2, 7):
        client = await edge.connect()
        await write(client, RAW.octets, cut)

        assert (await client.answer()).status == 400
        await client.close()


async def test_what_reads_like_a_request_line_and_is_the_rest_of_a_header_is_that_rest(client: RawClient) -> None:
    said = get((b"X-Rest", b"GET /v1/local/other/openai/\xc3\xbc HTTP/1.1"))

    await converse(client, [said], said.octets.index(b"GET /v1/local/other"))


@pytest.mark.parametrize("chunk", [b"2;a=b\r\n{}\r\n", b"002\r\n{}\r\n", b"1\r\n{\r\n1;x\r\n}\r\n"])
async def test_chunks_written_in_other_ways_are_the_same_body(client: RawClient, chunk: bytes) -> None:
    whole = chunked((b"{}",))
    octets = whole.head + chunk + b"0\r\n\r\n"
    for cut in range(1, len(octets)):
        await write(client, octets, cut)
        judge(await client.answer(), whole)
        await converse(client, [whole])
    assert whole.content == in_chunks((b"{}",))
