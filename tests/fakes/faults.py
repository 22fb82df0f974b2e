"""
Faults: how a provider's stream goes wrong, octet by octet.

Each writes one answer to a `Call`. What is chunked, cut, coded and left out is said here and by nobody else, since a
library on this side would mend half of it.
"""

from __future__ import annotations

import gzip
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator

from tests.fakes.origin import Call
from tests.fakes.providers.streams import Spoken, one

SILENCE_S = 20.0
"""Longer than anybody waits; a gateway that leaves ends it."""
LAST_CHUNK = b"0\r\n\r\n"
CODED = "Content-Encoding: gzip"

Telling = Callable[[Call, Spoken], None]
"""Answers one request with that stream, or with what is left of it."""


def head(spoken: Spoken, *lines: str) -> bytes:
    """Of a stream's answer, with these header lines."""
    return "\r\n".join(("HTTP/1.1 200 OK", f"Content-Type: {spoken.content_type}", *lines, "", "")).encode()


def chunked(spoken: Spoken, *lines: str) -> bytes:
    """The same, of one in chunks."""
    return head(spoken, "Transfer-Encoding: chunked", *lines)


def chunks(pieces: Iterable[bytes]) -> bytes:
    """Each piece as a chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)


def zipped(pieces: Iterable[bytes], *, is_ended: bool = True) -> Iterator[bytes]:
    """Each piece coded and flushed, so that a stream stays one; then the coding's end."""
    compressor = zlib.compressobj(wbits=31)
    for piece in pieces:
        yield compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)
    if is_ended:
        yield compressor.flush()


# Whole ones.


def whole(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken) + chunks(spoken.events) + LAST_CHUNK)


def with_length(call: Call, spoken: Spoken) -> None:
    body = one(spoken.events)
    call.send(head(spoken, f"Content-Length: {len(body)}") + body)


def ended_by_closing(call: Call, spoken: Spoken) -> None:
    call.send(head(spoken) + one(spoken.events))
    call.close()


def byte_by_byte(call: Call, spoken: Spoken) -> None:
    """Each octet of the body is a chunk."""
    call.send(chunked(spoken))
    for octet in one(spoken.events):
        call.send(chunks([bytes([octet])]))
    call.send(LAST_CHUNK)


def split(position: int) -> Telling:
    """Two chunks, the second one from this octet on."""

    def tell(call: Call, spoken: Spoken) -> None:
        body = one(spoken.events)
        call.send(chunked(spoken) + chunks([body[:position], body[position:]]) + LAST_CHUNK)

    return tell


def followed_by_more(call: Call, spoken: Spoken) -> None:
    """Within the body something that means nothing, behind it what would be another answer."""
    poison = head(spoken, "Content-Length: 6") + b"poison"
    call.send(chunked(spoken) + chunks([*spoken.events, spoken.after]) + LAST_CHUNK + poison)


def followed_by_more_later(call: Call, spoken: Spoken) -> None:
    """The same, when the answer has been taken for what it is."""
    call.send(chunked(spoken) + chunks(spoken.events) + LAST_CHUNK)
    time.sleep(0.02)
    call.send(head(spoken, "Content-Length: 6") + b"poison")


# Cut ones.


def cut(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken) + chunks(spoken.half))
    call.close()


def cut_within_an_event(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken) + chunks([*spoken.half, spoken.rest[0][:-9]]))
    call.close()


def reset(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken) + chunks(spoken.half))
    time.sleep(0.05)
    call.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionResetError("the origin closes, and nothing lingers")


def cut_with_length(call: Call, spoken: Spoken) -> None:
    call.send(head(spoken, f"Content-Length: {len(one(spoken.events))}") + one(spoken.half))
    call.close()


def cut_by_closing(call: Call, spoken: Spoken) -> None:
    call.send(head(spoken) + one(spoken.half))
    call.close()


def cut_at(position: int) -> Telling:
    """In chunks, after so many octets of the body."""

    def tell(call: Call, spoken: Spoken) -> None:
        call.send(chunked(spoken) + chunks([one(spoken.events)[:position]]))
        call.close()

    return tell


def closed_at(position: int) -> Telling:
    """Where closing is also how a whole body ends, after so many octets of it."""

    def tell(call: Call, spoken: Spoken) -> None:
        call.send(head(spoken) + one(spoken.events)[:position])
        call.close()

    return tell


def stall(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken) + chunks(spoken.half))
    call.wait(SILENCE_S)


def stall_at_once(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken))
    call.wait(SILENCE_S)


# What the provider says.


def malformed(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken) + chunks([*spoken.half, spoken.malformed, *spoken.rest]) + LAST_CHUNK)


def malformed_in_one_piece(call: Call, spoken: Spoken) -> None:
    """With the proper end in the same chunk."""
    call.send(chunked(spoken) + chunks([one([*spoken.half, spoken.malformed, *spoken.rest])]) + LAST_CHUNK)


def malformed_framing(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken) + chunks(spoken.half) + b"no size\r\n")
    call.wait(SILENCE_S)


def failure(call: Call, spoken: Spoken) -> None:
    """An error event, and the proper end of the framing."""
    call.send(chunked(spoken) + chunks([*spoken.half, spoken.failure, *_array_end(spoken)]) + LAST_CHUNK)


def failure_and_cut(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken) + chunks([*spoken.half, spoken.failure]))
    call.close()


def throttled(call: Call, spoken: Spoken) -> None:
    """The answer has begun with 200; in it the provider says 429."""
    call.send(chunked(spoken) + chunks([*spoken.half, spoken.throttled, *_array_end(spoken)]) + LAST_CHUNK)


def throttled_by_another_head(call: Call, spoken: Spoken) -> None:
    """In the middle of the body a second head, as a confused balancer writes it."""
    call.send(chunked(spoken) + chunks(spoken.half))
    call.send(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}")
    call.wait(SILENCE_S)


def _array_end(spoken: Spoken) -> tuple[bytes, ...]:
    return (b"\n]",) if spoken.is_array else ()


# In a content coding.


def gzip_whole(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken, CODED) + chunks(zipped(spoken.events)) + LAST_CHUNK)


def gzip_byte_by_byte(call: Call, spoken: Spoken) -> None:
    octets = one(zipped(spoken.events))
    call.send(chunked(spoken, CODED) + chunks(octets[at : at + 1] for at in range(len(octets))) + LAST_CHUNK)


def gzip_cut(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken, CODED) + chunks(zipped(spoken.half, is_ended=False)))
    call.close()


def gzip_stall(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken, CODED) + chunks(zipped(spoken.half, is_ended=False)))
    call.wait(SILENCE_S)


def gzip_malformed(call: Call, spoken: Spoken) -> None:
    pieces = [*spoken.half, spoken.malformed, *spoken.rest]
    call.send(chunked(spoken, CODED) + chunks(zipped(pieces)) + LAST_CHUNK)


def gzip_failure(call: Call, spoken: Spoken) -> None:
    pieces = [*spoken.half, spoken.failure, *_array_end(spoken)]
    call.send(chunked(spoken, CODED) + chunks(zipped(pieces)) + LAST_CHUNK)


def gzip_without_its_end(call: Call, spoken: Spoken) -> None:
    """The framing is whole, and the coding is not."""
    call.send(chunked(spoken, CODED) + chunks(zipped(spoken.events, is_ended=False)) + LAST_CHUNK)


def gzip_with_a_wrong_checksum(call: Call, spoken: Spoken) -> None:
    """The framing is whole; the coding's checksum is wrong."""
    coded = gzip.compress(one(spoken.events))
    call.send(chunked(spoken, CODED) + chunks([coded[:-8] + bytes(8)]) + LAST_CHUNK)


# For clients that leave.


def no_head(call: Call, spoken: Spoken) -> None:
    call.wait(SILENCE_S)


def no_last_chunk(call: Call, spoken: Spoken) -> None:
    call.send(chunked(spoken) + chunks(spoken.events))
    call.wait(SILENCE_S)


def overloaded(call: Call, spoken: Spoken) -> None:
    call.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


def long(count: int, size: int) -> Telling:
    """A stream of so many deltas with so much text."""

    def tell(call: Call, spoken: Spoken) -> None:
        call.send(chunked(spoken))
        for event in spoken.long(count, size):
            call.send(chunks([event]))
            if call.gone_at is not None:
                return
        call.send(LAST_CHUNK)

    return tell


def endless(call: Call, spoken: Spoken) -> None:
    """The same delta again and again, until the gateway leaves."""
    call.send(chunked(spoken) + chunks(spoken.first))
    while not call.wait(0.1):
        call.send(chunks([spoken.delta("tick")]))
