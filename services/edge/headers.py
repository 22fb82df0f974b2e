"""
Headers: which ones pass, which ones stop here, and which ones are for us.

One pass over a request's raw headers sorts them by their fate; order, case and duplicates of those that pass stay
as they came. The fate of a spelling is looked up once and remembered, because the same clients send
the same names. Hazard: the memo is keyed by bytes a client chose, so it is bounded and starts anew when full.

The list is docs/wire.md section 1: hop-by-hop headers and those that `Connection` names (RFC 9110, 7.6.1),
`Host`, what other proxies added, cookies, and every `cf-aig-*`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

Pairs = Sequence[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    )
)
_PROXY_TRACES = frozenset((b"host", b"forwarded", b"x-real-ip", b"via"))
_OLD_OPTIONS = {b"cf-skip-cache": "skip-cache", b"cf-cache-ttl": "cache-ttl"}
_REQUEST_NOTED = frozenset((b"content-type", b"content-encoding", b"content-length", b"range"))
_ANSWER_NOTED = frozenset((b"content-type", b"content-encoding", b"content-length"))
_NO_NAMES: frozenset[bytes] = frozenset()
_REMEMBERED_MAX = 4096
_NAME_REMEMBERED_BYTES_MAX = 64

_TRACE_IDS = re.compile(r"(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}")

Fate = Literal["pass", "note", "drop", "option", "connection", "cookie", "trace"]
Noted = dict[str, bytes]
"""First values of the passing headers that the gateway itself looks at, by lower-case name."""


class _Fates(dict[bytes, tuple[Fate, str]]):
    """By a name as it is spelled: its fate, and what it is called from here on. Filled as names come."""

    def __init__(self, fate_of: Callable[[bytes], tuple[Fate, str]]) -> None:
        self._fate_of = fate_of

    def __missing__(self, spelled: bytes) -> tuple[Fate, str]:
        fate = self._fate_of(spelled.lower())
        if len(spelled) <= _NAME_REMEMBERED_BYTES_MAX:
            if len(self) >= _REMEMBERED_MAX:
                self.clear()
            self[spelled] = fate
        return fate


class Sorted(msgspec.Struct, frozen=True):
    """
    A request's headers by fate. `options`: `cf-aig-*` by the rest of their names; `trace`: traceparent and
    tracestate.
    """

    passing: list[tuple[bytes, bytes]]
    noted: Noted
    options: dict[str, str]
    traceparent: str
    tracestate: str


class HeaderSorter:
    """Sorts request headers; one per edge, since it remembers spellings."""

    def __init__(self) -> None:
        self._fates = _Fates(_request_fate)

    def sort(self, raw_headers: Pairs, *, are_cookies_forwarded: bool = False) -> Sorted:
        """What passes, in order, and what is for us. A repeated option: the first one counts."""
        fates = self._fates
        passing: list[tuple[bytes, bytes]] = []
        noted: Noted = {}
        options: dict[str, str] = {}
        trace: dict[str, str] = {}
        named: frozenset[bytes] | None = None
        for pair in raw_headers:
            fate, name = fates[pair[0]]
            if fate == "pass":
                passing.append(pair)
            elif fate == "note":
                passing.append(pair)
                noted.setdefault(name, pair[1])
            elif fate == "option":
                options.setdefault(name, pair[1].decode("utf-8", "surrogateescape").strip())
            elif fate == "trace":
                passing.append(pair)
                trace[name] = pair[1].decode("latin-1").strip()
            elif fate == "connection":
                named = connection_names(pair[1], named)
            elif fate == "cookie" and are_cookies_forwarded:
                passing.append(pair)
        if named:
            _drop(passing, noted, named)
        traceparent = trace.get("traceparent", "")
        if not traceparent and "otel-trace-id" in options:
            traceparent = traceparent_of(options["otel-trace-id"], options.get("otel-parent-span-id", ""))
            if traceparent:
                passing.append((b"traceparent", traceparent.encode()))
        return Sorted(passing, noted, options, traceparent, trace.get("tracestate", ""))


def _request_fate(name: bytes) -> tuple[Fate, str]:
    """What becomes of a header with that lower-case name, and the name to keep it under."""
    if name == b"connection":
        return "connection", ""
    if name.startswith(b"cf-aig-"):
        return "option", name[7:].decode("latin-1")
    if name in _OLD_OPTIONS:
        return "option", _OLD_OPTIONS[name]
    if name in HOP_BY_HOP or name in _PROXY_TRACES or name.startswith(b"x-forwarded-"):
        return "drop", ""
    if name == b"cookie":
        return "cookie", ""
    if name in (b"traceparent", b"tracestate"):
        return "trace", name.decode()
    return ("note", name.decode()) if name in _REQUEST_NOTED else ("pass", "")


def traceparent_of(trace_id: str, span_id: str) -> str:
    """The caller's trace as some clients say it when they send no `traceparent`; empty when it names none."""
    found = _TRACE_IDS.fullmatch(f"{trace_id}-{span_id}".lower())
    return f"00-{found[0]}-01" if found is not None else ""


def connection_names(value: bytes, before: Iterable[bytes] | None = None) -> frozenset[bytes]:
    """Header names that a `Connection` value lists, lower case, but for `close` and `keep-alive`, which are none."""
    if before is None and value.lower() in (b"keep-alive", b"close"):
        return _NO_NAMES
    return frozenset(token.strip().lower() for token in value.split(b",")) | frozenset(before or ())


def _drop(passing: list[tuple[bytes, bytes]], noted: Noted, names: frozenset[bytes]) -> None:
    """Take out what `Connection` names."""
    passing[:] = [pair for pair in passing if pair[0].lower() not in names]
    for name in names:
        noted.pop(name.decode("latin-1"), None)


class Kept(msgspec.Struct, frozen=True):
    """An answer's headers that go back, as they came."""

    pairs: list[tuple[bytes, bytes]]
    noted: Noted


class AnswerHeaders:
    """Which of a provider's answer headers go back; remembers spellings as `HeaderSorter` does."""

    def __init__(self) -> None:
        self._fates = _Fates(_answer_fate)

    def keep(self, headers: Pairs) -> Kept:
        """
        All but hop-by-hop headers, those that `Connection` names, and `cf-aig-*`, which only this gateway may say.
        """
        fates = self._fates
        pairs: list[tuple[bytes, bytes]] = []
        noted: Noted = {}
        named: frozenset[bytes] | None = None
        for pair in headers:
            fate, name = fates[pair[0]]
            if fate == "pass":
                pairs.append(pair)
            elif fate == "note":
                pairs.append(pair)
                noted.setdefault(name, pair[1])
            elif fate == "connection":
                named = connection_names(pair[1], named)
        if named:
            _drop(pairs, noted, named)
        return Kept(pairs, noted)


def _answer_fate(name: bytes) -> tuple[Fate, str]:
    if name == b"connection":
        return "connection", ""
    if name in HOP_BY_HOP or name.startswith(b"cf-aig-"):
        return "drop", ""
    return ("note", name.decode()) if name in _ANSWER_NOTED else ("pass", "")


def noted_of(headers: Pairs) -> Noted:
    """The first values of the headers that the gateway looks at, of headers that were not sorted here."""
    noted: Noted = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _REQUEST_NOTED:
            noted.setdefault(lower.decode(), value)
    return noted
