"""
Framing behind good requests: where a request ends is decided by its own head alone, however many came before it.

Every connection here has carried the same good request a few times before something else comes, because a port that
remembers heads is tempted to take the next one for the last. What follows a request whose end is in doubt may be a
request that somebody wants to smuggle: it must never reach a provider.
"""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.protocol.port.dialogue import CHAT, CONTINUE, Said, chunked, converse, echo, get, judge, post, write
from tests.protocol.port.edges import RunningEdge
from tests.protocol.port.provider import Provider
from tests.protocol.port.raw import RawAnswer, RawClient
from tests.protocol.port.test_heads import NOT_HTTP, TOO_LARGE

pytestmark = pytest.mark.asyncio(loop_scope="module")

USUAL = post(b"{}", (b"X-A", b"1"))
PLAIN = get((b"X-A", b"1"))
SMUGGLED = b"GET " + CHAT + b"/smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
WARM = 3
"""Good requests before the other one."""


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def echoing(provider: Provider) -> None:
    provider.turn = echo


def with_length(value: bytes, content: bytes = b"{}") -> bytes:
    """The usual request, but for the value of `Content-Length`."""
    return USUAL.head.replace(b"Content-Length: 2", b"Content-Length:" + value) + content


async def behind_good_ones(edge: RunningEdge, *segments: bytes, usual: Said = USUAL) -> tuple[RawClient, RawAnswer]:
    """Write good requests, then these segments; the client, and the answer to what came last."""
    client = await edge.connect()
    for _ in range(WARM):
        await converse(client, [usual])
    for segment in segments:
        await write(client, segment)
    return client, await client.answer()


async def expect_refusal(client: RawClient, answer: RawAnswer, provider: Provider) -> None:
    """It is 400, the connection closes, and the provider has heard of nothing but the good requests."""
    assert answer.status == 400
    assert answer.get("connection") == "close"
    assert await client.ended() == b""
    assert len(provider.received) == WARM


@pytest.mark.parametrize("content", NOT_HTTP.values(), ids=NOT_HTTP.keys())
@pytest.mark.parametrize("usual", [USUAL, PLAIN], ids=["posts", "gets"])
async def test_what_is_not_http_is_400_behind_good_requests_too(
    edge: RunningEdge, provider: Provider, content: bytes, usual: Said
) -> None:
    client, answer = await behind_good_ones(edge, content, usual=usual)

    await expect_refusal(client, answer, provider)


@pytest.mark.parametrize("content", TOO_LARGE.values(), ids=TOO_LARGE.keys())
@pytest.mark.parametrize("usual", [USUAL, PLAIN], ids=["posts", "gets"])
async def test_a_head_beyond_its_bounds_is_refused_behind_good_requests_too(
    edge: RunningEdge, provider: Provider, content: bytes, usual: Said
) -> None:
    client, answer = await behind_good_ones(edge, content, usual=usual)

    await expect_refusal(client, answer, provider)
    assert answer.get("cf-aig-error-code") == "2014"


@pytest.mark.parametrize("value", [b" 2", b"2", b"2 ", b"\t2\t", b" 02", b" 0000000000000000000000002"])
async def test_a_length_may_be_written_in_several_ways(edge: RunningEdge, provider: Provider, value: bytes) -> None:
    client, answer = await behind_good_ones(edge, with_length(value))

    judge(answer, USUAL)
    await converse(client, [USUAL, USUAL])


LENGTHS = (
    b" +2", b" -2", b" 2 2", b" 2, 2", b" 2,", b"", b" ", b" 0x2", b" 2.0", b" 2e0", b" 2_0", b" 2;", b" \x0b2",
    b" 2\x0c", b" two", b' "2"', b" \xef\xbc\x92", b" \xb2", b" \xd9\xa2", b" 99999999999999999999",
    b" 18446744073709551618", b" 2\r\nContent-Length: 2", b" 2\r\nContent-Length: 70", b" 70\r\nContent-Length: 2",
    b" 2\r\ncontent-length: 2", b" 2\r\n 2", b" 2\r\n\t", b"\r\n 2", b" 2\0", b" 2\rX: y", b" 2\nX: y",
    b" 2\r\nTransfer-Encoding: chunked", b" 2\r\ntransfer-encoding: chunked", b" 2\r\nTransfer-Encoding: identity",
    b" 2\r\nTransfer-Encoding : chunked", b" 2\r\nTransfer-Encoding\t: chunked", b" 2\r\n Transfer-Encoding: chunked",
    b" 2\r\nTransfer-Encoding: \x0bchunked", b" 2\r\nTransfer-Encoding: xchunked",
    b" 2\r\nTransfer_Encoding\0: chunked",
)  # fmt: skip


@pytest.mark.parametrize("value", LENGTHS)
async def test_a_length_in_doubt_is_400_and_nothing_behind_it_is_a_request(
    edge: RunningEdge, provider: Provider, value: bytes
) -> None:
    client, answer = await behind_good_ones(edge, with_length(value, b"0\r\n\r\n" + SMUGGLED))

    await expect_refusal(client, answer, provider)


@pytest.mark.parametrize("value", LENGTHS)
async def test_a_length_in_doubt_is_400_wherever_it_is_cut(edge: RunningEdge, provider: Provider, value: bytes) -> None:
    octets = with_length(value, b"{}" + SMUGGLED)
    length = octets.index(b"Content-Length:")

    for place in (length, length + 15, length + 15 + len(value) // 2, octets.index(b"{}")):
        provider.received.clear()
        client, answer = await behind_good_ones(edge, octets[:place], octets[place:])
        await expect_refusal(client, answer, provider)
        await client.close()


async def test_a_length_too_large_is_413_and_nothing_behind_it_is_a_request(
    edge: RunningEdge, provider: Provider
) -> None:
    client, answer = await behind_good_ones(edge, with_length(b" 99999999999", SMUGGLED))

    assert answer.status == 413
    assert await client.ended() == b""
    assert len(provider.received) == WARM


CHUNKS = (
    b"2\n{}\n0\n\n", b"2\r\n{}\n0\r\n\r\n", b"2\r\n{}x\r\n0\r\n\r\n", b" 2\r\n{}\r\n0\r\n\r\n",
    b"2 \r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"+2\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n",
    b"2_0\r\n{}\r\n0\r\n\r\n", b"10000000000000002\r\n{}\r\n0\r\n\r\n", b"2\r\r\n{}\r\n0\r\n\r\n",
    b"2;\0\r\n{}\r\n0\r\n\r\n", b"2;a\nb\r\n{}\r\n0\r\n\r\n", b"\r\n{}\r\n0\r\n\r\n", b"2\r\n{}0\r\n\r\n",
    b"2\r\n{}\r\n0\r\nX\0: y\r\n\r\n", b"2\r\n{}\r\n0\r\nX: y\n\r\n", b"2\r\n{}\r\n0\r\n X: y\r\n\r\n",
    b"2\r\n{}\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
)  # fmt: skip


@pytest.mark.parametrize("content", CHUNKS)
async def test_chunks_in_doubt_are_400_and_nothing_behind_them_is_a_request(
    edge: RunningEdge, provider: Provider, content: bytes
) -> None:
    said = chunked((b"{}",), (b"X-A", b"1"))
    client, answer = await behind_good_ones(edge, said.head + content + SMUGGLED)

    assert answer.status == 400
    assert await client.ended() == b""
    assert not [each for each in provider.received if b"smuggled" in each.line]


@pytest.mark.parametrize("coding", [b"Chunked", b"CHUNKED", b"\tchunked "])
async def test_the_name_of_the_coding_has_no_case(edge: RunningEdge, coding: bytes) -> None:
    said = chunked((b"{}",))
    octets = said.octets.replace(b" chunked", b" " + coding)

    client, answer = await behind_good_ones(edge, octets)

    judge(answer, said)
    await converse(client, [USUAL])


@pytest.mark.parametrize(
    "said",
    [
        chunked((b"{}",), (b"X-A", b"1")),
        post(b"{}", (b"X-A", b"1"), CONTINUE),
        get((b"X-A", b"1")),
        Said(b"POST", headers=USUAL.headers[:2]),
        post(b"", (b"X-A", b"1")),
    ],
    ids=["chunks", "expectation", "no body", "no length", "length of 0"],
)
async def test_another_framing_behind_the_same_head_is_that_framing(edge: RunningEdge, said: Said) -> None:
    client = await edge.connect()

    for _ in range(20):
        await converse(client, [USUAL])
        await converse(client, [said])
        await converse(client, [USUAL])
        await converse(client, [USUAL, said, USUAL])


@pytest.mark.parametrize("said", [get(), USUAL, chunked((b"{}",))], ids=["no body", "length", "chunks"])
@pytest.mark.parametrize(
    "rest", [b"\x00", b"garbage\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"], ids=["nul", "words", "version"]
)
async def test_a_good_request_is_answered_before_what_comes_behind_it_is_refused(
    edge: RunningEdge, said: Said, rest: bytes
) -> None:
    client = await edge.connect()
    await converse(client, [said])
    await write(client, said.octets)
    await write(client, rest)

    judge(await client.answer(), said)
    assert (await client.answer()).status == 400
    assert await client.ended() == b""


@pytest.mark.parametrize("said", [PLAIN, USUAL], ids=["no body", "length"])
async def test_the_last_request_of_a_connection_is_the_last(edge: RunningEdge, provider: Provider, said: Said) -> None:
    client = await edge.connect()
    await converse(client, [said])
    last = Said(said.method, said.target, ((b"Connection", b"close"), *said.headers), said.content, said.body)
    await write(client, last.octets)
    answer = await client.answer()
    await client.send(said.octets)

    assert (answer.status, answer.get("connection")) == (200, "close")
    assert await client.ended() == b""
    assert len(provider.received) == 2


@pytest.mark.parametrize("behind", [b"", USUAL.octets, PLAIN.octets[:30]], ids=["nothing", "a request", "half of one"])
@pytest.mark.parametrize("cut", [0, 5, 12, 30])
async def test_trailers_end_with_their_body_and_it_ends_the_connection(
    edge: RunningEdge, provider: Provider, behind: bytes, cut: int
) -> None:
    """The parser would give the last of them to the next request as a header."""
    client = await edge.connect()
    said = chunked((b"{}",))
    trailed = said.octets[:-2] + b"X-Early: 1\r\nAuthorization: Bearer somebody-elses\r\n\r\n"

    await write(client, trailed + behind, len(trailed) - cut)

    answer = await client.answer()
    assert (answer.status, answer.get("connection")) == (200, "close")
    assert await client.ended() == b""
    assert len(provider.received) == 1
    assert b"somebody-elses" not in answer.body


@pytest.mark.parametrize("said", [chunked((b"{}",)), USUAL, PLAIN], ids=["chunks", "length", "no body"])
async def test_what_stands_behind_chunks_in_their_segment_is_no_request(
    edge: RunningEdge, provider: Provider, said: Said
) -> None:
    client = await edge.connect()

    await write(client, chunked((b"{}",)).octets + said.octets)

    answer = await client.answer()
    assert (answer.status, answer.get("connection")) == (200, "close")
    assert await client.ended() == b""
    assert len(provider.received) == 1


@pytest.mark.parametrize("said", [get(), USUAL, chunked((b"{}",))], ids=["no body", "length", "chunks"])
@pytest.mark.parametrize(
    "rest", [b"\x00", b"garbage\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"], ids=["nul", "words", "version"]
)
async def test_what_is_no_request_takes_those_before_it_in_its_segment_along(
    edge: RunningEdge, provider: Provider, said: Said, rest: bytes
) -> None:
    client = await edge.connect()
    await write(client, said.octets + rest)

    assert (await client.answer()).status == 400
    assert await client.ended() == b""
    assert provider.received == []


async def test_what_stands_behind_the_last_request_in_its_segment_is_no_request(
    edge: RunningEdge, provider: Provider
) -> None:
    client = await edge.connect()
    await write(client, get((b"Connection", b"close")).octets + PLAIN.octets)

    answer = await client.answer()

    assert (answer.status, answer.get("connection")) == (400, "close")
    assert await client.ended() == b""
    assert provider.received == []


async def test_what_stands_behind_an_upgrade_that_was_not_made_in_its_segment_is_no_request(
    edge: RunningEdge, provider: Provider
) -> None:
    client = await edge.connect()
    offer = get((b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABk"))
    await converse(client, [offer])
    await converse(client, [PLAIN])

    await write(client, offer.octets + PLAIN.octets)

    answer = await client.answer()
    assert (answer.status, answer.get("connection")) == (200, "close")
    assert await client.ended() == b""
    assert len(provider.received) == 3


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/2.0"])
async def test_another_version_is_not_http_1_1(edge: RunningEdge, provider: Provider, version: bytes) -> None:
    client, answer = await behind_good_ones(edge, USUAL.octets.replace(b"HTTP/1.1", version))

    await expect_refusal(client, answer, provider)


async def test_a_line_without_a_version_is_not_http_1_1(edge: RunningEdge, provider: Provider) -> None:
    client, answer = await behind_good_ones(edge, b"GET " + CHAT + b"\r\n\r\n")

    await expect_refusal(client, answer, provider)
