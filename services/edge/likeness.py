"""
Likeness: what requests that end alike have in common, worked out once for all of them.

Of a finished request only times, tokens, bytes and what the client said of it are its own. Everything else (where it
went, how it was asked, how it ended) is one of a few combinations that come again and again. The first request of a
combination makes its likeness: the columns of its log row as JSON, and whether row and payloads are kept; metrics
count all requests of a likeness together.

A likeness follows from its traits alone, so it is never out of date. Hazard: some traits are what clients and
providers wrote, so the memo is bounded, and long ones are not remembered.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, NamedTuple

from services.contracts.analytics.values import CacheStatus, Ended
from services.contracts.router.values import Logs
from services.edge.capture import content_type_of
from services.edge.exchange import Exchange
from services.edge.options import Options
from services.edge.plan import Step
from services.edge.record import are_payloads_kept, is_row_kept
from services.edge.spool.lines import ready
from services.edge.stages.authenticate import Authenticated

LIKENESSES_MAX = 4096
LIKENESSES_OF_HEAD_MAX = 32
_REMEMBERED_LENGTH_MAX = 2048
"""Of all text in the traits together."""

_TEXT_MAX = 256
_PATH_MAX = 1024
_VERSION_MAX = 16
_HTTP_ERROR = 400

Ending = tuple[Any, ...]
"""What differs between requests with the same head: the traits from `model` on, in their order."""


class Traits(NamedTuple):
    """What makes a likeness."""

    # Whose request it is, and where it went: the same for all with one head.
    version: str
    account: str
    gateway: str
    logs: Logs
    request_type: str
    method: str
    token_name: str
    provider: str
    """Of the step that answered, or else of the first. Without a plan what the client wrote, as for `path`."""
    model_type: str
    path: str
    step: int
    is_log_wanted: bool | None
    is_payload_wanted: bool | None
    is_planned: bool
    request_content_type: bytes
    body_content_type: bytes
    """As the provider got it."""
    body_coding: bytes
    # What it asked for, how far it came (`asked_and_met`), and how it ended.
    model: str
    is_stream: bool
    attempts: int
    cache_status: CacheStatus
    status: int
    response_content_type: str
    is_attempted: bool
    """A provider began to answer."""
    ended: Ended
    error_code: int
    degraded: str
    answered_model: str
    """What the answer calls it."""
    is_custom_cost: bool
    is_error: bool
    """The answer says in-band that it failed."""


Key = tuple[Any, ...]
"""The values of `Traits`, in their order."""

asked_and_met: attrgetter[Ending] = attrgetter(
    "relayed.step.facts.model",
    "relayed.step.facts.is_stream",
    "attempts",
    "recalled.status",
    "relayed.status",
    "relayed.content_type",
)
"""The first traits of the ending of a request that was answered."""

_PLANNED = attrgetter(
    "resolved.snapshot.version",
    "resolved.gateway.account",
    "resolved.gateway.name",
    "resolved.gateway.logs",
    "resolved.address.kind",
    "arrival.method",
    "authenticated.token_name",
)
_STEP = attrgetter(
    "provider.name",
    "facts.format.model_type",
    "path",
    "index",
    "options.collect_log",
    "options.collect_log_payload",
)
_RESOLVED = attrgetter("snapshot.version", "gateway.account", "gateway.name", "gateway.logs", "address.kind")
_NOWHERE: Key = ("", "", "", Logs(is_collected=False), "")
"""Whose gateway is not known has no row."""
_NOBODY = Authenticated("")


class Likeness:
    """
    What follows from the traits. `place`, `ending` and `origin` are runs of a row's columns, `owner` one of a body's;
    `plain_bytes_max`: up to this size the request's payload is kept as it is, since it is text without a coding.
    """

    __slots__ = (
        "are_payloads_kept",
        "ending",
        "is_row_kept",
        "origin",
        "owner",
        "payload_bytes_max",
        "place",
        "plain_bytes_max",
        "traits",
    )

    def __init__(self, traits: Traits, *, edge: str) -> None:
        asked = Options(collect_log=traits.is_log_wanted, collect_log_payload=traits.is_payload_wanted)
        self.traits = traits
        self.is_row_kept = is_row_kept(traits.logs, asked)
        self.are_payloads_kept = are_payloads_kept(traits.logs, asked)
        self.payload_bytes_max = traits.logs.payload_bytes_max
        is_plain = content_type_of(traits.body_content_type)[1] and not traits.body_coding
        self.plain_bytes_max = traits.logs.payload_bytes_max if is_plain else 0
        self.owner = ready((traits.account, traits.gateway, traits.logs.retention_days))
        self.place = ready(_columns_of_place(traits))
        self.ending = ready(
            (traits.is_custom_cost, traits.ended, traits.error_code, traits.degraded, traits.token_name)
        )
        self.origin = ready((traits.version[:_VERSION_MAX], edge))


class Likenesses:
    """
    Finds likenesses. Requests with the same head look for theirs by their ending alone; all heads share one memo behind
    that.
    """

    def __init__(self, *, edge: str) -> None:
        self._edge = edge
        self._known: dict[Key, Likeness] = {}

    def __len__(self) -> int:
        return len(self._known)

    def planned(self, exchange: Exchange, step: Step, ending: Ending) -> Likeness:
        """Of a request that had a plan; `step`: who answered, or else the first."""
        form = step.form
        likeness = form.likenesses.get(ending) if form is not None else None
        if likeness is None:
            likeness = self._found(_planned(exchange, step) + ending)
            if form is not None:
                if len(form.likenesses) >= LIKENESSES_OF_HEAD_MAX:
                    form.likenesses.clear()
                form.likenesses[ending] = likeness
        return likeness

    def unplanned(self, exchange: Exchange, ending: Ending) -> Likeness:
        """Of a request that was refused before it had a plan."""
        return self._found(_unplanned(exchange) + ending)

    def _found(self, key: Key) -> Likeness:
        likeness = self._known.get(key)
        if likeness is None:
            likeness = Likeness(Traits._make(key), edge=self._edge)
            if sum(len(each) for each in key if isinstance(each, str | bytes)) <= _REMEMBERED_LENGTH_MAX:
                if len(self._known) >= LIKENESSES_MAX:
                    self._known.clear()
                self._known[key] = likeness
        return likeness


def _planned(exchange: Exchange, step: Step) -> Key:
    """The traits before those of the ending."""
    asked, sent = exchange.resolved.headers.noted, step.noted
    content_types = (asked.get("content-type", b""), sent.get("content-type", b""))
    return (*_PLANNED(exchange), *_STEP(step), True, *content_types, sent.get("content-encoding", b""))


def _unplanned(exchange: Exchange) -> Key:
    came = (exchange.arrival.method, getattr(exchange, "authenticated", _NOBODY).token_name)
    if not exchange.has("resolved"):
        return (*_NOWHERE, *came, "", "", "", 0, None, None, False, b"", b"", b"")
    resolved, address, options = exchange.resolved, exchange.resolved.address, exchange.resolved.options
    written = (address.provider, "", address.path, 0, options.collect_log, options.collect_log_payload)
    content_type = resolved.headers.noted.get("content-type", b"")
    return (*_RESOLVED(resolved), *came, *written, False, content_type, b"", b"")


def _columns_of_place(traits: Traits) -> tuple[object, ...]:
    """From `account` to `attempts`."""
    return (
        traits.account,
        traits.gateway,
        traits.logs.retention_days,
        traits.provider[:_TEXT_MAX],
        (traits.answered_model or traits.model)[:_TEXT_MAX],
        traits.model_type,
        traits.path[:_PATH_MAX],
        traits.method,
        traits.request_type,
        traits.request_content_type.decode("utf-8", "surrogateescape")[:_TEXT_MAX],
        traits.response_content_type[:_TEXT_MAX],
        traits.status,
        traits.status < _HTTP_ERROR and traits.ended == "done" and not traits.is_error,
        traits.cache_status,
        traits.step,
        traits.attempts,
    )
