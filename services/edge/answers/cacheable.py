"""
What may be cached: pure decisions over an answer's head.

The operator's ttl decides, not the provider's `Cache-Control`, `Expires` or `Vary`: providers of models mark every
answer as private or say nothing, and a gateway that obeyed would cache nothing. What an answer needs is to be a
complete and successful one: status 200 (a 201 made something, a 206 is a part), framed to its end, without an
error event. That last part is known only at the end, so the relay says it with the fill's outcome.

A kept answer is replayed as it came: its body chunk by chunk, its headers in order, request ids and rate limits
included. Left out are hop-by-hop headers, whose meaning ended with the connection, and `Set-Cookie`, which was meant
for one caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from services.contracts.cache.values import HeaderPairs

_HEADERS_NOT_REPLAYED = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"set-cookie",
        b"set-cookie2",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

_NAMES_MAX = 256
_NAME_REMEMBERED_BYTES_MAX = 64

Role = Literal["pass", "stop", "part"]


class _Roles(dict[bytes, Role]):
    """What a header is to a stored answer, by its name as it is spelled. Filled as names come."""

    def __missing__(self, spelled: bytes) -> Role:
        name = spelled.lower()
        role: Role = "part" if name == b"content-range" else "stop" if name in _HEADERS_NOT_REPLAYED else "pass"
        if len(spelled) <= _NAME_REMEMBERED_BYTES_MAX:
            if len(self) >= _NAMES_MAX:
                self.clear()
            self[spelled] = role
        return role


_ROLES = _Roles()


def is_cacheable(status: int, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether an answer that begins like this may be kept."""
    return status == 200 and "part" not in [_ROLES[pair[0]] for pair in headers]


def replayed_headers(headers: Sequence[tuple[bytes, bytes]]) -> HeaderPairs:
    """What is kept of an answer's headers: in their order, case and number."""
    replayed = [pair for pair in headers if _ROLES[pair[0]] != "stop"]
    named = _named_by_connection(headers) if len(replayed) < len(headers) else ()
    return tuple([pair for pair in replayed if pair[0].lower() not in named] if named else replayed)


def _named_by_connection(headers: Sequence[tuple[bytes, bytes]]) -> frozenset[bytes]:
    values = [value for name, value in headers if name.lower() == b"connection"]
    return frozenset(token.strip().lower() for value in values for token in value.split(b","))
