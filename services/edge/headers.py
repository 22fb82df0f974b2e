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
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

import msgspec

from services.edge.answers.cacheable import is_cacheable, replayed_headers
from services.edge.capture import content_type_of
from services.edge.port.reply import status_line

if TYPE_CHECKING:
    from services.edge.upstream.answer_form import KnownHead

Pairs = Sequence[tuple[bytes, bytes]]
StoredPairs = tuple[tuple[bytes, bytes], ...]

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
_STORED_HEADS_REMEMBERED_MAX = 256
_STORED_HEAD_REMEMBERED_BYTES_MAX = 4096

_slice_of: Callable[[bytes, slice], bytes] = bytes.__getitem__
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


class Meaning(msgspec.Struct, frozen=True):
    """What the head of an answer says, as far as it matters here. `is_text`: a payload of its type is text."""

    content_type: str
    is_text: bool
    coding: str
    """Content coding, lower case; empty without one."""
    is_coded: bool
    has_length: bool
    is_cacheable: bool


class Kept(msgspec.Struct, frozen=True):
    """
    What goes back of an answer's head: `beginning` are the status line and the headers, as they came. `stored` gives
    those of them that are stored with it.
    """

    beginning: bytes
    meaning: Meaning
    stored: Callable[[], StoredPairs]


class KeptForm:
    """What goes back of every head with one form. An answer of that form costs no look at its headers."""

    __slots__ = ("_names", "_stored_of", "_values", "lines_of", "meaning")

    def __init__(self, meaning: Meaning, kept: Pairs, stored: StoredPairs, headers: Pairs) -> None:
        self.meaning = meaning
        # Lines have the status line before the headers and an empty piece behind them, which ends the last line.
        self.lines_of = _picking([0, *_places(kept, headers), -1])
        self._stored_of = _picking(_places(stored, headers))
        self._names = [name for name, _ in stored]
        self._values = [slice(len(name) + 2, None) for name in self._names]

    def stored(self, lines: Sequence[bytes]) -> StoredPairs:
        """The headers that are stored with an answer of this form."""
        return tuple(zip(self._names, map(_slice_of, self._stored_of(lines), self._values), strict=True))


class AnswerHeaders:
    """Which of an answer's headers go back; remembers spellings as `HeaderSorter` does, and heads of stored answers."""

    def __init__(self) -> None:
        self._fates = _Fates(_answer_fate)
        self._remembered: dict[tuple[int, StoredPairs], Kept] = {}

    def keep(self, status: int, reason: bytes, headers: Pairs) -> Kept:
        """
        All but hop-by-hop headers, those that `Connection` names, and `cf-aig-*`, which only this gateway may say.
        """
        if isinstance(headers, tuple):
            return self._stored(status, headers)
        return self._sort(status, reason, headers)

    def keep_known(self, known: KnownHead) -> Kept:
        """The same of a head whose form is known."""
        form, lines = known
        kept = form.kept
        if kept is None:
            headers = form.headers(lines)
            pairs, noted = self._passing(headers)
            meaning = _meaning(form.status, pairs, noted)
            kept = form.kept = KeptForm(meaning, pairs, replayed_headers(pairs), headers)
        return Kept(b"\r\n".join(kept.lines_of(lines)), kept.meaning, partial(kept.stored, lines))

    def _stored(self, status: int, headers: StoredPairs) -> Kept:
        """Of a stored answer, whose head comes again with each hit. Reasons are not stored."""
        kept = self._remembered.get((status, headers))
        if kept is None:
            kept = self._sort(status, b"", headers)
            if len(kept.beginning) <= _STORED_HEAD_REMEMBERED_BYTES_MAX:
                if len(self._remembered) >= _STORED_HEADS_REMEMBERED_MAX:
                    self._remembered.clear()
                self._remembered[status, headers] = kept
        return kept

    def _sort(self, status: int, reason: bytes, headers: Pairs) -> Kept:
        pairs, noted = self._passing(headers)
        lines = [status_line(status, reason), *map(b"%b: %b\r\n".__mod__, pairs)]
        return Kept(b"".join(lines), _meaning(status, pairs, noted), partial(replayed_headers, pairs))

    def _passing(self, headers: Pairs) -> tuple[Pairs, Noted]:
        """What goes back, and what is looked at of it."""
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
        return pairs, noted


def _meaning(status: int, pairs: Pairs, noted: Noted) -> Meaning:
    content_type, is_text = content_type_of(noted.get("content-type", b""))
    coding = noted.get("content-encoding", b"").decode("latin-1").lower()
    has_length = bool(noted.get("content-length"))
    is_coded = coding not in ("", "identity")
    return Meaning(content_type, is_text, coding, is_coded, has_length, is_cacheable(status, pairs))


def _places(some: Pairs, headers: Pairs) -> list[int]:
    """In which lines of a head these headers stand; all of one name have the same fate."""
    names = {name for name, _ in some}
    return [at for at, (name, _) in enumerate(headers, 1) if name in names]


def _picking(places: Sequence[int]) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    """Takes the lines at these places out of a head."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda lines: [lines[at] for at in places]


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
