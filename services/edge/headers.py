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
from collections.abc import Iterable, Sequence
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
_REMEMBERED_MAX = 4096

_TRACE_IDS = re.compile(r"(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}")

Fate = Literal["pass", "drop", "option", "connection", "cookie", "trace"]


class Sorted(msgspec.Struct, frozen=True):
    """
    A request's headers by fate. `options`: `cf-aig-*` by the rest of their names; `trace`: traceparent and
    tracestate.
    """

    passing: list[tuple[bytes, bytes]]
    options: dict[str, str]
    traceparent: str
    tracestate: str


class HeaderSorter:
    """Sorts request headers; one per edge, since it remembers spellings."""

    def __init__(self) -> None:
        self._fates: dict[bytes, tuple[Fate, str]] = {}

    def sort(self, raw_headers: Pairs, *, are_cookies_forwarded: bool = False) -> Sorted:
        """What passes, in order, and what is for us. A repeated option: the first one counts."""
        fates = self._fates
        passing: list[tuple[bytes, bytes]] = []
        options: dict[str, str] = {}
        traceparent = tracestate = ""
        named: frozenset[bytes] | None = None
        for pair in raw_headers:
            found = fates.get(pair[0])
            fate, option = found if found is not None else self._learn(pair[0])
            if fate == "pass":
                passing.append(pair)
            elif fate == "option":
                options.setdefault(option, pair[1].decode("utf-8", "surrogateescape").strip())
            elif fate == "trace":
                passing.append(pair)
                if option == "traceparent":
                    traceparent = pair[1].decode("latin-1").strip()
                else:
                    tracestate = pair[1].decode("latin-1").strip()
            elif fate == "connection":
                named = connection_names(pair[1], named)
            elif fate == "cookie" and are_cookies_forwarded:
                passing.append(pair)
        if named:
            passing = [pair for pair in passing if pair[0].lower() not in named]
        if not traceparent and "otel-trace-id" in options:
            traceparent = traceparent_of(options["otel-trace-id"], options.get("otel-parent-span-id", ""))
            if traceparent:
                passing.append((b"traceparent", traceparent.encode()))
        return Sorted(passing, options, traceparent, tracestate)

    def _learn(self, name: bytes) -> tuple[Fate, str]:
        if len(self._fates) >= _REMEMBERED_MAX:
            self._fates.clear()
        self._fates[name] = fate = _fate(name.lower())
        return fate


def _fate(name: bytes) -> tuple[Fate, str]:
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
    return "pass", ""


def traceparent_of(trace_id: str, span_id: str) -> str:
    """The caller's trace as some clients say it when they send no `traceparent`; empty when it names none."""
    found = _TRACE_IDS.fullmatch(f"{trace_id}-{span_id}".lower())
    return f"00-{found[0]}-01" if found is not None else ""


def connection_names(value: bytes, before: Iterable[bytes] | None = None) -> frozenset[bytes]:
    """
    Header names that a `Connection` value lists, lower case; `close` and `keep-alive` are no headers but harmless.
    """
    return frozenset(token.strip().lower() for token in value.split(b",")) | frozenset(before or ())


class AnswerHeaders:
    """Which of a provider's answer headers go back; remembers spellings as `HeaderSorter` does."""

    def __init__(self) -> None:
        self._stops: dict[bytes, bool] = {}

    def keep(self, headers: Pairs) -> list[tuple[bytes, bytes]]:
        """
        All but hop-by-hop headers, those that `Connection` names, and `cf-aig-*`, which only this gateway may say.
        """
        stops = self._stops
        kept: list[tuple[bytes, bytes]] = []
        named: frozenset[bytes] | None = None
        for pair in headers:
            stop = stops.get(pair[0])
            if stop is None:
                stop = self._learn(pair[0])
            if not stop:
                kept.append(pair)
            elif pair[0].lower() == b"connection":
                named = connection_names(pair[1], named)
        if named:
            kept = [pair for pair in kept if pair[0].lower() not in named]
        return kept

    def _learn(self, name: bytes) -> bool:
        if len(self._stops) >= _REMEMBERED_MAX:
            self._stops.clear()
        lower = name.lower()
        self._stops[name] = stop = lower in HOP_BY_HOP or lower.startswith(b"cf-aig-")
        return stop


def value_of(headers: Pairs, name: bytes) -> bytes:
    """The first value of that lower-case name; empty when absent."""
    size = len(name)
    for spelled, value in headers:
        if len(spelled) == size and spelled.lower() == name:
            return value
    return b""
