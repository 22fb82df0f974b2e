"""
One octet: a head in which a single octet is another one, one more or one less, at every place of it.

What becomes of it must not depend on what the connection has carried before. So each is sent on a new connection
first and, when all of them have been, behind good requests, and both times the same must come of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress

import pytest
import pytest_asyncio

from tests.protocol.port.dialogue import Said, arrived, converse, echo, get, post, write
from tests.protocol.port.edges import RunningEdge
from tests.protocol.port.provider import Provider

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUBSTITUTES = b"\x00\t\n\r :0\x7f\x80"
SOON_S, LATE_S = 0.05, 2.0
"""For an answer that may not come, because the head's end may be what has changed; and to be sure that it does not."""

Outcome = tuple[object, ...]

USUAL = post(b"{}", (b"X-A", b"1"), (b"cf-aig-event-id", b"e-1"))
PLAIN = get((b"X-A", b"1"), (b"Connection", b"keep-alive"))


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def echoing(provider: Provider) -> None:
    provider.turn = echo


def variants(octets: bytes) -> Iterator[bytes]:
    """Every place with another octet, and with one more or one less. The same ones each time."""
    chance = random.Random(len(octets))
    for place, octet in enumerate(octets):
        for other in {octet ^ 1, octet ^ 0x20, chance.choice(SUBSTITUTES)} - {octet}:
            yield octets[:place] + bytes((other,)) + octets[place + 1 :]
        if place % 2:
            yield octets[:place] + octets[place + 1 :]
        else:
            yield octets[:place] + bytes((chance.choice(SUBSTITUTES + b"1a"),)) + octets[place:]


async def outcome(edge: RunningEdge, octets: bytes, *before: Said, patience_s: float = SOON_S) -> Outcome:
    """What comes of these octets: an answer, and what the provider got of them; nothing if no answer comes."""
    client = await edge.connect()
    for said in before:
        await converse(client, [said])
    await write(client, octets)
    seen: list[object] = []
    with suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
        async with asyncio.timeout(patience_s):
            answer = await client.answer(method=octets.lstrip()[:5].strip().decode("latin-1"))
            seen += [answer.status, answer.get("cf-aig-error-code"), answer.get("connection")]
            seen.append(arrived(answer.body) if answer.status == 200 else b"")
    await client.close()
    return tuple(seen)


@pytest.mark.parametrize("usual", [USUAL, PLAIN], ids=["with a body", "without"])
async def test_a_head_with_one_octet_changed_is_what_it_would_be_on_a_new_connection(
    edge: RunningEdge, usual: Said
) -> None:
    changed = [octets + usual.content for octets in variants(usual.head)]

    alone = [await outcome(edge, octets) for octets in changed]
    behind = [await outcome(edge, octets, usual) for octets in changed]

    doubtful = [octets for octets, *both in zip(changed, alone, behind, strict=True) if both[0] != both[1]]
    for octets in doubtful:
        late = await outcome(edge, octets, patience_s=LATE_S)
        assert await outcome(edge, octets, usual, patience_s=LATE_S) == late, octets
    assert {each[0] for each in alone if each} >= {200, 400, 404}
