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
from itertools import compress
from operator import itemgetter
from typing import NamedTuple

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

_FORMS_MAX = 256
_FORM_BYTES_MAX = 4096

_name_of = itemgetter(0)


class _Form(NamedTuple):
    """What an answer's header names mean, whatever the values are. `replayed` picks those that are kept."""

    has_part: bool
    is_all_replayed: bool
    has_connection: bool
    replayed: tuple[bool, ...]


class _Forms(dict[tuple[bytes, ...], _Form]):
    """By the names as they are spelled, in order: answers of one provider have the same ones. Filled as they come."""

    def __missing__(self, spelled: tuple[bytes, ...]) -> _Form:
        names = [name.lower() for name in spelled]
        replayed = tuple([name not in _HEADERS_NOT_REPLAYED for name in names])
        form = _Form(b"content-range" in names, all(replayed), b"connection" in names, replayed)
        if sum(map(len, spelled)) <= _FORM_BYTES_MAX:
            if len(self) >= _FORMS_MAX:
                self.clear()
            self[spelled] = form
        return form


_FORMS = _Forms()


def is_cacheable(status: int, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether an answer that begins like this may be kept."""
    return status == 200 and not _FORMS[tuple(map(_name_of, headers))].has_part


def replayed_headers(headers: Sequence[tuple[bytes, bytes]]) -> HeaderPairs:
    """What is kept of an answer's headers: in their order, case and number."""
    form = _FORMS[tuple(map(_name_of, headers))]
    if form.is_all_replayed:
        return tuple(headers)
    replayed = tuple(compress(headers, form.replayed))
    if not form.has_connection:
        return replayed
    named = _named_by_connection(headers)
    return tuple([pair for pair in replayed if pair[0].lower() not in named])


def _named_by_connection(headers: Sequence[tuple[bytes, bytes]]) -> frozenset[bytes]:
    values = [value for name, value in headers if name.lower() == b"connection"]
    return frozenset(token.strip().lower() for value in values for token in value.split(b","))
